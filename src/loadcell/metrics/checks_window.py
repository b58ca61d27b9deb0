"""The checks of the window: did the load last beside its requests, and were the replies those of a loaded server."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from loadcell.metrics.glossary import GLOSSARY
from loadcell.metrics.limits import Limits, grade, label, number
from loadcell.metrics.model import Check, ColdStart, Result
from loadcell.phrases import phrase

LIMITS = {
    "lasted": Limits(
        phrase("closed loop: median E2E that all users were at work, after the ramp"), "", 3.0, None, least=True
    ),
    "drained": Limits(phrase("replies of the window that ended after the load did"), "share", 0.1, None),
}
FINDINGS = {
    "cold_start": phrase(
        "SUSPECT where few requests, early, of the window were more than twice as slow as any later one"
    )
}
_ENOUGH_E2E = 5
"""What is advised: a fifth of the run for the ramp and the drain."""


def _lasted(result: Result) -> Iterator[Check]:
    spec, state = result.methodology.spec, result.steady
    users = result.concurrency.asked or 1
    if result.methodology.loop == "open" or users == 1 or state.method == "chosen":
        return
    if spec.load.lockstep or spec.loadgen.scenario == "offline":
        return
    times = state.loaded_e2e
    yield grade(
        result,
        "lasted",
        times,
        phrase("after the ramp, all users were at work for {} times the median E2E", number(times, "")),
        phrase("rates and latencies are of few rounds: give {}", _longer(result, users)),
        limits=LIMITS["lasted"],
    )


def _longer(result: Result, users: int) -> str:
    """What would have been long enough, in the user's flags."""
    load, times, end = result.methodology.spec.load, result.steady.loaded_e2e, result.throughput.to_s
    if load.requests and not load.duration_s:
        return phrase("--requests {}", _ENOUGH_E2E * users)
    ramp_s = float(result.methodology.effective.get("ramp_s") or 0.0)
    if not times or end is None:
        return phrase("a longer --duration")
    return phrase("--duration {}s", math.ceil(ramp_s + _ENOUGH_E2E * (end - ramp_s) / times))


def _drained(result: Result) -> Iterator[Check]:
    share = result.steady.drained_share
    if share is None:
        yield label("drained", None, phrase("the drain is part of the load, or nothing was answered"))
        return
    yield grade(
        result,
        "drained",
        share,
        phrase("{} of replies ended after the load did, beside fewer and fewer others", number(share, "share")),
        phrase("latencies are in part of an emptying server: give more --requests or a longer --duration"),
        limits=LIMITS["drained"],
    )


def cold_says(cold: ColdStart) -> str:
    """The slow first requests in words."""
    title = GLOSSARY[cold.metric.removesuffix("_ms")].title
    least, most, later = (number(ms, "ms") for ms in (cold.least_ms, cold.most_ms, cold.later_most_ms))
    slow, first = f"{cold.slow:,}", f"{cold.of_first:,}"
    key = phrase("few requests, early: {} of {} of the first {} was {} to {}, later {} at most")
    if not cold.in_window:
        key = phrase(
            "few requests, early, outside of the window: {} of {} of the first {} was {} to {}, later {} at most"
        )
    return phrase(key, title, slow, first, least, most, later)


def _cold(result: Result) -> Iterator[Check]:
    cold = result.steady.cold_start
    if cold is None:
        return
    if cold.in_window:
        yield label(
            "cold_start", "SUSPECT", cold_says(cold), phrase("a cold start is not the load: leave it out by --warmup")
        )
    else:
        yield label("cold_start", "VALID", cold_says(cold))


# Causes come before effects: the first reason is the one that is read.
CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_lasted, _drained, _cold)
