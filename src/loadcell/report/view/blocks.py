"""Blocks of a report: facts, tables, verdicts, tiles, charts, commands, and the sections that hold them.

Their words are in the language of the reader already. Renderers escape every cell as their format asks for, so that
words from outside stay words; a figure holds our own digits and marks, and is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from loadcell.report.words import Words

Tone = Literal["", "good", "care", "open", "bad", "strong", "dim"]
TONES: dict[str, Tone] = {"VALID": "good", "SUSPECT": "care", "INVALID": "bad"}
"""Of the words of a verdict."""
_TOO_LONG = 20_000
"""Characters; what is longer is no sentence of ours."""


class Cell(msgspec.Struct, frozen=True):
    """Words, a figure or a name."""

    text: str
    kind: Literal["words", "figure", "code"] = "words"
    tone: Tone = ""
    unit: str = ""
    under: str = ""
    """Our own words below a figure: its interval, or why there is none."""
    more: str = ""
    """What explains it."""
    word: str = ""
    """A word of a verdict before it, which then has the tone."""
    label: str = ""
    """Which figure it is, before it."""
    advice: str = ""
    """What to do about it."""
    term: str = ""
    """Its entry in the glossary."""
    link: str = ""
    """The address that it leads to."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table."""

    title: str
    side: Literal["left", "right"] = "right"
    under: str = ""
    """What stands below the figures of this column; Markdown then has a column for it, but in a stacked table."""
    wide: bool = False
    """A narrow terminal leaves it out."""
    spare: bool = False
    """A stacked table that does not fit otherwise leaves it out."""


Fact = tuple[str, Sequence[Cell]]
"""A label and what there is to say of it; without a label it belongs to the line before."""


class Facts(msgspec.Struct, frozen=True):
    """Lines of a label and what there is to say of it."""

    rows: Sequence[Fact]


class Table(msgspec.Struct, frozen=True):
    """Rows of cells, the first of which names the row."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    below: Sequence[str] = ()
    """Sentences that explain it."""
    stacked: bool = False
    """What stands below a figure never stands beside it."""
    anchor: str = ""
    """Of a page: rows can be led to by this and their name."""


class Tiles(msgspec.Struct, frozen=True):
    """A few figures to be seen at first, each with its title."""

    tiles: Sequence[tuple[Cell, Sequence[Cell]]]


class Bars(msgspec.Struct, frozen=True):
    """Figures and their values, to be drawn from 0 to the largest of their column: a terminal's charts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]


class Note(msgspec.Struct, frozen=True):
    """Sentences, one below the other."""

    lines: Sequence[str]


class Fold(msgspec.Struct, frozen=True):
    """Blocks of second rank under a title; a page opens them at a click."""

    title: str
    blocks: Sequence[Facts | Table | Note]


class Chart(msgspec.Struct, frozen=True):
    """A chart of the page by its name; other formats have the figures only."""

    name: str


class Command(msgspec.Struct, frozen=True):
    """What to type, and what for."""

    label: str
    text: str


class Verdict(msgspec.Struct, frozen=True):
    """A word, what it means here, and the reasons for it."""

    word: str
    tone: Tone
    says: str = ""
    reasons: Sequence[Cell] = ()
    most: int | None = None
    """So many reasons are shown where there is no room for all, with `rest` in place of the others."""
    rest: str = ""


Block = Facts | Table | Tiles | Bars | Note | Fold | Chart | Command


class Section(msgspec.Struct, frozen=True):
    """Blocks under a title; its verdict stands first."""

    name: str
    title: str
    blocks: Sequence[Block]
    verdict: Verdict | None = None
    detail: bool = False
    """Of second rank: Markdown folds it."""
    headed: bool = False
    """Its title stands above its blocks everywhere, not on a page alone."""


class View(msgspec.Struct, frozen=True):
    """A whole report."""

    title: str
    eyebrow: str
    heading: str
    parts: dict[str, list[Section]]
    """Each format shows some of them, in its own order."""
    loadcell: str
    """The version that computed it."""

    def sections(self, order: Sequence[str]) -> list[Section]:
        """The sections of these parts."""
        return [section for part in order for section in self.parts.get(part, ())]


def figured(text: str, **more: str) -> Cell:
    """A figure of ours; `more` as the fields of Cell."""
    return Cell(text, kind="figure", **more)  # type: ignore[arg-type]


def fact(label: str, *parts: str) -> Fact:
    """A line of words."""
    return label, [Cell(part) for part in parts]


def listed(label: str, cells: Iterable[Cell]) -> list[Fact]:
    """A line a cell below one label."""
    return [("" if i else label, [cell]) for i, cell in enumerate(cells)]


def told(text: str, words: Words) -> str:
    """A finished sentence of a Result or a Comparison in the language of the reader."""
    return words.say(text) if len(text) <= _TOO_LONG else text
