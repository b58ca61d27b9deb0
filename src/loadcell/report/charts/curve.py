"""A curve over concurrency: what the system gives in all against what one user gets, as steps."""

from __future__ import annotations

from loadcell.mlperf.curve.model import Curve, PointRun
from loadcell.mlperf.model import UNVERIFIED
from loadcell.report.charts.drawing import Row, dots, line, only, tip, view, y_of
from loadcell.report.charts.model import Chart
from loadcell.report.charts.pieces import short, span, stack
from loadcell.report.text import figure

TITLE = f"Tokens/s of the system against those of a user, {UNVERIFIED}"
_NAME = "system-tps-by-user-tps"


def curve_chart(curve: Curve) -> Chart:
    """The steps of the points that none beats in both figures, and the other points beside them; in English."""
    rows = [row for i, one in enumerate(curve.points) if (row := _row(one, on=i in curve.steps)) is not None]
    if not rows:
        return Chart(
            name=_NAME, title=TITLE, says="", alt="", spec=None, missing="No point has both figures: nothing to draw."
        )
    x = {
        "field": "user",
        "type": "quantitative",
        "scale": span([row["user"] for row in rows], room=0.12),
        "axis": {"title": "Tokens/s a user (1000 / p90 TPOT in ms)"},
    }
    y = y_of([0.0, *(row["value"] for row in rows)])
    place = {"x": x, "y": y}
    marks = place | {
        "tooltip": tip(
            ("at", "Concurrency"), ("sees", "Tokens/s a user"), ("shown", "Tokens/s in all"), ("ttft", "TTFT p90, ms"),
            ("steady", "Steady state"),
        )
    }  # fmt: skip
    label = {"type": "text", "style": "label", "align": "left", "dx": 8, "dy": -8}
    layers = [
        {"transform": only("on", True), **line(place, interpolate="step-before")},
        {"transform": only("on", False), **dots(marks, "quiet")},
        {"transform": only("on", True), **dots(marks, "one", size=80)},
        {"mark": label, "encoding": place | {"text": {"field": "at", "type": "nominal"}}},
    ]
    return Chart(
        name=_NAME,
        title=TITLE,
        says="Up and to the right is better; the numbers are users at once. On the line: points that none beats in "
        "both figures. The grey ones are beaten, or drift and have no single figure. Between two points nothing was "
        "measured.",
        alt="; ".join(f"{row['at']} users: {row['shown']} tokens/s in all, {row['sees']} a user" for row in rows),
        spec=stack([view("Output tokens/s of the system, unverified", layers, rows, 300)]),
    )


def _row(one: PointRun, *, on: bool) -> Row | None:
    point = one.point
    if point.system_tps is None or point.tps_per_user is None:
        return None
    return {
        "user": short(point.tps_per_user),
        "value": short(point.system_tps),
        "on": on,
        "at": f"{point.concurrency}" + (" (Offline)" if point.offline == "dedicated" else ""),
        "sees": figure(point.tps_per_user),
        "shown": figure(point.system_tps),
        "ttft": figure(point.ttft_p90_ms),
        "steady": "at once" if point.steady is None else point.steady.verdict,
    }
