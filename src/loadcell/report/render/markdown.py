"""Blocks as GitHub-flavoured Markdown, for a pull request or an issue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from loadcell.report.github import bullets, code, escaped, folded, joined, prose
from loadcell.report.github import table as raw_table
from loadcell.report.view.blocks import (
    Bars,
    Block,
    Cell,
    Chart,
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

MARKS: dict[Tone, str] = {"good": "✅", "care": "⚠️", "open": "❔", "bad": "❌"}


def markdown(sections: Iterable[Section]) -> str:
    """The sections as one text."""
    return joined(text for section in sections for text in _section(section))


def _section(section: Section) -> Iterator[str]:
    texts = [_block(block) for block in section.blocks]
    if section.headed:
        yield f"**{prose(section.title)}**"
    if section.detail:
        yield folded(section.title, "\n\n".join(filter(None, texts)))
        return
    if section.verdict is not None:
        yield from _verdict(section.verdict, section.title)
    yield from texts


def _verdict(found: Verdict, title: str) -> Iterator[str]:
    yield f"### {MARKS.get(found.tone, '')} {found.word}: {prose(title)}"
    yield prose(found.says)
    rest = [found.rest] if found.most is not None and len(found.reasons) > found.most else []
    yield bullets([*map(cell_text, found.reasons[: found.most]), *rest])


def _block(block: Block) -> str:
    if isinstance(block, Facts):
        return bullets(f"{label}: {_line(cells)}" if label else _line(cells) for label, cells in block.rows)
    if isinstance(block, Table):
        return "\n\n".join([_table(block), *map(prose, block.below)])
    if isinstance(block, Tiles):
        return _tiles(block)
    if isinstance(block, Note):
        return bullets(map(prose, block.lines))
    if isinstance(block, Command):
        return f"{prose(block.label)}: {code(block.text, 1000)}"
    assert isinstance(block, Chart | Fold | Bars)  # of a page, or a terminal
    return ""


def _tiles(block: Tiles) -> str:
    """Figures with intervals as a table; counts in a line."""
    rows = [
        [
            " ".join(filter(None, [prose(title.text), title.under, cell.label])),
            f"**{cell.text}** {cell.unit}".strip(),
            cell.under,
        ]
        for title, cells in block.tiles
        for cell in cells
    ]
    if not any(under for _, _, under in rows):
        return " · ".join(f"{figure} {title}" for title, figure, _ in rows)
    return raw_table(["", "", ""], rows)


def cell_text(cell: Cell) -> str:
    """A cell but for what stands below it."""
    text = cell.text if cell.kind == "figure" else code(cell.text) if cell.kind == "code" else prose(cell.text)
    text = f"**{text}**" if cell.tone == "strong" else f"[{text}]({cell.link})" if cell.link else text
    text = " ".join(filter(None, [MARKS.get(cell.tone), cell.word, cell.label, text, cell.unit]))
    text = f"{text}: {prose(cell.more)}" if cell.more else text
    return f"{text} \N{RIGHTWARDS ARROW} {prose(cell.advice)}" if cell.advice else text


def _table(block: Table) -> str:
    head, align = [], ""
    for column in block.columns:
        apart = column.under and not block.stacked
        below = f"<br><sub>{column.under}</sub>" if column.under and not apart else ""
        head += [f"{column.title}{below}", *([column.under] if apart else [])]
        align += column.side[0] * (2 if apart else 1)
    rows = (
        [
            text
            for column, cell in zip(block.columns, row, strict=True)
            for text in ([cell_text(cell), cell.under] if column.under and not block.stacked else [_stacked(cell)])
        ]
        for row in block.rows
    )
    return raw_table(head, rows, align)


def _line(cells: Sequence[Cell]) -> str:
    return " · ".join(map(cell_text, cells))


def _stacked(cell: Cell) -> str:
    return "".join([cell_text(cell), *(f"<br><sub>{escaped(line)}</sub>" for line in cell.under.splitlines())])
