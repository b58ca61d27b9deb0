"""The answer of a search: a pure function of its plan and its stages, whether it came to its end or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from loadcell.metrics.glossary import GLOSSARY
from loadcell.metrics.interval import wilson
from loadcell.search.levels import Level, bracket, levels_of
from loadcell.search.model import End, Ending, Found, Plan, Stable, Stage
from loadcell.search.next import (
    MOST_STAGES,
    floor_fails,
    floor_s,
    is_narrow,
    least_stage_s,
    longest_stage_s,
    next_ask,
    served_per_s,
)
from loadcell.search.trial import FAILURES

_CLIFF = 0.5
"""A cliff: the lowest failing load keeps less than this share of what the target asks."""


def answer(plan: Plan, stages: Sequence[Stage]) -> Found:
    """What the stages so far say of the highest load that holds the SLO."""
    assert plan.target is not None
    levels = levels_of(stages)
    low, high = bracket(levels)
    floor = next((stage for stage in stages if stage.ask.phase == "floor"), None)
    width = high.level / low.level - 1 if low and high else None
    longest = longest_stage_s(plan, e2e_s) if floor is not None and (e2e_s := floor_s(floor)) else None
    word = _word(plan, stages, floor, low, high)
    ends = [None if end is None or not end.firm else _end(end) for end in (low, high)]
    took_s = sum(stage.took_s for stage in stages if stage.took_s is not None)
    left = ends[1].attainment.value if ends[0] and ends[1] else None
    found = Found(
        word=word,
        target=plan.target,
        low=ends[0],
        high=ends[1],
        width=width,
        cliff=left is not None and left < _CLIFF * plan.target,
        binding=_breaks_first(floor, levels),
        stable=_stable(plan, longest, levels, stages),
        floor_ms=_floor_ms(floor),
        findings=[],
        says="",
        took_s=took_s,
    )
    return msgspec.structs.replace(
        found, findings=list(_findings(plan, found, levels, longest or 0.0)), says=_says(plan, found, floor)
    )


def load_words(plan: Plan, level: float) -> str:
    """A load in words, as in "12.5 requests/s"."""
    return f"{level:,.4g} requests/s" if plan.axis == "load.rate" else f"{level:,.0f} user{'s' if level != 1 else ''}"


def limit_words(name: str | None) -> str:
    """A limit in words, as in "TTFT"."""
    if name is None or name == FAILURES:
        return "failed requests" if name else "nothing"
    return GLOSSARY[name.removesuffix("_ms")].title


def _word(plan: Plan, stages: Sequence[Stage], floor: Stage | None, low: Level | None, high: Level | None) -> Ending:
    if floor is not None and floor_fails(floor):
        return "none holds"
    if next_ask(plan, stages) is not None or floor is None or floor.state != "complete":
        return "unfinished"
    if (e2e_s := floor_s(floor)) is None:
        return "undecided"
    if least_stage_s(plan, e2e_s) > longest_stage_s(plan, e2e_s):
        return "undecided"
    if high is None:
        return "all hold" if low is not None and low.settled else "undecided"
    if low is None:
        return "none holds" if high.settled and high.level == levels_of(stages)[0].level else "undecided"
    return "bracketed" if is_narrow(plan, low.level, high.level) and low.settled and high.settled else "undecided"


def _end(level: Level) -> End:
    """All stages at one load together."""
    trials = [stage.trial for stage in level.stages if stage.trial is not None]
    judged, missed = sum(t.judged for t in trials), sum(t.missed for t in trials)
    worth = sum(t.judged / t.dependence for t in trials)
    rates = [
        stage.point.goodput.goodput_per_s
        for stage in level.stages
        if stage.point and stage.point.goodput and stage.point.goodput.goodput_per_s is not None
    ]
    worst = max(trials, key=lambda t: t.missed / t.judged if t.judged else 0.0, default=None)
    return End(
        level=level.level,
        stages=[stage.ask.number for stage in level.stages],
        judged=judged,
        attainment=wilson(judged - missed, judged, worth),
        goodput_per_s=sum(rates) / len(rates) if rates else None,
        binding=worst.binding if worst else None,
    )


def _breaks_first(floor: Stage | None, levels: Sequence[Level]) -> str | None:
    """The limit that is missed most at the lowest failing load: above it others follow."""
    if floor is not None and floor_fails(floor) and floor.trial is not None:
        return floor.trial.binding
    failing = next((level for level in levels if level.answer == "fail"), None)
    return _end(failing).binding if failing else None


def _stable(plan: Plan, long_s: float | None, levels: Sequence[Level], stages: Sequence[Stage]) -> Stable:
    if plan.axis == "load.concurrency":  # users wait for their replies: no queue of theirs can grow
        return Stable(low=None, high=None, served_per_s=None)
    grows = [x.level for x in levels if any(s.trial and s.trial.stable is False for s in x.stages)]
    first = min(grows, default=math.inf)
    held = [x.level for x in levels if x.level < first and x.firm and _bounded(long_s, x)]
    return Stable(
        low=max(held, default=None), high=None if math.isinf(first) else first, served_per_s=served_per_s(stages)
    )


def _bounded(long_s: float | None, level: Level) -> bool:
    """Whether no queue grew at a load: it holds the SLO, or was watched for long enough to see one."""
    watched_s = sum(stage.took_s or 0.0 for stage in level.stages)
    stable = all(stage.trial and stage.trial.stable is True for stage in level.stages)
    return level.answer == "pass" or (stable and long_s is not None and watched_s >= long_s / 2)


def _floor_ms(floor: Stage | None) -> dict[str, float | None]:
    names = ("ttft_ms", "tpot_ms", "e2e_ms")
    if floor is None or floor.point is None:
        return dict.fromkeys(names)
    medians = {name: e.value if (e := getattr(floor.point, name).get("p50")) else None for name in names}
    return medians | {"e2e_ms": medians["e2e_ms"] or floor.point.e2e_mean_ms}


def _findings(plan: Plan, found: Found, levels: Sequence[Level], longest_s: float) -> Iterator[str]:
    """Instability of the server first, then what makes the answer less sharp."""
    e2e_ms = found.floor_ms["e2e_ms"]
    if (
        found.word != "none holds"
        and e2e_ms
        and not levels
        and (least_s := least_stage_s(plan, e2e_ms / 1e3)) > longest_s
    ):
        yield (
            f"stages of {longest_s:g} s cannot show that {100 * found.target:.4g} % is kept: with requests of "
            f"{e2e_ms / 1e3:.3g} s they need {least_s:.0f} s at least, were none to miss, and some times that near the "
            f"boundary. Give --duration {3 * least_s:.0f}s, or ask for less with --attainment"
        )
    if found.word == "undecided" and e2e_ms is None:
        yield (
            "no request of one user alone came back in time to be judged, and its E2E sets the lengths of all other "
            "stages: give a longer --duration, or see the report of stage 1"
        )
    firm = [x for x in levels if x.firm]
    fails, passes = [x for x in firm if x.answer == "fail"], [x for x in firm if x.answer == "pass"]
    above = [x for x in passes if fails and x.level > fails[0].level]
    for level in above:
        yield (
            f"not monotone: {load_words(plan, level.level)} held the SLO although {load_words(plan, fails[0].level)} "
            "did not: the server is not the same from one stage to the next"
        )
    for level in firm:
        if level.conflict:
            yield (
                f"unstable: stages at {load_words(plan, level.level)} contradict each other, with other arrivals and "
                "nothing else changed"
            )
    if found.cliff and found.low and found.high and found.high.attainment.value is not None:
        yield (
            f"a cliff: attainment falls to {_percent(found.high.attainment.value)} within {_percent(found.width)} of "
            "load; do not read a value off between the ends, and run well below the lower one"
        )
    if found.word == "undecided" and found.width is not None and found.width > plan.width * 1.01:
        unclear = [x.level for x in firm if x.answer == "undecided"]
        where = f" (undecided: {', '.join(f'{x:g}' for x in unclear[:6])})" if unclear else ""
        yield (
            f"the bracket is {_percent(found.width)} wide, {_percent(plan.width)} was asked: stages of "
            f"{longest_s:.0f} s do not tell loads apart that are nearer to each other{where}; longer ones (--duration) "
            "would"
        )
    elif found.word == "undecided" and levels:
        yield "an end of the bracket did not pass or fail beyond doubt; longer stages (--duration) would tell"
    if sum(len(x.stages) for x in levels) >= MOST_STAGES - 1:
        yield f"the search ended after {MOST_STAGES} stages without settling"


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.3g} %"


def _says(plan: Plan, found: Found, floor: Stage | None) -> str:
    low, high, breaks = found.low, found.high, limit_words(found.binding)
    target = f"{100 * found.target:.4g} %"
    if found.word == "none holds" and low is None and high is None:
        return f"no load holds the SLO: one user alone misses it, by {breaks}"
    if found.word == "none holds" and high is not None:
        return f"no load holds the SLO: {load_words(plan, high.level)}, the lowest tried, fails by {breaks}"
    if found.word == "all hold" and low is not None:
        return f"every load up to {load_words(plan, low.level)}, the highest allowed, holds the SLO"
    if low is not None and high is not None:
        start = "" if found.word == "bracketed" else f"{found.word}: "
        return (
            f"{start}holds the SLO for {target} of requests up to {load_words(plan, low.level)}, fails at "
            f"{load_words(plan, high.level)}; {breaks} breaks first"
        )
    if floor is None or floor.point is None:
        return "unfinished: the floor was not measured"
    sides = ((low, "holds"), (high, "fails"))
    known = [f"{verb} at {load_words(plan, end.level)}" for end, verb in sides if end is not None]
    return f"{found.word}: {' and '.join(known) or 'no load was decided'}"
