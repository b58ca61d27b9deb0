"""Several runs of one spec on the console: a line a run, then how they differ."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadcell.metrics import Repeated, Repeats, Result, reasons_of, word_of
from loadcell.report.lines import bare_table, indented
from loadcell.report.render.terminal import WORD_STYLES
from loadcell.report.text import MISSING, figure, found_alone, percent, plain, sentence

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


def print_repeats(together: Repeats, console: Console) -> None:
    """Print the table of all runs."""
    console.print(render_repeats(together))


def render_repeats(together: Repeats) -> RenderableType:
    """The table of all runs, for a terminal of 80 columns or more."""
    parts: list[RenderableType] = [Text(), _head(together), Text()]
    if together.figures:
        parts += [_table(together), indented(_NOTE, 1, "dim"), Text()]
    parts += [indented(line) for line in _says(together)]
    return Group(*parts, Text())


def _head(together: Repeats) -> Text:
    done, asked = len(together.runs), together.asked or len(together.runs)
    runs = f"{done} of {asked} runs" if done < asked else f"{done} run{'s' if done > 1 else ''}"
    text = Text.assemble(" ", (f" {together.verdict} ", WORD_STYLES[together.verdict]), f" {runs}")
    bad = [f"run {i} {run.verdict}" for i, run in enumerate(together.runs, 1) if run.verdict != "VALID"]
    return text.append(f": {', '.join(bad)}" if bad else ", every one VALID" if done > 1 else "")


def _table(together: Repeats) -> Table:
    table = bare_table()
    table.add_column(Text(" Figure"), no_wrap=True)
    for title in ("median", "within", "sd", "next run", "runs differ"):
        table.add_column(title, justify="right", no_wrap=True)
    both = {row.metric for row in together.figures if row.anchor == "response"}
    for row in together.figures:
        style = "yellow" if row.dominates == "runs" else ""
        table.add_row(
            Text.assemble((f" {_label(row, row.metric in both)}", "bold"), (f", {row.unit}", "dim")),
            Text(figure(row.median, grouped=False), style="cyan"),
            MISSING if row.within_share is None else f"± {percent(row.within_share)}",
            percent(row.sd_share),
            _next(row),
            Text(_DOMINATES[row.dominates], style=style),
        )
    return table


def _next(row: Repeated) -> str:
    if row.next_low is None or row.next_high is None:
        return MISSING
    return "\N{EN DASH}".join(figure(end, 3, grouped=False) for end in (row.next_low, row.next_high))


def _label(row: Repeated, both: bool) -> str:
    anchor = {"response": " resp.", "service": " serv."}.get(row.anchor, "") if both else ""
    return f"{row.title}{anchor}{f' {row.statistic}' if row.statistic.startswith('p') else ''}"


def _says(together: Repeats) -> Iterator[str]:
    yield from map(sentence, together.says)
