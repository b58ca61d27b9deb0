"""The percentile ladder: every latency from its median to its maximum, with intervals."""

from __future__ import annotations

from typing import Any

from loadcell.metrics import Estimate, Result, Summary
from loadcell.metrics.glossary import COMPARED
from loadcell.report.charts.model import WIDTH, Chart, Spec
from loadcell.report.charts.pieces import (
    heading,
    limit_of,
    log_ticks,
    ms,
    no_latency,
    short,
    stack,
    summary_of,
    title_of,
    with_interval,
)
from loadcell.report.text import bound_digits, ends, estimate_text, grouped
from loadcell.report.words import Words

_ROW = 17
_RUNGS = ("p50", "p90", "p95", "p99", "p99.9")


def ladder(result: Result, words: Words) -> Chart:
    """One view a latency, one row a percentile, all on one logarithmic axis."""
    title = words.say("Percentile ladder")
    known = {name: summary for name in COMPARED if (summary := summary_of(result, name)) is not None}
    if not known:
        why = no_latency(words)
        return Chart(name="ladder", title=title, says="", alt="", spec=None, missing=why)
    says = words.say(
        "Each point is a percentile, the bar through it its 95 % interval, the diamond the maximum. "
        "The scale is logarithmic: equal distances are equal ratios."
    )
    alt = "; ".join(
        f"{title_of(words, name)}: "
        + ", ".join(f"{rung} {_words(estimate, words)}" for rung, estimate in rungs(summary))
        for name, summary in known.items()
    )
    figures = [x for name, summary in known.items() for x in _drawn(summary)]
    limits = [x for name in known if (x := limit_of(result, name)) is not None]
    reach = max(figures, default=1.0)
    domain = [min(figures, default=1.0) / 1.25, max([reach, *(x for x in limits if x <= 4 * reach)]) * 1.6]
    scale = {"type": "log", "domain": [short(x) for x in domain], "nice": False}
    views = [
        _view(name, summary, limit_of(result, name), scale, words, last=i == len(known) - 1)
        for i, (name, summary) in enumerate(known.items())
    ]
    terms = [name.removesuffix("_ms") for name in known]
    return Chart(name="ladder", title=title, says=says, alt=alt, spec=stack(views), terms=terms)


def rungs(summary: Summary) -> list[tuple[str, Estimate]]:
    """The percentiles of a distribution by name, lowest first."""
    return list(zip(_RUNGS, (summary.p50, summary.p90, summary.p95, summary.p99, summary.p99_9), strict=True))


def _drawn(summary: Summary) -> list[float]:
    told = [x for _, one in rungs(summary) for x in (one.value, one.low, one.high)] + [summary.max]
    return [x for x in told if x is not None and x > 0]


def _words(estimate: Estimate, words: Words) -> str:
    """A percentile in words, or why there is none."""
    if estimate.value is not None:
        value, mark, _ = estimate_text(estimate)
        shown = words.number(grouped(value))
        if estimate.low is not None and estimate.high is not None:
            low, high = map(words.number, ends(estimate.low, estimate.high))
            return words.say("{value} ms [{low}, {high}]", value=shown, low=low, high=high)
        if estimate.low is not None and estimate.open:
            low = words.figure(estimate.low, bound_digits(estimate.low, estimate.value))
            return words.say("{value} ms, at least {low}, open above", value=f"{shown}{mark}", low=low)
        return ms(words, estimate.value)
    if estimate.withheld is not None:
        return words.say("withheld")
    if estimate.needs is not None:
        return words.say("too few samples: needs {n}", n=words.count(estimate.needs))
    return words.say("unknown")


def _view(name: str, summary: Summary, limit: float | None, scale: dict[str, Any], words: Words, *, last: bool) -> Spec:
    top = words.say("max")
    order = [*_RUNGS, top]
    rows: list[dict[str, Any]] = []
    for rung, estimate in rungs(summary):
        row = {"rung": rung, "says": _words(estimate, words), "n": summary.n}
        row |= {"x": short(estimate.value), "low": short(estimate.low), "high": short(estimate.high)}
        rows.append(row)
    if summary.max is not None:
        rows.append({"rung": top, "says": ms(words, summary.max), "x": short(summary.max), "n": summary.n})
    x_axis: dict[str, Any] = {
        "title": words.say("ms, logarithmic") if last else None,
        "labels": last,
        "ticks": last,
        "grid": True,
    }
    x_axis["values"] = log_ticks(*scale["domain"])
    x = {"type": "quantitative", "scale": scale, "axis": x_axis}
    y: dict[str, Any] = {"field": "rung", "type": "nominal", "sort": order, "title": None, "axis": {"labelPadding": 6}}
    y["scale"] = {"domain": order}
    tip = [
        {"field": "rung", "type": "nominal", "title": words.metric(name.removesuffix("_ms")).title},
        {"field": "says", "type": "nominal", "title": with_interval(words)},
        {"field": "n", "type": "quantitative", "title": words.say("Samples"), "format": ","},
    ]

    def of(*kept: dict[str, Any]) -> dict[str, Any]:
        return {"data": {"values": list(kept)}}

    known = [row for row in rows if row.get("x") is not None and row["x"] > 0]
    slo = [] if limit is None else [(words.say("SLO {limit}", limit=ms(words, limit)), "limit-label")]
    layers: list[Spec] = heading(title_of(words, name), slo)
    if limit is not None and limit <= scale["domain"][1]:
        layers.append({
            "data": {"values": [{"x": short(limit), "says": ms(words, limit)}]},
            "mark": {"type": "rule", "style": "limit"},
            "encoding": {"x": {"field": "x", **x}, "tooltip": [{"field": "says", "title": words.say("SLO limit")}]},
        })  # fmt: skip
    layers += [
        {
            **of(*(row for row in known if row.get("low") is not None and row.get("high") is not None)),
            "mark": {"type": "rule", "style": "interval", "strokeWidth": 5, "strokeCap": "round", "opacity": 0.3},
            "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, "y": y, "tooltip": tip},
        },
        {
            **of(*(row for row in known if row["rung"] != top)),
            "mark": {"type": "point", "style": "one", "filled": True, "size": 46, "opacity": 1},
            "encoding": {"x": {"field": "x", **x}, "y": y, "tooltip": tip},
        },
        {
            **of(*(row for row in known if row["rung"] == top)),
            "mark": {"type": "point", "style": "one", "shape": "diamond", "filled": False, "size": 46},
            "encoding": {"x": {"field": "x", **x}, "y": y, "tooltip": tip},
        },
        _labels(known, scale, x, y, right=False),
        _labels(known, scale, x, y, right=True),
        {
            **of(*(row for row in rows if row not in known)),
            "mark": {"type": "text", "style": "note", "align": "left", "x": 6},
            "encoding": {"y": y, "text": {"field": "says", "type": "nominal"}},
        },
    ]
    return {"width": WIDTH, "height": _ROW * len(order), "layer": layers}


def _labels(known: list[dict[str, Any]], scale: dict[str, Any], x: Any, y: Any, *, right: bool) -> Spec:
    """The figures on that side of the points where there is room for them."""
    low, high = scale["domain"]

    def is_right(row: dict[str, Any]) -> bool:
        return bool(row["x"] < (low * high) ** 0.5)

    kept = [row for row in known if is_right(row) == right]
    end = "high" if right else "low"
    values = [{**row, "end": row.get(end) or row["x"]} for row in kept]
    return {
        "data": {"values": values},
        "mark": {"type": "text", "style": "label", "align": "left" if right else "right", "dx": 9 if right else -9},
        "encoding": {"x": {"field": "end", **x}, "y": y, "text": {"field": "says", "type": "nominal"}},
    }
