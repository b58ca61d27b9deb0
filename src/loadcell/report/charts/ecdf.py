"""Distributions: what share of the requests is at or below each latency."""

from __future__ import annotations

from typing import Any

from loadcell.metrics import Result
from loadcell.metrics.glossary import COMPARED
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.charts.pieces import (
    FIGURE,
    SHARE,
    at_or_below,
    axis,
    from_zero,
    heading,
    limit_of,
    ms,
    no_latency,
    panel,
    place,
    short,
    span,
    stack,
    summary_of,
    thinned,
    title_of,
    why_not,
)
from loadcell.report.detail.model import Detail, Ecdf
from loadcell.report.words import Words

_HEIGHT = 96
_FAR = 3.0
"""A limit further beyond the largest sample than this is told, not drawn."""
_TURN = 0.72
"""Share of the width from which on labels stand to the left of their point."""


def ecdf(result: Result, detail: Detail | None, words: Words) -> Chart:
    """One view a latency, each with its own scale; the percentiles of the Result marked on it."""
    title = words.say("Latency distributions")
    drawn = {} if detail is None else detail.ecdf
    known = {name: drawn[name] for name in COMPARED if name in drawn and drawn[name].x_ms}
    if not known:
        why = why_not(result, detail, words) or no_latency(words)
        return Chart(name="ecdf", title=title, says="", alt="", spec=None, missing=why)
    says = words.say(
        "The height of a line is the share of samples at or below that latency: steep is steady, a long flat end is a "
        "slow tail. Every view has its own scale."
    )
    if any(not one.exact for one in known.values()):
        says += thinned(words)
    told = [_told(result, name, one, words) for name, one in known.items()]
    views = [ecdf_view(result, name, one, words) for name, one in known.items()]
    terms = [name.removesuffix("_ms") for name in known]
    return Chart(name="ecdf", title=title, says=says, alt=" ".join(told), spec=stack(views), terms=terms)


def marked(result: Result, name: str) -> dict[str, tuple[float, float]]:
    """The figures of the Result that are marked on a distribution: (latency, share) by name."""
    summary = summary_of(result, name)
    if summary is None:
        return {}
    told = {"p50": (summary.p50.value, 0.5), "p99": (summary.p99.value, 0.99), "max": (summary.max, 1.0)}
    return {key: (value, share) for key, (value, share) in told.items() if value is not None}


def _told(result: Result, name: str, one: Ecdf, words: Words) -> str:
    figures = ", ".join(f"{key} {ms(words, value)}" for key, (value, _) in marked(result, name).items())
    return words.say(
        "{metric} of {n} samples: {figures}.",
        metric=words.metric(name.removesuffix("_ms")).title,
        n=words.count(one.n),
        figures=figures or words.say("withheld"),
    )  # fmt: skip


def ecdf_view(result: Result, name: str, one: Ecdf, words: Words, *, height: int = _HEIGHT) -> Spec:
    """The distribution of one latency."""
    limit = limit_of(result, name)
    near = limit if limit is not None and limit <= _FAR * one.x_ms[-1] else None
    marks = marked(result, name)
    reach = [*one.x_ms, near, *(value for value, _ in marks.values())]
    scale = span(reach)
    if scale["type"] == "linear":
        scale = from_zero(reach)
    x = {"type": "quantitative", "scale": scale, "axis": axis(scale, title=None, grid=False)}
    y = {
        "type": "quantitative",
        "scale": {"domain": [0, 1], "nice": False},
        "axis": {"values": [0, 0.5, 0.9], "format": ".0%", "title": None},
    }
    rows = [{"x": short(value), "s": short(share)} for value, share in zip(one.x_ms, one.share, strict=True)]
    rows.insert(0, {"x": rows[0]["x"], "s": 0.0})
    tip = [
        {"field": "x", "type": "quantitative", "title": title_of(words, name), "format": FIGURE},
        {"field": "s", "type": "quantitative", "title": at_or_below(words), "format": SHARE},
    ]
    place_of: dict[str, Any] = {"x": {"field": "x", **x}, "y": {"field": "s", **y}}
    count = words.say("{n} samples", n=words.count(one.n))
    far = [] if limit is None or near is not None else [(_beyond(limit, words), "limit-label")]
    layers: list[Spec] = heading(title_of(words, name), [(count, "note"), *far])
    if near is not None:
        layers += _limit(near, scale, x, height, words)
    layers += [
        {
            "data": {"values": rows},
            "layer": [
                {"mark": {"type": "line", "style": "one", "interpolate": "step-after" if one.exact else "linear"},
                 "encoding": place_of},
                {"mark": {"type": "point", "filled": True, "size": 120, "opacity": 0},
                 "encoding": place_of | {"tooltip": tip}},
            ],
        },
        *_points(marks, scale, place_of, words),
    ]  # fmt: skip
    return panel(layers, height)


def _beyond(limit: float, words: Words) -> str:
    return words.say("SLO {limit}, far to the right", limit=ms(words, limit))


def _limit(limit: float, scale: dict[str, Any], x: dict[str, Any], height: int, words: Words) -> list[Spec]:
    left = place(scale, limit) > _TURN
    row = {"x": short(limit), "says": words.say("SLO {limit}", limit=ms(words, limit))}
    return [
        {
            "data": {"values": [row]},
            "mark": {"type": "rule", "style": "limit"},
            "encoding": {"x": {"field": "x", **x}, "tooltip": [{"field": "says", "title": words.say("SLO limit")}]},
        },
        {
            "data": {"values": [row]},
            "mark": {"type": "text", "style": "limit-label", "align": "right" if left else "left",
                     "baseline": "bottom", "dx": -5 if left else 5, "y": height - 5},
            "encoding": {"x": {"field": "x", **x}, "text": {"field": "says", "type": "nominal"}},
        },
    ]  # fmt: skip


def _points(
    marks: dict[str, tuple[float, float]], scale: dict[str, Any], place_of: dict[str, Any], words: Words
) -> list[Spec]:
    """Median, p99 and maximum, each with its figure beside it."""
    layers: list[Spec] = []
    for key, (value, share) in marks.items():
        name = words.say("max") if key == "max" else key
        row = {"x": short(value), "s": share, "says": f"{name} {ms(words, value)}"}
        left = place(scale, value) > _TURN
        above = key == "max"
        tip = [{"field": "says", "type": "nominal", "title": words.say("Figure of the result")}]
        layers += [
            {
                "data": {"values": [row]},
                "mark": {"type": "point", "style": "one", "filled": not above, "size": 44, "opacity": 1,
                         "shape": "diamond" if above else "circle"},
                "encoding": place_of | {"tooltip": tip},
            },
            {
                "data": {"values": [row]},
                "mark": {"type": "text", "style": "label", "align": "right" if left else "left",
                         "baseline": "bottom" if above else "top", "dx": 0 if above else -6 if left else 6,
                         "dy": -6 if above else 4},
                "encoding": place_of | {"text": {"field": "says", "type": "nominal"}},
            },
        ]  # fmt: skip
    return layers
