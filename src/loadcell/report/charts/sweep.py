"""The charts of a sweep, in the order of its page."""

from __future__ import annotations

from loadcell.report.charts.model import Chart
from loadcell.report.charts.stages import axis_of
from loadcell.report.charts.sweep_latency import latency, trade
from loadcell.report.charts.sweep_server import server
from loadcell.report.charts.sweep_slo import attainment, in_time
from loadcell.report.charts.sweep_throughput import front, throughput
from loadcell.report.words import Words
from loadcell.search.model import Sweep


def sweep_charts(sweep: Sweep, words: Words) -> list[Chart]:
    """Charts of a sweep or a search; a chart without a spec says what is missing."""
    axis, generates = axis_of(sweep, words), sweep.plan.spec.workload.generates  # else there are no tokens to trade
    made = [
        attainment(sweep, axis, words),
        in_time(sweep, axis, words) if sweep.found is not None else None,
        latency(sweep, axis, words),
        throughput(sweep, axis, words),
        trade(sweep, axis, words) if generates else None,
        front(sweep, axis, words) if generates else None,
        server(sweep, axis, words),
    ]
    return [chart for chart in made if chart is not None]
