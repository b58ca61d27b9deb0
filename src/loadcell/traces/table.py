"""Rows of a file as columns: numbers, times, texts and lists, whatever form the file has.

A value that is missing, or is none of its kind, is NaN or None here: which rows that breaks is for the reader to say.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.traces.files import Source, document, lines

_QUOTE = "'"
_BEYOND = "beyond the last column"
"""A column for cells that the header has no name for."""
_ZONE = r"(:\d\d(?:\.\d+)?)\s*(?:Z|UTC|([+-])(\d\d):?(\d\d)?)$"


@dataclass(eq=False)
class Table:
    """Columns of a file, made when they are asked for."""

    source: Source
    rows: int
    broken: dict[int, str] = field(default_factory=dict)
    """Rows that are none, and why."""

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of numbers."""
        raise NotImplementedError

    def times(self, name: str) -> tuple[NDArray[np.float64], bool]:
        """A column of times in its own unit; or of dates, in seconds since some moment, and then True."""
        raise NotImplementedError

    def texts(self, name: str) -> list[str | None]:
        """A column of names, numbers among them written out."""
        raise NotImplementedError

    def lists(self, name: str) -> list[Any]:
        """A column of lists."""
        raise NotImplementedError

    def names(self) -> tuple[str, ...]:
        """The columns, or all keys that any object has."""
        return self.source.columns

    def places(self, rows: Iterable[int]) -> list[int]:
        """The lines in which these rows stand, from 1; their own numbers where a file has no lines."""
        raise NotImplementedError


def read_table(source: Source) -> Table:
    """The rows of a CSV, Parquet or JSON file."""
    if source.form in ("csv", "parquet"):
        return _sql_table(source)
    objects: list[Any] = []
    numbers: list[int] = []
    if source.form == "jsonl":
        objects, numbers, broken = read_objects(source)
    else:
        found = document(source)
        if not isinstance(found, list):
            raise UsageError(f"{source.path} is one JSON object, not a list of requests")
        objects, numbers = found, list(range(1, len(found) + 1))
        broken = {i: phrase("no object") for i, each in enumerate(found) if not isinstance(each, dict)}
    return _Objects(source, len(objects), broken, objects, numbers)


def read_objects(source: Source) -> tuple[list[dict[str, Any]], list[int], dict[int, str]]:
    """Objects of JSON Lines, the lines in which they stand, and which are none, and why: those are empty."""
    decode = msgspec.json.Decoder().decode
    objects: list[dict[str, Any]] = []
    numbers: list[int] = []
    broken: dict[int, str] = {}
    for number, line in lines(source):
        try:
            found = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            found, broken[len(objects)] = {}, phrase("no JSON: {}", error)
        if not isinstance(found, dict):
            found, broken[len(objects)] = {}, phrase("no object")
        objects.append(found)
        numbers.append(number)
    return objects, numbers, broken


@dataclass(eq=False)
class _Objects(Table):
    objects: list[Any] = field(default_factory=list)
    numbered: list[int] = field(default_factory=list)

    def names(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for each in self.objects:
            if isinstance(each, dict) and not each.keys() <= found.keys():
                found.update(dict.fromkeys(each))
        return tuple(found)

    def _values(self, name: str) -> list[Any]:
        return [each.get(name) if isinstance(each, dict) else None for each in self.objects]

    def numbers(self, name: str) -> NDArray[np.float64]:
        values = self._values(name)
        try:
            return np.array([np.nan if v is None or v is True or v is False else float(v) for v in values], np.float64)
        except (TypeError, ValueError, OverflowError):
            return np.array([number(v) for v in values], np.float64)

    def times(self, name: str) -> tuple[NDArray[np.float64], bool]:
        found = self.numbers(name)
        if np.isfinite(found).any():
            return found, False
        return np.array([date_s(v) for v in self._values(name)], np.float64), True

    def texts(self, name: str) -> list[str | None]:
        return [None if v is None else str(v) for v in self._values(name)]

    def lists(self, name: str) -> list[Any]:
        return self._values(name)

    def places(self, rows: Iterable[int]) -> list[int]:
        return [self.numbered[row] for row in rows]


def number(value: Any) -> float:
    """A number, also one written as text; NaN where there is none."""
    if isinstance(value, bool) or value is None:
        return np.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def date_s(value: Any) -> float:
    """A date in ISO form as seconds since 1970, one without a zone as UTC; NaN where it is none."""
    if not isinstance(value, str):
        return np.nan
    try:
        when = datetime.fromisoformat(value.strip())
    except ValueError:
        return np.nan
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def moment_s(value: Any) -> float:
    """Seconds since 1970, of a number or a date; NaN where it is neither."""
    found = number(value)
    return found if np.isfinite(found) else date_s(value)


@dataclass(eq=False)
class _Sql(Table):
    database: Any = None

    def names(self) -> tuple[str, ...]:
        return tuple(_unique(self.source.columns))

    def _fetched(self, expression: str) -> Any:
        return self.database.execute(f"select {expression} as it from rows").fetchnumpy()["it"]

    def numbers(self, name: str) -> NDArray[np.float64]:
        found = self._fetched(f"try_cast({_quoted(name)} as double)")
        return np.asarray(np.ma.filled(found.astype(np.float64), np.nan))

    def times(self, name: str) -> tuple[NDArray[np.float64], bool]:
        found = self.numbers(name)
        if np.isfinite(found).any():
            return found, False
        text = f"cast({_quoted(name)} as varchar)"
        ends = self.database.execute(f"select distinct right({text}, 6) from rows limit 2").fetchall()
        if len(ends) == 1 and re.fullmatch(r"[+-]\d\d:\d\d", ends[0][0] or ""):  # all of one zone, which then is none
            since = f"epoch_ns(try_cast(left({text}, -6) as timestamp_ns))"
        else:
            bare = f"try_cast(regexp_replace({text}, '{_ZONE}', '\\1') as timestamp_ns)"
            parts = [f"try_cast(nullif(regexp_extract({text}, '{_ZONE}', {i}), '') as bigint)" for i in (3, 4)]
            away = f"(coalesce({parts[0]}, 0) * 60 + coalesce({parts[1]}, 0)) * 60000000000"
            since = f"epoch_ns({bare}) - {away} * if(regexp_extract({text}, '{_ZONE}', 2) = '-', -1, 1)"
        ns = np.ma.masked_array(self._fetched(since))
        seen = ns.compressed()
        if not len(seen):
            return found, True
        start = int(seen.min())  # seconds since 1970 would not hold 100 ns as a float
        return np.asarray(np.ma.filled((ns - start).astype(np.float64) / 1e9, np.nan)), True

    def texts(self, name: str) -> list[str | None]:
        found = self._fetched(f"cast({_quoted(name)} as varchar)")
        return [None if v is np.ma.masked or v is None else str(v) for v in np.ma.masked_array(found).tolist()]

    def lists(self, name: str) -> list[Any]:
        out: list[Any] = []
        for (value,) in self.database.execute(f"select {_quoted(name)} from rows").fetchall():
            try:
                out.append(msgspec.json.decode(value) if isinstance(value, str) else value)
            except msgspec.DecodeError:
                out.append(None)
        return out

    def places(self, rows: Iterable[int]) -> list[int]:
        wanted = list(rows)
        if self.source.form == "parquet" or not wanted:
            return [row + 1 for row in wanted]
        need, found = set(wanted), {}
        for i, (at, _) in enumerate(lines(self.source), -1 if self.source.header else 0):
            if i in need:
                found[i] = at
                if len(found) == len(need):
                    break
        return [found.get(row, row + 2) for row in wanted]


def _sql_table(source: Source) -> Table:
    import duckdb

    if source.form == "csv" and _uneven(source):
        return _by_line(source)
    database = duckdb.connect(config={"threads": 1})  # one thread keeps rows in order
    values: list[object] = [str(source.path)]
    if source.form == "parquet":
        read = "read_parquet(?)"
    else:
        names = [*_unique(source.columns), _BEYOND]
        columns = ", ".join(f"'{name.replace(_QUOTE, _QUOTE * 2)}': 'VARCHAR'" for name in names)
        packed = "gzip" if source.packed else "none"
        read = (
            f"read_csv(?, auto_detect = false, header = {source.header}, columns = {{{columns}}}, delim = ?, "
            f"quote = '\"', escape = '\"', null_padding = true, parallel = false, compression = '{packed}')"
        )
        values.append(source.separator)
    try:
        database.execute(f"create temp table rows as select * from {read}", values)
        (count,) = database.execute("select count(*) from rows").fetchone()  # type: ignore[misc]
    except duckdb.Error as error:
        if source.form == "csv":
            return _by_line(source)
        raise UsageError(f"cannot read {source.path}: {str(error).splitlines()[0]}") from error
    broken = {}
    if source.form == "csv":
        more = database.execute(f"select row_number() over () - 1, {_quoted(_BEYOND)} from rows").fetchnumpy()
        filled = np.flatnonzero(~np.ma.getmaskarray(more[_BEYOND]))
        broken = {int(row): _cells(len(source.columns) + 1, len(source.columns)) for row in filled.tolist()}
    return _Sql(source, int(count), broken, database)


def _uneven(source: Source) -> bool:
    """Whether a CSV has a quote that nothing ends, which would take all rows after it for one cell, or blank lines that
    stand in no cell, which are no rows."""
    quotes, last, there, over = 0, 0, 0, False
    for number, line in lines(source):
        found = line.count(b'"')
        quotes, there, last, over = quotes + found, there + 1, number, over or found % 2 > 0
    return bool(quotes % 2 or (not over and there < last))


def _by_line(source: Source) -> Table:
    """A CSV that is not in order, a line after the other: what is wrong in one is no other's fault."""
    names = _unique(source.columns)
    objects: list[dict[str, str]] = []
    numbered: list[int] = []
    broken: dict[int, str] = {}
    each = lines(source)
    if source.header:
        next(each, None)
    for number, line in each:
        cells = next(csv.reader([line.decode("utf-8", "replace").rstrip("\r\n")], delimiter=source.separator), [])
        if len(cells) > len(names):
            broken[len(objects)] = _cells(len(cells), len(names))
        objects.append(dict(zip(names, cells, strict=False)))
        numbered.append(number)
    return _Objects(source, len(objects), broken, objects, numbered)


def _cells(found: int, wanted: int) -> str:
    return phrase("{} cells for {} columns", found, wanted)


def _unique(columns: Sequence[str]) -> list[str]:
    """Names of columns, made different where two are the same or none."""
    out: list[str] = []
    for place, name in enumerate(columns, 1):
        out.append(name if name and name not in out else f"{name} (column {place})".strip())
    return out


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
