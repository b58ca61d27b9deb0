"""The checks of the window: did the load last beside its requests, and were the replies those of a loaded server."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from loadcell.metrics.glossary import GLOSSARY
from loadcell.metrics.limits import Limits, grade, label, number
from loadcell.metrics.model import Check, ColdStart, Result

LIMITS = {
    "lasted": Limits("closed loop: median E2E that all users were at work, after the ramp", "", 3.0, None, least=True),
    "drained": Limits("replies of the window that ended after the load did", "share", 0.1, None),
}
FINDINGS = {
    "cold_start": "SUSPECT where few requests, early, of the window were more than twice as slow as any later one"
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
        f"after the ramp, all users were at work for {number(times, '')} times the median E2E",
        f"rates and latencies are of few rounds: give {_longer(result, users)}",
        limits=LIMITS["lasted"],
    )


def _longer(result: Result, users: int) -> str:
    """What would have been long enough, in the user's flags."""
    load, times, end = result.methodology.spec.load, result.steady.loaded_e2e, result.throughput.to_s
    if load.requests and not load.duration_s:
        return f"--requests {_ENOUGH_E2E * users}"
    ramp_s = float(result.methodology.effective.get("ramp_s") or 0.0)
    if not times or end is None:
        return "a longer --duration"
    return f"--duration {math.ceil(ramp_s + _ENOUGH_E2E * (end - ramp_s) / times)}s"


def _drained(result: Result) -> Iterator[Check]:
    share = result.steady.drained_share
    if share is None:
        yield label("drained", None, "the drain is part of the load, or nothing was answered")
        return
    yield grade(
        result,
        "drained",
        share,
        f"{number(share, 'share')} of replies ended after the load did, beside fewer and fewer others",
        "latencies are in part of an emptying server: give more --requests or a longer --duration",
        limits=LIMITS["drained"],
    )


def cold_says(cold: ColdStart) -> str:
    """The slow first requests in words."""
    title = GLOSSARY[cold.metric.removesuffix("_ms")].title
    least, most, later = (number(ms, "ms") for ms in (cold.least_ms, cold.most_ms, cold.later_most_ms))
    slow, first = f"{cold.slow:,}", f"{cold.of_first:,}"
    if cold.in_window:
        return (
            f"few requests, early: {title} of {slow} of the first {first} was {least} to {most}, later {later} at most"
        )
    return (
        f"few requests, early, outside of the window: {title} of {slow} of the first {first} was {least} to {most}, "
        f"later {later} at most"
    )


def _cold(result: Result) -> Iterator[Check]:
    cold = result.steady.cold_start
    if cold is None:
        return
    if cold.in_window:
        yield label("cold_start", "SUSPECT", cold_says(cold), "a cold start is not the load: leave it out by --warmup")
    else:
        yield label("cold_start", "VALID", cold_says(cold))


# Causes come before effects: the first reason is the one that is read.
CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_lasted, _drained, _cold)
