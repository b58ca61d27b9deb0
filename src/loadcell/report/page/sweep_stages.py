"""The stages of a sweep as the rows of a page."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from loadcell.metrics.glossary import COMPARED
from loadcell.metrics.model import Estimate
from loadcell.report.charts.sweep_slo import answer_words, phase_words
from loadcell.report.lines import ask_label, load_figure
from loadcell.report.text import MISSING
from loadcell.report.words import Words
from loadcell.search.model import Point, Stage, Sweep

_DIGITS = re.compile(r"\d[\d.,]*")

Cell = tuple[str, str]
"""A figure, and what stands small below it."""


class Row(msgspec.Struct, frozen=True):
    """One stage of the table."""

    number: int
    folder: str
    load: Cell
    answer: Cell | None
    kind: str
    """The answer as a class of the page's style: valid, invalid, suspect or none."""
    cells: list[Cell]
    word: str | None
    state: str
    marks: str
    ended: str | None


def head(sweep: Sweep, words: Words) -> list[Cell]:
    """Titles of the columns of figures, in the order of `Row.cells`."""
    return [
        *((f"{words.metric(name.removesuffix('_ms')).title}, ms", "p50 / p99") for name in COMPARED),
        (words.say("Requests/s"), words.say("goodput")),
        (words.say("Tokens/s"), words.say("one user")),
    ]


def row(sweep: Sweep, stage: Stage, words: Words) -> Row:
    """One stage with its figures, or n/a where there is none."""
    point, ask = stage.point, stage.ask
    judged = sweep.found is not None
    label = words.number(load_figure(ask.level)) if ask.level is not None else ask_label(ask)
    told = stage.trial if ask.phase != "floor" and stage.state == "complete" else None
    answer = told.answer if told else None
    kept = words.percent(stage.trial.attainment.value) if stage.trial else MISSING
    return Row(
        number=ask.number,
        folder=stage.folder,
        load=(label, phase_words(ask.phase, words) if judged else ""),
        answer=(answer_words(answer, words) or MISSING, kept) if judged else None,
        kind={"pass": "valid", "fail": "invalid", "undecided": "suspect"}.get(str(answer), "none"),
        cells=_cells(point, words),
        word=None if point is None else point.verdict,
        state=_state(stage.state, words),
        marks=" ".join(_marks(sweep, stage)),
        ended=stage.ended,
    )


def _cells(point: Point | None, words: Words) -> list[Cell]:
    if point is None:
        return [(MISSING, "")] * (len(COMPARED) + 2)
    good = None if point.goodput is None else point.goodput.goodput_per_s
    cells = [
        *((_known(point, name, "p50", words), _known(point, name, "p99", words)) for name in COMPARED),
        (words.figure(point.requests_per_s), words.figure(good)),
        (words.figure(point.output_tokens_per_s), words.figure(point.tokens_per_s_per_user)),
    ]
    return [(value, "" if value == under == MISSING else under) for value, under in cells]


def _known(point: Point, name: str, which: str, words: Words) -> str:
    latency: dict[str, Estimate] = getattr(point, name)
    return words.figure(latency[which].value if which in latency else None)


def _state(state: str, words: Words) -> str:
    return {
        "complete": "",
        "interrupted": words.say("interrupted"),
        "running": words.say("without an end"),
    }.get(state, words.say("broken off"))


def _marks(sweep: Sweep, stage: Stage) -> list[str]:
    number = stage.ask.number
    marks = {
        "P": number in sweep.curves.pareto,
        "K": any(knee.stage == number for knee in sweep.curves.knees),
        "Q": stage.point is not None and stage.point.stable is False,
    }
    return [mark for mark, true in marks.items() if true]


def legend(sweep: Sweep, words: Words) -> str:
    """What the marks mean that some stage has."""
    present = {mark for stage in sweep.stages for mark in _marks(sweep, stage)}
    means = {
        "P": words.say("P: on the Pareto front"),
        "K": words.say("K: a knee"),
        "Q": words.say("Q: the queue grows"),
    }
    return " · ".join(text for mark, text in means.items() if mark in present)


def doubts(sweep: Sweep) -> list[tuple[str, list[int], str]]:
    """Verdict, stages and first reason of those that are not VALID, alike but for their figures together."""
    alike: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for stage in sweep.stages:
        point = stage.point
        if point is not None and point.verdict != "VALID" and point.reasons:
            reason = point.reasons[0]
            alike[point.verdict, _DIGITS.sub("#", reason)].append((stage.ask.number, reason))
    return [(word, [number for number, _ in group], group[0][1]) for (word, _), group in alike.items()]


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


def span(seconds: float | None, words: Words) -> str:
    """A length of time, as in 42 s, 3 min 12 s or 1 h 05 min."""
    if seconds is None:
        return MISSING
    whole = round(seconds)
    if whole < 120:
        return words.say("{s} s", s=str(whole))
    if whole < 7200:
        return words.say("{m} min {s} s", m=str(whole // 60), s=f"{whole % 60:02d}")
    return words.say("{h} h {m} min", h=str(whole // 3600), m=f"{whole // 60 % 60:02d}")
