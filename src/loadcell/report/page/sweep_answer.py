"""The first screen of a sweep's page: its answer, what that rests on, and the figures that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from loadcell.report.charts.stages import load_words
from loadcell.report.lines import NO_QUEUE, ask_label
from loadcell.report.page.sweep_stages import doubts, named
from loadcell.report.text import MISSING
from loadcell.report.view.figures import Figure, between, count
from loadcell.report.words import Words
from loadcell.search.model import End, Found, Plan, Point, Stage, Sweep
from loadcell.search.soundness import rests_on, stage_word, unanswered

_WORST = ("INVALID", "SUSPECT", "VALID")


_REASONS = 2


class Verdict(msgspec.Struct, frozen=True):
    """What the answer is worth: the worst verdict of the stages that it rests on; None where it rests on none."""

    word: str | None
    says: str
    reasons: list[str]


class Card(msgspec.Struct, frozen=True):
    """One figure of the first screen; `term` is a name of the glossary, or None."""

    title: str
    found: Figure
    term: str | None = None
    mark: str = ""


def promise(plan: Plan, words: Words) -> str:
    """The SLO in words, with the share of requests that must keep to it; nothing without one."""
    limits = [
        f"{words.metric(name.removesuffix('_ms')).title} ≤ {words.number(f'{value:,g}')} ms"
        for name, value in plan.spec.slo.limits.items()
    ]
    if not limits or plan.target is None:
        return ", ".join(limits)
    return words.say("{limits} for {share} of requests", limits=", ".join(limits), share=words.percent(plan.target))


def verdict(sweep: Sweep, words: Words) -> Verdict:
    """The answer of a search; of a grid, what its stages are worth."""
    found = sweep.found
    counts: Counter[str] = Counter(stage.point.verdict for stage in sweep.stages if stage.point is not None)
    worth = ", ".join(f"{count(counts[word], words)} {words.say(word)}" for word in reversed(_WORST) if counts[word])
    doubted = doubts(sweep)
    reasons = [
        f"{words.say(word)}, {named(stages, words)}: {words.say(why)}" for word, stages, why in doubted[:_REASONS]
    ]
    if found is None:
        present = [word for word in _WORST if counts[word]]
        done, planned = count(len(sweep.stages), words), count(sweep.planned, words)
        says = words.say("{done} stages: {counts}", done=done, counts=worth or words.say("without figures"))
        if sweep.planned != len(sweep.stages):
            says = words.say("{done} of {planned} stages: {counts}", done=done, planned=planned, counts=worth)
        return Verdict(present[0] if present else None, says, reasons)
    if worth:
        reasons.insert(0, words.say("Stages: {counts}", counts=worth))
    ends = rests_on(found)
    verdicts = {stage_word(stage) for stage in sweep.stages if stage.ask.number in ends}
    word = next((word for word in _WORST if word in verdicts), None)
    if word in ("SUSPECT", "INVALID"):
        of_ends = [s.ask.number for s in sweep.stages if s.ask.number in ends and stage_word(s) == word]
        rests = words.say("The answer rests on {stages}, {word}", stages=named(of_ends, words), word=words.say(word))
        reasons.insert(0, rests)
    why = unanswered(sweep)
    if why is not None:
        return Verdict("INVALID", words.say(why), [words.say(found.says), *reasons])
    return Verdict(word, words.say(found.says), reasons)


def cards(sweep: Sweep, words: Words) -> list[Card]:
    """The figures of the first screen."""
    return _search_cards(sweep, sweep.found, words) if sweep.found is not None else list(_grid_cards(sweep, words))


def _search_cards(sweep: Sweep, found: Found, words: Words) -> list[Card]:
    plan, stable = sweep.plan, found.stable
    titles = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2e_ms": "E2E", "failures": words.say("failures")}
    apart = "" if found.width is None else words.say("bracket {width} wide", width=words.percent(found.width))
    cliff = words.say("a cliff: attainment collapses inside the bracket") if found.cliff else ""
    breaks = Figure(titles.get(str(found.binding), MISSING), "", cliff or apart)
    grows = "" if stable.high is None else words.say("it grows at {load}", load=load_words(plan, stable.high, words))
    none_seen = words.say(NO_QUEUE) if stable.low is not None else ""
    last = (
        Card(words.say("Queue stays bounded up to"), _load(plan, stable.low, grows or none_seen, words))
        if plan.axis == "load.rate"
        else Card(words.say("One user alone"), _floor(found, words))
    )
    return [
        *_bounds(plan, found, words),
        Card(words.say("Breaks first"), breaks),
        last,
    ]


def _bounds(plan: Plan, found: Found, words: Words) -> list[Card]:
    """The two loads that the answer lies between: those that were tested, or those that are likely."""
    near = found.likely
    if near is None:
        return [
            Card(words.say("Holds up to"), _end(plan, found.low, words), mark="valid"),
            Card(words.say("Fails at"), _end(plan, found.high, words), mark="invalid"),
        ]
    told = words.say("the limit lies between with {share} likelihood", share=words.percent(near.confidence))
    return [
        Card(words.say("Likely holds up to"), _load(plan, near.low, told, words), mark="valid"),
        Card(words.say("Likely fails at"), _load(plan, near.high, told, words), mark="invalid"),
    ]


def _load(plan: Plan, level: float | None, under: str, words: Words) -> Figure:
    if level is None:
        return Figure(MISSING, "", under)
    shown, _, unit = load_words(plan, level, words).partition(" ")
    return Figure(shown, unit, under)


def _end(plan: Plan, end: End | None, words: Words) -> Figure:
    if end is None:
        return Figure(MISSING)
    kept = end.attainment
    inside = (
        "" if kept.low is None or kept.high is None else f" [{words.percent(kept.low)}, {words.percent(kept.high)}]"
    )
    told = words.say(
        "{share} of {n} requests kept to it", share=f"{words.percent(kept.value)}{inside}", n=count(end.judged, words)
    )
    return _load(plan, end.level, told, words)


def _floor(found: Found, words: Words) -> Figure:
    known = [
        f"{words.metric(name.removesuffix('_ms')).title} {words.figure(value, 3)} ms"
        for name, value in found.floor_ms.items()
        if value is not None
    ]
    return Figure(known[0].split(" ", 1)[1], "", ", ".join(known)) if known else Figure(MISSING)


def lines(sweep: Sweep, words: Words) -> list[tuple[str, str]]:
    """Label and text of what else a search says: its ends in full, the stable load, the floor."""
    found, plan = sweep.found, sweep.plan
    if found is None:
        return []
    rows = []
    for title, end in ((words.say("Holds"), found.low), (words.say("Fails"), found.high)):
        if end is not None:
            rows.append((title, _end_words(plan, end, words)))
    stable = found.stable
    if plan.axis == "load.rate" and stable.served_per_s is not None:
        carries = words.say("carries {rate} requests/s with a queue", rate=words.figure(stable.served_per_s, 3))
        rows.append((words.say("Stable load"), carries))
    floor = _floor(found, words)
    if floor.known:
        rows.append((words.say("One user alone, medians"), floor.under))
    return rows


def _end_words(plan: Plan, end: End, words: Words) -> str:
    told = _end(plan, end, words)
    goodput = words.say("goodput {rate} requests/s", rate=words.figure(end.goodput_per_s, 3))
    return f"{load_words(plan, end.level, words)}: {told.under} ({named(end.stages, words)}) · {goodput}"


def _grid_cards(sweep: Sweep, words: Words) -> Iterator[Card]:
    def best(value: Callable[[Point], float | None], lowest: bool = False) -> tuple[float, Stage] | None:
        sound = [s for s in sweep.stages if stage_word(s) != "INVALID"]
        known = [(at, s) for s in sound if s.point is not None and (at := value(s.point)) is not None]
        return (min if lowest else max)(known, key=lambda pair: pair[0]) if known else None

    tokens = best(lambda point: point.output_tokens_per_s)
    inside = tokens[1].point.output_tokens_interval if tokens and tokens[1].point else None
    spread = between(inside.low, inside.high, words) if inside else ""
    title = words.say("Highest throughput")
    yield Card(title, _best(sweep, tokens, words.say("tokens/s"), spread, words), "output_tokens_per_s")
    good = best(lambda point: point.goodput.goodput_per_s if point.goodput else None)
    kept = good[1].point.goodput.attainment if good and good[1].point and good[1].point.goodput else None
    share = words.say("{share} kept to every limit", share=words.percent(kept.value)) if kept else ""
    yield Card(words.say("Highest goodput"), _best(sweep, good, words.say("requests/s"), share, words), "goodput")
    wait = best(lambda point: point.ttft_ms["p50"].value if "p50" in point.ttft_ms else None, lowest=True)
    yield Card(words.say("Shortest median TTFT"), _best(sweep, wait, "ms", "", words), "ttft")
    user = best(lambda point: point.tokens_per_s_per_user)
    fast = words.say("Fastest for one user")
    yield Card(fast, _best(sweep, user, words.say("tokens/s"), "", words), "user_tokens_per_s")


def _best(sweep: Sweep, found: tuple[float, Stage] | None, unit: str, more: str, words: Words) -> Figure:
    if found is None:
        return Figure(MISSING)
    value, stage = found
    load = ask_label(stage.ask) if stage.ask.level is None else load_words(sweep.plan, stage.ask.level, words)
    at = words.say("at {load}, {stage}", load=load, stage=named([stage.ask.number], words))
    return Figure(words.figure(value), unit, " · ".join(filter(None, (more, at))))
