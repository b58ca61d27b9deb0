"""Colours, type and the look of every mark, light and dark: the only place where a chart gets its colours from.

The hues keep apart for colour-blind eyes and in grey (blue dark, orange light; what matters also differs by dash or
shape). Marks name a style: NAME for marks, NAME-label for words; see `HUES` and `_styles`.
"""

from __future__ import annotations

from typing import Any

FONT = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif'
)

COLOURS: dict[str, dict[str, str]] = {
    "light": {
        "paper": "#ffffff", "ink": "#12161c", "soft": "#596273", "faint": "#8a93a3", "line": "#c9cfd8",
        "grid": "#eceff3", "one": "#2a5bd7", "two": "#d9730d", "three": "#0b8a83", "four": "#8250c4",
        "good": "#13734a", "doubt": "#a86b00", "bad": "#c22f3d", "quiet": "#98a1b0",
    },
    "dark": {
        "paper": "#0e1116", "ink": "#e7eaf0", "soft": "#a3acba", "faint": "#77818f", "line": "#3a424e",
        "grid": "#222933", "one": "#7ea4ff", "two": "#f0a050", "three": "#4cc7bd", "four": "#bb95f5",
        "good": "#5bd19a", "doubt": "#e8b44c", "bad": "#ff7f86", "quiet": "#6d7786",
    },
}  # fmt: skip
"""By theme, then by role. Those from `one` on are the hues of data."""

HUES = ("one", "two", "three", "four", "good", "doubt", "bad", "quiet")


def config(dark: bool) -> dict[str, Any]:
    """The Vega-Lite configuration of a theme; its background is that of what lies behind."""
    c = COLOURS["dark" if dark else "light"]
    labels = {"labelColor": c["soft"], "titleColor": c["soft"], "labelFontSize": 11, "titleFontSize": 11}
    return {
        "background": "transparent",
        "font": FONT,
        "padding": 2,
        "view": {"stroke": None},
        "axis": {
            **labels,
            "titleFontWeight": "normal",
            "domainColor": c["line"],
            "tickColor": c["line"],
            "gridColor": c["grid"],
            "gridWidth": 1,
            "tickSize": 4,
            "labelPadding": 5,
            "titlePadding": 8,
            "labelOverlap": "greedy",
            "labelSeparation": 6,
        },
        "axisX": {"grid": False, "titleAnchor": "end", "titleAlign": "right", "tickCount": 8},
        "axisY": {"domain": False, "ticks": False, "minExtent": 40, "tickCount": 4},
        "legend": {**labels, "orient": "top", "title": None, "symbolStrokeWidth": 2, "symbolSize": 70},
        "header": labels,
        "title": {
            "color": c["ink"],
            "fontSize": 12,
            "fontWeight": 600,
            "anchor": "start",
            "frame": "group",
            "offset": 8,
            "subtitleColor": c["soft"],
            "subtitleFontSize": 11,
        },
        "range": {
            "category": [c[name] for name in ("one", "two", "three", "four", "quiet", "bad")],
            "ordinal": [c["one"], c["three"], c["two"]],
        },
        "mark": {"color": c["one"]},
        "line": {"strokeWidth": 1.8, "strokeJoin": "round", "strokeCap": "round"},
        "point": {"strokeWidth": 1.5},
        "rule": {"color": c["faint"]},
        "text": {"color": c["ink"]},
        "style": _styles(c),
    }


def _styles(c: dict[str, str]) -> dict[str, Any]:
    """What a mark or a text may name: hues, and roles that look the same in every chart."""
    hues: dict[str, Any] = {name: {"color": c[name]} for name in HUES}
    lines: dict[str, Any] = {f"{name}-line": {"color": c[name], "strokeWidth": 1.2} for name in HUES}
    labels: dict[str, Any] = {f"{name}-label": {"color": c[name], "fontSize": 11, "fontWeight": 600} for name in HUES}
    return {
        **hues,
        **lines,
        **labels,
        "plain": {"color": c["one"]},
        "muted": {"color": c["quiet"], "opacity": 0.55},
        "hollow": {"stroke": c["one"], "fill": c["paper"], "filled": False},
        "label": {"color": c["ink"], "fontSize": 11},
        "heading": {"color": c["ink"], "fontSize": 12, "fontWeight": 600},
        "note": {"color": c["soft"], "fontSize": 11},
        "on-bar": {"color": c["paper"], "fontSize": 11, "fontWeight": 600},
        "limit": {"color": c["bad"], "strokeWidth": 1.2, "strokeDash": [2, 3]},
        "limit-label": {"color": c["bad"], "fontSize": 11},
        "threshold": {"color": c["faint"], "strokeWidth": 1, "strokeDash": [2, 3]},
        "interval": {"color": c["one"], "strokeWidth": 2, "opacity": 0.55},
        "fit": {"color": c["soft"], "strokeWidth": 1.2},
        "band": {"color": c["one"], "opacity": 0.13},
        "window": {"color": c["one"], "opacity": 0.06},
        "noise": {"color": c["quiet"], "opacity": 0.18},
    }
