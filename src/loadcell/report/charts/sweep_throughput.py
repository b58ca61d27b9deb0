"""What a sweep got served: by load, and for one user against all."""

from __future__ import annotations

from loadcell.report.charts.drawing import (
    DASHES,
    Row,
    dots,
    intervals,
    line,
    only,
    styled,
    tip,
    view,
    y_of,
)
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.charts.pieces import span, stack
from loadcell.report.charts.stages import Axis, about, colours, figure, figures, joined, nothing, x_encoding
from loadcell.report.charts.sweep_slo import VERDICTS
from loadcell.report.words import Words
from loadcell.search.model import Point, Scalability, Sweep

_LEAST_SPREAD = 0.05
"""Half of the axis of what one user sees, as a share of its middle, at least."""


def throughput(sweep: Sweep, axis: Axis, words: Words) -> Chart:
    """Output tokens/s with their interval, requests/s beside goodput, and the fitted law if there is one."""
    title = words.say("Throughput by load")
    tokens = figures(sweep, axis, words, _tokens)
    requests = figures(sweep, axis, words, lambda point: figure(point.requests_per_s))
    good = figures(sweep, axis, words, lambda point: figure(point.goodput.goodput_per_s if point.goodput else None))
    if not tokens and not requests:
        return nothing("throughput-by-load", title, words)
    fitted = _law_rows(axis, tokens, sweep.curves.scalability, words)
    views = [_tokens_view(axis, words, tokens, fitted, last=not requests)] if tokens else []
    views += [_requests_view(axis, words, requests, good)] if requests else []
    top = max(tokens or requests, key=lambda row: float(row["value"]))
    says = [words.say("Where the curve lies flat, more load brings no more work done.")]
    if good:
        says.append(words.say("Goodput counts the requests that kept to every limit."))
    if fitted:
        says.append(words.say("Dashed: Gunther's Universal Scalability Law, fitted; it explains and decides nothing."))
    unit = words.say("output tokens/s") if tokens else words.say("requests/s")
    return Chart(
        name="throughput-by-load",
        title=title,
        says=" ".join(says),
        alt=words.say(
            "The highest is {value} {unit}, at {load} (stage {number}).",
            value=words.figure(top["value"]),
            unit=unit,
            load=top["asked"],
            number=top["which"],
        ),
        spec=stack(views, spacing=30),
        terms=["output_tokens_per_s", "requests_per_s", *(["goodput"] if good else [])],
    )


def _tokens(point: Point) -> Row | None:
    between = point.output_tokens_interval
    row = figure(point.output_tokens_per_s, *((between.low, between.high) if between else ()))
    return None if row is None else row | {"flight": point.concurrency}


def _tokens_view(axis: Axis, words: Words, drawn: list[Row], fitted: list[Row], *, last: bool) -> Spec:
    x = x_encoding(axis, words, last=last)
    y = y_of([0.0, *(row[end] for row in drawn for end in ("value", "high"))])
    place = {"x": x, "y": y, **colours(axis)}
    tooltip = tip(*about(words, ("shown", words.say("Output tokens/s, 95 % interval"))))
    layers: list[Spec] = []
    if fitted:
        told = {"x": x, "y": y, "tooltip": tip(("says", words.say("Universal Scalability Law")))}
        layers.append({"data": {"values": fitted}, **line(told, "fit", DASHES[1])})
    layers.append(intervals(x))
    layers += [joined(place)] if axis.field else []
    marks = place | {"tooltip": tooltip}
    layers += [dots(marks)] if axis.series else styled("word", VERDICTS, marks, drawn)
    items = [(words.say("measured"), "one-label"), (words.say("fitted law"), "note")] if fitted else []
    return view(words.say("Output tokens/s"), layers, drawn, 180, items)


def _law_rows(axis: Axis, drawn: list[Row], law: Scalability | None, words: Words) -> list[Row]:
    """The law at the requests in flight of each stage that it was fitted to; nothing if that makes no line."""
    if law is None or axis.field is None or axis.series:
        return []
    gamma, sigma, kappa = law.gamma, law.sigma, law.kappa
    if gamma is None or sigma is None or kappa is None:
        return []
    says = words.say(law.says)
    found = [
        {"load": row["load"], "value": gamma * n / (1 + sigma * (n - 1) + kappa * n * (n - 1)), "says": says}
        for row in drawn
        if row["stage"] in law.stages and (n := row["flight"])
    ]
    return found if len(found) > 1 else []


def _requests_view(axis: Axis, words: Words, requests: list[Row], good: list[Row]) -> Spec:
    x = x_encoding(axis, words)
    y = y_of([0.0, *(row["value"] for row in requests + good)])
    place = {"x": x, "y": y, **colours(axis)}
    layers: list[Spec] = []
    kinds = [(words.say("completed"), "one", requests, DASHES[0]), (words.say("goodput"), "three", good, DASHES[1])]
    for kind, style, drawn, dash in kinds:
        if drawn:
            tooltip = tip(*about(words, ("shown", words.say("Requests/s, {kind}", kind=kind))))
            lines = [joined(place, style, dash)] if axis.field else []
            layers.append({"data": {"values": drawn}, "layer": [*lines, dots(place | {"tooltip": tooltip}, style)]})
    items = [] if axis.series else [(kind, f"{style}-label") for kind, style, drawn, _ in kinds if drawn]
    return view(words.say("Requests/s"), layers, [], 150, items)


def front(sweep: Sweep, axis: Axis, words: Words) -> Chart:
    """Tokens/s a user against tokens/s in total (a GPU where their number is known); the Pareto front as steps."""
    title = words.say("One user against all: the Pareto front")
    numbers = set(sweep.curves.pareto)
    points = [stage.point for stage in sweep.stages if stage.point is not None]
    per_gpu = all(p.tokens_per_s_per_gpu is not None for p in points if p.output_tokens_per_s is not None)

    def both(point: Point) -> Row | None:
        row = figure(point.tokens_per_s_per_gpu if per_gpu else point.output_tokens_per_s)
        user = point.tokens_per_s_per_user
        return None if row is None or user is None else row | {"user": user, "sees": words.figure(user)}

    drawn = [row | {"on": row["stage"] in numbers} for row in figures(sweep, axis, words, both, every=True)]
    if not drawn:
        return nothing("pareto", title, words)
    unit = words.say("Output tokens/s a GPU") if per_gpu else words.say("Output tokens/s in total")
    users = [row["user"] for row in drawn]
    middle = (min(users) + max(users)) / 2  # differences that are none are not to look like some
    x = {
        "field": "user",
        "type": "quantitative",
        "scale": span([*users, middle * (1 - _LEAST_SPREAD), middle * (1 + _LEAST_SPREAD)], room=0.12),
        "axis": {"title": words.say("Tokens/s that one user sees (1 / median TPOT)")},
    }
    y = y_of([0.0, *(row["value"] for row in drawn)])
    place = {"x": x, "y": y}
    marks = place | {"tooltip": tip(*about(words, ("sees", words.say("Tokens/s a user")), ("shown", unit)))}
    on, off = only("on", True), only("on", False)
    label = {"type": "text", "style": "label", "align": "left", "dx": 8, "dy": -8}
    layers: list[Spec] = [
        {"transform": on, **line(place, interpolate="step-before")},
        {"transform": off, **dots(marks, "quiet")},
        {"transform": on, **dots(marks, "one", size=80)},
        {"transform": on, "mark": label, "encoding": place | {"text": {"field": "at", "type": "nominal"}}},
    ]
    return Chart(
        name="pareto",
        title=title,
        says=words.say(
            "Up and to the right is better. On the line: stages that none beats in both. The grey ones are beaten, or "
            "not steady enough to be set beside the others."
        ),
        alt=words.say(
            "{count} of {all} stages are on the front.",
            count=str(sum(row["on"] for row in drawn)),
            all=str(len(drawn)),
        ),
        spec=stack([view(unit, layers, drawn, 260)]),
        terms=["user_tokens_per_s", "output_tokens_per_s"],
    )
