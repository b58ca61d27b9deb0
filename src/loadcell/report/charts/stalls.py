"""The longest gaps between tokens, when they were."""

from __future__ import annotations

from typing import Any

from loadcell.metrics import Result
from loadcell.report.charts.model import SCHEMA, Chart, Spec
from loadcell.report.charts.pieces import (
    FIGURE,
    axis,
    end_of,
    from_zero,
    heading,
    ms,
    no_gaps,
    panel,
    short,
    time_axis,
    why_not,
    window_behind,
)
from loadcell.report.detail.model import Detail, Stalls
from loadcell.report.words import Words


def stalls(result: Result, detail: Detail | None, words: Words) -> Chart:
    """The worst stalls, as high as they were long, where they ended."""
    title = words.say("Stalls")
    told = None if detail is None else detail.stalls
    if detail is None or told is None or not told.worst:
        return Chart(
            name="stalls",
            title=title,
            says="",
            alt="",
            spec=None,
            missing=why_not(result, detail, words) or _why(told, words),
            terms=["itl"],
        )
    says = words.say(
        "A stall is a gap between two tokens of {threshold} or more. {stalls} of {gaps} gaps are stalls, in {requests} "
        "of {of} requests.",
        threshold=ms(words, told.threshold_ms), stalls=words.count(told.stalls), gaps=words.count(told.gaps),
        requests=words.count(told.requests), of=words.count(told.of),
    )  # fmt: skip
    if told.stalls > len(told.worst):
        says += " " + words.say("The {n} longest are drawn.", n=words.count(len(told.worst)))
    longest = told.worst[0]
    alt = words.say(
        "The longest gap took {gap} and ended {at} s after the start of the load.", gap=ms(words, longest.gap_ms),
        at=words.figure(longest.at_s, 3),
    )  # fmt: skip
    spec = _spec(result, told, end_of(result, detail), words)
    return Chart(name="stalls", title=title, says=says, alt=alt, spec=spec, terms=["itl"])


def _why(told: Stalls | None, words: Words) -> str:
    if told is None:
        return no_gaps(words)
    return words.say(
        "None: no gap between two tokens took {threshold} or more.", threshold=ms(words, told.threshold_ms)
    )


def _spec(result: Result, told: Stalls, end_s: float, words: Words) -> Spec:
    x = time_axis(end_s, words, last=True)
    scale = from_zero([stall.gap_ms for stall in told.worst])
    y = {"type": "quantitative", "scale": scale, "axis": axis(scale, title=None)}
    rows: list[dict[str, Any]] = [
        {"t": short(one.at_s), "gap": short(one.gap_ms), "r": one.request, "event": one.event, "others": one.others,
         "by": words.say("the client, which read late") if one.by_client else words.say("not the client"),
         "client": one.by_client}
        for one in told.worst
    ]  # fmt: skip
    tip = [
        {"field": "gap", "type": "quantitative", "title": words.say("Gap, ms"), "format": FIGURE},
        {"field": "t", "type": "quantitative", "title": words.say("Ended at, s"), "format": FIGURE},
        {"field": "r", "type": "quantitative", "title": words.say("Request"), "format": ","},
        {"field": "event", "type": "quantitative", "title": words.say("Before event"), "format": ","},
        {"field": "others", "type": "quantitative", "title": words.say("Others within 10 ms"), "format": ","},
        {"field": "by", "type": "nominal", "title": words.say("Caused by")},
    ]
    items = [(words.say("● longest gaps"), "one-label")]
    if any(one.by_client for one in told.worst):
        items.append((words.say("○ the client read late"), "quiet-label"))
    from_here = words.say("··· a stall from {threshold}", threshold=ms(words, told.threshold_ms))
    items.append((from_here, "note"))
    layers = [window_behind(result, x, words), *heading(words.say("Gap, ms"), items)]
    layers.append({
        "data": {"values": [{"y": short(told.threshold_ms), "says": from_here}]},
        "mark": {"type": "rule", "style": "threshold"},
        "encoding": {"y": {"field": "y", **y}, "tooltip": [{"field": "says", "title": words.say("Limit")}]},
    })  # fmt: skip
    for client, style in ((False, "one"), (True, "quiet")):
        kept = [{**row, "zero": 0} for row in rows if row["client"] is client]
        at = {"x": {"field": "t", **x}, "tooltip": tip}
        line = {"y": {"field": "zero", **y}, "y2": {"field": "gap"}}
        point = {"type": "point", "style": style, "filled": not client, "size": 46, "opacity": 1}
        layers += [
            {"data": {"values": kept}, "mark": {"type": "rule", "style": f"{style}-line"}, "encoding": at | line},
            {"data": {"values": kept}, "mark": point, "encoding": at | {"y": {"field": "gap", **y}}},
        ]
    return {"$schema": SCHEMA, **panel(layers, 130)}
