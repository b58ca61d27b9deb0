"""A Comparison on the console, as Markdown, as a page and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadcell.compare.model import Comparison
from loadcell.report.view import comparison as view
from loadcell.report.words import Words

if TYPE_CHECKING:
    from rich.console import Console

    from loadcell.report.detail.model import Detail


def print_comparison(comparison: Comparison, console: Console, words: Words) -> None:
    """Print the Comparison: first whether the runs may be compared, then what differs, the gates last."""
    from loadcell.report.render.terminal import show

    show(view.comparison_view(comparison, words).sections(view.TERMINAL), console)


def comparison_markdown(comparison: Comparison, words: Words) -> str:
    """The comparison for a pull request: gates first, then what differs, pair by pair."""
    from loadcell.report.render.markdown import markdown

    return markdown(view.comparison_view(comparison, words).sections(view.MARKDOWN))


def comparison_page(comparison: Comparison, details: dict[str, Detail], words: Words) -> str:
    """One HTML file that tells a comparison to a person who was not there.

    `details` by the names of the sides ("A", "B"); a side without a recording is absent.
    """
    from loadcell.report.charts import comparison_charts
    from loadcell.report.render.page import page

    charts = comparison_charts(comparison, details, words)
    overlay = any(chart.name == "ecdf-overlay" for chart in charts)
    return page(view.comparison_view(comparison, words, overlay), view.PAGE, charts, words)
