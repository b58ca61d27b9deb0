"""Blocks as one HTML file that needs no network and no other file."""

from __future__ import annotations

from collections.abc import Sequence

from loadcell.report.charts.model import Chart
from loadcell.report.render.html import render
from loadcell.report.view.blocks import Tone, View
from loadcell.report.words import Words

CLASSES: dict[Tone, str] = {
    "": "none", "good": "valid", "care": "suspect", "open": "suspect", "bad": "invalid", "strong": "strong",
    "dim": "muted",
}  # fmt: skip


def page(view: View, order: Sequence[str], charts: Sequence[Chart], words: Words) -> str:
    """The parts of a View in this order, as a page; `charts` are those that its blocks name."""
    return render(
        "view.html",
        words,
        charts,
        view=view,
        loadcell=view.loadcell,
        sections=view.sections(order),
        classes=CLASSES,
    )
