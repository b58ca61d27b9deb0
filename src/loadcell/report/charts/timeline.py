"""The course of a run: latencies, rates and requests in flight over one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadcell.metrics import Result
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.charts.pieces import (
    FIGURE,
    alone,
    axis,
    end_of,
    from_zero,
    heading,
    limit_of,
    ms,
    panel,
    short,
    span,
    time_axis,
    title_of,
    why_not,
    window_behind,
    zoom_hint,
    zoomed,
)
from loadcell.report.detail.model import Course, Detail, Timeline
from loadcell.report.words import Words

_HEIGHT = 84
_DASH = [5, 3]
_Row = dict[str, Any]


def timeline(result: Result, detail: Detail | None, words: Words) -> Chart:
    """Views of the whole run, the window shaded, failures marked in red."""
    title = words.say("Over time")
    line = None if detail is None else detail.timeline
    if line is None or not line.t_s:
        why = why_not(result, detail, words) or words.say("No request was sent.")
        return Chart(name="timeline", title=title, says="", alt="", spec=None, missing=why)
    says = words.say(
        "The whole run in steps of {step} s. Shaded is the window that counts; before it is warm-up, after it drain.",
        step=words.figure(line.step_s, 3),
    )  # fmt: skip
    says += " " + words.say("Pale bands reach from the fastest to the slowest of a step.")
    if any(line.failed):
        says += " " + words.say("Red marks are failures.")
    spec = zoomed(timeline_views(result, line, end_of(result, detail), words))
    of = ("ttft", "itl", "output_tokens_per_s") if result.methodology.spec.workload.generates else ("e2e",)
    return Chart(
        name="timeline", title=title, says=says, alt=_alt(result, line, words), spec=spec,
        terms=[*of, "requests_per_s", "concurrency"],
        hint=zoom_hint(words),
    )  # fmt: skip


def timeline_views(result: Result, line: Timeline, end_s: float, words: Words) -> list[Spec]:
    """TTFT, ITL, tokens, where there is no text E2E, requests and requests in flight; the first with the marks of
    failures."""
    text = result.methodology.spec.workload.generates
    courses = [name for name in ("ttft_ms", "itl_ms") if text and _any(line, name)]
    names = courses or [name for name in ("e2e_ms",) if _any(line, name)]
    made = [_latency_layers(line, name, limit_of(result, name), words) for name in names]
    made += [*([_tokens(line, words)] if text else []), _requests(line, words), _in_flight(result, line, words)]
    views = []
    for i, layers in enumerate(made):
        x = time_axis(end_s, words, last=i == len(made) - 1)
        behind = window_behind(result, x, words)
        above = _failures(line, words) if i == 0 else []
        placed = [behind | {"name": f"time{i}"}, *above, *layers]
        views.append(panel([_timed(layer, x) for layer in placed], _HEIGHT))
    return views


def _timed(layer: Spec, x: dict[str, Any]) -> Spec:
    """The layer with the shared time axis on its x channel."""
    at = layer.get("encoding", {}).get("x")
    return layer if at is None else layer | {"encoding": layer["encoding"] | {"x": {**x, **at}}}


def _any(line: Timeline, name: str) -> bool:
    course = line.latency.get(name)
    return course is not None and any(value is not None for value in course.max_ms)


def _steps(line: Timeline, **columns: Sequence[float | None]) -> list[_Row]:
    """A row a step, at its middle; steps in which nothing is known stay as gaps."""
    rows = []
    for i, start in enumerate(line.t_s):
        row = {name: short(values[i]) for name, values in columns.items()}
        rows.append({"t": short(start + line.step_s / 2), **row})
    return rows


def _at(field: str, y: dict[str, Any]) -> dict[str, Any]:
    return {"x": {"field": "t"}, "y": {"field": field, **y}}


def _hover(line: Timeline, rows: list[_Row], told: Sequence[tuple[str, str]], words: Words) -> Spec:
    """Unseen bars, one a step, that tell its figures."""
    half = line.step_s / 2
    columns = []
    for row in rows:
        place = {"a": short(row["t"] - half), "b": short(row["t"] + half), "t": words.figure(row["t"])}
        columns.append(place | {field: _figure(row[field], words) for field, _ in told})
    tip = [{"field": "t", "type": "nominal", "title": words.say("Time, s")}]
    tip += [{"field": field, "type": "nominal", "title": title} for field, title in told]
    return {
        "data": {"values": columns},
        "mark": {"type": "rect", "opacity": 0},
        "encoding": {"x": {"field": "a"}, "x2": {"field": "b"}, "tooltip": tip},
    }


def _figure(value: float | int | None, words: Words) -> str:
    """A count as one, anything else to four digits."""
    return words.figure(value, len(str(value))) if isinstance(value, int) else words.figure(value)


def _drawn(rows: list[_Row], field: str, y: dict[str, Any], style: str, *, dashed: bool = False) -> list[Spec]:
    """A line, broken where nothing is known, with points for steps that stand alone."""
    kept = [{"t": row["t"], field: row[field]} for row in rows]
    mark = {"type": "line", "style": style} | ({"strokeDash": _DASH} if dashed else {})
    layers: list[Spec] = [{"data": {"values": kept}, "mark": mark, "encoding": _at(field, y)}]
    lone = alone(rows, field)
    if lone:
        point = {"type": "point", "style": style, "filled": not dashed, "size": 14, "opacity": 0.9}
        values = [{"t": row["t"], field: row[field]} for row in lone]
        layers.append({"data": {"values": values}, "mark": point, "encoding": _at(field, y)})
    return layers


def _latency_layers(line: Timeline, name: str, limit: float | None, words: Words) -> list[Spec]:
    """Median and p99 of each step over a band from its smallest to its largest."""
    course: Course = line.latency[name]
    rows = _steps(line, low=course.min_ms, mid=course.p50_ms, top=course.p99_ms, high=course.max_ms)
    for row, n in zip(rows, course.n, strict=True):
        row["n"] = n
    near = limit if limit is not None and limit <= 2 * max(x for x in course.max_ms if x is not None) else None
    scale = span([*course.min_ms, *course.max_ms, near], room=0.08)
    if scale["type"] == "linear":
        scale = from_zero([*course.max_ms, near])
    y = {"type": "quantitative", "scale": scale, "axis": axis(scale, title=None)}
    has_p99 = any(value is not None for value in course.p99_ms)
    items = [("— p50", "one-label"), *([("-- p99", "two-label")] if has_p99 else [])]
    items.append((words.say("band: min to max"), "note"))
    if limit is not None:
        slo = words.say("SLO {limit}", limit=ms(words, limit))
        high = words.say("SLO {limit}, far above", limit=ms(words, limit))
        items.append((slo if near is not None else high, "limit-label"))
    told = [("mid", words.say("p50, ms")), ("top", words.say("p99, ms")), ("low", words.say("fastest, ms")),
            ("high", words.say("slowest, ms")), ("n", words.say("samples"))]  # fmt: skip
    layers = heading(title_of(words, name), items)
    known = [{key: row[key] for key in ("t", "low", "high")} for row in rows if row["low"] is not None]
    layers += _band(line, known, y)
    if near is not None:
        layers.append(_limit(near, y))
    layers += _drawn(rows, "mid", y, "one")
    if has_p99:
        layers += _drawn(rows, "top", y, "two-line", dashed=True)
    return [*layers, _hover(line, rows, told, words)]


def _band(line: Timeline, known: list[_Row], y: dict[str, Any]) -> list[Spec]:
    """A bar a step from smallest to largest: it needs no neighbour, unlike an area."""
    half = line.step_s / 2
    values = [{**row, "a": short(row["t"] - half), "b": short(row["t"] + half)} for row in known]
    encoding = {"x": {"field": "a"}, "x2": {"field": "b"}, "y": {"field": "low", **y}, "y2": {"field": "high"}}
    return [{"data": {"values": values}, "mark": {"type": "rect", "style": "band"}, "encoding": encoding}]


def _limit(limit: float, y: dict[str, Any]) -> Spec:
    at = {"y": {"field": "y", **y}}
    return {"data": {"values": [{"y": short(limit)}]}, "mark": {"type": "rule", "style": "limit"}, "encoding": at}


def _failures(line: Timeline, words: Words) -> list[Spec]:
    """A red mark at the top of the view for every step in which requests failed."""
    rows = [
        {"t": short(start + line.step_s / 2), "failed": count}
        for start, count in zip(line.t_s, line.failed, strict=True)
        if count
    ]
    tip = [
        {"field": "t", "type": "quantitative", "title": words.say("Time, s"), "format": FIGURE},
        {"field": "failed", "type": "quantitative", "title": words.say("Requests that failed"), "format": ","},
    ]
    mark = {"type": "point", "style": "bad", "shape": "triangle-down", "filled": True, "size": 60, "opacity": 1, "y": 1}
    return [{"data": {"values": rows}, "mark": mark, "encoding": {"x": {"field": "t"}, "tooltip": tip}}] if rows else []


def _tokens(line: Timeline, words: Words) -> list[Spec]:
    title = words.say("Output tokens/s")
    rows = _steps(line, v=line.output_tokens_per_s)
    if all(row["v"] is None for row in rows):
        return [
            *heading(title, [(words.say("not known: nobody counted the tokens"), "note")]),
            _hover(line, rows, (), words),
        ]
    scale = from_zero(line.output_tokens_per_s)
    y = {"type": "quantitative", "scale": scale, "axis": axis(scale, title=None)}
    return [*heading(title), *_drawn(rows, "v", y, "one"), _hover(line, rows, [("v", title)], words)]


def _requests(line: Timeline, words: Words) -> list[Spec]:
    rows = _steps(line, sent=line.arrivals_per_s, ok=line.ok_per_s)
    for row, failed in zip(rows, line.failed, strict=True):
        row["failed"] = failed
    scale = from_zero([*line.arrivals_per_s, *line.ok_per_s])
    y = {"type": "quantitative", "scale": scale, "axis": axis(scale, title=None)}
    sent, done = words.say("sent"), words.say("completed")
    told = [("sent", words.say("sent/s")), ("ok", words.say("completed/s")), ("failed", words.say("failed, requests"))]
    items = [(f"— {done}", "one-label"), (f"-- {sent}", "quiet-label")]
    return [
        *heading(words.say("Requests/s"), items),
        *_drawn(rows, "sent", y, "quiet-line", dashed=True),
        *_drawn(rows, "ok", y, "one"),
        _hover(line, rows, told, words),
    ]


def _in_flight(result: Result, line: Timeline, words: Words) -> list[Spec]:
    rows = _steps(line, v=line.in_flight)
    asked = result.concurrency.asked
    scale = from_zero([*line.in_flight, asked])
    y = {"type": "quantitative", "scale": scale, "axis": axis(scale, title=None)}
    title = words.say("Requests in flight")
    if asked is None:
        return [*heading(title), *_drawn(rows, "v", y, "one"), _hover(line, rows, [("v", title)], words)]
    says = (
        words.say("at most {n}", n=words.count(asked))
        if result.methodology.loop == "open"
        else words.say("{n} users", n=words.count(asked))
    )
    level = {"data": {"values": [{"y": asked}]}, "mark": {"type": "rule", "style": "threshold"},
             "encoding": {"y": {"field": "y", **y}}}  # fmt: skip
    layers = [*heading(title, [(f"··· {says}", "note")]), level]
    return [*layers, *_drawn(rows, "v", y, "one"), _hover(line, rows, [("v", title)], words)]


def _alt(result: Result, line: Timeline, words: Words) -> str:
    window = result.methodology.window
    told = [
        words.say(
            "The window that counts runs from {start} to {end} s.", start=words.figure(window.start_s, 3),
            end=words.figure(window.end_s, 3),
        )
    ]  # fmt: skip
    flying = [value for value in line.in_flight if value is not None]
    if flying:
        told.append(
            words.say(
                "On average over a step, {most} requests were in flight at most.", most=words.figure(max(flying), 3)
            )
        )
    failed = sum(line.failed)
    if failed:
        told.append(words.say("{n} requests failed.", n=words.count(failed)))
    course = line.latency.get("ttft_ms")
    medians = [value for value in course.p50_ms if value is not None] if course else []
    if medians:
        told.append(
            words.say(
                "The median TTFT of a step lies between {low} and {high}.", low=ms(words, min(medians)),
                high=ms(words, max(medians)),
            )
        )  # fmt: skip
    return " ".join(told)
