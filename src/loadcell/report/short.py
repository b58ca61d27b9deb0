"""A Result on one screen: target and load, one table, throughput, SLO, errors, and the verdict with its reasons."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadcell.metrics import GLOSSARY, Check, Result, Summary, word_of
from loadcell.metrics.checks_window import cold_says
from loadcell.report.audit import WORD_STYLE
from loadcell.report.budget import mark
from loadcell.report.console import error_lines, load_words, target_words, warning_lines, workload_words
from loadcell.report.latencies import LABEL_WIDTH, estimate_cell, mean_cell, outside, paces
from loadcell.report.lines import Line, Unbroken, section
from loadcell.report.text import accounts, between, ended_by, figure, percent, plain, share_with_interval

PERCENTILES = ("p50", "p90", "p99")
_REASONS = 3
"""Reasons of the verdict, and kinds of errors, that are shown."""
_REASON_WIDTH = 210
_PLAIN_ENDS = ({"length"}, {"stop"}, {"no reason"})
"""Where all replies ended like that, there is nothing to tell of it here."""
_INTERVAL = 13
"""Characters of an interval that fit a column at 80."""


def print_short(result: Result, console: Console, folder: object = None) -> None:
    """Print the Result in at most 30 lines of 80 columns; `folder` names where its recording lies, and all the rest."""
    warnings = list(warning_lines(result))
    if warnings:
        console.print(section(warnings))
    console.print(section(_head(result)))
    console.print()
    if latency := _latency_table(result):
        console.print(latency)
        console.print(Text(f" {_below(result)}", style="dim"))
    console.print(section(_figures(result)))
    console.print()
    if folder is not None:  # unbroken, so that it can be copied
        console.print(f" All of it: loadcell report {folder} --full", soft_wrap=True, markup=False, highlight=False)
    console.print(_verdict(result))


def _head(result: Result) -> Iterator[Line]:
    method, window = result.methodology, result.methodology.window
    yield "Target", target_words(result)
    span = f"window {figure(window.start_s, 3)} to {figure(window.end_s, 3)} s"
    if result.counts.window != result.counts.run:
        span += f", {result.counts.window.planned:,} requests"
    yield (
        "Load",
        plain(f"{load_words(method.loop, method.spec['load'], method.effective)} · {workload_words(result)} · {span}"),
    )
    stopped = result.run.stopped
    if stopped is not None:
        yield "Ended early", Text(plain(f"after {figure(stopped.at_s, 3)} s: {stopped.reason}"), style="yellow")
    yield "Requests", Text(accounts(result.counts.run), style="" if _all_ok(result) else "yellow")
    if result.replies is not None and result.replies.ended_by.keys() not in _PLAIN_ENDS:
        yield "", ended_by(result.replies)
    if result.steady.cold_start is not None:
        yield "Cold start", Text(cold_says(result.steady.cold_start), style="yellow")


def _all_ok(result: Result) -> bool:
    return result.counts.run.ok == result.counts.run.planned


def _latency_table(result: Result) -> Table | None:
    if not result.latency:
        return None
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column(Text(" Latency, ms"), no_wrap=True, min_width=LABEL_WIDTH)
    for title in ("mean", *PERCENTILES, "max"):
        table.add_column(title, justify="right", overflow="fold")
    for name in _shown_latencies(result):
        latency = result.latency[name]
        summary: Summary = latency.response or latency.service
        if not summary.n and not summary.p50.withheld:
            continue
        note = "\n response" if latency.response else ""
        cells = [estimate_cell(getattr(summary, percentile), percentile, _INTERVAL) for percentile in PERCENTILES]
        scale = summary.mean if name == "itl_ms" else None
        for cell, percentile in zip(cells, PERCENTILES, strict=True):
            estimate = getattr(summary, percentile)
            if text := mark(estimate.value, estimate.budget, scale=scale):
                cell.append("\n" + text.replace(": ", ":\n", 1), "yellow")
        label = Text.assemble((f" {latency.title}", "bold"), (note, "dim"))
        table.add_row(label, mean_cell(summary, spread=False), *cells, Text(figure(summary.max, grouped=False)))
    return table if table.row_count else None


def _shown_latencies(result: Result) -> tuple[str, ...]:
    return ("ttft_ms", "itl_ms", *paces(result.latency), "e2e_ms")


def _below(result: Result) -> str:
    """What stands below the figures of the table."""
    shown = (
        latency.response or latency.service for latency in (result.latency[name] for name in _shown_latencies(result))
    )
    some_open = any(getattr(summary, name).open for summary in shown for name in PERCENTILES)
    marked = " +: at least, more samples give an upper end." if some_open else ""
    most = ", ".join(f"{title} {figure(whole)}" for title, whole, _ in outside(result))
    return f"Below: 95 % interval.{marked}{f' Max outside of the window: {most} ms.' if most else ''}"


def _figures(result: Result) -> Iterator[Line]:
    rates = result.throughput
    tokens = f"{figure(rates.output_tokens_per_s)} output tokens/s{between(rates.output_tokens_interval)}"
    yield "Throughput", f"{figure(rates.requests_per_s)} requests/s{between(rates.requests_interval)} · {tokens}"
    parts = [f"{figure(rates.total_tokens_per_s)} tokens/s in and out"]
    user = rates.user_tokens_per_s.get("p50")
    if user is not None and user.value is not None:
        parts.append(f"a user gets {figure(user.value, 3)} tokens/s at p50")
    yield "", " · ".join(parts)
    if result.goodput is not None:
        good = result.goodput
        yield "SLO", f"{share_with_interval(good.attainment)} of {good.planned:,} requests kept to every limit"
        limits = (
            f"{GLOSSARY[name.removesuffix('_ms')].title} ≤ {limit.limit_ms:,g} ms: "
            + (limit.note or percent(limit.attainment.value))
            for name, limit in good.limits.items()
        )
        yield "", " · ".join(limits)
    if result.bottleneck is not None:
        yield "Bottleneck", plain(result.bottleneck)
    yield from error_lines(result, _REASONS)
    if result.notes:
        more = f" (and {len(result.notes) - 1} more: --full)" if len(result.notes) > 1 else ""
        yield "Notes", Text(f"{plain(result.notes[0], _REASON_WIDTH)}{more}", style="dim")


def _verdict(result: Result) -> Table:
    """The verdict and why, worst first; what to do stands once where several reasons share it."""
    word, lines = word_of(result), list(_reasons(result))
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for number, line in enumerate(lines or [Text("every figure is within its limits")]):
        grid.add_row("" if number else Text.assemble(" ", (f" {word} ", WORD_STYLE[word])), Unbroken.assemble(line))
    return grid


def _shown(result: Result) -> Iterator[Check]:
    """Checks that failed, worst first; of a latency only the response time, which is the one shown, where both did."""
    checks = result.verdict.checks
    for word in ("INVALID", "SUSPECT"):
        names = {c.name for c in checks if c.word == word}
        for check in checks:
            if check.word == word and f"{check.name.removesuffix('budget')}response_budget" not in names:
                yield check


def _reasons(result: Result) -> Iterator[Text]:
    bad = list(_shown(result))
    shown = bad[:_REASONS]
    for check, later in zip_longest(shown, shown[1:]):
        yield Text(plain(check.says, _REASON_WIDTH))
        if check.advice and (later is None or later.advice != check.advice):
            yield Text(f"\N{RIGHTWARDS ARROW} {plain(check.advice, _REASON_WIDTH)}", style="dim")
    if len(bad) > _REASONS:
        yield Text(f"and {len(bad) - _REASONS} more: --full", style="dim")
