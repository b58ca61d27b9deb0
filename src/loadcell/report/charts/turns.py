"""TTFT by turn: what it costs that sessions grow."""

from __future__ import annotations

from typing import Any

from loadcell.metrics import Result, Summary
from loadcell.metrics.model import Turn
from loadcell.report.charts.model import WIDTH, Chart, Spec
from loadcell.report.charts.pieces import axis, ms, short, span, title_of, with_interval
from loadcell.report.text import ends
from loadcell.report.words import Words

_SHOWN = ("p50", "p90")
_HEIGHT = 180


def ttft_by_turn(result: Result, words: Words) -> Chart | None:
    """The median and p90 of each turn, with their intervals; None without turns to set beside each other."""
    found = result.sessions
    if found is None or found.deepest < 2:
        return None
    title = words.say("TTFT by turn")
    rows = [row for one in found.by_turn for row in _rows(one, words)]
    if not rows:
        return Chart(name="ttft-by-turn", title=title, says="", alt="", spec=None,
                     missing=words.say("No turn has enough replies for a median."))  # fmt: skip
    says = words.say(
        "Points are percentiles, bars their 95 % intervals. A turn carries all that was said before it: where it is "
        "slower than the one before, more of that was read again than came from a cache."
    )
    alt = "; ".join(f"{row['turn']} {row['of']}: {row['says']}" for row in rows)
    return Chart(name="ttft-by-turn", title=title, says=says, alt=alt, spec=_drawn(rows, words), terms=["ttft"])


def turn_name(one: Turn) -> str:
    """Its number, or the first and the last of several."""
    return str(one.first) if one.first == one.last else f"{one.first}\N{EN DASH}{one.last}"


def _rows(one: Turn, words: Words) -> list[dict[str, Any]]:
    latency = one.latency.get("ttft_ms")
    if latency is None:
        return []
    summary: Summary = latency.response or latency.service
    rows = []
    for name in _SHOWN:
        estimate = getattr(summary, name)
        if estimate.value is None:
            continue
        row: dict[str, Any] = {"turn": turn_name(one), "of": name, "x": short(estimate.value), "n": summary.n}
        says = ms(words, estimate.value)
        if estimate.low is not None and estimate.high is not None:
            row |= {"low": short(estimate.low), "high": short(estimate.high)}
            says = f"{says} {words.interval(*map(words.number, ends(estimate.low, estimate.high)))}"
        rows.append(row | {"says": says})
    return rows


def _drawn(rows: list[dict[str, Any]], words: Words) -> Spec:
    scale = span(value for row in rows for value in (row["x"], row.get("low"), row.get("high")))
    order = list(dict.fromkeys(row["turn"] for row in rows))
    x = {"field": "turn", "type": "nominal", "sort": order, "title": words.say("Turn"), "axis": {"labelAngle": 0}}
    y = {"type": "quantitative", "scale": scale, "axis": axis(scale, title=title_of(words, "ttft_ms"), grid=True)}
    tip = [
        {"field": "turn", "type": "nominal", "title": words.say("Turn")},
        {"field": "of", "type": "nominal", "title": words.metric("ttft").title},
        {"field": "says", "type": "nominal", "title": with_interval(words)},
        {"field": "n", "type": "quantitative", "title": words.say("Samples"), "format": ","},
    ]

    def layers(name: str, *, filled: bool) -> list[Spec]:
        of = [row for row in rows if row["of"] == name]
        return [
            {
                "data": {"values": [row for row in of if "low" in row]},
                "mark": {"type": "rule", "style": "interval", "strokeWidth": 5, "strokeCap": "round", "opacity": 0.3},
                "encoding": {"x": x, "y": {"field": "low", **y}, "y2": {"field": "high"}, "tooltip": tip},
            },
            {
                "data": {"values": of},
                "mark": {"type": "point", "style": "one", "filled": filled, "size": 46, "opacity": 1},
                "encoding": {"x": x, "y": {"field": "x", **y}, "tooltip": tip},
            },
            {
                "data": {"values": of[-1:]},
                "mark": {"type": "text", "style": "note", "align": "left", "dx": 8},
                "encoding": {"x": x, "y": {"field": "x", **y}, "text": {"field": "of", "type": "nominal"}},
            },
        ]

    return {"width": WIDTH, "height": _HEIGHT, "layer": [*layers("p50", filled=True), *layers("p90", filled=False)]}
