"""Pieces of a specification that the charts of sweeps and comparisons share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from loadcell.report.charts.model import Spec
from loadcell.report.charts.pieces import axis, from_zero, heading, panel, span

Row = dict[str, Any]
Encoding = dict[str, Any]
DASHES = ([1, 0], [6, 3], [2, 3])
"""Solid, dashed, dotted: lines are told apart in grey too."""
_LOG_FROM = 20.0


def tip(*fields: tuple[str, str]) -> list[Encoding]:
    """A tooltip of fields that hold finished words, with their titles."""
    return [{"field": field, "type": "nominal", "title": title} for field, title in fields]


def only(field: str, value: Any) -> list[Spec]:
    """Keeps the rows that hold a value. No expression: the value may come from outside."""
    return [{"filter": {"field": field, "equal": value}}]


def view(
    title: str, layers: Iterable[Spec], rows: Sequence[Row], height: int, items: Sequence[tuple[str, str]] = ()
) -> Spec:
    """Layers over one set of rows, under a heading; a layer may bring its own data. `items`: see `heading`."""
    return panel([*heading(title, items), *layers], height, data={"values": list(rows)})


def y_of(values: Iterable[float | None], field: str = "value", **more: Any) -> Encoding:
    """The y channel: from 0, or logarithmic where the values spread far."""
    known = [value for value in values if value is not None]
    spread = min(known, default=0.0) > 0 and max(known) / min(known) >= _LOG_FROM
    scale = span(known) if spread else from_zero(known)
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis(scale, title=None, **more)}


def rule(channel: str, value: float, style: str) -> Spec:
    """A line across the whole view at a value of x or y."""
    return {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "style": style},
        "encoding": {channel: {"datum": value}},
    }


def words_at(text: str, style: str, *, x: Encoding, y: Encoding, **mark: Any) -> Spec:
    """A few words at a place of the view."""
    return {
        "data": {"values": [{"says": text}]},
        "mark": {"type": "text", "style": style, "align": "left", **mark},
        "encoding": {"x": x, "y": y, "text": {"field": "says", "type": "nominal"}},
    }


def line(encoding: Encoding, style: str = "one", dash: Sequence[int] = DASHES[0], **mark: Any) -> Spec:
    """The rows joined."""
    return {"mark": {"type": "line", "style": style, "strokeDash": list(dash), **mark}, "encoding": encoding}


def dots(encoding: Encoding, style: str = "one", shape: str = "circle", size: int = 46, **mark: Any) -> Spec:
    """A mark for every row."""
    point = {"type": "point", "filled": True, "opacity": 1, "style": style, "shape": shape, "size": size}
    return {"mark": point | mark, "encoding": encoding}


def intervals(x: Encoding, style: str = "interval") -> Spec:
    """A line from `low` to `high` for every row that has both."""
    return {
        "transform": [{"filter": {"field": end, "valid": True}} for end in ("low", "high")],
        "mark": {"type": "rule", "style": style},
        "encoding": {"x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
    }


def styled(field: str, styles: dict[str, tuple[str, str]], encoding: Encoding, rows: Sequence[Row]) -> list[Spec]:
    """A layer of marks for each value of a field that is there, in its style and shape."""
    present = {row[field] for row in rows}
    return [
        {"transform": only(field, value), **dots(encoding, style, shape, 76)}
        for value, (style, shape) in styles.items()
        if value in present
    ]
