"""What a benchmark found: tables of measured values with their bars, for a terminal and for Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table as RichTable


@dataclass(frozen=True)
class Row:
    """One line of a table: measured cells, and the bar they are held to if there is one."""

    cells: tuple[str, ...]
    bar: str = ""
    met: bool | None = None
    """None where there is no bar."""


@dataclass(frozen=True)
class Table:
    """One table; `columns` name the measured cells. `notes` say exactly what was counted."""

    title: str
    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    @property
    def missed(self) -> int:
        """Rows that missed their bar."""
        return sum(row.met is False for row in self.rows)


_VERDICT = {True: "met", False: "MISSED", None: ""}


def at_most(what: str, value: float, bar: float, unit: str, digits: int = 2) -> Row:
    """A row of two cells (what, value) that is met where the value is at most the bar."""
    return Row((what, f"{value:,.{digits}f} {unit}"), f"<= {bar:g} {unit}", value <= bar)


def print_table(table: Table, console: Console) -> None:
    """Print one table with its notes."""
    shown = RichTable(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, name in enumerate((*table.columns, "bar", "")):
        shown.add_column(name, justify="right" if 0 < number < len(table.columns) else "left")
    for row in table.rows:
        shown.add_row(*row.cells, row.bar, _VERDICT[row.met], style="red" if row.met is False else None)
    console.print(shown)
    for note in table.notes:
        console.print(note, highlight=False, markup=False)


def markdown(table: Table) -> str:
    """The table as GitHub Markdown, under a heading of the third level."""
    lines = [_line((*table.columns, "bar", "")), _line(("---",) * (len(table.columns) + 2))]
    lines += [_line((*row.cells, row.bar, _VERDICT[row.met])) for row in table.rows]
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([f"### {table.title}", "", *lines, *([""] if notes else []), *notes]) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
