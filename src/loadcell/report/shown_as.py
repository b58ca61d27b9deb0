"""A recording as another tool counts: on the console, as JSON, as Markdown and as a page."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.text import Text

from loadcell.interop.views.model import ShownAs
from loadcell.report.render.terminal import show
from loadcell.report.view.shown_as import PARTS, shown_view
from loadcell.report.words import Words

_ENGLISH = Words("en")


def print_shown(shown: ShownAs, console: Console, words: Words = _ENGLISH, *, full: bool = False) -> None:
    """Print it: the mean, the median and p99 of each distribution, or `full` all of its figures."""
    view = shown_view(shown, words, full=full)
    console.print(Text(f" {view.heading}", style="bold"), Text())
    show(view.sections(PARTS), console)


def shown_json(shown: ShownAs) -> str:
    """As JSON, indented."""
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n"


def shown_markdown(shown: ShownAs, words: Words) -> str:
    """As GitHub-flavoured Markdown."""
    from loadcell.report.github import prose
    from loadcell.report.render.markdown import markdown

    view = shown_view(shown, words)
    return f"## {prose(view.heading)}\n\n{markdown(view.sections(PARTS))}\n"


def shown_page(shown: ShownAs, words: Words) -> str:
    """As one HTML file that needs no other."""
    from loadcell.report.render.page import page

    return page(shown_view(shown, words), PARTS, [], words, draws=False)
