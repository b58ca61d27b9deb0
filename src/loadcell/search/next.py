"""Which stage comes next: a pure function of the plan and of the stages so far, so that a sweep can be resumed.

A search asks for the floor (one user alone), doubles the load in short stages until one fails, then bisects the
logarithm of the load with long stages that end when their sequential test has decided, and at last repeats both ends of
the bracket with other arrivals. A load too near to the boundary to be decided in the time given is left undecided, and
its neighbours half a width away are tried instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from loadcell.search.evidence import least_for_pass
from loadcell.search.grid import next_of_grid
from loadcell.search.levels import Level, bracket, levels_of
from loadcell.search.likely import MOST_MEASURED, by_margins, is_likely, left_s, length_s, limit_of, measured, where
from loadcell.search.model import Ask, Plan, Stage

FLOOR_REQUESTS = 16
MOST_STAGES = 40
"""A search that needs more goes round in circles: the server does not answer the same way twice."""
MOST_AT_A_LOAD = 4
"""Long stages at one load: where they do not agree by then, the server is not the same from one to the next."""
_BEHIND = 0.95
"""Share of the requests that came: where fewer end, the server falls behind."""
_FIRST = 0.5
"""First rate of the ramp, over the rate of one user alone."""
_LOWEST = 64
"""A search that may go as low as it likes ends this far below its first rate."""
_RAMP_E2ES, _RAMP_REQUESTS = 12, 16
"""Length of a stage of the ramp: as many E2E of one user, and as many requests."""
_WARMUP_E2ES, _WARMUP_MOST = 10, 0.25
"""Warm-up of a stage: as many E2E of one user, and at most this share of it: a queue needs time to reach its level."""
_JUDGED_E2ES, _JUDGED_LEAST = 100, 60
"""Shortest time that is judged: as many E2E of one user, and as many requests."""
_TOGETHER = 0.25
"""Requests that count as one at least, over those in flight at once."""
_LEASTS, _LEAST_LONGEST_S = 4, 60.0
"""Longest stage where nobody says: over the shortest that could pass, and in seconds."""
_LONG_REQUESTS = 200_000
"""A stage has no more, as long as it can pass with fewer: their bodies are made before it begins."""
_FLOOR_S = 120.0
"""Longest floor where nobody says how long a stage may be."""
_MOST_UNDECIDED = 4
"""Loads between the ends that stay undecided: the bracket is as narrow as stages of this length make it. With twice as
many in all the search ends."""
_STRIDE = 4.0
"""Between two loads of the ramp of a search that must end in time, and of one by margins on its way down."""
_PARTS, _PART_E2ES = 3, 30
"""A long stage of a search that must end in time takes this part of what is left, and so many E2E at least."""
_END_E2ES, _LEAST_E2ES = 3.0, 12.0
"""Time that is kept for the last replies of a search that must end in time, and the shortest stage that it begins."""
_SLACK = 0.98
"""Neighbours are put a little nearer than half a width, so that rounding keeps the bracket within it."""


def next_ask(plan: Plan, stages: Sequence[Stage]) -> Ask | None:
    """The next stage of a grid or a search; None at its end."""
    if plan.mode == "grid":
        return next_of_grid(plan, stages)
    number = 1 + max((stage.ask.number for stage in stages), default=0)
    if number > MOST_STAGES:
        return None
    floor = next((stage for stage in stages if stage.ask.phase == "floor"), None)
    if floor is None:
        return _floor(plan, number)
    e2e_s = floor_s(floor)
    if e2e_s is None or floor_fails(floor) or too_short(plan, e2e_s):
        return None
    left = left_s(plan, stages) - _END_E2ES * e2e_s
    if left < _LEAST_E2ES * e2e_s:
        return None
    levels = levels_of(stages)
    if by_margins(plan, levels):
        found = _by_margins(plan, stages, levels, e2e_s)
        if found is not None:
            return _worth(plan, _ask(plan, number, *found[:2], e2e_s, min(left, found[2])), e2e_s)
        if bracket(levels)[0] is not None:
            return None
    step = _step(plan, levels, _start(plan, e2e_s), _carried_per_s(stages))
    if step is None:
        return None
    return _worth(plan, _ask(plan, number, *step, e2e_s, _part_s(plan, step, left, e2e_s)), e2e_s)


def _worth(plan: Plan, ask: Ask, e2e_s: float) -> Ask | None:
    """The stage, unless the time that is left brings too few requests at its load."""
    assert ask.level is not None
    rate = ask.level if plan.axis != "load.concurrency" else ask.level / e2e_s
    few = plan.most_s is not None and rate * ask.changes["load.duration_s"] < _RAMP_REQUESTS / 2 - 1
    return None if few else ask


def _part_s(plan: Plan, step: Step, left: float, e2e_s: float) -> float | None:
    """Longest time of a stage of a search that must end in time; None where none is set."""
    if math.isinf(left):
        return None
    if step[0] == "ramp":
        return min(left, ramp_s(plan, step[1], e2e_s))
    return min(left, max(left / _PARTS, _PART_E2ES * e2e_s))


def too_short(plan: Plan, e2e_s: float) -> bool:
    """Whether stages as long as they may be cannot show the share at all."""
    return plan.most_s is None and least_stage_s(plan, e2e_s) > longest_stage_s(plan, e2e_s)


def _by_margins(
    plan: Plan, stages: Sequence[Stage], levels: Sequence[Level], e2e_s: float
) -> tuple[str, float, float] | None:
    """Phase, load and length of the next stage where margins tell: first quickly down to a load that holds, then
    beside the likely limit."""
    low, high = bracket(levels)
    assert high is not None
    if low is None:
        level = _further_down(plan, levels, _start(plan, e2e_s))
        return None if level is None else ("ramp", level, ramp_s(plan, level, e2e_s))
    limit = limit_of(plan, stages, levels)
    count = sum(stage.ask.phase == "measure" for stage in stages)
    if count >= MOST_MEASURED or (is_likely(plan, limit) and all(measured(stages, limit))):
        return None
    level = where(limit, stages, plan, low.level, _carried_below(low.level, high.level, _carried_per_s(stages)))
    level = min(max(level, plan.lowest or 0.0), plan.highest or math.inf)
    return "measure", level, length_s(plan, stages, limit, e2e_s)


def _further_down(plan: Plan, levels: Sequence[Level], start: float) -> float | None:
    """A load below all that were tried, for they fail; None where none is allowed."""
    least = 1.0 if plan.axis == "load.concurrency" else start / _LOWEST
    lowest = least if plan.lowest is None else plan.lowest
    bottom = levels[0].level
    return max(bottom / _STRIDE, lowest) if bottom > lowest else None


def ramp_s(plan: Plan, level: float, e2e_s: float) -> float:
    """Length of a stage of the ramp."""
    rate = level if plan.axis != "load.concurrency" else level / e2e_s
    return max(_RAMP_E2ES * e2e_s, (_RAMP_REQUESTS if plan.most_s is None else _RAMP_REQUESTS / 2) / rate)


def floor_s(floor: Stage) -> float | None:
    """Median E2E of one user alone, in seconds; its mean where so few depend too much on each other for a median."""
    if floor.point is None:
        return None
    value = floor.point.e2e_ms["p50"].value or floor.point.e2e_mean_ms
    return None if not value else value / 1e3


def least_stage_s(plan: Plan, e2e_s: float) -> float:
    """Shortest stage that could pass, were no request to miss: in seconds, warm-up included."""
    assert plan.target is not None
    return max(least_for_pass(plan.target) * _TOGETHER, _JUDGED_E2ES) * e2e_s / (1 - _WARMUP_MOST)


def longest_stage_s(plan: Plan, e2e_s: float) -> float:
    """Longest stage of a search: as asked, else some times the shortest that could pass."""
    return plan.stage_s or max(_LEAST_LONGEST_S, _LEASTS * least_stage_s(plan, e2e_s))


def floor_fails(floor: Stage) -> bool:
    """Whether one user alone misses the SLO with most requests: then no load holds it."""
    trial = floor.trial
    return trial is not None and trial.judged > 0 and 2 * trial.missed > trial.judged


def served_per_s(stages: Sequence[Stage]) -> float | None:
    """Most requests/s that a server ended while its queue grew: an open loop above it cannot be stable."""
    rates = [
        stage.point.requests_per_s
        for stage in stages
        if stage.trial and stage.trial.stable is False and stage.point and stage.point.requests_per_s
    ]
    return max(rates, default=None)


def _carried_per_s(stages: Sequence[Stage]) -> float | None:
    """Most requests/s that ended where clearly fewer ended than came: about what the server carries."""
    rates = [
        rate
        for stage in stages
        if stage.trial and stage.trial.answer == "fail" and stage.point and (rate := stage.point.requests_per_s)
        if stage.ask.level is not None and rate < _BEHIND * stage.ask.level
    ]
    return max(rates, default=None)


def _start(plan: Plan, e2e_s: float) -> float:
    """First load of the ramp."""
    if plan.axis == "load.concurrency":
        start = 2.0 if plan.lowest is None else plan.lowest
    else:
        start = _FIRST / e2e_s if plan.lowest is None else plan.lowest
    return start if plan.highest is None else min(start, plan.highest)


Step = tuple[str, float]
"""Phase and load of a stage."""


def _step(plan: Plan, levels: Sequence[Level], start: float, carried: float | None) -> Step | None:
    for level in levels:
        if level.disturbed:
            return ("bisect" if level.firm else "ramp"), level.level
    if sum(level.answer == "undecided" for level in levels) >= 2 * _MOST_UNDECIDED:
        return None
    low, high = bracket(levels)
    if high is None:
        return _upwards(plan, levels, start)
    if low is None:
        return _downwards(plan, levels, start, high)
    undecided = [x.level for x in levels if x.answer == "undecided" and low.level < x.level < high.level]
    between = _between(plan, low.level, high.level, undecided, carried)
    if between is not None:
        return "bisect", between
    for end in (high, low):
        if not end.firm:
            return "bisect", end.level
    for end in (low, high):
        if not end.settled and len(end.stages) < MOST_AT_A_LOAD:
            return "confirm", end.level
    return None


def _upwards(plan: Plan, levels: Sequence[Level], start: float) -> Step | None:
    """No load failed yet: double it; the highest allowed one is tested for long, twice."""
    if not levels:
        return "ramp", start
    top = levels[-1]
    if plan.highest is None or top.level < plan.highest:
        stride = 2.0 if plan.most_s is None else _STRIDE
        return "ramp", stride * top.level if plan.highest is None else min(stride * top.level, plan.highest)
    if top.settled or len(top.stages) >= MOST_AT_A_LOAD:
        return None
    return ("confirm" if top.firm else "bisect"), top.level


def _downwards(plan: Plan, levels: Sequence[Level], start: float, high: Level) -> Step | None:
    """No load passed yet: make sure of the failure, then halve the load as far as is allowed."""
    if not high.firm and plan.most_s is None:
        return "bisect", high.level
    if plan.most_s is not None and (further := _further_down(plan, levels, start)) is not None:
        return "ramp", further
    least = 1.0 if plan.axis == "load.concurrency" else start / _LOWEST
    lowest = least if plan.lowest is None else plan.lowest
    tried = levels[0].level  # an undecided one may lie below
    if tried <= lowest or sum(x.answer == "undecided" for x in levels) >= _MOST_UNDECIDED:
        return None if high.settled or len(high.stages) >= MOST_AT_A_LOAD else ("confirm", high.level)
    return "ramp", max(tried / 2, lowest)


def _between(plan: Plan, low: float, high: float, undecided: Sequence[float], carried: float | None) -> float | None:
    """A load inside the bracket that is to be tried; None where the bracket is narrow, or cannot get narrower."""
    if is_narrow(plan, low, high):
        return None
    if undecided:
        return _beside(plan, low, high, undecided)
    middle = _tidy(plan, math.sqrt(low * _carried_below(low * (1 + plan.width), high, carried)))
    return middle if low < middle < high else None


def _carried_below(low: float, high: float, carried: float | None) -> float:
    """Where to look below: what the server carried under too much load is no limit that was tested, but near one."""
    return carried if carried and low < carried < high else high


def _beside(plan: Plan, low: float, high: float, undecided: Sequence[float]) -> float | None:
    """A load beside those that stayed undecided, half a width off at first, then as far again as they are apart."""
    if len(undecided) >= _MOST_UNDECIDED:
        return None
    half = 1 + ((1 + plan.width) ** 0.5 - 1) * _SLACK
    step = max(half, max(undecided) / min(undecided))
    up, down = max(undecided) * step, min(undecided) / step
    gaps = {_tidy(plan, up, 1): high / max(undecided), _tidy(plan, down, -1): min(undecided) / low}
    inside = {x: gap for x, gap in gaps.items() if low < x < high and x not in undecided and gap > half * 1.005}
    return max(inside, key=lambda x: inside[x], default=None)


def is_narrow(plan: Plan, low: float, high: float) -> bool:
    """Whether the bracket is as narrow as was asked; users come in whole numbers."""
    return high / low <= (1 + plan.width) * 1.0005 or (plan.axis == "load.concurrency" and high - low <= 1)


def _tidy(plan: Plan, level: float, side: int = 0) -> float:
    """A load as it is written: four digits of a rate, whole users (up or down as `side` says)."""
    if plan.axis != "load.concurrency":
        return float(f"{level:.4g}")
    return float(max(1, math.ceil(level) if side > 0 else math.floor(level) if side < 0 else round(level)))


def _floor(plan: Plan, number: int) -> Ask:
    changes = _closed(1) | {
        "load.requests": FLOOR_REQUESTS if plan.most_s is None else FLOOR_REQUESTS // 2,
        "load.duration_s": plan.stage_s or _FLOOR_S,
        "load.warmup_requests": 1,
    }
    return Ask(number=number, phase="floor", changes=changes, level=None, stops=False)


def _ask(plan: Plan, number: int, phase: Any, level: float, e2e_s: float, asked_s: float | None = None) -> Ask:
    """A stage at a load. It counts after a warm-up, and has arrivals and prompts of its own."""
    open_loop = plan.axis != "load.concurrency"
    level = level if level in (plan.lowest, plan.highest) else _tidy(plan, level)
    rate = level if open_loop else level / e2e_s
    longest_s = longest_stage_s(plan, e2e_s)
    length_s = min(longest_s, max(_LONG_REQUESTS / rate, least_stage_s(plan, e2e_s)))
    if phase == "ramp":
        length_s = min(length_s, ramp_s(plan, level, e2e_s))
    if asked_s is not None:
        length_s = min(asked_s, length_s if phase != "measure" else plan.stage_s or longest_s)
    warmup_s = min(_WARMUP_E2ES * e2e_s, _WARMUP_MOST * length_s)
    at_once = max(1.0, rate * e2e_s)
    load: dict[str, Any] = {"load.rate": level, "load.concurrency": None} if open_loop else _closed(int(level))
    return Ask(
        number=number,
        phase=phase,
        changes=load
        | {
            "load.requests": None,
            "load.duration_s": round(length_s, 3),
            "load.warmup_s": round(warmup_s, 3),
            "load.warmup_requests": 0,
            "run.seed": plan.seed + number,
        },
        level=level,
        least_requests=max(_JUDGED_LEAST, math.ceil(_JUDGED_E2ES * at_once) if phase != "ramp" else 0),
        together=round(_TOGETHER * at_once, 3),
        warmup_s=round(warmup_s, 3),
    )


def _closed(users: int) -> dict[str, Any]:
    return {"load.concurrency": users, "load.rate": None}
