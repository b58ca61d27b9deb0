"""Several runs of one spec on the console: a line a run, then how they differ."""

from __future__ import annotations

from rich.console import Console

from loadcell.metrics import Repeats, Result, reasons_of, word_of
from loadcell.report.text import figure, found_alone, plain

_REASON = 120
"""Characters of a reason in the line of a run."""


def run_line(result: Result, number: int, count: int) -> str:
    """One run in one line."""
    word = word_of(result)
    reasons = reasons_of(result)
    end = f"{word}: {plain(found_alone(reasons[0]), _REASON)}" if word != "VALID" and reasons else word
    ttft = result.latency["ttft_ms"]
    summary = ttft.service if ttft.response is None else ttft.response
    return (
        f" run {number} of {count}: TTFT p50 {figure(summary.p50.value)} p99 {figure(summary.p99.value)} ms · "
        f"{figure(result.throughput.output_tokens_per_s)} tokens/s · {end}"
    )


def print_repeats(together: Repeats, console: Console) -> None:
    """Print the table of all runs."""
    from loadcell.report.render.terminal import show
    from loadcell.report.view.repeats import repeats_section

    console.print()
    show([repeats_section(together)], console)
