"""Blocks on a terminal of 80 columns or more; plain text where there is none."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from loadcell.report.lines import LABEL_WIDTH, Unbroken, bare_table, indented
from loadcell.report.text import plain
from loadcell.report.view.blocks import (
    Bars,
    Block,
    Cell,
    Chart,
    Column,
    Command,
    Facts,
    Fold,
    Note,
    Section,
    Table,
    Tiles,
    Tone,
    Verdict,
)

STYLES: dict[Tone, str] = {
    "": "", "good": "green", "care": "yellow", "open": "yellow", "bad": "bold red", "strong": "bold", "dim": "dim",
}  # fmt: skip
BADGES: dict[Tone, str] = {"good": "bold white on green", "care": "bold black on yellow", "bad": "bold white on red"}
_WIDE = 110
"""Columns from which on what stands below a figure stands beside it."""
_LIMIT = 800
"""Most characters of a cell."""
_LEAST_NAME = 16
"""Characters that a name in a table has in any case."""
_PLAIN_COLUMN = 9
"""Columns of a figure without anything below it, in a table of those that have it."""
_BLOCKS = " ▏▎▍▌▋▊▉█"
_FIGURE = 8
"""Characters of the figure beside a bar."""
_LEAST_BAR, _MOST_BAR = 10, 30


def show(sections: Iterable[Section], console: Console) -> None:
    """Print the sections."""
    for section in sections:
        if section.verdict is not None:
            console.print(*verdict(section.verdict, section.title), Text())
        if section.headed:
            console.print(indented(section.title, 1, "bold"))
        for block in section.blocks:
            found = shown(block, console.width)
            if found is not None:
                console.print(found, Text())
            if isinstance(block, Command):
                command(console, block)
        if section.blocks and isinstance(section.blocks[-1], Command):
            console.print()


def shown(block: Block, width: int) -> RenderableType | None:
    """A block on a terminal of this width; None for what only a page has, and for what is not to be broken."""
    if isinstance(block, Facts):
        return facts(block)
    if isinstance(block, Table):
        below = [indented(plain(line, _LIMIT), 1, "dim") for line in block.below]
        return Group(table(block, width), *below)
    if isinstance(block, Tiles):
        if any(cell.under for _, cells in block.tiles for cell in cells):
            return facts(Facts([(title.text, cells) for title, cells in block.tiles]))
        return indented(" · ".join(f"{cell.text} {title.text}" for title, cells in block.tiles for cell in cells))
    if isinstance(block, Bars):
        return bars(block, width)
    if isinstance(block, Note):
        return Group(*(indented(plain(line, _LIMIT)) for line in block.lines))
    assert isinstance(block, Fold | Chart | Command)  # of a page, or printed unbroken
    return None


def command(console: Console, found: Command) -> None:
    """Print a command unbroken, so that it can be copied."""
    console.print(f" {found.label}: {found.text}", soft_wrap=True, markup=False, highlight=False)


def badge(word: str, tone: Tone) -> Text:
    """A word that is seen from afar."""
    return Text(f" {word.upper()} ", style=BADGES.get(tone, "bold reverse"))


def verdict(found: Verdict, title: str = "") -> Iterator[RenderableType]:
    """The word with what it is about or means, its reasons below."""
    head, says = (title, found.says) if title else (found.says, "")
    line = Grid.grid(padding=(0, 1, 0, 0))
    line.add_column(no_wrap=True)
    line.add_column(overflow="fold")
    line.add_row(Text.assemble(" ", badge(found.word, found.tone)), plain(head, _LIMIT))
    yield line
    for reason in found.reasons[: found.most]:
        yield indented(words(reason), 3)
    if found.most is not None and len(found.reasons) > found.most:
        yield indented(found.rest, 3, "dim")
    if says:
        yield indented(plain(says, _LIMIT), 1, "bold")


def words(cell: Cell, gap: str = " ", colon: str = ": ") -> Text:
    """A cell as text; `gap` stands before what is below a figure, `colon` before what explains."""
    label = f"{cell.label} " if cell.label else ""
    unit = f" {cell.unit}" if cell.unit else ""
    text = Text(f"{label}{plain(cell.text, _LIMIT)}{unit}", style="" if cell.word else STYLES[cell.tone])
    if cell.link:
        text.stylize(f"link {cell.link}")
    text = Text.assemble(badge(cell.word, cell.tone), " ", text) if cell.word else text
    text = Text.assemble(text, (f"{gap}{cell.under}" if cell.under else "", "dim"))
    if cell.more:
        text.append(f"{colon}{plain(cell.more, _LIMIT)}")
    if cell.advice:
        text.append(f"\n\N{RIGHTWARDS ARROW} {plain(cell.advice, _LIMIT)}", style="dim")
    return Unbroken.assemble(text)


def facts(block: Facts) -> Grid:
    """Labels in a column of their own, what they say beside them."""
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(min_width=LABEL_WIDTH, style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, cells in block.rows:
        grid.add_row(Text(f" {label}"), Unbroken.assemble(Text(" · ").join(words(cell) for cell in cells)))
    return grid


def table(block: Table, width: int) -> Grid:
    """The table; the last column of words takes what room there is."""
    beside = width >= _WIDE and not block.stacked
    gap, colon = (" ", ": ") if beside else ("\n", "\n")
    shown = [i for i, column in enumerate(block.columns) if width >= _WIDE or not column.wide]
    columns, lines = [block.columns[i] for i in shown], [[row[i] for i in shown] for row in block.rows]
    if block.stacked and _natural(columns, lines) + len(columns) > width and any(column.spare for column in columns):
        kept = [i for i, column in enumerate(columns) if not column.spare]
        columns, lines = [columns[i] for i in kept], [[row[i] for i in kept] for row in lines]
    lines = _with_short_names(columns, lines, width)
    below = {i for row in lines for i, cell in enumerate(row) if cell.under}
    room = (width - LABEL_WIDTH - 2 - _PLAIN_COLUMN * (len(columns) - len(below))) // max(1, len(below)) - 2
    natural = _natural(columns, lines)
    close = block.stacked and width < natural + 2 * len(columns) <= width + len(columns)
    fits = natural + (1 if close else 2) * len(columns) <= width
    grid = bare_table(1 if close else 2)
    grid.add_column(Text(f" {columns[0].title}"), no_wrap=True)
    last = len(columns) - 1
    for i, column in enumerate(columns[1:], 1):
        fold = i == last and column.side == "left"
        head = f"{column.title}\n{column.under}".rstrip() if block.stacked else column.title
        whole = None if fold or block.stacked else _natural([column], [[row[i]] for row in lines])
        grid.add_column(Text(head), justify=column.side, no_wrap=whole is not None, overflow="fold", min_width=whole)
    for first, *rest in lines:
        name = words(first, "\n")
        name.stylize("bold", 0, len(first.text))
        cells = (
            words(_fitted(cell, room) if block.stacked and not fits and column.side == "right" else cell, gap, colon)
            for column, cell in zip(columns[1:], rest, strict=True)
        )
        grid.add_row(indented(name), *cells)
    return grid


def _with_short_names(columns: Sequence[Column], rows: Sequence[list[Cell]], width: int) -> list[list[Cell]]:
    """The rows with names that leave room for every figure: shortened in the middle, as their ends may differ."""
    fold = len(columns) > 1 and columns[-1].side == "left"
    figures = slice(1, -1 if fold else None)
    taken = _natural(columns[figures], [row[figures] for row in rows]) + 2 * len(columns) + fold * _LEAST_NAME
    most = max(_LEAST_NAME, width - taken)
    return [[_shortened(row[0], most), *row[1:]] for row in rows]


def _shortened(cell: Cell, most: int) -> Cell:
    name, begin = cell.text, most // 2
    if cell.kind != "code" or len(name) <= most:
        return cell
    return msgspec.structs.replace(
        cell, text=f"{name[:begin]}\N{HORIZONTAL ELLIPSIS}{name[len(name) - most + begin + 1 :]}"
    )


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> int:
    """Characters of a stacked table's columns, where nothing is broken."""
    heads = [max(len(column.title), len(column.under)) for column in columns]
    cells = ([max(map(cell_len, words(cell, "\n").plain.splitlines()), default=0) for cell in row] for row in rows)
    return sum(map(max, zip(heads, *cells, strict=True)))


def _fitted(cell: Cell, room: int) -> Cell:
    """With what stands below the figure broken at a dash or a space where it does not fit."""
    lines = [part for line in cell.under.splitlines() for part in _broken(line, room)]
    return msgspec.structs.replace(cell, under="\n".join(lines))


def _broken(line: str, room: int) -> list[str]:
    low, dash, high = line.partition("\N{EN DASH}")
    if len(line) <= room:
        return [line]
    return (
        [f"{low}{dash}", high]
        if dash and " " not in line
        else textwrap.wrap(line, max(room, 4), break_long_words=False)
    )


def bars(block: Bars, width: int) -> Grid:
    """A figure and its bar for each column, of rows that are named first."""
    room = width - 3 - max(map(len, [block.title, *(name for name, _ in block.rows)]))
    long = max(_LEAST_BAR, min(_MOST_BAR, room // len(block.columns) - _FIGURE - 3))
    grid = bare_table(1)
    grid.add_column(Text(f" {block.title}"), no_wrap=True)
    for title in block.columns:
        grid.add_column("", justify="right", width=_FIGURE, no_wrap=True)
        grid.add_column(Text(title), width=long + 1, overflow="fold")
    tops = [max(value for _, value in column) for column in zip(*(cells for _, cells in block.rows), strict=True)]
    for name, cells in block.rows:
        drawn = [(figure, Text(_bar(value / top if top > 0 else 0.0, long), style="cyan"))
                 for (figure, value), top in zip(cells, tops, strict=True)]  # fmt: skip
        grid.add_row(Text(f" {name}"), *(part for pair in drawn for part in pair))
    return grid


def _bar(of_top: float, width: int) -> str:
    """A bar of eighths of a block, from 0; one at least for what is more than 0, so that it does not look like none."""
    eighths = min(8 * width, max(1 if of_top > 0 else 0, round(8 * width * of_top)))
    return _BLOCKS[8] * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
