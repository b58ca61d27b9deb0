"""Labelled lines, bare tables and loads as people look at them on a terminal."""

from __future__ import annotations

from typing import Any

from rich.containers import Lines
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadcell.phrases import phrase
from loadcell.report.text import MISSING, plain
from loadcell.search.model import Ask, load_figure

LABEL_WIDTH = 13
TITLES = {
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "e2e_ms": "E2E",
    "first_audio_ms": "First audio",
    "failures": "failures",
}


class Unbroken(Text):
    """Text in which a percent sign stays on the line of its number, and the thousands of a number beside each other."""

    def wrap(self, *args: Any, **options: Any) -> Lines:
        """As Text's; neither the space before the sign nor a narrow one in a number is a place to break at."""
        kept = Text.assemble(self, justify=self.justify, overflow=self.overflow, no_wrap=self.no_wrap)
        kept.plain = kept.plain.replace(" %", f"{_NO_SPACE}%").replace(_NARROW, _NO_NARROW)
        lines = kept.wrap(*args, **options)
        for line in lines:
            line.plain = line.plain.replace(_NO_SPACE, " ").replace(_NO_NARROW, _NARROW)
        return lines


_NO_SPACE, _NO_NARROW, _NARROW = "\ue000", "\ue001", "\N{NARROW NO-BREAK SPACE}"


def bare_table(gap: int = 2) -> Table:
    """A table without rules, its columns so far apart."""
    return Table(box=None, padding=(0, 0, 0, gap), pad_edge=False, header_style="bold")


def indented(text: str | Text, columns: int = 1, style: str = "") -> Padding:
    """Text of which every line starts at the same column, wrapped ones too."""
    return Padding(Unbroken.assemble((text, style) if isinstance(text, str) else text), (0, 0, 0, columns))


def ask_label(ask: Ask) -> str:
    """The load of a stage in as few characters as tell it: its level, "1 user", or what it changes."""
    if ask.level is not None:
        return load_figure(ask.level)
    users = ask.changes.get("load.concurrency")
    if ask.phase == "floor" and users is not None:
        return phrase("{} users", users)
    names = [path.rpartition(".")[2] for path in ask.changes]
    short = len(set(names)) == len(names)
    shown = zip(names if short else ask.changes, ask.changes.values(), strict=True)
    return plain(", ".join(f"{name} {value_words(value)}" for name, value in shown)) or MISSING


def value_words(value: Any) -> str:
    """The value of a spec field in as few characters as tell it."""
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
