"""One picture of a run: verdict, headline figures, distributions and course; for a slide."""

from __future__ import annotations

from typing import Any

from loadcell.metrics import Estimate, Result
from loadcell.metrics.glossary import COMPARED
from loadcell.metrics.varying import replays
from loadcell.report.charts.ecdf import ecdf_view
from loadcell.report.charts.model import SCHEMA, Chart, Spec
from loadcell.report.charts.pieces import end_of, summary_of
from loadcell.report.charts.timeline import timeline_views
from loadcell.report.detail.model import Detail
from loadcell.report.text import ends, plain
from loadcell.report.words import Words

_COLUMN = 470
_BETWEEN = 70
_HEIGHT = 118
_VERDICTS = {"VALID": "good", "SUSPECT": "doubt", "INVALID": "bad"}


def overview_chart(result: Result, detail: Detail | None, words: Words) -> Chart:
    """For images only: its views are not as wide as those of other charts, and a page says all of it in words."""
    head = _head(result, words)
    left: list[Spec] = []
    right: list[Spec] = []
    if detail is not None:
        known = [name for name in COMPARED if name in detail.ecdf and detail.ecdf[name].x_ms]
        left = [ecdf_view(result, name, detail.ecdf[name], words) for name in known]
    if detail is not None and detail.timeline is not None and detail.timeline.t_s:
        right = timeline_views(result, detail.timeline, end_of(result, detail), words)
    columns = [_column(views) for views in (left, right) if views]
    below = [{"hconcat": columns, "spacing": 36}] if columns else []
    spec = {"$schema": SCHEMA, "vconcat": [head, *below], "spacing": 26}
    title = words.say("Overview")
    told = "; ".join(f"{label} {value} {note}" for value, label, note in _figures(result, words))
    return Chart(name="overview", title=title, says="", alt=f"{words.say(result.verdict.word)}. {told}", spec=spec)


def _column(views: list[Spec]) -> Spec:
    height = max(60, round(620 / len(views)) - 52)
    return {"vconcat": [view | {"width": _COLUMN, "height": height} for view in views], "spacing": 14}


def _head(result: Result, words: Words) -> Spec:
    endpoint, effective = result.methodology.spec.endpoint, result.methodology.effective
    model = plain(effective.get("model") or endpoint.model or endpoint.url, 60)
    word = result.verdict.word
    day = plain(result.run.started_at, 40).replace("T", " ")[:16]
    layers = [
        _text(model, "heading", 0, 0, fontSize=20),
        _text(f"{_load(result, words)} · {day}", "note", 0, 26, fontSize=12),
        _text(words.say(word), f"{_VERDICTS[word]}-label", _COLUMN * 2 + _BETWEEN, 0, fontSize=20, align="right"),
    ]  # fmt: skip
    reason = result.verdict.reasons[0] if result.verdict.reasons else ""
    if reason:
        says = plain(words.say(reason), 110)
        layers.append(_text(says, "note", _COLUMN * 2 + _BETWEEN, 26, fontSize=11, align="right"))
    figures = _figures(result, words)
    step = (_COLUMN * 2 + _BETWEEN) / max(len(figures), 1)
    for i, (value, label, note) in enumerate(figures):
        x = round(i * step)
        layers += [_text(value, "heading", x, 58, fontSize=27), _text(label, "label", x, 92, fontSize=12)]
        layers += [_text(note, "note", x, 108)] if note else []
    return {"width": _COLUMN * 2 + _BETWEEN, "height": _HEIGHT, "layer": layers}


def _text(text: str, style: str, x: int, y: int, **mark: Any) -> Spec:
    return {
        "data": {"values": [{"says": text}]},
        "mark": {"type": "text", "style": style, "align": "left", "baseline": "top", "x": x, "y": y, **mark},
        "encoding": {"text": {"field": "says", "type": "nominal"}},
    }


def _load(result: Result, words: Words) -> str:
    load = result.methodology.spec.load
    if result.methodology.loop == "open" and result.methodology.spec.agent.any:
        return words.say("open loop, {rate} tasks/s", rate=words.figure(load.rate, 3))
    if result.methodology.loop == "open" and result.methodology.spec.sessions.any:
        return words.say("open loop, {rate} sessions/s", rate=words.figure(load.rate, 3))
    if replays(result.methodology.loop, result.methodology.effective):
        return words.say("open loop, a trace")
    if result.methodology.loop == "open":
        return words.say("open loop, {rate} requests/s", rate=words.figure(load.rate, 3))
    return words.say("closed loop, {users} users", users=words.count(load.concurrency or 1))


def _figures(result: Result, words: Words) -> list[tuple[str, str, str]]:
    """Value, label and interval of the figures that people ask for first; those that are known."""
    told: list[tuple[str, str, str]] = []
    for name, rung in (("ttft_ms", "p50"), ("ttft_ms", "p99"), ("tpot_ms", "p50"), ("e2e_ms", "p99")):
        summary = summary_of(result, name)
        estimate: Estimate | None = None if summary is None else getattr(summary, rung)
        if estimate is not None and estimate.value is not None:
            title = words.metric(name.removesuffix("_ms")).title
            told.append((words.figure(estimate.value, 3), f"{title} {rung}, ms", _between(estimate, words)))
    rate = result.throughput.output_tokens_per_s
    if rate is not None:
        one = result.throughput.output_tokens_interval
        told.append((words.figure(rate, 3), words.say("output tokens/s"), "" if one is None else _between(one, words)))
    if result.goodput is not None and result.goodput.attainment.value is not None:
        attained = result.goodput.attainment
        note = words.say("{low} to {high}", low=words.percent(attained.low), high=words.percent(attained.high))
        told.append((words.percent(attained.value), words.say("within the SLO"), note))
    return told


def _between(one: Any, words: Words) -> str:
    if one.low is not None and one.high is None:
        return words.say("at least {low}, open above", low=words.figure(one.low, 3))
    if one.low is None or one.high is None:
        return ""
    low, high = map(words.number, ends(one.low, one.high))
    return words.say("{low} to {high}", low=low, high=high)
