"""Where the mean E2E goes."""

from __future__ import annotations

from typing import Any

from loadcell.metrics import Result
from loadcell.report.charts.model import SCHEMA, WIDTH, Chart, Spec
from loadcell.report.charts.pieces import FIGURE, SHARE, ms, short, why_not
from loadcell.report.detail.model import Detail, Part
from loadcell.report.words import Words

_ROW = 22
_LEAST = 0.001
"""Smaller shares of the whole are told in words only."""
_STYLES = {"stalls": "bad", "stream": "one", "send": "quiet", "connect": "quiet"}
"""Of each part; the others are parts of TTFT."""
_AFTER = ("stalls", "stream")
_INSIDE = 0.3
"""A figure stands beside its bar unless less than this is free on both sides."""


def time_parts(result: Result, detail: Detail | None, words: Words) -> Chart:
    """The parts of the mean E2E, each from where the one before it ended."""
    title = words.say("Where the time goes")
    parts = [] if detail is None else [part for part in detail.parts if part.mean_ms > 0]
    total = sum(part.mean_ms for part in parts)
    if total <= 0:
        why = why_not(result, detail, words) or words.say("No request has a measured time from start to end.")
        return Chart(name="time-parts", title=title, says="", alt="", spec=None, missing=why, terms=["e2e"])
    before = sum(part.share for part in parts if part.name not in _AFTER)
    says = words.say(
        "A request takes {total} on average: {before} of it until the first token, {after} from there to the last.",
        total=ms(words, total), before=words.percent(before), after=words.percent(1 - before),
    )  # fmt: skip
    if before > 0.9995:
        says = words.say("A request takes {total} on average.", total=ms(words, total))
    named = [(_label(part, parts, words), part) for part in parts]
    drawn = [(name, part) for name, part in named if part.share >= _LEAST]
    if len(drawn) < len(named):
        says += " " + words.say("Parts below 0.1 % are not drawn.")
    alt = "; ".join(f"{name}: {_figure(part, words)}" for name, part in named)
    return Chart(
        name="time-parts", title=title, says=says, alt=f"{says} {alt}.", spec=_spec(drawn, words),
        terms=["e2e", "ttft", "itl"] if result.methodology.spec.workload.generates else ["e2e"],
    )  # fmt: skip


def _spec(named: list[tuple[str, Part]], words: Words) -> Spec:
    order = [name for name, _ in named]
    layers: list[Spec] = []
    start = 0.0
    for name, part in named:
        end = min(1.0, start + part.share)
        row: dict[str, Any] = {
            "part": name,
            "a": short(start),
            "b": short(end),
            "share": short(part.share),
            "mean": short(part.mean_ms),
        }
        y: dict[str, Any] = {"field": "part", "type": "nominal", "sort": order, "title": None,
             "axis": {"labelLimit": 150, "labelFontSize": 12, "minExtent": 0}}  # fmt: skip
        x: dict[str, Any] = {"type": "quantitative", "scale": {"domain": [0, 1], "nice": False}, "axis": None}
        tip = [
            {"field": "part", "type": "nominal", "title": words.say("Part")},
            {"field": "mean", "type": "quantitative", "title": words.say("Mean, ms"), "format": FIGURE},
            {"field": "share", "type": "quantitative", "title": words.say("Share of E2E"), "format": SHARE},
        ]
        style = _STYLES.get(part.name, "two")
        layers.append({
            "data": {"values": [row]},
            "mark": {"type": "bar", "style": style, "height": {"band": 0.74}, "cornerRadius": 2, "minBandSize": 2},
            "encoding": {"x": {"field": "a", **x}, "x2": {"field": "b"}, "y": y, "tooltip": tip},
        })  # fmt: skip
        layers.append(_words_beside(row | {"says": _figure(part, words)}, x, y))
        start = end
    return {
        "$schema": SCHEMA,
        "width": WIDTH,
        "height": _ROW * len(named),
        "layer": layers,
    }


def _words_beside(row: dict[str, Any], x: dict[str, Any], y: dict[str, Any]) -> Spec:
    """The figure of a part on the side of its bar where there is more room, or on it."""
    start, end = row["a"], row["b"]
    right = 1 - end >= start
    inside = max(1 - end, start) < _INSIDE
    at = "a" if inside or not right else "b"
    align = "left" if inside or right else "right"
    return {
        "data": {"values": [row]},
        "mark": {"type": "text", "style": "on-bar" if inside else "label", "align": align, "baseline": "middle",
                 "dx": 6 if align == "left" else -6},
        "encoding": {"x": {"field": at, **x}, "y": y, "text": {"field": "says", "type": "nominal"}},
    }  # fmt: skip


def _figure(part: Part, words: Words) -> str:
    return f"{ms(words, part.mean_ms)} · {words.percent(part.share)}"


def _label(part: Part, parts: list[Part], words: Words) -> str:
    told = {other.name for other in parts} & {"queue", "prefill"}
    names = {
        "send": words.say("Sent late"),
        "connect": words.say("Connecting"),
        "queue": words.say("Queue in the server"),
        "prefill": words.say("Prefill"),
        "first": words.say("Rest of TTFT") if told else words.say("To the first token"),
        "stalls": words.say("Stalls"),
        "stream": words.say("Streaming tokens"),
    }
    return names.get(part.name, part.name)
