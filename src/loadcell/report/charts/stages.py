"""The stages of a sweep as rows to draw: where each stands on the axis, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from loadcell.metrics.model import Estimate
from loadcell.report.charts.drawing import DASHES, Encoding, Row, line
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.lines import ask_label, value_words
from loadcell.report.order import ordered
from loadcell.report.text import plain
from loadcell.report.words import Words
from loadcell.search.model import Point, Stage, Sweep, load_figure

LOADS = ("load.rate", "load.concurrency")
_LOG_FROM = 10.0
"""Highest over lowest load from which on the axis is logarithmic."""
_SERIES_MOST = 6
"""Lines that are told apart; with more, every stage is a category of its own."""
_TICKS_MOST = 14
_LABEL = 14
"""Characters of a category's label; longer ones are replaced by the stage's number."""


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep is drawn against."""

    field: str | None
    """The load that varies, alone or beside other fields; None: every stage is a category of its own."""
    loads: dict[int, float]
    """Load of each stage by its number."""
    labels: dict[int, str]
    """What each stage is called on the axis."""
    series: dict[int, str]
    """The line that each stage belongs to; empty where there is one line."""

    @property
    def log(self) -> bool:
        """Whether the loads spread so far that the axis is logarithmic."""
        low, high = min(self.loads.values(), default=0.0), max(self.loads.values(), default=0.0)
        return low > 0 and high / low >= _LOG_FROM


def axis_of(sweep: Sweep, words: Words) -> Axis:
    """The load if it varies, with a line for every setting of what else varies; else the stages one by one."""
    if sweep.plan.axis is not None:
        loads = {s.ask.number: s.ask.level for s in sweep.stages if s.ask.level is not None and s.ask.phase != "floor"}
        labels = {number: words.number(load_figure(level)) for number, level in loads.items()}
        return Axis(field=sweep.plan.axis, loads=loads, labels=labels, series={})
    varied = varied_fields(sweep)
    field = next((name for name in LOADS if name in varied), None)
    if field is not None:
        given = {s.ask.number: s.ask.changes.get(field) for s in sweep.stages}
        loads = {n: float(level) for n, level in given.items() if isinstance(level, int | float) and level > 0}
        series = {
            s.ask.number: _settings(s.ask.changes, [name for name in varied if name != field]) for s in sweep.stages
        }
        if len(loads) == len(sweep.stages) and len(set(series.values())) <= _SERIES_MOST:
            return Axis(
                field=field,
                loads=loads,
                labels={n: words.number(load_figure(x)) for n, x in loads.items()},
                series=series,
            )
    called = {stage.ask.number: ask_label(stage.ask) for stage in sweep.stages}
    short = len(called) <= _TICKS_MOST and all(len(label) <= _LABEL for label in called.values())
    numbered = {n: words.say("stage {number}", number=str(n)) for n in called}
    return Axis(field=None, loads={}, labels=called if short else numbered, series={})


def varied_fields(sweep: Sweep) -> list[str]:
    """Spec fields that are not the same in all stages, in the order in which they were given."""
    changes = [stage.ask.changes for stage in sweep.stages]
    names = dict.fromkeys(name for change in changes for name in change)
    return [name for name in names if any(name not in c or c[name] != changes[0].get(name) for c in changes)]


def _settings(changes: Mapping[str, Any], names: Iterable[str]) -> str:
    return plain(", ".join(f"{name.rpartition('.')[2]} {value_words(changes.get(name))}" for name in names), 60)


def x_title(axis: Axis, words: Words) -> str:
    """Title of the axis, with its unit."""
    if axis.field == "load.rate":
        return words.say("Load asked for, requests/s")
    return words.say("Load asked for, users") if axis.field == "load.concurrency" else words.say("Stage")


def x_encoding(axis: Axis, words: Words, *, last: bool = True) -> Encoding:
    """The x channel over the rows of `rows`: field load, or field at where stages are categories."""
    title = x_title(axis, words) if last else None
    if axis.field is None:
        slanted = {"labelAngle": -35} if len(axis.labels) > 6 else {"labelAngle": 0}
        return {"field": "at", "type": "nominal", "sort": None, "title": title, "axis": slanted | {"labelLimit": 120}}
    levels = sorted(set(axis.loads.values()))
    low, high = (levels[0], levels[-1]) if levels else (0.0, 1.0)
    domain = [low / 1.15, high * 1.15] if axis.log else [max(0.0, low - 0.05 * high), 1.05 * high]
    ticks = {"values": levels} if 1 < len(levels) <= _TICKS_MOST else {}
    return {
        "field": "load",
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log" if axis.log else "linear", "domain": domain, "nice": False},
        "axis": {"grid": False, "format": ",.4~r", **ticks},
    }


def rows(stages: Iterable[Stage], axis: Axis, words: Words, tell: Callable[[Stage, Point], Row | None]) -> list[Row]:
    """A row for every stage with a place on the axis of which `tell` has something to say."""
    found = []
    for stage in stages:
        told = tell(stage, stage.point) if stage.point is not None and stage.ask.number in axis.labels else None
        if told is not None:
            found.append(_place(stage, axis, words) | told)
    return found


def figures(
    sweep: Sweep, axis: Axis, words: Words, tell: Callable[[Point], Row | None], *, share: bool = False,
    every: bool = False,
) -> list[Row]:  # fmt: skip
    """A row for each load of which `tell` knows a value, low and high; with `every`, for each stage.

    `shown` says the value with its interval in words.
    """
    write = words.percent if share else words.figure

    def told(_: Stage, point: Point) -> Row | None:
        row = tell(point)
        if row is None:
            return None
        low, high = row["low"], row["high"]
        between = "" if low is None or high is None else f" [{write(low)}, {write(high)}]"
        return row | {"shown": f"{write(row['value'])}{between}"}

    return _unbroken(rows(sweep.stages if every else ordered(sweep), axis, words, told), sweep, axis)


def _unbroken(found: list[Row], sweep: Sweep, axis: Axis) -> list[Row]:
    """The rows, each with the run of stages that it is in: one that lacks the figure ends a run."""
    known = {row["stage"] for row in found}
    runs: dict[str, int] = {}
    place: dict[int, str] = {}
    for stage in ordered(sweep):
        number = stage.ask.number
        series = axis.series.get(number, "")
        runs[series] = runs.get(series, 0) + (number not in known)
        place[number] = f"{series} {runs[series]}"
    return [row | {"run": place.get(row["stage"], "")} for row in found]


def figure(value: float | None, low: float | None = None, high: float | None = None) -> Row | None:
    """The value of a stage for `figures`; None where there is none."""
    return None if value is None else {"value": value, "low": low, "high": high}


def percentile(point: Point, name: str, which: str) -> Row | None:
    """A percentile of a latency of a stage; None where it cannot be told."""
    found: Estimate | None = getattr(point, name).get(which)
    return None if found is None else figure(found.value, found.low, found.high)


def joined(place: Encoding, style: str = "one", dash: Sequence[int] = DASHES[0]) -> Spec:
    """The rows of `figures` joined, but not across a stage that lacks the figure."""
    return line(place | {"detail": {"field": "run", "type": "nominal"}}, style, dash)


def colours(axis: Axis) -> Encoding:
    """Colour by line where there are several, with a legend; nothing where there is one."""
    if not axis.series:
        return {}
    legend = {"title": None, "orient": "top", "labelLimit": 400, "columns": 2, "symbolType": "stroke"}
    return {"color": {"field": "series", "type": "nominal", "sort": None, "legend": legend}}


def about(words: Words, *fields: tuple[str, str]) -> list[tuple[str, str]]:
    """Fields and titles of a tooltip, with what is told of every stage round them."""
    return [
        ("asked", words.say("Load")),
        *fields,
        ("word", words.say("Verdict")),
        ("which", words.say("Stage")),
    ]


def nothing(name: str, title: str, words: Words) -> Chart:
    """A chart that no stage has a figure for."""
    why = words.say("no stage tells these figures")
    return Chart(name=name, title=title, says="", alt="", spec=None, missing=why)


def _place(stage: Stage, axis: Axis, words: Words) -> Row:
    assert stage.point is not None
    number = stage.ask.number
    row: Row = {
        "stage": number, "which": str(number), "at": axis.labels[number], "asked": ask_label(stage.ask),
        "word": stage.point.verdict,
    }  # fmt: skip
    if number in axis.loads:
        row["load"] = axis.loads[number]
    if axis.series:
        row["series"] = axis.series[number]
    return row
