"""What drives the latencies: TTFT against the length of the prompt, ITL against the requests in flight."""

from __future__ import annotations

from statistics import median
from typing import Any

from loadcell.metrics import Result
from loadcell.report.charts.model import SCHEMA, Chart, Spec
from loadcell.report.charts.pieces import (
    FIGURE,
    LOG_FROM,
    axis,
    from_zero,
    heading,
    limit_of,
    ms,
    no_gaps,
    panel,
    short,
    span,
    title_of,
    why_not,
)
from loadcell.report.detail.model import Detail, Dots, Level
from loadcell.report.words import Words

_HEIGHT = 230
_BANDS = 8
"""Groups of prompts of like length, each with its median."""
_BAND_LEAST = 12
"""Requests in such a group, at least."""


def ttft_by_input(result: Result, detail: Detail | None, words: Words) -> Chart:
    """A dot a request; a line through the medians of prompts of like length."""
    title = words.say("TTFT against input tokens")
    dots = None if detail is None else detail.dots
    why = why_not(result, detail, words)
    rows = [] if dots is None or why else _dots(dots)
    timed = [row for row in rows if row["y"] is not None]
    if why is None and not timed:
        why = words.say("No request has both a TTFT and a known number of input tokens.")
    elif why is None and len({row["x"] for row in timed}) == 1:
        why = words.say("Every prompt has {n} tokens: there is nothing to compare.", n=words.count(timed[0]["x"]))
    if why is not None or dots is None:
        return Chart(name="ttft-by-input", title=title, says="", alt="", spec=None, missing=why, terms=["ttft"])
    line = _medians(timed)
    says = words.say("Each dot is a request; the line joins the medians of prompts of like length.")
    if len(dots.request) < dots.of:
        says += " " + words.say(
            "{n} of {of} requests are drawn: the extremes and the failures, the others by lot.",
            n=words.count(len(dots.request)), of=words.count(dots.of),
        )  # fmt: skip
    return Chart(
        name="ttft-by-input", title=title, says=says, alt=_alt(timed, line, words),
        spec=_scatter(result, rows, line, words), terms=["ttft"],
    )  # fmt: skip


def _dots(dots: Dots) -> list[dict[str, Any]]:
    columns = (dots.request, dots.input_tokens, dots.ttft_ms, dots.status, dots.inside, dots.extreme, dots.t_s)
    return [
        {"r": request, "x": tokens, "y": short(ttft), "status": status, "inside": inside, "extreme": extreme,
         "t": short(t_s)}
        for request, tokens, ttft, status, inside, extreme, t_s in zip(*columns, strict=True)
        if tokens is not None and tokens > 0
    ]  # fmt: skip


def _medians(timed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians of groups of like length: of requests of the window that were not kept for being extreme."""
    kept = sorted((row["x"], row["y"]) for row in timed if row["inside"] and not row["extreme"])
    size = max(_BAND_LEAST, -(-len(kept) // _BANDS))
    groups = [kept[i : i + size] for i in range(0, len(kept), size)]
    points = [
        {"x": median(x for x, _ in group), "y": short(median(y for _, y in group)), "n": len(group)}
        for group in groups
        if len(group) >= _BAND_LEAST
    ]
    return points if len({point["x"] for point in points}) > 1 else []


def _scatter(result: Result, rows: list[dict[str, Any]], line: list[dict[str, Any]], words: Words) -> Spec:
    timed = [row for row in rows if row["y"] is not None]
    limit = limit_of(result, "ttft_ms")
    near = limit if limit is not None and limit <= 2 * max(row["y"] for row in timed) else None
    across = span([float(row["x"]) for row in rows])
    up = span([*(row["y"] for row in timed), near])
    if up["type"] == "linear":
        up = from_zero([*(row["y"] for row in timed), near])
    x = {"type": "quantitative", "scale": across, "axis": axis(across, title=words.say("Input tokens"))}
    y = {"type": "quantitative", "scale": up, "axis": axis(up, title=None)}
    tip = [
        {"field": "r", "type": "quantitative", "title": words.say("Request"), "format": ","},
        {"field": "x", "type": "quantitative", "title": words.say("Input tokens"), "format": ","},
        {"field": "y", "type": "quantitative", "title": title_of(words, "ttft_ms"), "format": FIGURE},
        {"field": "t", "type": "quantitative", "title": words.say("Time, s"), "format": FIGURE},
    ]
    at = {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "tooltip": tip}
    inside = [row for row in timed if row["inside"] and row["status"] != "failed"]
    outside = [row for row in timed if not row["inside"] and row["status"] != "failed"]
    failed = [row for row in rows if row["status"] == "failed"]
    items = [(words.say("● counted"), "one-label")]
    items += [(words.say("● warm-up or drain"), "quiet-label")] if outside else []
    items += [(words.say("✕ failed, at the top edge"), "bad-label")] if failed else []
    items += [(words.say("— median"), "two-label")] if line else []
    small = len(timed) > 600

    def dots(kept: list[dict[str, Any]], style: str, **mark: Any) -> Spec:
        bare = [{key: row[key] for key in ("r", "x", "y", "t")} for row in kept]
        point = {"type": "point", "style": style, "filled": True, "size": 10 if small else 18, "opacity": 0.45}
        return {"data": {"values": bare}, "mark": point | mark, "encoding": at}

    layers = heading(title_of(words, "ttft_ms"), items)
    layers += [dots(outside, "quiet"), dots([row for row in inside if not row["extreme"]], "one")]
    layers += [dots([row for row in inside if row["extreme"]], "one", filled=False, size=34, opacity=0.95)]
    if failed:
        cross = dots(failed, "bad", shape="cross", angle=45, size=46, opacity=0.9, y=3)
        layers.append(cross | {"encoding": {"x": at["x"], "tooltip": [one for one in tip if one["field"] != "y"]}})
    if near is not None:
        layers += _limit(near, y, words)
    if line:
        layers.append(_median_line(line, x, y, words))
    return {"$schema": SCHEMA, **panel(layers, _HEIGHT)}


def _median_line(line: list[dict[str, Any]], x: dict[str, Any], y: dict[str, Any], words: Words) -> Spec:
    tip = [
        {"field": "x", "type": "quantitative", "title": words.say("Input tokens, median"), "format": FIGURE},
        {"field": "y", "type": "quantitative", "title": words.say("TTFT, median, ms"), "format": FIGURE},
        {"field": "n", "type": "quantitative", "title": words.say("Requests"), "format": ","},
    ]
    at = {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "tooltip": tip}
    point = {"type": "point", "style": "two", "filled": True, "size": 36, "opacity": 1}
    return {
        "data": {"values": line},
        "layer": [
            {"mark": {"type": "line", "style": "two"}, "encoding": {"x": at["x"], "y": at["y"]}},
            {"mark": point, "encoding": at},
        ],
    }


def _limit(limit: float, y: dict[str, Any], words: Words) -> list[Spec]:
    row = {"y": short(limit), "says": words.say("SLO {limit}", limit=ms(words, limit))}
    at = {"y": {"field": "y", **y}}
    text = {"type": "text", "style": "limit-label", "align": "left", "baseline": "bottom", "x": 4, "dy": -3}
    return [
        {"data": {"values": [row]}, "mark": {"type": "rule", "style": "limit"}, "encoding": at},
        {"data": {"values": [row]}, "mark": text, "encoding": at | {"text": {"field": "says", "type": "nominal"}}},
    ]


def _alt(timed: list[dict[str, Any]], line: list[dict[str, Any]], words: Words) -> str:
    if not line:
        return words.say("{n} requests, too few for a line through their medians.", n=words.count(len(timed)))
    first, last = line[0], line[-1]
    return words.say(
        "The median TTFT is {first} around {few} input tokens and {last} around {many}.",
        first=ms(words, first["y"]), few=words.figure(first["x"], 3), last=ms(words, last["y"]),
        many=words.figure(last["x"], 3),
    )  # fmt: skip


_LINES = (("p50_ms", "p50", "one", [1, 0]), ("p90_ms", "p90", "three", [6, 3]), ("p99_ms", "p99", "two", [2, 2]))


def itl_by_concurrency(result: Result, detail: Detail | None, words: Words) -> Chart:
    """Percentiles of the gaps between tokens by the requests that were in flight."""
    title = words.say("ITL against requests in flight")
    levels = [] if detail is None else [level for level in detail.levels if level.p50_ms is not None]
    why = why_not(result, detail, words)
    if why is None and len(levels) < 2:
        why = words.say("The number of requests in flight hardly varied: there is nothing to compare.")
        if detail is not None and "itl_ms" not in detail.ecdf:
            why = no_gaps(words)
    if why is not None:
        return Chart(name="itl-by-concurrency", title=title, says="", alt="", spec=None, missing=why, terms=["itl"])
    first, last = levels[0], levels[-1]
    says = words.say(
        "Gaps between tokens, by how many requests were in flight when they ended: what a fuller server costs a user."
    )
    alt = words.say(
        "The median gap is {first} at {few} requests in flight and {last} at {many}.",
        first=ms(words, first.p50_ms), few=words.figure(first.concurrency, 3), last=ms(words, last.p50_ms),
        many=words.figure(last.concurrency, 3),
    )  # fmt: skip
    return Chart(
        name="itl-by-concurrency", title=title, says=says, alt=alt, spec=_levels(levels, words),
        terms=["itl", "concurrency"],
    )  # fmt: skip


def _levels(levels: list[Level], words: Words) -> Spec:
    figures = [value for level in levels for value in (level.p50_ms, level.p90_ms, level.p99_ms) if value is not None]
    up = span(figures) if max(figures) / max(min(figures), 1e-9) >= LOG_FROM else from_zero(figures)
    across = from_zero([level.concurrency for level in levels])
    x = {"type": "quantitative", "scale": across,
         "axis": axis(across, title=words.say("Requests in flight, mean of the level"))}  # fmt: skip
    y = {"type": "quantitative", "scale": up, "axis": axis(up, title=None)}
    tip = [
        {"field": "says", "type": "nominal", "title": words.say("Requests in flight")},
        *({"field": f"{name}_says", "type": "nominal", "title": f"{name}, ms"} for _, name, _, _ in _LINES),
        {"field": "n", "type": "quantitative", "title": words.say("Gaps"), "format": ","},
    ]
    rows: list[dict[str, Any]] = [
        {"x": short(level.concurrency), "p50_ms": short(level.p50_ms), "p90_ms": short(level.p90_ms),
         "p99_ms": short(level.p99_ms), "n": level.n,
         "says": words.say("{low} to {high}", low=words.figure(level.low, 3), high=words.figure(level.high, 3))}
        for level in levels
    ]  # fmt: skip
    for row in rows:
        row |= {f"{name}_says": words.figure(row[field]) for field, name, _, _ in _LINES}
    shown = [line for line in _LINES if any(row[line[0]] is not None for row in rows)]
    marks = {"p50": "—", "p90": "- -", "p99": "···"}
    layers = heading(
        title_of(words, "itl_ms"), [(f"{marks[name]} {name}", f"{style}-label") for _, name, style, _ in shown]
    )
    for field, _, style, dash in shown:
        kept = [row for row in rows if row[field] is not None]
        mark = {"type": "line", "style": style, "strokeDash": dash}
        at = {"x": {"field": "x", **x}, "y": {"field": field, **y}, "tooltip": tip}
        point = {"type": "point", "style": style, "filled": True, "size": 40, "opacity": 1}
        layers += [
            {"data": {"values": kept}, "mark": mark, "encoding": {"x": at["x"], "y": at["y"]}},
            {"data": {"values": kept}, "mark": point, "encoding": at},
        ]
    return {"$schema": SCHEMA, **panel(layers, 180)}
