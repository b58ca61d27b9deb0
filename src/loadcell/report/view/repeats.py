"""What several runs of one spec say: a line each, then how they differ. In English."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Repeated, Repeats, Result, reasons_of, word_of
from loadcell.report.text import MISSING, figure, found_alone, percent, plain, sentence
from loadcell.report.view.blocks import TONES, Block, Cell, Column, Note, Section, Table, Verdict, figured

_DOMINATES = {"runs": "more", "samples": "no more", None: MISSING}
_REASON = 120
"""Characters of a reason in the line of a run."""
_NOTE = (
    "Median over the runs. Within: half width of a run's own 95 % interval, median of the runs. Sd: standard "
    "deviation of the runs' values. Both in % of the median. Next run: where one more such run lies, 95 times of 100 "
    "(t, by the spread between runs). The last column says whether the runs differ more than the samples within a run "
    "explain (chi-square, 95 %)."
)


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


def repeats_section(together: Repeats) -> Section:
    """The table of all runs."""
    both = {row.metric for row in together.figures if row.anchor == "response"}
    columns = [Column("Figure", "left"), *map(Column, ("median", "within", "sd", "next run", "runs differ"))]
    rows = [list(_cells(row, row.metric in both)) for row in together.figures]
    blocks: list[Block] = [Table(columns, rows, [_NOTE])] if rows else []
    blocks.append(Note([sentence(says) for says in together.says]))
    return Section("repeats", _title(together), blocks, Verdict(together.verdict, TONES[together.verdict]))


def _title(together: Repeats) -> str:
    done, asked = len(together.runs), together.asked or len(together.runs)
    runs = f"{done} of {asked} runs" if done < asked else f"{done} run{'s' if done > 1 else ''}"
    bad = [f"run {i} {run.verdict}" for i, run in enumerate(together.runs, 1) if run.verdict != "VALID"]
    return f"{runs}: {', '.join(bad)}" if bad else f"{runs}, every one VALID" if done > 1 else runs


def _cells(row: Repeated, both: bool) -> Iterator[Cell]:
    anchor = {"response": " resp.", "service": " serv."}.get(row.anchor, "") if both else ""
    statistic = f" {row.statistic}" if row.statistic.startswith("p") else ""
    yield Cell(f"{row.title}{anchor}{statistic}, {row.unit}")
    yield figured(figure(row.median))
    yield figured(MISSING if row.within_share is None else f"± {percent(row.within_share)}")
    yield figured(percent(row.sd_share))
    known = row.next_low is not None and row.next_high is not None
    yield figured("\N{EN DASH}".join(figure(end, 3) for end in (row.next_low, row.next_high)) if known else MISSING)
    yield Cell(_DOMINATES[row.dominates], tone="care" if row.dominates == "runs" else "")
