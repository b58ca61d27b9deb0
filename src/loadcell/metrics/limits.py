"""The limits of the audit as a table: what each check looks at, up to where it is VALID, and beyond which INVALID.

The limits are this project's own choices; docs/verdict.md is generated from here and from the tables of the modules of
checks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from loadcell.metrics.model import Check, CheckWord, Result, Word
from loadcell.phrases import phrase, reworded


class Limits(NamedTuple):
    """Limits of a figure: VALID up to `valid`, SUSPECT up to `worst`, INVALID beyond; without `worst` never that."""

    about: str
    unit: str
    """share, ms, per s or nothing (a count)."""
    valid: float
    worst: float | None
    of: str | None = None
    """A latency of the run of which a part is allowed too, where that is more."""
    valid_part: float = 0.0
    worst_part: float = 0.0
    least: bool = False
    """The figure must reach its limits, not stay below them."""


LIMITS = {
    "clock_steps": Limits("steps of the wall clock", "", 1, None),
    "connections": Limits("requests of the window that opened a connection", "share", 0.01, None),
    "exhaustion": Limits("connections that failed for want of ports or descriptors, per request", "share", 0.0, 0.01),
    "requests_made": Limits("requests that were not made yet when they were to be sent", "share", 0.01, None),
    "token_closure": Limits("tokens counted in the streams against the server's usage", "share", 0.001, 0.02),
}
SYMPTOMS = {
    "busy": Limits("busiest load process: time spent reading and sending", "share", 0.5, None),
    "stall": Limits("longest time in the window without a look at the sockets", "ms", 5.0, None),
    "core_wait": Limits("time that a load process was ready to run but had no core", "share", 0.02, None),
    # A scheduler of slices of a few ms puts an undisturbed process aside some 200 times a second.
    "switches": Limits("times a second that a load process was put aside for another", "per s", 1000.0, None),
    "steal": Limits("time of the cores that the hypervisor took", "share", 0.01, None),
    "throttled": Limits("periods in which the container's quota of CPU time was used up", "share", 0.01, None),
    "send_lateness": Limits(
        "sends after their time, at p99 (planned time, or when the user was ready)", "ms", 1.0, None, "ttft_ms", 0.01
    ),
    "on_time": Limits("sends that were late or early by more than 1 ms and more than 1 % of TTFT", "share", 0.01, None),
    "read_lag": Limits("time from the kernel's stamp to the client's read, at p99", "ms", 1.0, None),
    "merged": Limits("events that shared a read with the next because the client read late", "share", 0.001, None),
    "stamps": Limits("reads without a kernel stamp", "share", 0.001, None),
}
"""What is usual, up to `valid`. They judge nothing: they explain an error budget that is too wide."""
FINDINGS = {
    "accounting": "INVALID where planned = ok + failed + abandoned + cancelled + unsent does not hold, or data were "
    "lost",
    "audit": "SUSPECT where a load process left no counters",
    "stability": "SUSPECT where the queue grows through the window; percentiles have no interval then",
    "proxy": "SUSPECT where requests went through a proxy",
}
"""Checks without a figure."""


def grade(
    result: Result,
    name: str,
    value: float | None,
    says: str,
    advice: str | None,
    *,
    limits: Limits | None = None,
    slack: tuple[float, float] = (0, 0),
    fatal: bool = True,
) -> Check:
    """One figure against its limits; `slack` is what a limit gives at least where samples are few.

    `limits` are those of the name in the table here; a module with a table of its own gives its entry. What is not
    `fatal` is SUSPECT at most.
    """
    limits = limits or LIMITS[name]
    base = median_ms(result, limits.of) if limits.of else 0.0
    limit = max(limits.valid, limits.valid_part * base, slack[0])
    worst = None if limits.worst is None or not fatal else max(limits.worst, limits.worst_part * base, slack[1])

    def keeps(bound: float) -> bool:
        assert value is not None
        return value >= bound if limits.least else value <= bound

    word: Word | None = None
    if value is not None:
        word = "VALID" if keeps(limit) else "INVALID" if worst is not None and not keeps(worst) else "SUSPECT"
    bound = worst if word == "INVALID" and worst is not None else limit
    shown = beside_limit(says, value, bound, limits.unit) if word else phrase("{}: not known", limits.about)
    return Check(
        name=name, word=word, value=value, unit=limits.unit, limit=limit, invalid_beyond=worst, says=shown,
        advice=advice if word in ("SUSPECT", "INVALID") else None,
    )  # fmt: skip


def note(result: Result, name: str, value: float | None, says: str, advice: str, *, least: float = 0.0) -> Check:
    """One symptom against what is usual, which is never below `least`."""
    usual = SYMPTOMS[name]
    limit = max(usual.valid, usual.valid_part * median_ms(result, usual.of) if usual.of else 0.0, least)
    beyond = value is not None and value > limit and not math.isclose(value, limit)  # 1 - 10/11 is 1/11
    shown = beside_limit(says, value, limit, usual.unit, phrase("{} (usual: up to {})"))
    return Check(
        name=name, word=None if value is None else "NOTED" if beyond else "VALID", value=value, unit=usual.unit,
        limit=limit, invalid_beyond=None, says=phrase("{}: not known", usual.about) if value is None else shown,
        advice=advice if beyond else None,
    )  # fmt: skip


def number(value: float | None, unit: str, digits: int = 2) -> str:
    """A figure with its unit, as people read it."""
    if value is None:
        return "not known"
    if unit == "share":
        return f"{_short(value * 100, digits)} %"
    key = {"per s": phrase("{} per s"), "tokens/s": phrase("{} tokens/s")}.get(unit)
    shown = _short(value, digits)
    return phrase(key, shown) if key else f"{shown} {unit}".strip()


def figure_name(title: str, anchor: str, statistic: str) -> str:
    """A figure as people name it: TTFT p99, or TTFT response p99 where service times are told apart from it."""
    key = {"response": phrase("{} response"), "service": phrase("{} service")}.get(anchor, "{}")
    if statistic == "mean":  # a word, and another one in other languages
        return phrase("{} mean", phrase(key, title))
    return phrase("{} {}", phrase(key, title), statistic) if statistic else phrase(key, title)


def beside_limit(says: str, value: float | None, limit: float, unit: str, form: str = phrase("{} (limit {})")) -> str:
    """What a check says with its limit behind it; the figure in it has the digits that tell it from the limit."""
    shown, bound = number(value, unit), number(limit, unit)
    if shown == bound and value is not None and not math.isclose(value, limit):
        digits = next((d for d in range(3, 10) if number(value, unit, d) != bound), 10)
        says = reworded(says, shown, number(value, unit, digits))
    return phrase(form, says, bound)


def _short(value: float, digits: int) -> str:
    if value and math.isfinite(value) and abs(value) < 10**digits:
        value = round(value, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.0f}" if abs(value) >= 10**digits or (value >= 100 and value.is_integer()) else f"{value:.10g}"


def label(name: str, word: CheckWord | None, says: str, advice: str | None = None) -> Check:
    """A finding without a figure."""
    return Check(name=name, word=word, value=None, unit="", limit=None, invalid_beyond=None, says=says, advice=advice)


def median_ms(result: Result, metric: str) -> float:
    """p50 of a latency, or its mean where that cannot be estimated; 0 where there is neither."""
    latency = result.latency.get(metric)
    if latency is None:
        return 0.0
    return latency.service.p50.value or latency.service.mean or 0.0
