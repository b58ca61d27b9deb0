"""Where the limit is likely to be, by the margins of all stages, and which stage would tell it best.

For limits on TPOT and E2E, and for a search that must end in a given time: there a test of misses alone takes hours,
since requests that miss come in long runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from loadcell.search.levels import Level
from loadcell.search.margins import Limit, Reading, beyond, fit_limit
from loadcell.search.model import Answer, Likely, Plan, Stage

CONFIDENCE = 0.95
_Z = 2.24
"""Standard errors of the interval: more than 1.96, since a search ends when it is narrow, and not before."""
_WAITING = 0.25
"""Share of E2E that TTFT takes where it is a queue that breaks a limit on E2E."""
_WIDE = 0.25
"""Half of an interval, in the logarithm of the load, beyond which the next stage lies in its middle."""
_BESIDE, _BESIDE_MOST = 0.7, 0.15
"""Where it lies else: beside the likely limit, at this share of half the interval."""
_EDGE = 0.15
"""Where the limit is guessed beyond all readings, the stage keeps this share of the way away from the loads known."""
_PAST = 1.04
"""And so far past all readings that are on one side of the limit."""
_LEAST_E2ES, _FIRST_E2ES = 40, 60
"""Shortest stage that measures, in E2E of one user; and the first ones, when little is known of where the limit is."""
_NEAR = 0.1
"""Half of an interval from which on stages are as long as is needed: before that, they could be far off."""
MOST_MEASURED = 14
"""Stages that measure: where the interval is not narrow by then, more of them would not help soon."""
_PAUSE_MOST_S = 60.0
"""Time between two stages that still counts as the search's own; longer ones are those between two calls."""


def by_margins(plan: Plan, levels: Sequence[Level]) -> bool:
    """Whether the search goes by margins: what breaks first changes evenly with the load, and is no queue.

    Waits come in spells that last for many requests, so that no short stage shows their percentiles.
    """
    failing = next((level for level in levels if level.answer == "fail"), None)
    if failing is None or plan.axis == "load.concurrency":
        return False
    return any(_even(stage) for stage in failing.stages)


def _even(stage: Stage) -> bool:
    if stage.trial is None or stage.point is None:
        return False
    if stage.trial.binding == "tpot_ms":
        return True
    ttft, e2e = (
        figures["p50"].value if "p50" in figures else None for figures in (stage.point.ttft_ms, stage.point.e2e_ms)
    )
    return stage.trial.binding == "e2e_ms" and ttft is not None and e2e is not None and ttft < _WAITING * e2e


def elapsed_s(stages: Sequence[Stage]) -> float:
    """Time that the search took so far, pauses between its stages included, those between two calls left out."""
    took = [stage.took_s or 0.0 for stage in stages]
    pauses = (
        (datetime.fromisoformat(b.started_at) - datetime.fromisoformat(a.started_at)).total_seconds() - (a.took_s or 0)
        for a, b in pairwise(stages)
        if a.started_at and b.started_at
    )
    return sum(took) + sum(pause for pause in pauses if 0 < pause <= _PAUSE_MOST_S)


def left_s(plan: Plan, stages: Sequence[Stage]) -> float:
    """Time that is left; infinite where nobody set one."""
    return math.inf if plan.most_s is None else plan.most_s - elapsed_s(stages)


def limit_of(plan: Plan, stages: Sequence[Stage], levels: Sequence[Level]) -> Limit:
    """Where the margins of all stages cross the limit; an end that they do not bound is bound by misses.

    Misses alone bound it where what breaks first is a queue.
    """
    found = fit_limit(_readings(stages), _Z) if by_margins(plan, levels) else Limit(None, None, None, None)
    low, high = found.low, found.high
    if high is None:
        high = min((x.level for x in levels if x.level > (low or 0.0) and _decided(x, "fail")), default=None)
    if low is None:
        low = max((x.level for x in levels if x.level < (high or math.inf) and _decided(x, "pass")), default=None)
    value = found.value
    if value is not None:
        value = min(max(value, low or 0.0), high or math.inf)
    return found._replace(value=value, low=low, high=high)


def likely(plan: Plan, stages: Sequence[Stage], levels: Sequence[Level]) -> Likely | None:
    """The same as it is reported; None where nothing bounds the limit from either side."""
    found = limit_of(plan, stages, levels)
    if found.low is None and found.high is None:
        return None
    margins = found.value is not None
    told = [stage.ask.number for stage in stages if margins and _reading(stage) is not None]
    return Likely(
        level=found.value,
        low=found.low,
        high=found.high,
        confidence=CONFIDENCE,
        stages=told,
        more_s=more_s(plan, stages, found),
    )


def width_of(limit: Limit | Likely) -> float | None:
    """The high end over the low one, less 1."""
    return None if limit.low is None or limit.high is None else limit.high / limit.low - 1


def is_likely(plan: Plan, limit: Limit | Likely) -> bool:
    """Whether the interval is as narrow as was asked; users come in whole numbers."""
    width = width_of(limit)
    if width is None or limit.low is None or limit.high is None:
        return False
    whole = plan.axis == "load.concurrency" and math.ceil(limit.high) - math.floor(limit.low) <= 1
    return whole or width <= plan.width * 1.0005


def measured(stages: Sequence[Stage], limit: Limit) -> tuple[float, float]:
    """Time of the stages that measure, below the likely limit and above it."""
    below = above = 0.0
    for stage in stages:
        if stage.ask.phase == "measure" and stage.ask.level is not None and limit.value is not None:
            took = stage.took_s or 0.0
            below, above = (below + took, above) if stage.ask.level < limit.value else (below, above + took)
    return below, above


def where(limit: Limit, stages: Sequence[Stage], plan: Plan, low: float, high: float) -> float:
    """The load at which the next stage tells most of the limit; `low` seems to hold and `high` to fail."""
    if limit.value is None:
        low, high = limit.low or low, limit.high or high
        return _beyond_all(_readings(stages), low, high)
    half = _half(limit)
    below, above = measured(stages, limit)
    if half > _WIDE and not below + above:
        return limit.value
    step = min(max(_BESIDE * half, math.log1p(plan.width) / 2), _BESIDE_MOST)
    return limit.value * math.exp(-step if below <= above else step)


def _beyond_all(readings: Sequence[tuple[float, Reading]], low: float, high: float) -> float:
    """A load where the limit may be, all readings being on one side of it. `high` may be no more than a short stage's
    impression, so the readings may lead past it."""
    guess, reach = beyond(readings), math.log(high / low)
    if guess is None:
        return math.sqrt(low * high)
    step = math.log(guess / low)
    levels = [level for level, _ in readings]
    if all(x.value <= 0 for _, x in readings):  # they rise more steeply further up
        return max(low * math.exp(min(max(step, _EDGE * reach), reach / 2)), max(levels) * _PAST)
    return min(low * math.exp(max(min(step, (1 - _EDGE) * reach), reach / 2)), min(levels) / _PAST)


def length_s(plan: Plan, stages: Sequence[Stage], limit: Limit, e2e_s: float) -> float:
    """How long the next stage that measures is to be, in seconds."""
    least = _LEAST_E2ES * e2e_s
    near = limit.value is not None and _half(limit) <= _NEAR
    left = left_s(plan, stages)
    if math.isinf(left):
        return max(_FIRST_E2ES * e2e_s, (more_s(plan, stages, limit) or 0.0) / 2 if near else 0.0)
    begun = any(stage.ask.phase == "measure" for stage in stages)
    length = max(least, left / 2 if near else min(left / 2, _FIRST_E2ES * e2e_s if begun else least))
    if left < 2.2 * length:  # what is left behind it would be too short for another
        length = left if left < 1.5 * length else left / 2
    return length


def more_s(plan: Plan, stages: Sequence[Stage], limit: Limit) -> float | None:
    """Further time that would make the interval as narrow as was asked; None where that is not known."""
    if limit.value is None or limit.slope is None:
        return None
    near = [
        (x.error / limit.slope, stage.took_s or 0.0)
        for stage in stages
        if (x := _reading(stage)) is not None
        and stage.ask.level is not None
        and stage.took_s
        and abs(math.log(stage.ask.level / limit.value)) < 2 * _WIDE
    ]
    if not near:
        return None
    per_s = max(1 / (max(error, 1e-6) ** 2 * took) for error, took in near)
    half = _half(limit)
    wanted = math.log1p(plan.width) / 2 / _Z
    return max(0.0, 1 / wanted**2 - ((_Z / half) ** 2 if 0 < half < math.inf else 0.0)) / per_s


def _half(limit: Limit) -> float:
    return math.inf if limit.low is None or limit.high is None else math.log(limit.high / limit.low) / 2


def _readings(stages: Sequence[Stage]) -> list[tuple[float, Reading]]:
    return [
        (stage.ask.level, x) for stage in stages if stage.ask.level is not None and (x := _reading(stage)) is not None
    ]


def _reading(stage: Stage) -> Reading | None:
    trial = stage.trial
    if trial is None or trial.margin is None or not trial.sound or stage.ask.phase == "floor":
        return None
    return Reading(trial.margin.value, trial.margin.error)


def _decided(level: Level, answer: Answer) -> bool:
    """Whether the misses at a load, or a queue that grows, decide it; a stage of the ramp may, too."""
    for stage in level.stages:
        if stage.trial and (stage.trial.answer == answer or (answer == "fail" and stage.trial.stable is False)):
            return True
    return False
