"""What the server and its machine told during a sweep."""

from __future__ import annotations

from loadcell.report.charts.drawing import Row, dots, tip, view, y_of
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.charts.pieces import stack
from loadcell.report.charts.stages import Axis, about, colours, figure, figures, joined, x_encoding
from loadcell.report.words import Words
from loadcell.search.model import Point, Sweep


def server(sweep: Sweep, axis: Axis, words: Words) -> Chart | None:
    """Means of what the server and its machine told, a view each; None where nobody told anything."""
    known: dict[str, list[Row]] = {}
    names = server_names(words)
    for name, (_, share) in names.items():

        def mean(point: Point, name: str = name) -> Row | None:
            return figure(point.server.get(name))

        drawn = figures(sweep, axis, words, mean, share=share)
        if drawn:
            known[name] = drawn
    if not known:
        return None
    last = list(known)[-1]
    views = [_view(axis, words, *names[name], drawn, last=name == last) for name, drawn in known.items()]
    return Chart(
        name="server-by-load",
        title=words.say("The server by load"),
        says=words.say("Means over each stage, as the server and its machine told them."),
        alt=words.say("Means by load of: {names}.", names=", ".join(names[name][0] for name in known)),
        spec=stack(views, spacing=30),
    )


def server_names(words: Words) -> dict[str, tuple[str, bool]]:
    """Series of the server that are shown, in this order: title, and whether they are shares."""
    return {
        "requests_running": (words.say("Running requests"), False),
        "requests_waiting": (words.say("Waiting requests"), False),
        "kv_cache_use": (words.say("KV cache in use"), True),
        "prefix_cache_hit_share": (words.say("Prefix cache hits"), True),
        "preemptions": (words.say("Preempted/s"), False),
        "gpu_use": (words.say("GPU use"), True),
        "gpu_power_watts": (words.say("GPU power, W"), False),
        "client_cpu_share": (words.say("Client CPU"), True),
        "cpu_share": (words.say("CPU of the client's machine"), True),
    }


def _view(axis: Axis, words: Words, title: str, share: bool, drawn: list[Row], *, last: bool) -> Spec:
    style = {"format": "~%"} if share else {}
    y = y_of([0.0, *(row["value"] for row in drawn)], tickCount=3, **style)
    place = {"x": x_encoding(axis, words, last=last), "y": y, **colours(axis)}
    lines = [joined(place)] if axis.field else []
    return view(title, [*lines, dots(place | {"tooltip": tip(*about(words, ("shown", title)))})], drawn, 64)
