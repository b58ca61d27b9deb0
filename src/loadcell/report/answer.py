"""The answer to a query as people and programs read it: a table that fits, CSV, JSON; and the tables there are."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import IO, Any

import msgspec
from rich.cells import cell_len, set_cell_size

from loadcell.cells import harmless
from loadcell.recording.query import Answer
from loadcell.recording.tables import ABOUT, TABLES

_GAP = "  "
_LEAST_TEXT = 12
"""A column of text is not made narrower than this."""
_NAMED = 6
"""Columns that are named where they do not fit."""
_LONGEST = 2_000
"""Characters of a cell that are looked at for a table."""
_SIMPLE = {
    "VARCHAR",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "DOUBLE",
    "FLOAT",
}
"""Types of DuckDB whose values need no change, in CSV as in JSON."""
_QUOTE, _QUOTED = '"', re.compile(r'[",\r\n]')
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


# --- for people ------------------------------------------------------------------------------------------------------


def write_table(answer: Answer, out: IO[str], width: int | None, limit: int) -> str | None:
    """Write at most `limit` rows as an aligned table and return, in words, what was cut; None if nothing was.

    With a `width`, text is shortened to fit, and columns that still do not are left out. No control character of a
    cell reaches the terminal.
    """
    rows: list[tuple[Any, ...]] = []
    for batch in answer.batches:
        rows += batch
        if len(rows) > limit:
            break
    more, rows = len(rows) > limit, rows[:limit]
    names = [_one_line(name) for name in answer.names]
    columns = [[_shown(row[i]) for row in rows] for i in range(len(names))]
    right = [bool(rows) and all(_is_number(row[i]) or row[i] is None for row in rows) for i in range(len(names))]
    widths = [max(map(cell_len, [name, *column])) for name, column in zip(names, columns, strict=True)]
    shown = len(widths) if width is None else _fit(widths, names, right, width)
    head = _line(names[:shown], widths, right)
    out.write(f"{head if width is None else f'{_BOLD}{head}{_PLAIN}'}\n")
    for i in range(len(rows)):
        out.write(_line([column[i] for column in columns[:shown]], widths, right) + "\n")
    said = []
    if more:
        said.append(f"only the first {limit:,} rows are shown")
    if shown < len(names):
        left = names[shown:]
        more_names = ", …" if len(left) > _NAMED else ""
        said.append(f"{len(left)} more columns do not fit ({', '.join(left[:_NAMED])}{more_names})")
    return f"{'; '.join(said)}. --csv, --json and --parquet FILE give all" if said else None


def _fit(widths: list[int], names: Sequence[str], right: Sequence[bool], width: int) -> int:
    """Make text columns narrower until the table fits `width`; returns how many columns do."""
    least = [
        full if number else min(full, max(_LEAST_TEXT, cell_len(name)))
        for full, name, number in zip(widths, names, right, strict=True)
    ]
    shown = len(widths)
    while shown > 1 and sum(least[:shown]) + len(_GAP) * (shown - 1) > width:
        shown -= 1
    spare = width - sum(least[:shown]) - len(_GAP) * (shown - 1)
    wanted = sorted((widths[i] - least[i], i) for i in range(shown))
    for left, (more, i) in zip(range(shown, 0, -1), wanted, strict=True):  # those that want little get it
        grant = max(0, min(more, spare // left))
        widths[i], spare = least[i] + grant, spare - grant
    if shown == 1:
        widths[0] = min(widths[0], width)
    return shown


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for cell, width, number in zip(cells, widths, right, strict=False):
        long = cell_len(cell)
        if long > width:
            parts.append(f"{set_cell_size(cell, width - 1)}…")
        else:
            parts.append(" " * (width - long) + cell if number else cell + " " * (width - long))
    return _GAP.join(parts).rstrip()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return _float(value)
    return _one_line(_text(value))


def _float(value: float) -> str:
    """Six significant digits, without powers of ten where a plain number tells it."""
    text = f"{value:.6g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e15 else text


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text[:_LONGEST].split()))


# --- for programs ----------------------------------------------------------------------------------------------------


def write_csv(answer: Answer, out: IO[str]) -> None:
    """Write CSV with a line of names; NULL is empty, times are ISO 8601, lists and structs JSON."""
    out.write("".join(map(_csv_line, [answer.names])))
    odd = [i for i, kind in enumerate(answer.types) if kind not in _SIMPLE]
    for batch in answer.batches:
        rows = [_with(row, odd, _cell) for row in batch] if odd else batch
        rows = [tuple(map(harmless, row)) for row in rows]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        # Python's writer leaves a bare carriage return unquoted (before 3.13).
        out.write("".join(map(_csv_line, rows)) if "\r" in text.getvalue() else text.getvalue())


def _csv_line(row: Sequence[Any]) -> str:
    cells = ["" if value is None else str(value) for value in row]
    quoted = (f'"{cell.replace(_QUOTE, _QUOTE * 2)}"' if _QUOTED.search(cell) else cell for cell in cells)
    return (",".join(quoted) or '""') + "\n"


def write_json(answer: Answer, out: IO[str]) -> None:
    """Write a list of objects, an object a line.

    What is no finite number is null; of columns with one name the later ones get a number.
    """
    names = _distinct(answer.names)
    odd = [i for i, kind in enumerate(answer.types) if kind not in _SIMPLE and kind != "JSON"]
    raw = [i for i, kind in enumerate(answer.types) if kind == "JSON"]
    start = "[\n"
    for batch in answer.batches:
        rows = (_with(_with(row, odd, _plain), raw, _raw) for row in batch) if odd or raw else batch
        lines = [msgspec.json.encode(dict(zip(names, row, strict=True))).decode() for row in rows]
        out.write(start + ",\n".join(lines))
        start = ",\n"
    out.write("[]\n" if start == "[\n" else "\n]\n")


def _with(row: Sequence[Any], places: Sequence[int], change: Callable[[Any], Any]) -> list[Any]:
    """A row with some of its cells changed."""
    cells = list(row)
    for i in places:
        cells[i] = change(cells[i])
    return cells


def _cell(value: Any) -> str | None:
    return None if value is None else _text(value)


def _raw(value: str | None) -> msgspec.Raw | None:
    return None if value is None else msgspec.Raw(value.encode())


def _distinct(names: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        number = 1
        other = name
        while other in found:
            other, number = f"{name}_{number}", number + 1
        found[other] = None
    return list(found)


def _plain(value: Any) -> Any:
    """A value that JSON knows."""
    if isinstance(value, decimal.Decimal):
        value = float(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return msgspec.Raw(str(value).encode())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (dict, list, tuple)):
        return msgspec.json.encode(_plain(value)).decode()
    return repr(value) if isinstance(value, float) else str(value)


# --- the tables there are --------------------------------------------------------------------------------------------

_WIDTH = 80


def tables_text() -> str:
    """Every table and column with its type and meaning, in 80 columns."""
    return "\n".join(chain.from_iterable([*_table_lines(table), ""] for table in TABLES))


def _table_lines(table: str) -> Iterator[str]:
    columns = TABLES[table]
    yield from textwrap.wrap(f"{table}: {ABOUT[table]}", _WIDTH, subsequent_indent="  ")
    name_width = min(20, max(len(column.name) for column in columns))
    indent = " " * (4 + name_width + 10)
    for column in columns:
        head = f"  {column.name:{name_width}}  {column.sql.lower():9} "
        yield from textwrap.wrap(column.doc, _WIDTH, initial_indent=head, subsequent_indent=indent)
