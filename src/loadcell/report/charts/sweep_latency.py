"""Latencies of a sweep: by load, and against what was served."""

from __future__ import annotations

from loadcell.metrics.glossary import COMPARED
from loadcell.report.charts.drawing import (
    DASHES,
    Encoding,
    Row,
    dots,
    intervals,
    only,
    rule,
    styled,
    tip,
    view,
    words_at,
    y_of,
)
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.charts.pieces import from_zero, stack, title_of
from loadcell.report.charts.stages import (
    Axis,
    about,
    colours,
    figures,
    joined,
    nothing,
    percentile,
    x_encoding,
)
from loadcell.report.charts.sweep_slo import VERDICTS
from loadcell.report.order import ordered
from loadcell.report.words import Words
from loadcell.search.model import Point, Sweep

STYLES = {"p50": "one", "p90": "three", "p99": "two"}
"""Percentiles and their hues."""
_ENOUGH = 0.8
"""A percentile stands for the others if this share of the stages that tell any can tell it."""
_FAR = 4.0
"""A limit further above all figures than this is told, not drawn."""


def latency(sweep: Sweep, axis: Axis, words: Words) -> Chart:
    """p50, p90 and p99 of each latency by load, with the SLO's limits."""
    title = words.say("Latency by load")
    limits = sweep.plan.spec.slo.limits
    known = {name: drawn for name in COMPARED if (drawn := _percentiles(sweep, axis, words, name))}
    if not known:
        return nothing("latency-by-load", title, words)
    last = list(known)[-1]
    views = [_view(axis, words, name, drawn, limits.get(name), last=name == last) for name, drawn in known.items()]
    says = words.say(
        "Solid: the median; dashed: p90; dotted: p99, each with its 95 % interval. A percentile is missing where a "
        "stage has too few requests to tell it."
    )
    if any(limits.get(name) is not None for name in known):
        says += " " + words.say("The limits of the SLO are drawn across.")
    return Chart(
        name="latency-by-load",
        title=title,
        says=says,
        alt=" ".join(_range(words, name, drawn) for name, drawn in known.items()),
        spec=stack(views, spacing=30),
        terms=[name.removesuffix("_ms") for name in known],
    )


def _percentiles(sweep: Sweep, axis: Axis, words: Words, name: str) -> list[Row]:
    return [
        row | {"percentile": which}
        for which in STYLES
        for row in figures(sweep, axis, words, lambda point, which=which: percentile(point, name, which))  # type: ignore[misc]
    ]


def _view(axis: Axis, words: Words, name: str, drawn: list[Row], limit: float | None, *, last: bool) -> Spec:
    top = max(row["value"] for row in drawn)
    near = limit if limit is not None and limit <= _FAR * top else None
    x = x_encoding(axis, words, last=last)
    y = y_of([near, *(row[end] for row in drawn for end in ("value", "low", "high"))])
    tooltip = tip(*about(words, ("percentile", words.say("Percentile")), ("shown", title_of(words, name))))
    present = [which for which in STYLES if any(row["percentile"] == which for row in drawn)]
    items = [(which, f"{STYLES[which]}-label") for which in present] if not axis.series else []
    if limit is not None and near is None:
        items.append((_limit_words(limit, words), "limit-label"))
    layers: list[Spec] = [] if near is None else limit_layers(near, words)
    for which, dash in zip(STYLES, DASHES, strict=True):
        if which in present:
            layers.append({"transform": only("percentile", which), "layer": _curve(axis, x, y, tooltip, which, dash)})
    return view(title_of(words, name), layers, drawn, 120, items)


def _curve(axis: Axis, x: Encoding, y: Encoding, tooltip: list[Encoding], which: str, dash: list[int]) -> list[Spec]:
    place, style = {"x": x, "y": y, **colours(axis)}, STYLES[which]
    lines = [joined(place, style, dash)] if axis.field else []
    return [intervals(x, f"{style}-line"), *lines, dots(place | {"tooltip": tooltip}, style)]


def limit_layers(limit: float, words: Words) -> list[Spec]:
    """A limit of the SLO across the view, with its words."""
    says = _limit_words(limit, words)
    return [
        rule("y", limit, "limit"),
        words_at(says, "limit-label", x={"value": 4}, y={"datum": limit}, baseline="bottom", dy=-3),
    ]


def _limit_words(limit: float, words: Words) -> str:
    return words.say("SLO {limit}", limit=words.say("{figure} ms", figure=words.number(f"{limit:,g}")))


def _range(words: Words, name: str, drawn: list[Row]) -> str:
    medians = [row["value"] for row in drawn if row["percentile"] == "p50"] or [row["value"] for row in drawn]
    return words.say(
        "{title}: medians from {low} to {high} ms.",
        title=words.metric(name.removesuffix("_ms")).title,
        low=words.figure(min(medians)),
        high=words.figure(max(medians)),
    )


def trade(sweep: Sweep, axis: Axis, words: Words) -> Chart:
    """TTFT against output tokens/s: the highest percentile that most stages can tell, stages joined by load."""
    title = words.say("Latency against throughput")
    which = _most_told(sweep, axis)

    def both(point: Point) -> Row | None:
        found = percentile(point, "ttft_ms", which)
        rate = point.output_tokens_per_s
        return None if found is None or rate is None else found | {"tokens": rate, "served": words.figure(rate)}

    drawn = [row | {"turn": i} for i, row in enumerate(figures(sweep, axis, words, both))]
    if not drawn:
        return nothing("latency-by-throughput", title, words)
    limit = sweep.plan.spec.slo.ttft_ms
    near = limit if limit is not None and limit <= _FAR * max(row["value"] for row in drawn) else None
    named = f"TTFT {which}, ms"
    x = {
        "field": "tokens",
        "type": "quantitative",
        "scale": from_zero(row["tokens"] for row in drawn),
        "axis": {"title": words.say("Output tokens/s")},
    }
    y = y_of([near, *(row[end] for row in drawn for end in ("value", "low", "high"))])
    tooltip = tip(*about(words, ("served", words.say("Output tokens/s")), ("shown", named)))
    place = {"x": x, "y": y, **colours(axis)}
    layers: list[Spec] = [] if near is None else limit_layers(near, words)
    layers += [joined(place | {"order": {"field": "turn"}})] if axis.field else []
    layers += (
        [dots(place | {"tooltip": tooltip})]
        if axis.series
        else styled("word", VERDICTS, place | {"tooltip": tooltip}, drawn)
    )
    layers.append(
        {
            "mark": {"type": "text", "style": "label", "align": "right", "dx": -7, "dy": -8},
            "encoding": {"x": x, "y": y, "text": {"field": "at", "type": "nominal"}},
        }
    )
    first, last = drawn[0], drawn[-1]
    return Chart(
        name="latency-by-throughput",
        title=title,
        says=words.say(
            "Each mark is a stage, named by its load. Down and to the right is better: more tokens at a shorter wait."
        ),
        alt=words.say(
            "From {tokens} tokens/s at {wait} ms to {more_tokens} tokens/s at {more_wait} ms.",
            tokens=first["served"],
            wait=words.figure(first["value"]),
            more_tokens=last["served"],
            more_wait=words.figure(last["value"]),
        ),
        spec=stack([view(named, layers, drawn, 260)]),
        terms=["ttft", "output_tokens_per_s"],
    )


def _most_told(sweep: Sweep, axis: Axis) -> str:
    """The highest percentile of TTFT that most stages can tell."""
    points = [stage.point for stage in ordered(sweep) if stage.point is not None and stage.ask.number in axis.labels]
    told = {which: sum(percentile(point, "ttft_ms", which) is not None for point in points) for which in STYLES}
    most = max(told.values())
    return next((which for which in reversed(STYLES) if most and told[which] >= _ENOUGH * most), "p50")
