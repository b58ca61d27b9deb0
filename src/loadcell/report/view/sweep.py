"""What a sweep or a search says: its answer and what that rests on, its stages, and what they say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from loadcell.report.charts.stages import varied_fields
from loadcell.report.lines import TITLES, ask_label
from loadcell.report.text import MISSING
from loadcell.report.view.blocks import (
    TONES,
    Block,
    Cell,
    Chart,
    Command,
    Fact,
    Facts,
    Fold,
    Section,
    Tiles,
    Tone,
    Verdict,
    View,
    fact,
    listed,
    told,
)
from loadcell.report.view.figures import Figure, between, moment, share_in_brackets, span
from loadcell.report.view.method import again, asked_for, setting, target, typed_command
from loadcell.report.view.run import limit_words, replayed_words, workload_words
from loadcell.report.view.stages import WORST_FIRST, bars, doubts, goodput, named, server_table, stage_table
from loadcell.report.words import Words
from loadcell.search.model import End, Found, Plan, Point, Stage, Sweep, load_words
from loadcell.search.soundness import rests_on, stage_word, unanswered

TERMINAL = ("summary", "stages", "bars", "server", "curves", "notes", "again")
MARKDOWN = ("summary", "stages", "curves", "notes", "method")
PAGE = ("summary", "search", "curves", "front", "stages", "server", "notes", "method")
_DOUBTS = 2
"""Reasons of stages that are seen at first."""


def sweep_view(
    sweep: Sweep,
    words: Words,
    source: str = "",
    pages: frozenset[str] = frozenset(),
    drawn: frozenset[str] = frozenset(),
) -> View:
    """The sweep in the language of `words`: `source` names its folder in the commands, `drawn` the charts that there
    are, `pages` the folders of stages that hold a page of their own.
    """
    t, endpoint = words.say, sweep.plan.spec.endpoint
    name = endpoint.model or sweep.imported or endpoint.url
    first = [chart for chart in ("attainment", "throughput-by-load") if chart in drawn][:1]
    answer, verdict = _verdict(sweep, words)
    tiles = list(_grid_tiles(sweep, words) if sweep.found is None else _search_tiles(sweep, sweep.found, words))
    summary: list[Block] = [*([Tiles(tiles)] if tiles else []), Facts(list(_head(sweep, words))), *map(Chart, first)]
    bends = list(_bends(sweep, words))
    notes = listed(t("Notes"), (Cell(told(finding, words)) for finding in sweep.findings))

    def section(name: str, title: str, charts: Sequence[str], *blocks: Block | None) -> list[Section]:
        found: list[Block] = [Chart(chart) for chart in charts if chart in drawn and chart not in first]
        found += [block for block in blocks if block is not None]
        return [Section(name, title, found, detail=name == "method")] if found else []

    search = sweep.found is not None
    started = min((stage.started_at for stage in sweep.stages if stage.started_at), default="")
    eyebrow = t("Search for the highest load that holds an SLO") if search else t("Sweep over loads")
    eyebrow = t("Imported runs") if sweep.imported is not None else eyebrow
    return View(
        title=f"{t('Search') if search else t('Sweep')} · {name}",
        eyebrow=" · ".join(filter(None, [eyebrow, moment(started)])),
        heading=name,
        parts={
            "summary": [Section("summary", answer, summary, verdict)],
            "search": section("search", t("The search"), ["stages-in-time"]),
            "curves": section("curves", t("Curves"), ["throughput-by-load", "latency-by-load"],
                              Facts(bends) if bends else None),
            "front": section("front", t("Trade-offs"), ["latency-by-throughput", "pareto"]),
            "stages": section("stages", t("Stages"), [], stage_table(sweep, words, pages),
                              _reports(sweep, words, source)),
            "bars": section("bars", "", [], bars(sweep, words)),
            "server": section("server", t("The server"), ["server-by-load"], server_table(sweep, words)),
            "notes": section("notes", t("Notes"), [], Facts(notes) if notes else None),
            "again": section("again", "", [], *commands(sweep, words, source)),
            "method": section("method", t("Method"), [], *_method(sweep, words, source)),
        },
        loadcell=sweep.loadcell,
    )  # fmt: skip


# --- the answer ------------------------------------------------------------------------------------------------------


def _verdict(sweep: Sweep, words: Words) -> tuple[str, Verdict]:
    """The answer of a search, of a grid what its stages are worth; with the worst word of what it rests on."""
    t, found = words.say, sweep.found
    ends = set() if found is None else rests_on(found)
    known = {stage.ask.number: str(stage_word(stage)) for stage in sweep.stages if stage.point is not None}
    word = next((word for word in WORST_FIRST if word in {known[n] for n in ends or known if n in known}), "n/a")
    first = [] if finished(sweep) else [Cell(t("This sweep is not finished."), tone="care")]
    answer, why = worth(sweep, words), unanswered(sweep)
    if found is not None:
        first += [Cell(told(found.says, words))] if why is not None else []
        bad = [n for n in ends if known.get(n) == word != "VALID"]
        rests = t("The answer rests on {stages}, {word}", stages=named(bad, words), word=t(word))
        first += [Cell(rests, tone="strong")] if bad else []
        void = {stage.ask.number for stage in sweep.stages if stage.point and stage.point.verdict == "INVALID"}
        if word == "SUSPECT" and void & set(bad):
            first.append(Cell(t("INVALID there are other figures: who kept to the limits is known.")))
        first += [Cell(told(finding, words), tone="care") for finding in found.findings] + [Cell(answer)]
        answer = told(why or found.says, words)
    reasons = [*first, *doubts(sweep, words)]
    most = len(first) + _DOUBTS
    rest = t("and {n} more", n=words.count(len(reasons) - most))
    return answer, Verdict(t(word), TONES.get(word, ""), "", reasons, most, rest)


def finished(sweep: Sweep) -> bool:
    """Whether every stage that was to be run has been."""
    whole = all(stage.state == "complete" for stage in sweep.stages)
    if sweep.found is not None:
        return whole and sweep.found.word != "unfinished"
    return whole and (sweep.planned is None or len(sweep.stages) >= sweep.planned)


def worth(sweep: Sweep, words: Words) -> str:
    """How many stages, how long they took, and what they are worth."""
    t, done = words.say, words.count(len(sweep.stages))
    if sweep.planned not in (None, len(sweep.stages)):
        done = t("{n} of {all}", n=done, all=words.count(sweep.planned or 0))
    took = "" if sweep.took_s is None else span(sweep.took_s, words)
    stages = t("{n} stages in {time}", n=done, time=took) if took else t("{n} stages", n=done)
    counts = Counter(stage.point.verdict if stage.point else "without figures" for stage in sweep.stages)
    return ": ".join(filter(None, [stages, ", ".join(f"{words.count(n)} {t(word)}" for word, n in counts.items())]))


def promise(plan: Plan, words: Words) -> str:
    """The SLO, with the share of requests that must keep to it; nothing without one."""
    limits = ", ".join(limit_words(name, value, words) for name, value in plan.spec.slo.limits.items())
    if not limits or plan.target is None:
        return limits
    return words.say("{limits} for {share} of requests", limits=limits, share=words.percent(plan.target))


def _search_tiles(sweep: Sweep, found: Found, words: Words) -> Iterator[tuple[Cell, list[Cell]]]:
    """The two loads that the answer lies between (tested ones, or else likely ones), and what breaks."""
    t, plan, near = words.say, sweep.plan, found.likely
    if near is None:
        yield Cell(t("Holds up to")), [_end(plan, found, found.low, words, "good")]
        yield Cell(t("Fails at")), [_end(plan, found, found.high, words, "bad")]
    else:
        under = t("the limit lies between with {share} likelihood", share=words.percent(near.confidence))
        yield Cell(t("Likely holds up to")), [_load(plan, near.low, under, words, "good")]
        yield Cell(t("Likely fails at")), [_load(plan, near.high, under, words, "bad")]
    apart = "" if found.width is None else t("bracket {width} wide", width=words.percent(found.width))
    cliff = t("a cliff: attainment collapses inside the bracket") if found.cliff else ""
    yield Cell(t("Breaks first")), [Figure(_limit(found.binding, words), "", cliff or apart).cell()]
    if plan.axis == "load.rate":
        yield Cell(t("Queue stays bounded up to")), [_stable(sweep, found, words)]


def _limit(name: str | None, words: Words) -> str:
    return words.say("failures") if name == "failures" else TITLES.get(str(name), MISSING)


def _load(plan: Plan, level: float | None, under: str, words: Words, tone: Tone = "") -> Cell:
    shown, _, unit = (MISSING if level is None else words.number(load_words(plan, level))).partition(" ")
    return Cell(shown, kind="figure", unit=unit, under=under, tone=tone if unit else "dim")


def _end(plan: Plan, found: Found, end: End | None, words: Words, tone: Tone) -> Cell:
    """A load with what was kept there, in which stages."""
    t = words.say
    if end is None:
        return _load(plan, None, "", words)
    kept = share_in_brackets(end.attainment, words, found.target)
    parts = [
        t("{share} of {n} requests kept to it", share=kept, n=words.count(end.judged))
        + f" ({named(end.stages, words)})",
        t("goodput {rate} requests/s", rate=words.figure(end.goodput_per_s, 3)),
        "" if end.binding in (None, found.binding) else t("mostly missed: {limit}", limit=_limit(end.binding, words)),
    ]
    return _load(plan, end.level, " · ".join(filter(None, parts)), words, tone)


def _stable(sweep: Sweep, found: Found, words: Words) -> Cell:
    """The highest stable load, which is not the SLO's."""
    t, plan, stable = words.say, sweep.plan, found.stable
    if stable.low is None and stable.high is None:
        return _load(plan, None, t("no stage could tell whether its queue stays bounded"), words)
    grows = (
        t("no growing queue was seen")
        if stable.high is None
        else t("it grows at {load}", load=words.number(load_words(plan, stable.high)))
    )
    carries = "" if stable.served_per_s is None else words.figure(stable.served_per_s, 3)
    more = [t("carries {rate} requests/s with a queue", rate=carries)] if carries else []
    return _load(plan, stable.low, " · ".join([grows, *more]), words)


def _grid_tiles(sweep: Sweep, words: Words) -> Iterator[tuple[Cell, list[Cell]]]:
    """The best of the loads tried, each with its stage; nothing of a figure that no stage tells."""
    t = words.say

    def spread(point: Point) -> str:
        inside = point.output_tokens_interval
        return between(inside.low, inside.high, words) if inside else ""

    def kept(point: Point) -> str:
        share = point.goodput.attainment.value if point.goodput else None
        return "" if share is None else t("{share} kept to every limit", share=words.percent(share))

    def median_ttft(point: Point) -> float | None:
        return point.ttft_ms["p50"].value if "p50" in point.ttft_ms else None

    best: list[tuple[str, str, str, Callable[[Point], float | None], Callable[[Point], str]]] = [
        (t("Highest throughput"), "output_tokens_per_s", t("tokens/s"), lambda p: p.output_tokens_per_s, spread),
        (t("Highest throughput"), "inputs_per_s", t("inputs/s"), lambda p: p.inputs_per_s, _nothing),
        (t("Highest throughput"), "images_per_s", t("images/s"), lambda p: p.images_per_s, _nothing),
        (t("Highest throughput"), "audio_s_per_s", t("s of audio/s"), lambda p: p.audio_s_per_s, _nothing),
        (t("Highest goodput"), "goodput", t("requests/s"), goodput, kept),
        (t("Shortest median TTFT"), "ttft", "ms", median_ttft, _nothing),
        (t("Fastest for one user"), "user_tokens_per_s", t("tokens/s"), lambda p: p.tokens_per_s_per_user, _nothing),
    ]
    sound = [(s, s.point) for s in sweep.stages if s.point is not None and stage_word(s) != "INVALID"]
    for title, term, unit, value, more in best:
        known = [(at, stage, point) for stage, point in sound if (at := value(point)) is not None]
        if known:
            at, stage, point = (min if unit == "ms" else max)(known, key=lambda found: found[0])
            load = (
                words.number(ask_label(stage.ask))
                if stage.ask.level is None
                else words.number(load_words(sweep.plan, stage.ask.level))
            )
            where = t("at {load}, {stage}", load=load, stage=named([stage.ask.number], words))
            under = " · ".join(filter(None, [more(point), where]))
            yield Cell(title, term=term), [Figure(words.figure(at), unit, under).cell()]


def _nothing(_: Point) -> str:
    return ""


# --- what was done ---------------------------------------------------------------------------------------------------


def _head(sweep: Sweep, words: Words) -> Iterator[Fact]:
    """What was swept, against what."""
    t, plan = words.say, sweep.plan
    if sweep.imported is not None:
        yield fact(t("Imported"), t("from {tool}", tool=sweep.imported))
        yield fact(t("Varied"), plan.axis or t("not told"))
        yield fact(t("SLO"), t("none"))
        return
    yield target(plan.spec.endpoint, words)
    fields = varied_fields(sweep)
    varied = {name: t("varied") for name in ("input_tokens", "output_tokens", "inputs") if f"workload.{name}" in fields}
    workload = workload_words(
        msgspec.structs.replace(plan.spec, workload=msgspec.structs.replace(plan.spec.workload, **varied)), words
    )
    loops = {
        "load.rate": replayed_words(words)
        if plan.spec.trace.name is not None
        else t("open loop, {arrivals} arrivals", arrivals=plan.spec.load.arrivals),
        "load.concurrency": t("closed loop"),
    }
    yield fact(t("Workload"), *filter(None, [workload, loops.get(str(plan.axis), "")]))
    yield fact(t("SLO"), promise(plan, words) or t("none"))
    yield t("Kind"), list(_kind(sweep, words, plan.axis or ", ".join(fields) or t("nothing")))
    if sweep.found is not None:
        floor = [
            Cell(words.figure(value, 3), label=TITLES.get(name, name), unit="ms")
            for name, value in sweep.found.floor_ms.items()
            if value is not None
        ]
        alone = t("one user alone, medians") if floor else t("one user alone was not measured")
        yield t("Floor"), [Cell(alone), *floor]


def _kind(sweep: Sweep, words: Words, varied: str) -> Iterator[Cell]:
    t, plan = words.say, sweep.plan
    search = plan.mode == "search"
    yield Cell(t("search for the highest load that holds the SLO") if search else t("grid of given loads"))
    yield Cell(varied, label=t("Varied"))
    if plan.stage_s is None:
        yield Cell(t("as long as the floor shows to be needed"), label=t("Length of a stage"))
    else:
        length = span(plan.stage_s, words)
        yield Cell(t("{time} at most", time=length) if search else length, label=t("Length of a stage"))
    if search:
        low, high = (setting(end, words) for end in (plan.lowest, plan.highest))
        if (plan.lowest, plan.highest) != (None, None):
            yield Cell(t("{low} to {high}", low=low, high=high), label=t("Loads allowed"))
        yield Cell(words.percent(plan.width), label=t("Width asked for"))


def _bends(sweep: Sweep, words: Words) -> Iterator[Fact]:
    """Knees and the fitted law; they themselves say what they may not be used for."""
    t, curves = words.say, sweep.curves
    yield from listed(t("Knees"), (Cell(told(knee.says, words)) for knee in curves.knees))
    if curves.knees:
        yield fact("", t("by {method}", method=told(curves.knees[0].method, words)))
    if (law := curves.scalability) is not None:
        against = t("{figure} against requests in flight", figure=told(law.figure, words))
        yield "USL", [Cell(against, more=told(law.says, words))]


def _reports(sweep: Sweep, words: Words, source: str) -> Fold | None:
    """The command that shows each stage."""
    found = {named([stage.ask.number], words): source and _report(source, stage) for stage in sweep.stages}
    shown = [(name, [Cell(text, kind="code")]) for name, text in found.items() if text]
    return Fold(words.say("The report of each stage"), [Facts(shown)]) if shown else None


def _report(source: str, stage: Stage) -> str | None:
    return typed_command("loadcell", "report", f"{source}/{stage.folder}")


def commands(sweep: Sweep, words: Words, source: str) -> Iterator[Command]:
    """What to type to see it again, one of its stages, and to go on with it."""
    t = words.say
    if not source:
        return
    yield from again(words, source)
    stage = next((stage for stage in reversed(sweep.stages) if stage.point), None)
    if stage is not None and (one := _report(source, stage)):
        yield Command(t("One stage"), one)
    if not finished(sweep) and (more := typed_command("loadcell", "sweep", source, "--resume")):
        yield Command(t("Go on with it"), more)


def _method(sweep: Sweep, words: Words, source: str) -> Iterator[Block]:
    t, plan = words.say, sweep.plan
    yield from commands(sweep, words, source)
    if sweep.imported is not None:
        yield asked_for(plan.spec, words, told=True)
        return
    yield Facts([
        fact(t("Seed"), str(plan.seed)),
        fact(t("Begun by"), f"loadcell {plan.loadcell}"),
        fact(t("Computed by"), f"loadcell {sweep.loadcell}"),
    ])  # fmt: skip
    yield asked_for(plan.spec, words)
