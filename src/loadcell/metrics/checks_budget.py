"""The checks of the error budgets: a figure is as good as what its client's clock readings leave open."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from loadcell.metrics.checks_symptoms import cause, in_time
from loadcell.metrics.glossary import GLOSSARY, SHOWN
from loadcell.metrics.limits import Limits, beside_limit, figure_name, label, number
from loadcell.metrics.model import Bias, Budget, Calibration, Check, Result, Summary, Word
from loadcell.phrases import phrase

LIMITS = {
    "budget": Limits(phrase("width of a figure's error budget, over the figure"), "share", 0.01, 0.05),
}
FLOOR_MS = 0.1
"""A latency that is known to this is VALID, whatever part of it that is."""
_PATH_MS = 0.02
"""Between the clock readings of two processes on one machine: the self-test cannot tell less."""
JUDGED = ("mean", "p50", "p90", "p99")
"""Figures that turn the word. What lies further out, the spread and the maximum are marked alone."""
ALONE = ("p99_9", "max", "sd")
BUDGETS = (
    "budget",
    "rates_budget",
    *(f"{name.removesuffix('_ms')}_{part}budget" for name in SHOWN for part in ("", "response_")),
)
"""Names of the checks of budgets."""
FINDINGS = {
    "budget": "SUSPECT where the recording does not bound its times (no stamps of the kernel, before format 5)",
    "selftest": "SUSPECT where this machine's self-test, at the nearest load, was off by more than the budgets allow",
}


class Judged(NamedTuple):
    """A figure with its budget and its word."""

    title: str
    value: float
    unit: str
    budget: Budget
    share: float
    word: Word


def width_share(value: float, budget: Budget, scale: float | None = None) -> float:
    """Width of a budget over its figure, or over `scale` where that is more; infinite over nothing."""
    width, base = budget.high - budget.low, max(abs(value), abs(scale or 0.0))
    return width / base if base else float("inf") if width else 0.0


def word_of_figure(value: float, budget: Budget, *, ms: bool, scale: float | None = None) -> Word:
    """What a figure is worth by its budget; `ms` for a latency, which may be off by the floor in any case."""
    limits, share = LIMITS["budget"], width_share(value, budget, scale)
    if share <= limits.valid or (ms and budget.high - budget.low <= FLOOR_MS):
        return "VALID"
    return "SUSPECT" if share <= (limits.worst or 0.0) else "INVALID"


def figures_of(summary: Summary) -> dict[str, tuple[float | None, Budget | None]]:
    """Each figure of a distribution with its budget, by name."""
    estimates = {name: getattr(summary, name) for name in ("p50", "p90", "p95", "p99", "p99_9")}
    found = {name: (estimate.value, estimate.budget) for name, estimate in estimates.items()}
    sd: float | None = getattr(summary, "sd", None)
    return {
        "mean": (summary.mean, summary.mean_budget),
        **found,
        "max": (summary.max, summary.max_budget),
        "sd": (sd, summary.sd_budget),
    }


def judged_latencies(result: Result) -> Iterator[tuple[str, list[Judged]]]:
    """The judged figures of each latency that is shown, by the name of its check."""
    for name in SHOWN:
        latency = result.latency.get(name)
        if latency is None or (name == "ttfa_ms" and latency.service == result.latency["ttft_ms"].service):
            continue  # a reply without reasoning: it would be said twice
        for anchor, summary in (("", latency.service), ("response_", latency.response)):
            if summary is None:
                continue
            scale = summary.mean if name == "itl_ms" else None  # of a burst, most gaps are nothing
            apart = latency.response is not None  # as in the table, where both are shown
            name_of = partial(figure_name, latency.title, ("response" if anchor else "service") if apart else "")
            found = figures_of(summary)
            yield f"{name.removesuffix('_ms')}_{anchor}budget", [
                Judged(name_of(which), value, latency.unit, budget, width_share(value, budget, scale),
                       word_of_figure(value, budget, ms=latency.unit == "ms", scale=scale))
                for which in JUDGED
                for value, budget in (found[which],)
                if value is not None and budget is not None
            ]  # fmt: skip


def _rates(result: Result) -> list[Judged]:
    rates, good = result.throughput, result.goodput
    found = [
        ("Requests/s", rates.requests_per_s, rates.requests_budget),
        (phrase("Output tokens/s"), rates.output_tokens_per_s, rates.output_tokens_budget),
        (phrase("Input tokens/s"), rates.input_tokens_per_s, rates.input_tokens_budget),
        (phrase("Inputs/s"), rates.inputs_per_s, rates.inputs_budget),
        (phrase("Images/s"), rates.images_per_s, rates.images_budget),
        (phrase("Audio s/s"), rates.audio_s_per_s, rates.audio_s_budget),
    ]
    judged = [
        Judged(title, value, "", budget, width_share(value, budget),
               word_of_figure(value, budget, ms=False))
        for title, value, budget in found
        if value is not None and budget is not None
    ]  # fmt: skip
    if good is not None and good.attainment.value is not None and good.attainment_budget is not None:
        kept, budget = good.attainment.value, good.attainment_budget
        share = budget.high - budget.low  # points of a share are parts of a whole as they are
        word = word_of_figure(1.0, budget, ms=False)
        judged.append(Judged("Attainment", kept, "share", budget, share, word))
    return judged


def spoilt(result: Result, metric: str, anchor: str, statistic: str) -> bool:
    """Whether one figure is INVALID by its own budget: a statistic of a latency from an anchor, or else a rate's."""
    if metric in result.latency:
        summary = result.latency[metric].response if anchor == "response" else result.latency[metric].service
        value, budget = figures_of(summary)[statistic] if summary is not None else (None, None)
        scale = summary.mean if summary is not None and metric == "itl_ms" else None
    else:
        value = getattr(result.throughput, metric, None)
        budget, scale = getattr(result.throughput, metric.replace("_per_s", "_budget"), None), None
    if value is None or budget is None:
        return False
    return word_of_figure(value, budget, ms=metric in result.latency, scale=scale) == "INVALID"


def only_budgets(result: Result) -> bool:
    """Whether an INVALID result is that by budgets of single figures alone: the others are good."""
    bad = [check.name for check in result.verdict.checks if check.word == "INVALID"]
    return bool(bad) and not result.invalid and all(name in BUDGETS for name in bad)


def _budgets(result: Result) -> Iterator[Check]:
    known = [entry.service for entry in result.latency.values() if entry.service.mean is not None]  # not withheld ones
    if any(of.mean_budget is None for of in known):
        says = phrase(
            "the recording does not bound its times: they are the client's own, and nothing says how late it looked"
        )
        yield label("budget", "SUSPECT", says, phrase("record it again with this version"))
        return
    for name, figures in (*judged_latencies(result), ("rates_budget", _rates(result))):
        if figures:
            yield _check(result, name, figures)


def _check(result: Result, name: str, figures: list[Judged]) -> Check:
    """One check of several figures, as good as the worst of them."""
    rank = {"INVALID": 0, "SUSPECT": 1, "VALID": 2}
    worst = min(figures, key=lambda one: (rank[one.word], -one.share))
    limits = LIMITS["budget"]
    value, low, high = (_digits(end, worst.unit) for end in (worst.value, worst.budget.low, worst.budget.high))
    bound = limits.worst if worst.word == "INVALID" else limits.valid
    says = phrase("{} of {} is {} to {} by the client's clock readings", worst.title, value, low, high)
    if math.isfinite(worst.share):
        known = phrase("{}: known to {}", says, number(worst.share, "share"))
        says = beside_limit(known, worst.share, bound or 0.0, "share")
    why = cause(result)
    advice = phrase("{}: {}", why.says, why.advice) if why is not None else in_time(result)
    return Check(
        name=name, word=worst.word, value=worst.share, unit="share", limit=limits.valid, invalid_beyond=limits.worst,
        says=says, advice=None if worst.word == "VALID" else advice,
    )  # fmt: skip


def _digits(value: float, unit: str) -> str:
    return f"{value:.1%}".replace("%", " %") if unit == "share" else f"{value:.4g} {unit}".strip()


def _calibration(result: Result) -> Iterator[Check]:
    known = result.calibration
    if known is None:
        yield label("selftest", None, phrase("no self-test of this machine: loadcell selftest makes one"))
        return
    beyond = _beyond(result, known)
    at = f"{known.tokens_per_s:,.0f}"
    if beyond is None:
        yield label("selftest", "VALID", phrase("self-test at {} tokens/s: no bias beyond the budgets", at))
        return
    which, off = beyond
    says = phrase("self-test at {} tokens/s: {} was off by {}, more than its budget here allows", at, which,
                  number(off, "ms"))  # fmt: skip
    yield label("selftest", "SUSPECT", says, in_time(result))


def _beyond(result: Result, known: Calibration) -> tuple[str, float] | None:
    """The first figure whose bias in the self-test its budget does not hold, beyond what is VALID anyway."""
    for metric, bias in known.bias.items():
        latency = result.latency.get(f"{metric}_ms")
        for name in ("p50", "p99") if latency is not None else ():
            off = _bias_ms(bias, name)
            value, budget = figures_of(latency.service)[name] if latency is not None else (None, None)
            if off is None or value is None or budget is None:
                continue
            slack = _PATH_MS + max(FLOOR_MS, LIMITS["budget"].valid * value)
            if not budget.low - slack <= value - off <= budget.high + slack:
                return f"{GLOSSARY[metric].title} {name}", off
    return None


def _bias_ms(bias: Bias, name: str) -> float | None:
    off: float | None = getattr(bias, f"{name}_ms")
    return off


CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_budgets, _calibration)
