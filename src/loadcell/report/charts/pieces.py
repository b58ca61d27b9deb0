"""Pieces that the charts of a run share: figures for drawing, scales, headings, what lies behind a time axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from loadcell.metrics import Result, Summary
from loadcell.report.charts.model import SCHEMA, WIDTH, Spec
from loadcell.report.detail.model import Detail
from loadcell.report.words import Words

FIGURE = ",.4~r"
"""Format of figures in tooltips: four digits, as elsewhere in a report."""
SHARE = ".2~%"
LOG_FROM = 20.0
"""Largest over smallest figure from which on an axis is logarithmic."""
_NARROW = frozenset(" -.,:;il|·I1tfj()[]'")
"""Characters of about half the width of the others."""


def short(value: float | None) -> float | None:
    """A figure as it goes into a specification: five digits, and none that JSON could not hold."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def ms(words: Words, value: float | None, digits: int = 3) -> str:
    """A latency in words, as in 67.1 ms."""
    return words.say("{figure} ms", figure=words.figure(value, digits))


def title_of(words: Words, name: str) -> str:
    """Title of a latency with its unit, as in "TTFT, ms"."""
    return f"{words.metric(name.removesuffix('_ms')).title}, ms"


def summary_of(result: Result, name: str) -> Summary | None:
    """A latency by the anchor that its limit counts from: the planned time in an open loop; None without samples."""
    latency = result.latency.get(name)
    if latency is None:
        return None
    summary = latency.service if latency.response is None else latency.response
    return summary if summary.n else None


def limit_of(result: Result, name: str) -> float | None:
    """Its limit in the SLO."""
    limit = None if result.goodput is None else result.goodput.limits.get(name)
    return None if limit is None else limit.limit_ms


def span(values: Iterable[float | None], *, room: float = 0.06) -> dict[str, Any]:
    """A scale with all of `values` on it: logarithmic where they spread far, else linear from where they begin."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if low > 0 and high / low >= LOG_FROM:
        return {"type": "log", "domain": [short(low / 1.15), short(high * 1.4)], "nice": False}
    pad = (high - low) * room or abs(high) * room or 1.0
    return {"type": "linear", "domain": [short(max(0.0, low - pad)), short(high + pad)], "nice": False, "zero": False}


def from_zero(values: Iterable[float | None]) -> dict[str, Any]:
    """A linear scale from 0."""
    high = max((value for value in values if value is not None), default=0.0) or 1.0
    return {"type": "linear", "domain": [0, short(high * 1.08)], "nice": False}


def place(scale: dict[str, Any], value: float) -> float:
    """Where a value lies on a scale of `span`: 0 at its low end, 1 at its high."""
    low, high = scale["domain"]
    if scale["type"] == "log":
        low, high, value = math.log(low), math.log(high), math.log(max(value, low))
    return float((value - low) / (high - low))


def why_not(result: Result, detail: Detail | None, words: Words) -> str | None:
    """Why a chart of the Detail cannot be drawn at all; None if it can."""
    return words.say("Distributions and the course of the run need the recording.") if detail is None else None


def thinned(words: Words) -> str:
    """What is said under distributions of which some are drawn through fewer points."""
    return " " + words.say("Drawn through fewer points than samples; the smallest and the largest are kept.")


def at_or_below(words: Words) -> str:
    """The title of a share of samples."""
    return words.say("Samples at or below")


def with_interval(words: Words) -> str:
    """The title of a percentile in a hint."""
    return words.say("Value with its 95 % interval")


def no_gaps(words: Words) -> str:
    """Why there are no gaps between tokens."""
    return words.say("No reply came in more than one piece, so there are no gaps.")


def no_latency(words: Words) -> str:
    """Why no latency can be drawn."""
    return words.say("No request has a measured latency.")


def zoom_hint(words: Words) -> str:
    """How a view over the run is used."""
    return words.say("Drag to move in time; Ctrl and the wheel to zoom; double click for the whole run.")


def axis(scale: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An axis for a scale: on a logarithmic one with as many ticks as can be read."""
    return {**({"values": log_ticks(*scale["domain"])} if scale["type"] == "log" else {}), **more}


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every decade between, or powers of ten where those would be many."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(exponents) <= 5 else (1,)
    ticks = [float(f"{step}e{exponent}") for exponent in exponents for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def alone(rows: Sequence[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """Rows whose neighbours on both sides have no value: a line would not show them."""
    known = [False, *(row.get(field) is not None for row in rows), False]
    return [row for i, row in enumerate(rows, 1) if known[i] and not known[i - 1] and not known[i + 1]]


def heading(title: str, items: Sequence[tuple[str, str]] = ()) -> list[Spec]:
    """A title above a view, and after it the name of each mark in the mark's own colour: (words, style)."""
    layers, x = [], 0.0
    for text, style in [(title, "heading"), *items]:
        layers.append({
            "data": {"values": [{"says": text}]},
            "mark": {"type": "text", "style": style, "align": "left", "baseline": "bottom", "x": round(x), "y": -7,
                     "clip": False},
            "encoding": {"text": {"field": "says", "type": "nominal"}},
        })  # fmt: skip
        x += _pixels(text) * (1.14 if style == "heading" else 1) + 14
    return layers


def zoomed(views: Sequence[Spec]) -> Spec:
    """Views below each other whose time axes zoom and move as one; the first layer of each is named time0, time1, ...

    The wheel alone scrolls the page.
    """
    select = {"type": "interval", "encodings": ["x"], "zoom": "wheel![event.ctrlKey]"}
    names = [f"time{i}" for i in range(len(views))]
    return stack(views) | {"params": [{"name": "zoom", "select": select, "bind": "scales", "views": names}]}


def _pixels(text: str) -> float:
    """About how wide a heading is drawn: a little too much is better than too little."""
    return sum(
        4.2 if c in _NARROW else 9.5 if c in "—%mwMW" else 8.4 if c.isupper() or not c.isascii() else 7.0 for c in text
    )


def stack(views: Sequence[Spec], *, spacing: int = 16) -> Spec:
    """Views below each other; spacing leaves room for their headings."""
    return {"$schema": SCHEMA, "vconcat": list(views), "spacing": spacing}


def panel(layers: Sequence[Spec], height: int, **more: Any) -> Spec:
    """One view of layers."""
    return {"width": WIDTH, "height": height, **more, "layer": list(layers)}


def time_axis(end_s: float, words: Words, *, last: bool) -> dict[str, Any]:
    """The x channel of a view over the course of a run, the same in every chart; labelled on the last view only."""
    return {
        "type": "quantitative",
        "scale": {"domain": [0, short(end_s)], "nice": False, "zero": False},
        "axis": {"title": words.say("Time since the start of the load, s") if last else None, "labels": last,
                 "ticks": last},
    }  # fmt: skip


def end_of(result: Result, detail: Detail | None) -> float:
    """Where the time axis of a run ends, in seconds."""
    line = None if detail is None else detail.timeline
    ends = [result.methodology.window.end_s, result.run.duration_s or 0.0]
    if line is not None and line.t_s:
        ends.append(line.t_s[-1] + line.step_s)
    return max(*ends, 0.001)


def window_behind(result: Result, x: dict[str, Any], words: Words) -> Spec:
    """The window that counts, shaded behind everything."""
    window = result.methodology.window
    row = {"a": short(window.start_s), "b": short(window.end_s)}
    tip = [
        {"field": "a", "type": "quantitative", "title": words.say("The window that counts: from, s"), "format": FIGURE},
        {"field": "b", "type": "quantitative", "title": words.say("to, s"), "format": FIGURE},
    ]
    return {
        "data": {"values": [row]},
        "mark": {"type": "rect", "style": "window"},
        "encoding": {"x": {"field": "a", **x}, "x2": {"field": "b"}, "tooltip": tip},
    }
