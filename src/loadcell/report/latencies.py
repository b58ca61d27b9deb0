"""The latencies of a Result as a table for the console, and what stands below it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from loadcell.metrics import Estimate, Latency, Result, Summary
from loadcell.report.text import MISSING, figure

PERCENTILES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99_9": "p99.9"}
LABEL_WIDTH = 13
_WIDE_INTERVAL = 9
"""Characters of an interval that fit a column at 80; a longer one is broken at its dash."""
_DASH = "\N{EN DASH}"
_WORTH_LESS = 0.95
"""A sample is said to be worth less than its number where the effective one is below this part of it."""


def latency_table(result: Result) -> Table:
    """One row a metric: figures, and below each its interval or the samples that it needs."""
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column(Text(" Latency, ms"), no_wrap=True, min_width=LABEL_WIDTH)
    for title in (*PERCENTILES.values(), "max"):
        table.add_column(title, justify="right", overflow="fold")
    for title, summary in latency_rows(result.latency):
        cells = [estimate_cell(getattr(summary, name)) for name in PERCENTILES]
        label = Text.assemble((f" {title}", "bold"), (f"\n {_samples(summary)}", "dim"))
        table.add_row(label, *cells, Text(figure(summary.max, grouped=False)))
    return table


def latency_rows(latency: dict[str, Latency]) -> Iterator[tuple[str, Summary]]:
    """The rows of the table: metrics by both anchors where there are two."""
    same = latency["ttft_ms"].service == latency["ttfa_ms"].service
    for name in ("ttft_ms", "ttfa_ms", "itl_ms", "tpot_ms", "e2e_ms"):
        entry = latency[name]
        if name == "ttfa_ms" and same:
            continue
        if entry.response is None:
            yield entry.title, entry.service
        else:
            yield f"{entry.title} response", entry.response
            yield f"{entry.title} service", entry.service


def _samples(summary: Summary) -> str:
    few = summary.effective is not None and summary.effective < _WORTH_LESS * summary.n
    return f"n={summary.n:,}" + (f" ({summary.effective:,.0f})" if few else "")


def mean_cell(summary: Summary) -> Text:
    """The mean for a table."""
    return Text(figure(summary.mean, grouped=False), "cyan")


def estimate_cell(estimate: Estimate) -> Text:
    """A percentile for a table, and below it its interval or what it lacks."""
    if estimate.value is None:
        reason = f"\nn<{estimate.needs:,}" if estimate.needs else "\nwithheld" if estimate.withheld else ""
        return Text.assemble((MISSING, "dim"), (reason, "dim"))
    return Text.assemble((figure(estimate.value, grouped=False), "cyan"), (f"\n{_interval(estimate)}", "dim"))


def _interval(estimate: Estimate) -> str:
    low, high = (None if end is None else figure(end, 3, grouped=False) for end in (estimate.low, estimate.high))
    if high is None:
        return MISSING if low is None else f"≥{low}"
    if low is None:
        return f"≤{high}"
    text = f"{low}{_DASH}{high}"
    return text if len(text) <= _WIDE_INTERVAL else f"{low}{_DASH}\n{high}"


def latency_note(result: Result) -> str:
    """What the figures start from, what stands below them, and which could not be estimated."""
    anchor = (
        "Response time starts at the planned time, service time at the actual send."
        if result.methodology.loop == "open"
        else "Service time, from the actual send: a closed loop cannot show the queueing that it prevents."
    )
    rows = list(latency_rows(result.latency))
    worth = any("(" in _samples(summary) for _, summary in rows)
    extra = " In brackets: how many independent samples these are worth." if worth else ""
    lines = [f"{anchor} Below each figure: its 95 % interval.{extra}", *_not_estimable(rows), *_bounds(rows)]
    return "\n".join(lines)


def _not_estimable(rows: list[tuple[str, Summary]]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for title, summary in rows:
        for name, shown in PERCENTILES.items():
            estimate: Estimate = getattr(summary, name)
            if estimate.needs:
                worth = summary.n if estimate.effective is None else min(summary.n, int(estimate.effective))
                groups[shown, f"not estimable (n={worth:,}, needs {estimate.needs:,})"].append(title)
            elif estimate.withheld:
                groups[shown, f"withheld ({estimate.withheld})"].append(title)
    for (shown, why), titles in groups.items():
        yield f"{shown} {why}" + ("" if len(titles) == len(rows) else f": {', '.join(titles)}")


def _bounds(rows: list[tuple[str, Summary]]) -> Iterator[str]:
    """MLPerf's early-stopping bounds of the 99th percentiles."""
    found = [f"{title} ≤ {figure(summary.p99.bound)} ms" for title, summary in rows if summary.p99.bound is not None]
    if found:
        yield f"MLPerf early stopping, p99 at 99 % confidence: {' · '.join(found)}"
