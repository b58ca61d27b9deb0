"""MLPerf-style runs and curves on the console and as pages, in English."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from loadcell.mlperf.curve.model import Curve
from loadcell.mlperf.model import FOOTNOTE, Accuracy, Driven, Finding, Outcome
from loadcell.report.render.terminal import command, show
from loadcell.report.view import curve as curve_view
from loadcell.report.view import mlperf as view
from loadcell.report.view.blocks import Command, Note, Section


def print_outcome(found: Outcome, console: Console, folder: Path | None = None) -> None:
    """Print the outcome; `folder` names where it lies, so that the next commands can be copied."""
    show(view.outcome_view(found, folder).sections(view.TERMINAL), console)


def outcome_page(found: Outcome, accuracy: Accuracy | None, folder: Path) -> str:
    """One HTML file that tells a run and its accuracy to a person who was not there."""
    from loadcell.report.render.page import page

    return page(view.outcome_view(found, folder, accuracy), view.PAGE, [], view.EN)


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print findings: failed ones with their advice, those that could not be judged, and in one line what holds."""
    show([Section("", "", [view.findings_facts(findings)])], console)


def print_accuracy(found: Accuracy, console: Console, folder: Path | None = None, *, footnote: bool = False) -> None:
    """Print the accuracy of a run; `folder` names where it lies. `footnote`: where nothing else says it already."""
    show([view.accuracy_section(found), *([Section("", "", [Note([FOOTNOTE])])] if footnote else [])], console)
    if folder is not None:
        command(console, Command("Written to", str(folder / "accuracy.json")))


def print_driven(found: Driven, console: Console, folder: Path) -> None:
    """Print what is said of a run that the genuine LoadGen made."""
    show(view.driven_sections(found, folder), console)


def print_curve(curve: Curve, console: Console, folder: Path | None = None) -> None:
    """Print the curve; `folder` names where it lies."""
    show(curve_view.curve_view(curve, folder or "").sections(curve_view.TERMINAL), console)


def curve_page(curve: Curve, *, source: str = "") -> str:
    """One HTML file that tells a curve to a person who was not there; `source` names its folder in commands."""
    from loadcell.report.charts.curve import curve_chart
    from loadcell.report.render.page import page

    chart = curve_chart(curve)
    return page(curve_view.curve_view(curve, source, [chart.name]), curve_view.PAGE, [chart], view.EN)
