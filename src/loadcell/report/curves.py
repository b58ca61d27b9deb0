"""What the stages of a sweep say together: bars of the main figures by load, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from loadcell.report.lines import UNITS, Line, ask_label, bare_table, numbers
from loadcell.report.order import ordered
from loadcell.report.text import figure, plain
from loadcell.search.model import Curves, Point, Stage, Sweep

_BLOCKS = " ▏▎▍▌▋▊▉█"
_FIGURE = 8
"""Characters of the figure beside a bar."""
_LEAST_BAR, _MOST_BAR = 10, 30
_PERCENTILES = ("p99", "p90", "p50")
Value = Callable[[Point], float | None]


def bars(sweep: Sweep, width: int) -> Table | None:
    """A row for each stage (in a search, each load), rising: figure and bar of each curve; None for less than two."""
    stages = [stage for stage in ordered(sweep) if stage.point is not None]
    curves = [curve for curve in _curves(stages) if sum(_at(stage, curve[1]) is not None for stage in stages) > 1]
    if len(stages) < 2 or not curves:
        return None
    axis = sweep.plan.axis
    labels = [ask_label(stage.ask) if axis else str(stage.ask.number) for stage in stages]
    head = UNITS.get(str(axis), "stage")
    room = width - 3 - max(map(len, [*labels, head]))
    bar = max(_LEAST_BAR, min(_MOST_BAR, room // len(curves) - _FIGURE - 3))
    table = bare_table(1)
    table.add_column(Text(f" {head}"), no_wrap=True)
    for title, _ in curves:
        table.add_column("", justify="right", width=_FIGURE, no_wrap=True)
        table.add_column(Text(title), width=bar + 1, overflow="fold")
    tops = [max(_at(stage, value) or 0.0 for stage in stages) for _, value in curves]
    for label, stage in zip(labels, stages, strict=True):
        cells: list[Any] = [Text(f" {label}")]
        for (_, value), top in zip(curves, tops, strict=True):
            found = _at(stage, value)
            cells += [figure(found, 4), Text(_bar(found, top, bar), style="cyan")]
        table.add_row(*cells)
    return table


def curve_lines(sweep: Sweep) -> Iterator[Line]:
    """Best goodput, Pareto front, knees and the fitted law; they themselves say what they may not be used for."""
    yield from _best_goodput(sweep)
    found: Curves = sweep.curves
    if found.pareto:
        per_gpu = any(stage.point and stage.point.tokens_per_s_per_gpu is not None for stage in sweep.stages)
        loads = ", ".join(ask_label(stage.ask) for stage in sweep.stages if stage.ask.number in found.pareto)
        told = f" (load {loads})" if sweep.plan.axis else ""
        total = "tokens/s a GPU" if per_gpu else "tokens/s in total"
        yield "Pareto", f"P: none beats {numbers(found.pareto)}{told} in both tokens/s a user and {total}"
    for i, knee in enumerate(found.knees):
        yield ("" if i else "Knee"), plain(knee.says, 400)
    if found.knees:
        yield "", f"by {plain(found.knees[0].method)}"
    law = found.scalability
    if law is not None:
        yield "USL", f"{law.figure} against requests in flight: {plain(law.says, 400)}"


def _best_goodput(sweep: Sweep) -> Iterator[Line]:
    """Grids: the stage with the highest goodput. A search has its answer instead."""
    if sweep.found is not None:
        return
    good = [(at, stage) for stage in sweep.stages if (at := _at(stage, _goodput)) is not None]
    if good:
        at, stage = max(good, key=lambda pair: pair[0])
        unit = UNITS.get(str(sweep.plan.axis), "")
        yield (
            "Goodput",
            f"highest {figure(at, 3)} requests/s, at {ask_label(stage.ask)} {unit}".rstrip()
            + f" (stage {stage.ask.number}): the best of the loads tried",
        )


def _curves(stages: list[Stage]) -> list[tuple[str, Value]]:
    """Titles and values; of TTFT the highest percentile that most stages can tell."""

    def known(name: str) -> int:
        return sum(_at(stage, _percentile(name)) is not None for stage in stages)

    most = max(map(known, _PERCENTILES))
    name = next((name for name in _PERCENTILES if known(name) >= 0.8 * most), "p50")
    return [
        ("output\ntokens/s", lambda point: point.output_tokens_per_s),
        (f"TTFT {name}\nms", _percentile(name)),
        ("goodput\nrequests/s", _goodput),
    ]


def _percentile(name: str) -> Value:
    def value(point: Point) -> float | None:
        return point.ttft_ms[name].value if name in point.ttft_ms else None

    return value


def _goodput(point: Point) -> float | None:
    return None if point.goodput is None else point.goodput.goodput_per_s


def _at(stage: Stage, value: Value) -> float | None:
    return None if stage.point is None else value(stage.point)


def _bar(value: float | None, top: float, width: int) -> str:
    """A bar of eighths of a block, from 0; one at least for what is more than 0, so that it does not look like none."""
    if value is None or top <= 0:
        return ""
    eighths = min(8 * width, max(1 if value > 0 else 0, round(8 * width * value / top)))
    return _BLOCKS[8] * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
