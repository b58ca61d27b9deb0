"""The charts of a comparison: differences with their intervals, and the distributions of all sides."""

from __future__ import annotations

import math
from collections.abc import Sequence

from loadcell.compare.model import Change, Comparison, Pair
from loadcell.metrics.glossary import COMPARED, GLOSSARY
from loadcell.report.charts.drawing import DASHES, Encoding, Row, only, rule, tip, view
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.charts.pieces import at_or_below, axis, from_zero, short, span, stack, thinned, title_of
from loadcell.report.detail.model import Detail
from loadcell.report.signed import change_words, finding_words, interval_words
from loadcell.report.words import Words

FINDINGS = {
    "better": ("good", "circle", "●"),
    "worse": ("bad", "cross", "✚"),
    "no difference shown": ("one", "square", "■"),
    "too little data": ("doubt", "diamond", "◆"),
}
"""Style, shape and sign of each finding: told apart without colour too."""
SIDES = ("one", "two", "three", "four", "quiet", "bad")
_ROW = 22
_LEAST_REACH = 2.0
"""The axis reaches this many times the least effect that matters, at least."""
_MOST_REACH = 3.0
"""An interval that reaches beyond so many times the largest change is cut at the edge."""


def comparison_charts(comparison: Comparison, details: dict[str, Detail], words: Words) -> list[Chart]:
    """The differences of every pair, and the distributions of the sides whose Detail is known, by their names."""
    several = len(comparison.pairs) > 1
    drawn = [differences(pair, comparison, words, several=several) for pair in comparison.pairs]
    shown = [side.name for side in comparison.sides if side.name in details]
    overlaid = ecdf_overlay(shown, details, words) if comparison.sides else None
    return [*drawn, *([overlaid] if overlaid else [])]


def differences(pair: Pair, comparison: Comparison, words: Words, *, several: bool = False) -> Chart:
    """Every change with its interval; the least effect that matters and the A/A noise shaded."""
    name = f"differences-{pair.name.lower()}" if several else "differences"
    title = words.say("What changed from A to {side}", side=pair.name)
    moved = [change for change in pair.changes if _moved(change) is not None]
    if not moved:
        why = words.say("no figure of both sides can be set against the other")
        if pair.comparable == "not comparable" and not pair.changes:
            why = words.say("the sides are not comparable")
        return Chart(name=name, title=title, says="", alt="", spec=None, missing=why)
    ratios = [change for change in moved if change.unit != "share"]
    shares = [change for change in moved if change.unit == "share"]
    views = []
    if ratios:
        present = [finding for finding in FINDINGS if any(change.finding == finding for change in moved)]
        items = [(f"{FINDINGS[one][2]} {finding_words(one, words)}", f"{FINDINGS[one][0]}-label") for one in present]
        heading = words.say("Change, %")
        views.append(_forest(heading, ratios, comparison.min_effect, words, items))
    if shares:
        views.append(_forest(words.say("Change, points"), shares, comparison.min_points, words, []))
    says = words.say(
        "Each mark is the change from A to {side}, its line the 95 % interval. Shaded: changes too small to matter.",
        side=pair.name,
    )
    if any(change.noise is not None for change in moved):
        says += " " + words.say("Grey: the A/A noise, what two runs of the same thing differ by.")
    alt = "; ".join(
        f"{words.say(change.title)} {change_words(change, words)}, {finding_words(change.finding, words)}"
        for change in moved
    )
    terms = [metric for metric in dict.fromkeys(change.metric for change in moved) if metric in GLOSSARY]
    return Chart(name=name, title=title, says=says, alt=alt, spec=stack(views, spacing=34), terms=terms)


def _moved(change: Change) -> float | None:
    return change.difference if change.unit == "share" else change.relative


def _forest(
    title: str, changes: Sequence[Change], least: float, words: Words, items: Sequence[tuple[str, str]]
) -> Spec:
    """One line a change; values in hundredths."""
    reach = _reach(changes, least)
    drawn = [_row(change, reach, words) for change in changes]
    x: Encoding = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [-reach, reach], "nice": False, "clamp": True},
        "axis": {"title": None, "format": "+,.4~r", "grid": True, "tickCount": 7},
    }
    y: Encoding = {
        "field": "title",
        "type": "nominal",
        "sort": [row["title"] for row in drawn],
        "axis": {"title": None, "labelLimit": 170, "minExtent": 110},
    }
    tooltip = tip(
        ("title", words.say("Figure")),
        ("a", "A"),
        ("b", "B"),
        ("change", words.say("Change")),
        ("interval", words.say("95 % interval")),
        ("noise_words", words.say("A/A noise")),
        ("finding_words", words.say("Finding")),
        ("says", words.say("Why")),
    )
    band = {
        "data": {"values": [{"from": short(-100 * least), "to": short(100 * least)}]},
        "mark": {"type": "rect", "style": "band"},
        "encoding": {"x": {**x, "field": "from"}, "x2": {"field": "to"}},
    }
    noise = {
        "transform": [{"filter": {"field": "noise", "valid": True}}],
        "mark": {"type": "bar", "style": "noise", "height": {"band": 0.9}},
        "encoding": {"x": {**x, "field": "noise_low"}, "x2": {"field": "noise"}, "y": y},
    }
    layers: list[Spec] = [band, noise, rule("x", 0.0, "quiet-line")]
    for finding, (style, shape, _) in FINDINGS.items():
        if any(row["finding"] == finding for row in drawn):
            point = {"type": "point", "style": style, "shape": shape, "filled": True, "opacity": 1, "size": 70}
            ends = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y}
            whole = [{"filter": {"field": end, "valid": True}} for end in ("low", "high")]
            layers.append(
                {
                    "transform": only("finding", finding),
                    "layer": [
                        {"transform": whole, "mark": {"type": "rule", "style": f"{style}-line"}, "encoding": ends},
                        {"mark": point, "encoding": {"x": x, "y": y, "tooltip": tooltip}},
                    ],
                }
            )
    return view(title, layers, drawn, _ROW * len(drawn), items)


def _reach(changes: Sequence[Change], least: float) -> float:
    """Half the width of the axis in hundredths: every change on it, and intervals as far as they do not drown them."""
    largest = max(abs(value) for change in changes if (value := _moved(change)) is not None)
    ends = [abs(end) for change in changes for end in (change.low, change.high) if end is not None]
    ends = [end for end in ends if math.isfinite(end)]
    most = max(_MOST_REACH * largest, 2 * _MOST_REACH * least)
    reach = max(_LEAST_REACH * least, 1.1 * largest, min(1.05 * max(ends, default=0.0), most))
    return short(100 * reach) or 1.0


def _row(change: Change, reach: float, words: Words) -> Row:
    def at(value: float | None) -> float | None:
        return None if value is None else short(max(-reach, min(reach, 100 * value)))

    show = words.percent if change.unit == "share" else words.figure
    noise = change.noise
    title = words.say(change.title)
    return {
        "title": f"{title}, ms" if change.unit == "ms" else title,
        "value": at(_moved(change)), "low": at(change.low), "high": at(change.high),
        "noise": at(noise), "noise_low": at(None if noise is None else -noise),
        "a": show(change.a), "b": show(change.b), "change": change_words(change, words),
        "interval": interval_words(change, words), "finding": change.finding,
        "noise_words": "" if noise is None else f"± {words.percent(noise)}",
        "finding_words": finding_words(change.finding, words), "says": words.say(change.says) if change.says else "",
    }  # fmt: skip


# --- distributions --------------------------------------------------------------------------------------------------


def ecdf_overlay(sides: Sequence[str], details: dict[str, Detail], words: Words) -> Chart:
    """The distribution of each latency, a line a side."""
    title = words.say("Latency distributions, side by side")
    known = [
        name for name in COMPARED if any(name in details[side].ecdf and details[side].ecdf[name].x_ms for side in sides)
    ]
    if not known:
        why = words.say("distributions need the recordings of the sides, with ok requests")
        return Chart(name="ecdf-overlay", title=title, says="", alt="", spec=None, missing=why)
    views = [_overlay(name, sides, details, words) for name in known]
    says = words.say(
        "The height of a line is the share of samples at or below that latency: a line further to the left is faster. "
        "Of a side of several runs the first is drawn."
    )
    if any(not one.exact for side in sides for one in details[side].ecdf.values()):
        says += thinned(words)
    alt = words.say("Distributions of {names} for the sides {sides}.", sides=", ".join(sides),
                    names=", ".join(words.metric(name.removesuffix("_ms")).title for name in known))  # fmt: skip
    anchors = {details[side].anchor for side in sides}
    if len(anchors) > 1:
        says += " " + words.say("The sides count latencies from different moments: response and service time.")
    return Chart(
        name="ecdf-overlay",
        title=title,
        says=says,
        alt=alt,
        spec=stack(views, spacing=34),
        terms=[name.removesuffix("_ms") for name in known],
    )


def _overlay(name: str, sides: Sequence[str], details: dict[str, Detail], words: Words) -> Spec:
    drawn = {side: one for side in sides if (one := details[side].ecdf.get(name)) is not None and one.x_ms}
    reach = [value for one in drawn.values() for value in one.x_ms]
    scale = span(reach)
    if scale["type"] == "linear":
        scale = from_zero(reach)
    x = {"field": "x", "type": "quantitative", "scale": scale, "axis": axis(scale, title=None, grid=False)}
    shares = {"values": [0, 0.5, 0.9], "format": ".0%", "title": None}
    y = {"field": "s", "type": "quantitative", "scale": {"domain": [0, 1], "nice": False}, "axis": shares}
    title = title_of(words, name)
    layers: list[Spec] = []
    items = []
    for i, side in enumerate(sides):
        if side not in drawn:
            continue
        one, style = drawn[side], SIDES[i % len(SIDES)]
        points = zip([one.x_ms[0], *one.x_ms], [0.0, *one.share], strict=True)
        rows = [{"x": short(value), "s": short(share), "side": side} for value, share in points]
        told = [
            {"field": "side", "type": "nominal", "title": words.say("Side")},
            {"field": "x", "type": "quantitative", "title": title, "format": ",.4~r"},
            {"field": "s", "type": "quantitative", "title": at_or_below(words), "format": ".2~%"},
        ]
        mark = {"type": "line", "style": style, "strokeDash": DASHES[i % len(DASHES)],
                "interpolate": "step-after" if one.exact else "linear"}  # fmt: skip
        dots = {"type": "point", "filled": True, "size": 120, "opacity": 0}
        layers.append(
            {
                "data": {"values": rows},
                "layer": [
                    {"mark": mark, "encoding": {"x": x, "y": y}},
                    {"mark": dots, "encoding": {"x": x, "y": y, "tooltip": told}},
                ],
            }
        )
        count = words.say("{n} samples", n=words.count(one.n))
        items.append((f"{side} ({count})", f"{style}-label"))
    return view(title, layers, [], 110, items)
