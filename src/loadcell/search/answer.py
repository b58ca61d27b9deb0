"""The answer of a search: a pure function of its plan and its stages, whether it came to its end or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from loadcell.metrics.glossary import GLOSSARY
from loadcell.metrics.interval import wilson
from loadcell.phrases import joined, phrase
from loadcell.search.levels import Level, bracket, levels_of
from loadcell.search.likely import by_margins, is_likely, likely, width_of
from loadcell.search.model import End, Ending, Found, Likely, Plan, Stable, Stage, load_figure, load_words
from loadcell.search.next import (
    MOST_STAGES,
    floor_fails,
    floor_s,
    is_narrow,
    least_stage_s,
    longest_stage_s,
    next_ask,
    served_per_s,
    too_short,
)
from loadcell.search.trial import FAILURES
from loadcell.spec import LIMITED

_EASIER = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares that may be asked for instead."""
_CLIFF = 0.5
"""A cliff: the lowest failing load keeps less than this share of what the target asks."""


def answer(plan: Plan, stages: Sequence[Stage]) -> Found:
    """What the stages so far say of the highest load that holds the SLO."""
    assert plan.target is not None
    levels = levels_of(stages)
    low, high = bracket(levels)
    floor = next((stage for stage in stages if stage.ask.phase == "floor"), None)
    width = high.level / low.level - 1 if low and high and low.firm and high.firm else None
    near = likely(plan, stages, levels) if floor is None or not floor_fails(floor) else None
    near_width = None if near is None else width_of(near)
    if near_width is not None and (width is None or near_width < width):
        width = near_width
    longest = longest_stage_s(plan, e2e_s) if floor is not None and (e2e_s := floor_s(floor)) else None
    word = _word(plan, stages, levels, near)
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
        likely=near if word in ("likely", "undecided", "unfinished") else None,
    )
    return msgspec.structs.replace(
        found,
        findings=list(_findings(plan, found, levels, longest or 0.0, stages)),
        says=_says(plan, found, floor, levels),
    )


def limit_words(name: str | None) -> str:
    """A limit in words, as in "TTFT"."""
    if name is None or name == FAILURES:
        return phrase("failed requests") if name else "nothing"
    return GLOSSARY[name.removesuffix("_ms")].title


def _word(plan: Plan, stages: Sequence[Stage], levels: Sequence[Level], near: Likely | None) -> Ending:
    low, high = bracket(levels)
    floor = next((stage for stage in stages if stage.ask.phase == "floor"), None)
    if floor is not None and floor_fails(floor):
        return "none holds"
    cut = any(stage.state != "complete" for stage in stages)
    if cut or floor is None or next_ask(plan, stages) is not None:
        return "unfinished"
    if (e2e_s := floor_s(floor)) is None or too_short(plan, e2e_s):
        return "undecided"
    if high is None:
        return "all hold" if low is not None and low.settled else "undecided"
    if low is None:
        return "none holds" if high.settled and high.level == levels[0].level else "undecided"
    if is_narrow(plan, low.level, high.level) and low.settled and high.settled:
        return "bracketed"
    told = by_margins(plan, levels) and near is not None and is_likely(plan, near)
    return "likely" if told else "undecided"


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
    if floor is None or floor.point is None:
        return dict.fromkeys(LIMITED)
    medians = {name: e.value if (e := getattr(floor.point, name).get("p50")) else None for name in LIMITED}
    return medians | {"e2e_ms": medians["e2e_ms"] or floor.point.e2e_mean_ms}


def _findings(
    plan: Plan, found: Found, levels: Sequence[Level], longest_s: float, stages: Sequence[Stage]
) -> Iterator[str]:
    """Instability of the server first, then what makes the answer less sharp."""
    e2e_ms = found.floor_ms["e2e_ms"]
    if (
        found.word != "none holds"
        and e2e_ms
        and not levels
        and plan.most_s is None
        and (least_s := least_stage_s(plan, e2e_ms / 1e3)) > longest_s
    ):
        assert e2e_ms is not None
        eased = next((p for p in _EASIER if _shown_by(plan, p, e2e_ms / 1e3, longest_s)), None)
        give = phrase("Give --duration {:.0f}s", 3 * least_s)
        advice = give if eased is None else phrase("{}, or ask for no more than --attainment {:g}%", give, 100 * eased)
        yield phrase(
            "stages of {:g} s cannot show that {:.4g} % is kept: with requests of "
            "{:.3g} s they need {:.0f} s at least, were none to miss, and some times that near the "
            "boundary. {}",
            longest_s,
            100 * found.target,
            e2e_ms / 1e3,
            least_s,
            advice,
        )
    if found.word == "undecided" and e2e_ms is None:
        yield phrase(
            "no request of one user alone came back in time to be judged, and its E2E sets the lengths of all other "
            "stages: give a longer --duration, or see the report of stage 1"
        )
    firm = [x for x in levels if x.firm]
    fails, passes = [x for x in firm if x.answer == "fail"], [x for x in firm if x.answer == "pass"]
    above = [x for x in passes if fails and x.level > fails[0].level]
    for level in above:
        yield phrase(
            "not monotone: {} held the SLO although {} did not: the server is not the same from one stage to the next",
            load_words(plan, level.level),
            load_words(plan, fails[0].level),
        )
    for level in firm:
        if level.conflict:
            yield phrase(
                "unstable: stages at {} contradict each other, with other arrivals and nothing else changed",
                load_words(plan, level.level),
            )
    if found.cliff and found.low and found.high and found.high.attainment.value is not None:
        yield phrase(
            "a cliff: attainment falls to {} within {} of "
            "load; do not read a value off between the ends, and run well below the lower one",
            _percent(found.high.attainment.value),
            _percent(found.width),
        )
    cut = [stage for stage in stages if stage.trial is not None and stage.trial.cut_out]
    if cut:
        count = sum(stage.trial.cut_out for stage in cut if stage.trial is not None)
        yield phrase(
            "the client stood still for a moment in {} of {} stages: {:,} requests that were "
            "in the air then are left out of the judgement",
            len(cut),
            len(stages),
            count,
        )
    near = found.likely
    if found.word != "likely" and near is not None and (plan.most_s is not None or found.word == "unfinished"):
        yield from _more(plan, found, near)
    elif found.word == "undecided" and found.width is not None and found.width > plan.width * 1.01:
        unclear = [x.level for x in firm if x.answer == "undecided"]
        key = phrase(
            "the bracket is {} wide, {} was asked: stages of {:.0f} s do not tell loads apart that are nearer to "
            "each other{}; longer ones (--duration) would"
        )
        some = phrase(" (undecided: {})", ", ".join(f"{x:g}" for x in unclear[:6])) if unclear else ""
        yield phrase(key, _percent(found.width), _percent(plan.width), longest_s, some)
    elif found.word == "undecided" and levels:
        yield phrase("an end of the bracket did not pass or fail beyond doubt; longer stages (--duration) would tell")
    if sum(len(x.stages) for x in levels) >= MOST_STAGES - 1:
        yield phrase("the search ended after {} stages without settling", MOST_STAGES)


def _shown_by(plan: Plan, target: float, e2e_s: float, longest_s: float) -> bool:
    """Whether a lower share could be shown by stages no longer than these."""
    eased = msgspec.structs.replace(plan, target=target)
    return plan.target is not None and target < plan.target and least_stage_s(eased, e2e_s) <= longest_s


def _more(plan: Plan, found: Found, near: Likely) -> Iterator[str]:
    """What more time would buy."""
    width = width_of(near)
    if is_likely(plan, near):
        return
    asked, whole_s = _percent(plan.width), found.took_s + (near.more_s or found.took_s)
    more = phrase("about {} in all would do (--max-time)", _time(1.1 * whole_s))
    if width is None:
        yield phrase("the search ended with a bracket that has no end on one side: {}", more)
    else:
        yield phrase("the search ended with a bracket {} wide, {} was asked: {}", _percent(width), asked, more)


def _time(seconds: float) -> str:
    """A length of time as --max-time takes it."""
    return f"{math.ceil(seconds / 60)}m" if seconds >= 60 else f"{math.ceil(seconds)}s"


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.3g} %"


def _says(plan: Plan, found: Found, floor: Stage | None, levels: Sequence[Level]) -> str:
    near = found.likely
    if near is not None and (near.low is not None or near.high is not None):
        return _likely_says(plan, found, near, levels)
    low, high, breaks = found.low, found.high, limit_words(found.binding)
    target = f"{100 * found.target:.4g} %"
    if found.word == "none holds" and low is None and high is None:
        return phrase("no load holds the SLO: one user alone misses it, by {}", breaks)
    if found.word == "none holds" and high is not None:
        return phrase("no load holds the SLO: {}, the lowest tried, fails by {}", load_words(plan, high.level), breaks)
    if found.word == "all hold" and low is not None:
        return phrase("every load up to {}, the highest allowed, holds the SLO", load_words(plan, low.level))
    if low is not None and high is not None:
        says = phrase(
            "holds the SLO for {} of requests up to {}, fails at {}; {} breaks first",
            target,
            load_words(plan, low.level),
            load_words(plan, high.level),
            breaks,
        )
        return says if found.word == "bracketed" else phrase("{}: {}", found.word, says)
    if floor is None or floor.point is None:
        return phrase("unfinished: the floor was not measured")
    sides = ((low, phrase("holds at {}")), (high, phrase("fails at {}")))
    known = [phrase(key, load_words(plan, end.level)) for end, key in sides if end is not None]
    return phrase("{}: {}", found.word, joined(" and ", known) or phrase("no load was decided"))


def _likely_says(plan: Plan, found: Found, near: Likely, levels: Sequence[Level]) -> str:
    if near.low is not None and near.high is not None:
        place = phrase("likely between {} and {}", load_figure(near.low), load_words(plan, near.high))
    elif near.low is not None:
        place = phrase("likely above {}", load_words(plan, near.low))
    else:
        place = phrase("likely below {}", load_words(plan, near.high or 0.0))
    target, breaks = f"{100 * found.target:.4g} %", limit_words(found.binding)
    level, kept, told = _nearest(near, levels)
    if found.word == "likely":
        return phrase(
            "{} for {} of requests; {:,.4g} kept {}, {}; {} breaks first", place, target, level, kept, told, breaks
        )
    return phrase(
        "{}: {} for {} of requests; {:,.4g} kept {}, {}; {} breaks first",
        found.word,
        place,
        target,
        level,
        kept,
        told,
        breaks,
    )


_TOLD = {
    ("pass", True): "holds", ("pass", False): phrase("holds, in a short stage alone"),
    ("fail", True): "fails", ("fail", False): phrase("fails, in a short stage alone"),
    ("undecided", True): "undecided", ("undecided", False): "undecided",
}  # fmt: skip
"""What a load does, by its answer and whether that is firm: the table of stages shows what each one decided."""


def _nearest(near: Likely, levels: Sequence[Level]) -> tuple[float, str, str]:
    """The tried load nearest to the likely limit, what share it kept, and what that decides."""
    aim = near.level or math.sqrt((near.low or near.high or 1.0) * (near.high or near.low or 1.0))
    best = min(levels, key=lambda level: abs(math.log(level.level / aim)))
    share = _end(best).attainment
    inside = "" if share.low is None or share.high is None else f" [{100 * share.low:.3g}, {100 * share.high:.3g}]"
    return best.level, f"{_percent(share.value)}{inside}", _TOLD[best.answer, best.firm]
