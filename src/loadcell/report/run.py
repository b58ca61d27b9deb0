"""A run on the console, on one screen or with all that is known; as Markdown and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from loadcell.metrics import Result
from loadcell.report.lines import indented
from loadcell.report.render.terminal import command, facts, show, shown, verdict
from loadcell.report.timeline import timeline
from loadcell.report.view import classes, instrument, latency, observed
from loadcell.report.view import run as view
from loadcell.report.view.blocks import Block, Command, Facts, Section
from loadcell.report.view.imported import told_table
from loadcell.report.view.media import carried
from loadcell.report.view.method import settings
from loadcell.report.view.sessions import talks, turns_table
from loadcell.report.words import Words

if TYPE_CHECKING:
    from loadcell.report.detail.model import Detail

_ENGLISH = Words("en")
_NARROW = 80
_DIGITS = 16
"""Of a hash, on the console."""
_KINDS = 3
"""Kinds of failures on one screen."""


# --- on the console --------------------------------------------------------------------------------------------------


def print_short(result: Result, console: Console, folder: object = None, words: Words = _ENGLISH) -> None:
    """Print the Result in about 30 lines of 80 columns; `folder` names where its recording lies, and all the rest."""
    first = [*view.warnings(result, words), *view.head(result, words, short=True)]
    table = latency.short_table(result, words)
    figures = [
        *view.throughput(result, words, short=True), *carried(result, words, short=True),
        *talks(result, words, short=True), *view.slo(result, words, short=True),
        *view.bottleneck(result, words), *view.errors(result, words, _KINDS), *view.notes(result, words, 1),
    ]  # fmt: skip
    console.print(facts(Facts(first)), Text())
    if table is not None:
        console.print(shown(table, console.width))
    console.print(facts(Facts(figures)), Text())
    for by_class in [*turns_table(result, words, short=True), *classes.short_tables(result, words)]:
        console.print(shown(by_class, console.width), Text())
    if folder is not None:
        command(console, Command(words.say("All of it"), f"loadcell report {folder} --full"))
    _print_verdict(result, console, words)


def print_result(result: Result, console: Console, folder: object = None, words: Words = _ENGLISH) -> None:
    """Print all that is known of the Result, its verdict last; `folder` names where its recording lies."""
    method = result.methodology
    if result.invalid or result.run.state != "complete":
        console.print(facts(Facts(list(view.warnings(result, words)))), Text())
    console.print(facts(Facts(list(view.head(result, words)))), Text())
    if result.concurrency.series:
        lines = timeline(result, max(console.width, _NARROW) - 2, words)
        console.print(indented("\n".join(lines), 1, "dim"), Text())
    blocks: list[Block] = [latency.latency_table(result.latency, words, latency.below(result, words))]
    blocks += [*turns_table(result, words), *classes.tables(result, words)]
    blocks += [told] if (told := told_table(result, words)) is not None else []
    for found in (
        [*view.throughput(result, words), *carried(result, words), *talks(result, words),
         *view.slo(result, words), *view.course(result, words), *view.bottleneck(result, words),
         *observed.server(result, words)],
        list(observed.observed(result, words)),
        [*instrument.instrument(result, words), *instrument.audit(result, words)],
        [*view.errors(result, words), *view.notes(result, words)],
        [*settings(method.spec, words, method.effective, told=result.imported is not None),
         *view.counted(result, words, short=True),
         *view.identity(result, words, _DIGITS)],
    ):  # fmt: skip
        blocks += [Facts(found)] if found else []
    show([Section("", "", blocks)], console)
    if folder is not None:
        command(
            console,
            Command(
                words.say("Recorded in {folder}; to see it again", folder=str(folder)), f"loadcell report {folder}"
            ),
        )
    _print_verdict(result, console, words)


def _print_verdict(result: Result, console: Console, words: Words) -> None:
    """The verdict and why, worst first."""
    console.print(*verdict(view.verdict(result, words)))


# --- for others ------------------------------------------------------------------------------------------------------


def run_markdown(result: Result, words: Words, *, source: str = "") -> str:
    """The Result as GitHub-flavoured Markdown, the verdict first; `source` is the folder that commands name."""
    from loadcell.report.render.markdown import markdown
    from loadcell.report.view.run_sections import MARKDOWN, run_view

    return markdown(run_view(result, None, words, source, frozenset()).sections(MARKDOWN))


def run_page(result: Result, detail: Detail | None, words: Words, *, source: str = "") -> str:
    """One HTML file that tells a run to a person who was not there: it needs no network and no other file.

    `detail` is None where there is a Result but no recording: then distributions are missing, and the page says so.
    `source` names the folder or file in the commands that are shown.
    """
    from loadcell.report.charts import run_charts
    from loadcell.report.render.page import page
    from loadcell.report.view.run_sections import PAGE, run_view

    charts = run_charts(result, detail, words)
    drawn = frozenset(chart.name for chart in charts if chart.spec is not None or detail is not None)
    return page(run_view(result, detail, words, source, drawn), PAGE, charts, words)
