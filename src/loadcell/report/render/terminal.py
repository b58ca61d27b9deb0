"""Blocks on a terminal of 80 columns or more; plain text where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from loadcell.report.text import plain
from loadcell.report.view.blocks import Block, Cell, Chart, Command, Facts, Note, Section, Table, Tiles, Tone, Verdict

STYLES: dict[Tone, str] = {
    "": "", "good": "green", "care": "yellow", "open": "yellow", "bad": "bold red", "strong": "bold", "dim": "dim",
}  # fmt: skip
BADGES: dict[Tone, str] = {"good": "bold white on green", "care": "bold black on yellow", "bad": "bold white on red"}
_WIDE = 110
"""Columns from which on what stands below a figure stands beside it."""
_LIMIT = 600
"""Most characters of a cell."""


def show(sections: Iterable[Section], console: Console) -> None:
    """Print the sections."""
    parts = (part for section in sections for part in _section(section, console.width))
    console.print(Group(*parts))


def _section(section: Section, width: int) -> Iterator[RenderableType]:
    """Its verdict and each block with an empty line behind."""
    if section.verdict is not None:
        yield Group(*verdict(section.verdict, section.title))
        yield Text()
    for block in section.blocks:
        shown = _block(block, width)
        if shown is not None:
            yield shown
            yield Text()


def _block(block: Block, width: int) -> RenderableType | None:
    if isinstance(block, Facts):
        return facts(block)
    if isinstance(block, Table):
        below = [indented(plain(line, _LIMIT), 1, "dim") for line in block.below]
        return Group(table(block, width), *below)
    if isinstance(block, Tiles):
        return indented(" · ".join(f"{cell.text} {title}" for title, cell in block.tiles))
    if isinstance(block, Note):
        return Group(*(indented(plain(line, _LIMIT)) for line in block.lines))
    if isinstance(block, Command):
        return Text(f" {block.label}: {block.text}", no_wrap=True, overflow="ignore")
    assert isinstance(block, Chart)
    return None


def indented(text: str | Text, columns: int = 1, style: str = "") -> Padding:
    """Text of which every line starts at the same column, wrapped ones too."""
    return Padding(Text(text, style=style) if isinstance(text, str) else text, (0, 0, 0, columns))


def badge(word: str, tone: Tone) -> Text:
    """A word that is seen from afar."""
    return Text(f" {word.upper()} ", style=BADGES.get(tone, "bold reverse"))


def verdict(found: Verdict, title: str) -> Iterator[RenderableType]:
    """The word with what it is about, its reasons below."""
    yield Text.assemble(" ", badge(found.word, found.tone), f" {plain(title, _LIMIT)}")
    for reason in found.reasons:
        yield indented(words(reason), 3)
    if found.says:
        yield indented(plain(found.says, _LIMIT), 1, "bold")


def words(cell: Cell, gap: str = " ", colon: str = ": ") -> Text:
    """A cell as text; `gap` stands before what is below a figure, `colon` before what explains."""
    unit = f" {cell.unit}" if cell.unit else ""
    text = Text(f"{plain(cell.text, _LIMIT)}{unit}", style=STYLES[cell.tone])
    text = Text.assemble(text, (f"{gap}{cell.under}" if cell.under else "", "dim"))
    return text.append(f"{colon}{plain(cell.more, _LIMIT)}", style="dim") if cell.more else text


def facts(block: Facts) -> Grid:
    """Labels in a column of their own."""
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, cells in block.rows:
        grid.add_row(f" {label}", Text(" · ").join(words(cell) for cell in cells))
    return grid


def table(block: Table, width: int) -> Grid:
    """The table; the last column of words takes what room there is."""
    wide = width >= _WIDE
    gap, colon = (" ", ": ") if wide else ("\n", "\n")
    grid = plain_table(f" {block.columns[0].title}")
    last = len(block.columns) - 1
    for i, column in enumerate(block.columns[1:], 1):
        fold = i == last and column.side == "left"
        grid.add_column(column.title, justify=column.side, no_wrap=not fold, overflow="fold")
    for first, *rest in block.rows:
        grid.add_row(Text.assemble(" ", words(first)), *(words(cell, gap, colon) for cell in rest))
    return grid


def plain_table(first: str, titles: Sequence[str] = ()) -> Grid:
    """A table without rules: a first column of names, and columns of figures."""
    grid = Grid(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    grid.add_column(Text(first), no_wrap=True)
    for title in titles:
        grid.add_column(title, justify="right", no_wrap=True)
    return grid
