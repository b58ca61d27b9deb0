"""The charts of one run, in page order."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Result
from loadcell.metrics.imported import placed
from loadcell.report.charts.drivers import itl_by_concurrency, ttft_by_input
from loadcell.report.charts.ecdf import ecdf
from loadcell.report.charts.ladder import ladder
from loadcell.report.charts.model import Chart
from loadcell.report.charts.parts import time_parts
from loadcell.report.charts.server import server
from loadcell.report.charts.stalls import stalls
from loadcell.report.charts.timeline import timeline
from loadcell.report.charts.turns import ttft_by_turn
from loadcell.report.detail.model import Detail
from loadcell.report.words import Words


def run_charts(result: Result, detail: Detail | None, words: Words) -> list[Chart]:
    """time-parts, ladder, ecdf, timeline, ttft-by-input, itl-by-concurrency, stalls and server: always all of them, but
    for those of first tokens and gaps where the API generates nothing; and ttft-by-turn, where there are sessions.

    Without a `detail` (a saved Result) those that need the recording say so. Of an import without send times those of
    its course are left out, of one without requests all of them.
    """
    found = list(_all(result, detail, words))
    if result.imported is None:
        return found
    if not result.imported.details:
        return []
    return found if placed(result.imported) else [chart for chart in found if chart.name not in _OVER_TIME]


_OVER_TIME = frozenset(("timeline", "itl-by-concurrency", "stalls", "server"))


def _all(result: Result, detail: Detail | None, words: Words) -> list[Chart]:
    return [
        time_parts(result, detail, words),
        ladder(result, words),
        ecdf(result, detail, words),
        timeline(result, detail, words),
        *(_of_output(result, detail, words) if result.methodology.spec.workload.generates else ()),
        server(result, detail, words),
        *([turns] if (turns := ttft_by_turn(result, words)) is not None else []),
    ]


def _of_output(result: Result, detail: Detail | None, words: Words) -> Iterator[Chart]:
    yield ttft_by_input(result, detail, words)
    yield itl_by_concurrency(result, detail, words)
    yield stalls(result, detail, words)
