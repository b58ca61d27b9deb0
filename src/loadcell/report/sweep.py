"""A sweep on the console, as Markdown and as a page; and each of its stages as it ends."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from loadcell.report.lines import ask_label
from loadcell.report.text import MISSING, figure, found_alone, percent, plain
from loadcell.report.view import sweep as view
from loadcell.report.words import Words
from loadcell.search.model import Stage, Sweep

if TYPE_CHECKING:
    from rich.console import Console

_NARROW = 80
_UNITS = {"load.rate": "/s", "load.concurrency": " users"}


def print_sweep(sweep: Sweep, console: Console, words: Words, folder: object = None) -> None:
    """Print the sweep, the answer of a search first; `folder` names where it lies."""
    from loadcell.report.lines import indented
    from loadcell.report.render.terminal import show

    show(view.sweep_view(sweep, words, str(folder or "")).sections(view.TERMINAL), console)
    console.print(indented(view.worth(sweep, words)))


def sweep_markdown(sweep: Sweep, words: Words, *, source: str = "") -> str:
    """The sweep as GitHub-flavoured Markdown; `source` is the folder that commands name."""
    from loadcell.report.render.markdown import markdown

    return markdown(view.sweep_view(sweep, words, source).sections(view.MARKDOWN))


def sweep_page(sweep: Sweep, words: Words, *, source: str = "", pages: frozenset[str] = frozenset()) -> str:
    """One HTML file that tells a sweep or a search to a person who was not there.

    `source` names its folder in the commands that are shown; `pages` are the folders of stages that hold a page of
    their own, which the page leads to.
    """
    from loadcell.report.charts import sweep_charts
    from loadcell.report.render.page import page

    charts = sweep_charts(sweep, words)
    drawn = frozenset(
        chart.name for chart in charts if chart.spec is not None or chart.name != "attainment" or sweep.found
    )
    return page(view.sweep_view(sweep, words, source, pages, drawn), view.PAGE, charts, words)


def stage_line(axis: str | None, stage: Stage) -> str:
    """One stage as it ends, in lines of at most 80 columns: its load, what came out, and why it ended."""
    ask, point, trial = stage.ask, stage.point, stage.trial
    unit = "" if ask.level is None else _UNITS.get(str(axis), "")
    unit = " user" if unit == " users" and ask.level == 1 else unit
    head = f" {ask.number:>3}  {ask_label(ask)}{unit}{'' if ask.phase == 'grid' else f' {ask.phase}'}"
    why = plain(stage.ended or ("" if stage.state == "complete" else stage.state), 120)
    if point is None:
        return _wrapped(f"{head}: no figures: {why}")
    told = ask.phase != "floor" and stage.state == "complete"  # one user alone, or a part, is no test of the SLO
    judged = trial if told else None
    invalid = point.verdict == "INVALID" and bool(point.reasons)
    reason = f": {plain(found_alone(point.reasons[0]), 120)}" if invalid else ""
    pooled = not point.ttft_ms
    latency = point.e2e_ms if pooled else point.ttft_ms
    known = {name: e.value for name, e in latency.items() if e.value is not None and name in ("p50", "p99")}
    shown = ", ".join(f"{name} {figure(value, 3)}" for name, value in known.items())
    rates = {
        "inputs/s": point.inputs_per_s, "images/s": point.images_per_s, "s of audio/s": point.audio_s_per_s,
        "requests/s": point.requests_per_s,
    } if pooled else {"tokens/s": point.output_tokens_per_s}  # fmt: skip
    made = next((f"{figure(value, 4)} {unit}" for unit, value in rates.items() if value is not None), MISSING)
    parts = [
        f"{judged.answer}, {percent(judged.attainment.value)} of {judged.judged:,}" if judged else "",
        f"{'E2E' if pooled else 'TTFT'} {f'{shown} ms' if shown else MISSING}",
        "" if judged else made,
        "" if point.verdict == "VALID" else f"{point.verdict}{reason}",
        why.partition(":")[0] if judged else "",  # its answer says the rest
    ]
    line = _wrapped(f"{head}: {' · '.join(filter(None, parts))}")
    return line if judged or not why else f"{line}\n{_wrapped(f'      {why}')}"


def _wrapped(line: str) -> str:
    return textwrap.fill(line, _NARROW, subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False)
