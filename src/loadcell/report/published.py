"""Published results on the console and as Markdown, and a run beside them."""

from __future__ import annotations

from rich.console import Console

from loadcell.published.beside import PublishedComparison
from loadcell.published.model import Found, Registry
from loadcell.published.press import Press
from loadcell.report.render.terminal import show
from loadcell.report.view import published as view


def print_found(found: Found, console: Console, *, cite: bool = False) -> None:
    """Print the rankings; with `cite`, the full citation of every row below its ranking."""
    show(view.found_sections(found, cite=cite), console)


def published_markdown(found: Found) -> str:
    """Tables with links, and the words that have to go with them."""
    from loadcell.report.render.markdown import markdown

    return markdown(view.found_sections(found, whole=True))


def print_registry(registry: Registry, console: Console) -> None:
    """Print what the registry holds, and how to ask it."""
    show(view.registry_sections(registry), console)


def print_press(press: Press, console: Console) -> None:
    """Print quoted figures beside the published ones."""
    show(view.press_sections(press), console)


def print_beside(comparison: PublishedComparison, console: Console) -> None:
    """Print a run, what it stands beside, and everything that keeps them from being alike."""
    show(view.beside_sections(comparison), console)
