"""The page of a run."""

from __future__ import annotations

from loadcell.metrics import Result, word_of
from loadcell.report.charts.model import Chart
from loadcell.report.detail.model import Detail
from loadcell.report.page import audit, latencies, method, overview
from loadcell.report.page.render import render
from loadcell.report.words import Words

_SHOWN_AT_FIRST = 3
"""Reasons of the verdict on the first screen."""
_WORST_SHOWN = 10
_FAILURES = 40


def run_page(result: Result, detail: Detail | None, words: Words, *, source: str = "") -> str:
    """One HTML file that tells a run to a person who was not there: it needs no network and no other file.

    `detail` is None where there is a Result but no recording: then distributions are missing, and the page says so.
    `source` names the folder or file in the commands that are shown.
    """
    from loadcell.report.charts import run_charts

    charts = run_charts(result, detail, words)
    return render(
        "run.html",
        words,
        charts,
        result=result,
        detail=detail,
        word=word_of(result),
        **_overview(result, words),
        **_figures(result, words),
        **_audit(result, words),
        **_method(result, words, source),
        **_drawn(charts, detail),
    )


def _overview(result: Result, words: Words) -> dict[str, object]:
    found = overview.findings(result)
    spec = result.methodology.spec
    return {
        "model": overview.model_of(result),
        "url": spec.get("endpoint", {}).get("url", ""),
        "streamed": spec.get("endpoint", {}).get("stream", True),
        "api": spec.get("endpoint", {}).get("api", ""),
        "load": overview.load_words(result, words),
        "workload": overview.workload_words(result, words),
        "state": overview.state_words(result, words),
        "verdict_says": overview.verdict_words(result, words),
        "findings": found[:_SHOWN_AT_FIRST],
        "more": max(0, len(found) - _SHOWN_AT_FIRST),
        "tiles": overview.tiles(result, words),
        "bars": overview.bars(result, words),
        "slo_says": overview.slo_answer(result, words),
    }


def _figures(result: Result, words: Words) -> dict[str, object]:
    return {
        "rows": latencies.latency_rows(result.latency, words),
        "shown": list(latencies.percentile_names(result.latency).values()),
        "with_failures": latencies.with_failures(result, words),
        "bounds": latencies.bounds(result, words),
        "rates": latencies.rate_rows(result, words),
        "user_rates": latencies.user_rates(result, words),
        "whole": latencies.whole_rows(result, words),
        "outside": latencies.outside_words(result, words),
        "whole_shown": list(latencies.percentile_names(result.whole_run.latency).values()) if result.whole_run else [],
        "server": latencies.server_rows(result, words),
        "bottleneck": result.bottleneck or "",
        "server_caption": latencies.server_caption(result, words),
        "token_gap": latencies.token_gap(result, words),
        "server_notes": latencies.server_notes(result),
        "flight": latencies.concurrency_words(result, words),
        "run_rates": latencies.run_rates_words(result, words),
    }


def _audit(result: Result, words: Words) -> dict[str, object]:
    seen = result.observed
    return {
        "checks": audit.judged(result, words),
        "instrument": audit.instrument_rows(result, words),
        "arrivals": audit.arrival_rows(result, words),
        "calibration": [] if result.calibration is None else audit.calibration_rows(result.calibration, words),
        "observed": [] if seen is None else audit.observed_rows(seen, words),
        "energy": [] if seen is None else audit.energy_rows(seen, words),
        "troubles": [] if seen is None else [(one.name, one.says) for one in seen.sources if one.says is not None],
        "watching": [] if seen is None else seen.notes,
    }


def _method(result: Result, words: Words, source: str) -> dict[str, object]:
    asked = result.methodology
    return {
        "again": method.typed_command("loadcell", "run", source) if source else None,
        "show": method.typed_command("loadcell", "report", source) if source else None,
        "judge": method.typed_command("loadcell", "report", source, "--slo", "ttft=500ms,tpot=30ms")
        if source
        else None,
        "typed": method.command_of(result),
        "identity": method.identity_rows(result, words),
        "how": method.method_rows(result, words),
        "spec": [(name, method.settings(tree, words)) for name, tree in asked.spec.items() if isinstance(tree, dict)],
        "effective": method.settings(asked.effective, words),
        "environment": [
            (name, text)
            for name, text in method.settings(asked.environment, words)
            if name != "command" and text != "\N{EN DASH}"
        ],
        "failures": result.errors[:_FAILURES],
        "failures_left": max(0, len(result.errors) - _FAILURES),
    }


def _drawn(charts: list[Chart], detail: Detail | None) -> dict[str, object]:
    """Which charts stand on the page: without a recording only those that can be drawn."""
    drawn = {chart.name for chart in charts if chart.spec is not None or detail is not None}
    return {
        "drawn": drawn,
        "worst": [] if detail is None or detail.stalls is None else detail.stalls.worst[:_WORST_SHOWN],
    }
