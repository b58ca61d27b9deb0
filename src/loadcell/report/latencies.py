"""The latencies of a Result as a table for the console, and what stands below it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from loadcell.metrics import Estimate, Latency, Result, Summary
from loadcell.metrics.interval import PERMILLE, shown_from
from loadcell.report.text import MISSING, estimate_text, figure, interval_decimals

PERCENTILES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99_9": "p99.9"}
LABEL_WIDTH = 13
WIDE_INTERVAL, _NARROW = 9, 7
"""Characters of an interval that fit a column at 80, and beside p99.9; a longer one is broken at its dash."""
_DASH = "\N{EN DASH}"
_WORTH_LESS = 0.95
"""A sample is said to be worth less than its number where the effective one is below this part of it."""
_INFINITE = "\N{INFINITY}"


def latency_table(result: Result) -> Table:
    """One row a metric: figures, and below each its interval or the samples that it needs."""
    rows = list(latency_rows(result.latency))
    shown = percentiles_of(summary for _, summary in rows)
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column(Text(" Latency, ms"), no_wrap=True, min_width=LABEL_WIDTH)
    for title in ("mean", *shown.values(), "max"):
        table.add_column(title, justify="right", overflow="fold")
    fits = _NARROW if "p99_9" in shown else WIDE_INTERVAL
    for title, summary in rows:
        cells = [estimate_cell(getattr(summary, name), name, fits) for name in shown]
        label = Text.assemble((f" {title}", "bold"), (f"\n {_samples(summary)}", "dim"))
        table.add_row(label, mean_cell(summary), *cells, Text(figure(summary.max, grouped=False)))
    return table


def percentiles_of(summaries: Iterable[Summary]) -> dict[str, str]:
    """The percentiles of a table, by name: p99.9 only where some distribution has samples for it."""
    known = list(summaries)
    return {
        name: title
        for name, title in PERCENTILES.items()
        if name != "p99_9" or any(summary.p99_9.value is not None for summary in known)
    }


def worth_less(summary: Summary) -> bool:
    """Whether the samples are worth noticeably fewer independent ones."""
    return summary.effective is not None and summary.effective < _WORTH_LESS * summary.n


def latency_rows(latency: dict[str, Latency]) -> Iterator[tuple[str, Summary]]:
    """The rows of the table: metrics by both anchors where there are two."""
    same = latency["ttft_ms"].service == latency["ttfa_ms"].service
    for name in ("ttft_ms", "ttfa_ms", "itl_ms", *paces(latency), "e2e_ms"):
        entry = latency[name]
        if name == "ttfa_ms" and same:
            continue
        if entry.response is None:
            yield entry.title, entry.service
        else:
            yield f"{entry.title} response", entry.response
            yield f"{entry.title} service", entry.service


def outside(result: Result) -> list[tuple[str, float, float]]:
    """Latencies whose maximum lies outside of the window: title, maximum of the whole run, and of the window, in ms."""
    if result.whole_run is None:
        return []
    found = []
    for name in ("ttft_ms", "tpot_ms", "e2e_ms"):
        inside, whole = (of[name].response or of[name].service for of in (result.latency, result.whole_run.latency))
        if whole.max is not None and figure(whole.max) != figure(inside.max):
            found.append((result.latency[name].title, whole.max, inside.max or 0.0))
    return found


def paces(latency: dict[str, Latency]) -> tuple[str, ...]:
    """TPOT, and NTPOT where it is all that is known of the pace."""
    return ("tpot_ms", "ntpot_ms") if latency["tpot_ms"].service.p50.withheld else ("tpot_ms",)


def _samples(summary: Summary) -> str:
    return f"n={summary.n:,}" + (f"\n worth {summary.effective:,.0f}" if worth_less(summary) else "")


def mean_cell(summary: Summary, *, spread: bool = True) -> Text:
    """The mean for a table, below it the half width of its interval, and with `spread` the standard deviation."""
    if summary.mean is None:
        return Text(MISSING, style="dim")
    value, lines, within = figure(summary.mean, grouped=False), [], summary.mean_interval
    if within is not None:
        decimals = max(interval_decimals(within.low, within.high), len(value.partition(".")[2]))
        value = f"{summary.mean:.{decimals}f}"
        lines.append(f"±{figure((within.high - within.low) / 2, 2, grouped=False)}")
    if spread and summary.sd is not None:
        lines.append(f"sd {figure(summary.sd, 3, grouped=False)}")
    return Text.assemble((value, "cyan"), ("".join(f"\n{line}" for line in lines), "dim"))


def estimate_cell(estimate: Estimate, name: str, fits: int = WIDE_INTERVAL) -> Text:
    """A percentile (its name) for a table, and below it its interval of so many characters, or what it lacks."""
    value, mark, within = estimate_text(estimate)
    if estimate.withheld:
        return Text(f"{MISSING}\nwithheld", style="dim")
    if estimate.value is None:
        return Text(f"{MISSING}\nn<{shown_from(PERMILLE[name]):,}", style="dim")
    if estimate.caveat:
        within = "queue grows"
    within = within.replace("≥ ", "≥").replace("≤ ", "≤")
    if len(within) > fits:
        within = within.replace(_DASH, f"{_DASH}\n").replace(" ", "\n")
    return Text.assemble((value, "cyan"), (mark, "yellow"), (f"\n{within}" if within else "", "dim"))


def latency_note(result: Result) -> str:
    """What the figures start from, what stands below them, and which could not be estimated."""
    anchor = (
        "Response time starts at the planned time, service time at the actual send."
        if result.methodology.loop == "open"
        else "Service time, from the actual send: a closed loop cannot show the queueing that it prevents."
    )
    rows = list(latency_rows(result.latency))
    worth = any(worth_less(summary) for _, summary in rows)
    extra = " Worth: how many independent samples these are worth." if worth else ""
    lines = [f"{anchor} Below each figure: its 95 % interval.{extra}", *_open(rows), *_without(rows)]
    return "\n".join([*lines, *_with_failures(rows), *_bounds(rows)])


def _open(rows: list[tuple[str, Summary]]) -> Iterator[str]:
    """Percentiles whose interval has no upper end, and what would close it."""
    estimates = {shown: [getattr(summary, name) for _, summary in rows] for name, shown in PERCENTILES.items()}
    found = {shown: [e for e in group if e.open] for shown, group in estimates.items()}
    needs = [
        f"{shown} {max(e.needs or 0 for e in group):,} (these: {min(int(e.effective or 0) for e in group):,})"
        for shown, group in found.items()
        if group
    ]
    if needs:
        yield f"+: at least so much, for an upper end takes more independent samples: {', '.join(needs)}."


def _without(rows: list[tuple[str, Summary]]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for title, summary in rows:
        for name, shown in percentiles_of(summary for _, summary in rows).items():
            estimate: Estimate = getattr(summary, name)
            if estimate.withheld:
                groups[shown, f"withheld ({estimate.withheld})"].append(title)
            elif estimate.caveat:
                groups["no intervals", f"({estimate.caveat})"].append(title)
            elif estimate.value is None and summary.n:
                groups[shown, f"n/a: fewer than {shown_from(PERMILLE[name]):,} samples, see max"].append(title)
    for (shown, why), titles in groups.items():
        titles = list(dict.fromkeys(titles))
        yield f"{shown} {why}" + ("" if len(titles) == len(rows) else f": {', '.join(titles)}")


def _with_failures(rows: list[tuple[str, Summary]]) -> Iterator[str]:
    """Percentiles that take what failed as infinitely late."""
    found = [f"{title} {figures}" for title, summary in rows if (figures := failing_percentiles(summary))]
    if found:
        failed = max(summary.failed for _, summary in rows)
        yield f"With the {failed:,} failed as infinitely late: {' · '.join(found)}"


def failing_percentiles(summary: Summary) -> str:
    """p50, p90 and p99 with failures as infinite, as in "p50 20.1 p99 ∞"; nothing without failures."""
    shown = ((name, summary.with_failures.get(name)) for name in ("p50", "p90", "p99"))
    return " ".join(
        f"{name} {_INFINITE if one.infinite else figure(one.value, grouped=False)}" for name, one in shown if one
    )


def _bounds(rows: list[tuple[str, Summary]]) -> Iterator[str]:
    """MLPerf's early-stopping bounds of the 99th percentiles."""
    found = [f"{title} ≤ {figure(summary.p99.bound)} ms" for title, summary in rows if summary.p99.bound is not None]
    if found:
        yield f"MLPerf early stopping, p99 at 99 % confidence: {' · '.join(found)}"
