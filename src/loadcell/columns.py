"""Columns of numbers from a file as people have them: CSV, JSON Lines or Parquet, packed by gzip or not."""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import math
import re
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadcell.errors import UsageError, nearest

PACKAGED = {"arxiv": "arxiv.csv.gz", "bwb": "bwb.csv.gz", "sharegpt": "sharegpt.csv.gz"}
"""Tables of lengths that come with the package, by name; their folder tells where they are from."""
_ETALON = "project-etalon/etalon (Georgia Institute of Technology, Apache-2.0), counted by Llama 2's tokenizer"
SOURCES = dict.fromkeys(PACKAGED, _ETALON)
"""Whom to credit for each."""
_SEPARATORS = ",\t;|"
_ALONE = "value"
"""Name of the only column of a file without a header."""


class Table(NamedTuple):
    """Columns that were asked for, with their names in the file."""

    path: str
    columns: tuple[tuple[str, list[float]], ...]
    lines: Sequence[int]
    """The line of each row; its number in Parquet."""
    lined: bool

    def where(self, place: int) -> str:
        """Where a row stands, for an error."""
        return f"{self.path}:{self.lines[place]}" if self.lined else f"row {self.lines[place]} of {self.path}"


def read_numbers(path: str, said: str, wanted: tuple[tuple[str, ...], ...]) -> Table:
    """For each of `wanted` the column that has one of its names; a file read before is not read again.

    An empty tuple of names takes the only column there is. UsageError, which begins with `said`, names the line that is
    no number, the columns that a file has, and those that are known.
    """
    at, mark = _place(path, said)
    try:
        return _read(str(at), mark, path, wanted)
    except _Wrong as wrong:
        raise UsageError(f"{said}{wrong}") from None


def digest_of(path: str) -> str:
    """SHA-256 in hex of a file that `read_numbers` reads."""
    with _place(path, "")[0].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Wrong(Exception):
    """What is wrong with a file, in words."""


def _place(path: str, said: str) -> tuple[Path, tuple[int, int]]:
    """Where the file is, and what changes where it does."""
    if path in PACKAGED:
        return Path(str(resources.files("loadcell.workload").joinpath("data", "lengths", PACKAGED[path]))), (0, 0)
    place = Path(path).expanduser()
    try:
        told = place.stat()
    except OSError as error:
        hint = nearest(path, PACKAGED) if "/" not in path else ""
        raise UsageError(
            f"{said}{path} cannot be read: {error.strerror}{hint}; lengths that come with loadcell: "
            f"{', '.join(PACKAGED)}"
            if hint
            else f"{said}{path} cannot be read: {error.strerror}"
        ) from None
    return place, (told.st_mtime_ns, told.st_size)


@functools.lru_cache(maxsize=8)
def _read(at: str, mark: tuple[int, int], path: str, wanted: tuple[tuple[str, ...], ...]) -> Table:
    try:
        data = Path(at).read_bytes()
        if data.startswith(b"PAR1"):
            return _parquet(at, path, wanted)
        text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or f"it is damaged: {error}"
        raise _Wrong(f"{path} cannot be read: {why}") from None
    except UnicodeDecodeError as error:
        raise _Wrong(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    # not splitlines, which ends a line at U+2028 and the like within a text too
    lines = [(number, line) for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1) if line.strip()]
    if not lines:
        raise _Wrong(f"{path} is empty")
    return _json_lines(lines, path, wanted) if lines[0][1].lstrip().startswith("{") else _csv(lines, path, wanted)


def _csv(lines: list[tuple[int, str]], path: str, wanted: tuple[tuple[str, ...], ...]) -> Table:
    first = lines[0][1]
    mark = max(_SEPARATORS, key=first.count)
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=mark))]
    if _is_number(header[0]) and len(header) == 1:
        header, lines = [_ALONE], [(0, _ALONE), *lines]
    places = [header.index(name) for name in _names(header, path, wanted)]
    rows = csv.reader((line + "\n" for _, line in lines[1:]), delimiter=mark)
    numbers, columns, begins = list[int](), [list[float]() for _ in places], 1
    for cells in rows:
        number, begins = lines[begins][0], rows.line_num + 1  # a cell may have lines
        numbers.append(number)
        for into, place in zip(columns, places, strict=True):
            into.append(_number(cells[place] if place < len(cells) else "", header[place], f"{path}:{number}"))
    return _table(path, [header[place] for place in places], columns, numbers, lined=True)


def _json_lines(lines: list[tuple[int, str]], path: str, wanted: tuple[tuple[str, ...], ...]) -> Table:
    columns: list[list[float]] = [[] for _ in wanted]
    names: list[str] = []
    for number, line in lines:
        where = f"{path}:{number}"
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise _Wrong(f"{where}: not a JSON object: {error}") from None
        names = names or _names(list(row), path, wanted)
        for into, name in zip(columns, names, strict=True):
            into.append(_number(row.get(name, ""), name, where))
    return _table(path, names, columns, [number for number, _ in lines], lined=True)


def _parquet(at: str, path: str, wanted: tuple[tuple[str, ...], ...]) -> Table:
    import duckdb

    try:
        with duckdb.connect() as connection:
            names = _names(connection.read_parquet(at).columns, path, wanted)
            quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
            rows = connection.execute(f"SELECT {quoted} FROM read_parquet(?)", [at]).fetchall()
    except duckdb.Error as error:
        raise _Wrong(f"{path} is not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    columns = [
        [_number(row[place], name, f"row {number} of {path}") for number, row in enumerate(rows, 1)]
        for place, name in enumerate(names)
    ]
    return _table(path, names, columns, range(1, len(rows) + 1), lined=False)


def _table(path: str, names: list[str], columns: list[list[float]], lines: Sequence[int], *, lined: bool) -> Table:
    if not columns[0]:
        raise _Wrong(f"{path} has no rows")
    return Table(path, tuple(zip(names, columns, strict=True)), lines, lined)


def _names(there: Sequence[str], path: str, wanted: tuple[tuple[str, ...], ...]) -> list[str]:
    """The columns of the file that are wanted."""
    found = []
    for known in wanted:
        if not known:
            if len(there) != 1:
                raise _Wrong(f"{path} has the columns {', '.join(there)}: say which, as in {path}#{there[-1]}")
            found.append(there[0])
            continue
        have = [name for name in known if name in there]
        if not have:
            guess = nearest(known[0], there) if len(known) == 1 else ""
            raise _Wrong(f"{path} has no column {' or '.join(known)}{guess}; it has: {', '.join(there)}")
        if len(have) > 1:
            raise _Wrong(f"{path} has the columns {' and '.join(have)}, which mean the same: leave one out")
        found.append(have[0])
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(value: Any, name: str, where: str) -> float:
    """A finite number from a cell; text of one is one."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        shown = "nothing" if value is None or value == "" else repr(value)
        raise _Wrong(f"{where}: {name} is {shown[:60]}: a number is needed")
    return found
