"""The stages of a sweep: what each was asked, what it showed, and what the server told meanwhile."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from loadcell.metrics.glossary import COMPARED, latencies_of, made_of
from loadcell.metrics.interval import PERMILLE, shown_from
from loadcell.metrics.model import Estimate
from loadcell.report.charts.sweep_server import server_names
from loadcell.report.charts.sweep_slo import answer_words, phase_words
from loadcell.report.lines import ask_label
from loadcell.report.order import ordered
from loadcell.report.text import MISSING, percent, sentence
from loadcell.report.view.blocks import TONES, Bars, Cell, Column, Table, Tone, figured, told
from loadcell.report.view.latency import lacking
from loadcell.report.words import Words
from loadcell.search.model import Point, Stage, Sweep

WORST_FIRST = ("INVALID", "SUSPECT", "VALID")
_ANSWERS: dict[str, Tone] = {"pass": "good", "fail": "bad", "undecided": "open"}
_PERCENTILES = ("p99", "p90", "p50")
_DIGITS = re.compile(r"\d[\d.,]*")


def stage_table(sweep: Sweep, words: Words, pages: frozenset[str]) -> Table | None:
    """Two figures a cell: p50 over p99, requests/s over goodput, tokens/s over those of one user.

    `pages` are the folders of stages that hold a page of their own. None without a stage.
    """
    if not sweep.stages:
        return None
    t, judged = words.say, sweep.found is not None
    ended = any(stage.ended for stage in sweep.stages)
    columns = [
        Column("#", "left"),
        Column(t("Load"), "left", under=_unit(sweep, words)),
        *([Column(t("Answer"), "left", under=t("attainment"))] if judged else []),
        *(
            Column(words.metric(name.removesuffix("_ms")).title, wide=name == "e2e_ms", spare=name == "itl_ms")
            for name in _latencies(sweep)
        ),
        Column(t("Requests/s"), under=t("goodput")),
        Column(t("Tokens/s"), under=t("one user")) if generates(sweep) else Column(_made_title(sweep, words)),
        Column(t("Verdict"), "left"),
        *([Column(t("Ended"), "left", wide=True)] if ended else []),
    ]
    rows = [list(_row(sweep, stage, words, judged, ended, pages)) for stage in sweep.stages]
    return Table(columns, rows, list(_below(sweep, words)), stacked=True, anchor="stage")


def generates(sweep: Sweep) -> bool:
    """Whether its API generates text; else stages have inputs/s and E2E, and nothing of an output."""
    return sweep.plan.spec.workload.generates


def _latencies(sweep: Sweep) -> tuple[str, ...]:
    return tuple(name for name in COMPARED if name in latencies_of(sweep.plan.spec))


def _made_title(sweep: Sweep, words: Words) -> str:
    titles = {"inputs_per_s": words.say("Inputs/s"), "images_per_s": words.say("Images/s")}
    return titles.get(made_of(sweep.plan.spec), words.say("Audio s/s"))


def _unit(sweep: Sweep, words: Words) -> str:
    units = {"load.rate": words.say("requests/s"), "load.concurrency": words.say("users")}
    return units.get(str(sweep.plan.axis), "")


def _row(sweep: Sweep, stage: Stage, words: Words, judged: bool, ended: bool, pages: frozenset[str]) -> Iterator[Cell]:
    ask, point, trial = stage.ask, stage.point, stage.trial
    page = f"{quote(stage.folder)}/report.html" if stage.folder in pages else ""
    yield Cell(str(ask.number), kind="figure", link=page)
    yield Cell(_label(stage, words), under=phase_words(ask.phase, words) if judged else "")
    if judged:
        firm = trial if ask.phase != "floor" and stage.state == "complete" else None  # else no test of the SLO
        answer, beside = (firm.answer, sweep.plan.target) if firm else ("", None)
        kept = words.number(percent(trial.attainment.value if trial else None, beside))
        yield Cell(answer_words(answer, words) or MISSING, tone=_ANSWERS.get(answer, ""), under=kept)
    for name in _latencies(sweep):
        found: dict[str, Estimate] = getattr(point, name) if point else {}
        yield _pair(*(_estimate(found.get(which), words) for which in ("p50", "p99")))
    rates = (point.requests_per_s, goodput(point)) if point else (None, None)
    yield _pair(*map(words.figure, rates))
    rates = (point.output_tokens_per_s, point.tokens_per_s_per_user) if point else (None, None)
    if point and not generates(sweep):
        rates = (getattr(point, made_of(sweep.plan.spec)), None)
    yield _pair(*map(words.figure, rates)) if generates(sweep) else figured(words.figure(rates[0]))
    word = point.verdict if point else MISSING
    state = {
        "complete": "",
        "interrupted": words.say("interrupted"),
        "running": words.say("without an end"),
    }.get(stage.state, words.say("broken off"))
    yield Cell(words.say(word), tone=TONES.get(word, ""), under=" ".join(filter(None, [state, *marks(sweep, stage)])))
    if ended:
        yield Cell(told(stage.ended or "", words))


def _label(stage: Stage, words: Words) -> str:
    label = ask_label(stage.ask)
    return words.number(label)


def _estimate(estimate: Estimate | None, words: Words) -> str:
    mark = "+" if estimate and estimate.open else ""
    return f"{words.figure(estimate.value if estimate else None)}{mark}"


def _pair(value: str, under: str) -> Cell:
    return figured(value, under="" if value == under == MISSING else under)


def marks(sweep: Sweep, stage: Stage) -> list[str]:
    """What is to be seen of a stage at a glance."""
    number, point = stage.ask.number, stage.point
    found = {
        "P": number in sweep.curves.pareto,
        "K": any(knee.stage == number for knee in sweep.curves.knees),
        "Q": point is not None and point.stable is False,
        "E": stage.ended is not None and stage.state == "complete" and point is not None,
    }
    return [mark for mark, true in found.items() if true]


# --- below the table -------------------------------------------------------------------------------------------------


def _below(sweep: Sweep, words: Words) -> Iterator[str]:
    """What the figures and marks mean, and why some are missing."""
    t = words.say
    present = {mark for stage in sweep.stages for mark in marks(sweep, stage)}
    each = any(stage.point and stage.point.tokens_per_s_per_gpu is not None for stage in sweep.stages)
    total = t("tokens/s a GPU") if each else t("tokens/s in total")
    means = {
        "P": t("P: on the Pareto front, none beats it in both tokens/s of one user and {total}", total=total),
        "K": t("K: a knee"),
        "Q": t("Q: the queue grows"),
        "E": t("E: ended early, for it was decided, its queue grew or its requests failed"),
    }
    if generates(sweep):
        yield t(
            "Latencies in milliseconds, the median over p99; below requests/s the goodput, below tokens/s what one "
            "user sees."
        )
    else:
        yield t("Latencies in milliseconds, the median over p99; below requests/s the goodput.")
    if present:
        yield f"{' · '.join(text for mark, text in means.items() if mark in present)}."
    yield from _lacking(sweep, words)
    if not sweep.plan.spec.slo.limits:
        yield t("Goodput n/a: no SLO was given (--slo).")


def _lacking(sweep: Sweep, words: Words) -> Iterator[str]:
    """Why a p99 of TTFT is missing or has no upper end; the other latencies go along with it."""
    found: dict[str, list[int]] = defaultdict(list)
    for stage in sweep.stages:
        p99 = None if stage.point is None else stage.point.ttft_ms.get("p99")
        if p99 is None:
            continue
        why = lacking(p99, "p99", words)
        if not why and p99.open:
            n = words.count(p99.needs or 0)
            why = words.say("p99 has an upper end from {n} independent requests (+: it is at least so much)", n=n)
        elif not why and p99.value is None and p99.needs:
            n = words.count(shown_from(PERMILLE["p99"]))
            why = words.say("{p} n/a (fewer than {n} requests)", p="p99", n=n)
        if why:
            found[why].append(stage.ask.number)
    yield from (sentence(f"{named(group, words)}: {why}") for why, group in found.items())


def doubts(sweep: Sweep, words: Words) -> list[Cell]:
    """Why stages are not VALID, worst first; reasons that are alike but for their figures are one."""
    alike: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for stage in sweep.stages:
        if stage.point is not None and stage.point.verdict != "VALID":
            reason = next(iter(stage.point.reasons), "")
            alike[stage.point.verdict, _DIGITS.sub("#", reason)][stage.ask.number] = reason
    worst = sorted(alike.items(), key=lambda item: (WORST_FIRST.index(item[0][0]), -len(item[1])))
    return [Cell(_doubt(reasons, words), word=words.say(word), tone=TONES[word]) for (word, _), reasons in worst]


def _doubt(reasons: dict[int, str], words: Words) -> str:
    first, reason = next(iter(reasons.items()))
    which = [named([first], words)] if len(set(reasons.values())) > 1 else []
    return ": ".join(filter(None, [named(reasons, words), *which, told(reason, words)]))


def named(found: Iterable[int], words: Words) -> str:
    """Stages in words, as in "stages 1 to 4, 7"."""
    runs: list[list[int]] = []
    for number in sorted(found):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [
        part
        for run in runs
        for part in (
            [words.say("{first} to {last}", first=str(run[0]), last=str(run[-1]))] if len(run) > 2 else map(str, run)
        )
    ]
    if sum(map(len, runs)) == 1:
        return words.say("stage {number}", number=parts[0])
    return words.say("stages {numbers}", numbers=", ".join(parts))


# --- the stages by load ----------------------------------------------------------------------------------------------


def bars(sweep: Sweep, words: Words) -> Bars | None:
    """Throughput, TTFT and goodput of each stage (in a search, of each load), rising; None for less than two."""
    t = words.say
    stages = [stage for stage in ordered(sweep) if stage.point is not None]
    points = [stage.point for stage in stages if stage.point is not None]
    name, made = "ttft_ms" if generates(sweep) else "e2e_ms", made_of(sweep.plan.spec)
    ttft = {
        which: [found[which].value if which in (found := getattr(point, name)) else None for point in points]
        for which in _PERCENTILES
    }
    most = max(map(_known, ttft.values()))
    which = next(which for which, values in ttft.items() if _known(values) >= 0.8 * most)
    curves: dict[str, list[float | None]] = {
        f"{words.metric(made).title}\n{t(words.metric(made).unit)}": [getattr(p, made) for p in points],
        f"{words.metric(name.removesuffix('_ms')).title} {which}\nms": ttft[which],
        f"{words.metric('goodput').title}\n{t('requests/s')}": [goodput(p) for p in points],
    }
    shown = {title: values for title, values in curves.items() if _known(values) > 1}
    if not shown:
        return None
    labels = [_label(stage, words) if sweep.plan.axis else str(stage.ask.number) for stage in stages]
    cells = zip(*([(words.figure(value), value or 0.0) for value in values] for values in shown.values()), strict=True)
    return Bars(_unit(sweep, words) or t("Stage"), list(shown), list(zip(labels, cells, strict=True)))


def goodput(point: Point) -> float | None:
    """Requests/s that kept to the SLO; None without one."""
    return point.goodput.goodput_per_s if point.goodput else None


def _known(values: list[float | None]) -> int:
    return sum(value is not None for value in values)


def server_table(sweep: Sweep, words: Words) -> Table | None:
    """Means of what the server and its machine told, a row a stage; None where nobody told anything."""
    points = [(stage, stage.point) for stage in sweep.stages if stage.point is not None]
    names = {name: series for name, series in server_names(words).items()
             if any(point.server.get(name) is not None for _, point in points)}  # fmt: skip
    energy = any(point.energy is not None and point.energy.valid for _, point in points)
    if not names and not energy:
        return None
    rows = []
    for stage, point in points:
        cells = [
            Cell(_label(stage, words)),
            *(figured(_seen(point.server.get(name), share, words)) for name, (_, share) in names.items()),
        ]
        joules = point.energy.joules_per_output_token if point.energy and point.energy.valid else None
        rows.append([figured(str(stage.ask.number)), *cells, *([figured(words.figure(joules, 3))] if energy else [])])
    load = Column(words.say("Load"), "left", under=_unit(sweep, words))
    columns = [
        Column("#", "left"),
        load,
        *(Column(title, spare=name in ("client_cpu_share", "preemptions")) for name, (title, _) in names.items()),
    ]
    return Table([*columns, *([Column("J/token")] if energy else [])], rows, stacked=True)


def _seen(value: float | None, share: bool, words: Words) -> str:
    """Shares of a machine's CPU are told to some thousandths."""
    return words.percent(None if value is None else round(value, 3)) if share else words.figure(value)
