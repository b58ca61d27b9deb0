"""What the server, its GPUs and this machine told while the load ran, on the time axis of the run."""

from __future__ import annotations

from typing import Any

from loadcell.metrics import Result, Series
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.charts.pieces import (
    FIGURE,
    alone,
    axis,
    end_of,
    from_zero,
    heading,
    panel,
    short,
    time_axis,
    window_behind,
    zoom_hint,
    zoomed,
)
from loadcell.report.detail.model import Detail
from loadcell.report.text import plain
from loadcell.report.words import Words

_HEIGHT = 72
_VIEWS = (
    ("requests_running", "requests_waiting", "gateway_queue"),
    ("kv_cache_use", "kv_cache_use_max", "prefix_cache_hit_share"),
    ("preemptions",),
    ("output_tokens",),
    ("prompt_tokens",),
    ("gpu_use", "gpu_memory_use"),
    ("gpu_power_watts",),
    ("gpu_temperature_celsius",),
    ("gpu_clock_hertz",),
    ("cpu_share", "core_share_max", "memory_share"),
)
"""Series of like meaning and unit that share a view, in page order; others have one each, after these."""
_LEFT_OUT = ("prefix_cache_hits", "prefix_cache_queries", "requests_finished", "gpu_energy_joules", "load_1m")
"""They say again what others say."""
_STYLES = (("one", [1, 0], "—"), ("two", [6, 3], "- -"), ("three", [2, 2], "···"))
_MOST = 14
"""Views, at most."""


def server(result: Result, detail: Detail | None, words: Words) -> Chart:
    """One view a unit and meaning; where nobody told anything the lines are broken."""
    title = words.say("What the server told")
    seen = {} if result.observed is None else result.observed.series
    drawn = {name: one for name, one in seen.items() if any(value is not None for value in one.values)}
    groups = _groups(drawn)
    if not groups:
        why = words.say("Nothing was watched beside the load, or nothing that was watched could be read.")
        return Chart(name="server", title=title, says="", alt="", spec=None, missing=why)
    shown = groups[:_MOST]
    end_s = end_of(result, detail)
    views = [_view(result, group, drawn, end_s, words, i, last=i == len(shown) - 1) for i, group in enumerate(shown)]
    says = words.say(
        "As told by the server, its GPUs and this machine while the load ran, on the time axis of the run. A broken "
        "line is a time of which nobody told."
    )
    if len(groups) > _MOST:
        says += " " + words.say(
            "{n} more series are not drawn.", n=words.count(sum(len(group) for group in groups[_MOST:]))
        )
    told = [_told(drawn[name], words) for group in shown for name in group]
    return Chart(
        name="server", title=title, says=says, alt="; ".join(text for text in told if text), spec=zoomed(views),
        hint=zoom_hint(words),
    )  # fmt: skip


def _groups(drawn: dict[str, Series]) -> list[list[str]]:
    named = {name for names in _VIEWS for name in names} | set(_LEFT_OUT)
    known = [[name for name in names if name in drawn] for names in _VIEWS]
    known = [[name for name in names if not _flat_zero(drawn[name], name)] for names in known]
    return [names for names in known if names] + [[name] for name in drawn if name not in named]


def _flat_zero(one: Series, name: str) -> bool:
    """Preemptions that never came are no picture."""
    return name == "preemptions" and not any(one.values)


def _unit(one: Series, words: Words) -> str:
    """The unit as drawn: shares in percent, counters a second, clocks in GHz."""
    if one.unit == "share":
        return "%"
    if one.unit == "Hz":
        return "GHz"
    unit = plain(words.say(one.unit), 40)
    return words.say("{unit}/s", unit=unit) if one.kind == "rate" and not unit.endswith("/s") else unit


def _factor(one: Series) -> float:
    return {"share": 100.0, "Hz": 1e-9}.get(one.unit, 1.0)


def _name(one: Series, words: Words) -> str:
    return plain(words.say(one.title), 60)


def _told(one: Series, words: Words) -> str:
    if one.mean is None:
        return ""
    return words.say(
        "{name}: mean {mean}, at most {most} {unit}", name=_name(one, words),
        mean=words.figure(one.mean * _factor(one), 3), most=words.figure(_most(one), 3), unit=_unit(one, words),
    )  # fmt: skip


def _most(one: Series) -> float | None:
    return None if one.max is None else one.max * _factor(one)


def _view(
    result: Result, group: list[str], drawn: dict[str, Series], end_s: float, words: Words, number: int, *, last: bool
) -> Spec:
    x = time_axis(end_s, words, last=last)
    many = [drawn[name] for name in group]
    known = [value * _factor(one) for one in many for value in one.values if value is not None]
    scale = from_zero(known)
    if many[0].unit == "share" and max(known) > 50:
        scale = {"type": "linear", "domain": [0, 105], "nice": False}
    ticks = {"values": [0, 50, 100]} if scale["domain"][1] == 105 else {"tickCount": 3}
    y = {"type": "quantitative", "scale": scale, "axis": axis(scale, title=None, **ticks)}
    title = f"{_name(many[0], words)}, {_unit(many[0], words)}"
    items: list[tuple[str, str]] = []
    if len(many) > 1:
        title = _together(group, words) or title
        named = zip(many, _STYLES, strict=False)
        items = [(f"{glyph} {_name(one, words)}", f"{style}-label") for one, (style, _, glyph) in named]
    layers: list[Spec] = [window_behind(result, x, words) | {"name": f"time{number}"}, *heading(title, items)]
    for one, (style, dash, _) in zip(many, _STYLES, strict=False):
        layers += _line(one, style, dash, x, y, words)
    return panel(layers, _HEIGHT)


def _together(group: list[str], words: Words) -> str | None:
    """What series that share a view have in common, with their unit."""
    titles = {
        "requests_running": words.say("Requests in the server"),
        "kv_cache_use": words.say("Caches, %"),
        "gpu_use": words.say("GPUs, %"),
        "cpu_share": words.say("This machine, %"),
    }
    members = next((names for names in _VIEWS if group[0] in names), ())
    return titles.get(members[0]) if members else None


def _line(one: Series, style: str, dash: list[int], x: Any, y: Any, words: Words) -> list[Spec]:
    factor = _factor(one)
    rows = [
        {"t": short(t), "v": None if value is None else short(value * factor)}
        for t, value in zip(one.t_s, one.values, strict=True)
    ]
    tip = [
        {"field": "t", "type": "quantitative", "title": words.say("Time, s"), "format": FIGURE},
        {"field": "v", "type": "quantitative", "title": f"{_name(one, words)}, {_unit(one, words)}", "format": FIGURE},
    ]
    at = {"x": {"field": "t", **x}, "y": {"field": "v", **y}}
    point = {"type": "point", "style": style, "filled": True, "opacity": 1, "size": 14}
    return [
        {
            "data": {"values": rows},
            "layer": [
                {"mark": {"type": "line", "style": style, "strokeDash": dash}, "encoding": at},
                {"mark": point | {"size": 90, "opacity": 0}, "encoding": at | {"tooltip": tip}},
            ],
        },
        *([{"data": {"values": lone}, "mark": point, "encoding": at}] if (lone := alone(rows, "v")) else []),
    ]
