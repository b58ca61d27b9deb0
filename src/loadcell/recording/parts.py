"""Whether the Parquet parts of a recording can be what they say: looked at before any row is read into memory.

A part is read only if it is a plain file with the columns of its table, if its rows can be those of the plan, and if
what it unpacks to is in proportion to its size. What is wrong is told in words, by part.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from loadcell.recording.database import open_database, parquet, quoted
from loadcell.recording.schema import FILED, REQUESTS, Column
from loadcell.recording.tables import rows_of

LEAST_ROOM = 256 * 1024 * 1024
ROOM_A_BYTE = 64
"""Bytes of memory that a recording may unpack to: this, and so many a byte on the disk. Honest ones need five a byte;
columns without change take none on the disk."""
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_SLACK_NS = 1_000_000
"""Stamps of two clocks may be so far apart, and still be of one order."""
_LATE_NS = 600_000_000_000
"""No reply ends so long after its run."""
_MOST = 2**53
"""Beyond this, numbers are not exact where they are computed with."""

# What cannot be in a row, by table: a condition in SQL, and what it means. NULL is nothing wrong.
_WRONG: dict[str, Sequence[tuple[str, str]]] = {
    "requests": (
        ("request is null or request < 0 or request >= $rows", "a request that is not in the schedule"),
        ("status is null or status not in ('ok', 'failed', 'cancelled', 'abandoned')", "a status that there is not"),
        *((f"{c.name} < 0 or {c.name} > $most", f"{c.name} that cannot be") for c in REQUESTS
          if c.sql in ("BIGINT", "INTEGER") and not c.name.startswith(("conn_", "request"))),
        ("send_end_ns < send_start_ns", "a send that ended before it began"),
        ("first_byte_ns < send_start_ns - $slack", "a reply before its request"),
        ("first_any_ns < send_start_ns - $slack", "a first output before its request"),
        ("first_any_ns > last_ns or first_answer_ns > last_ns", "a last output before the first"),
        ("last_ns > end_ns + $slack", "an output after the end of its reply"),
        ("end_ns < send_start_ns - $slack", "a request that ended before it was sent"),
        ("end_ns > $end", "a request that ended long after the run"),
    ),
    "chunks": (
        ("request is null or request < 0 or request >= $rows", "an event of a request that is not in the schedule"),
        ("t_ns is null or t_ns < 0 or t_ns > $end", "an event outside the time of the run"),
        ("read is null or read < 0 or tokens < 0 or bytes < 0 or kind is null", "an event with a number below 0"),
    ),
    "tokens": (
        ("request is null or request < 0 or request >= $rows", "a request that is not in the schedule"),
        ("output_tokens < 0 or text_tokens < 0 or first_tokens < 0", "a number of tokens below 0"),
    ),
    "looks": (("source is null or source < 0", "a source that cannot be"),),
    "series": (("source is null or source < 0", "a source that cannot be"),),
    "waits": (
        ("request is null or waits_for is null or waits_for < 0 or waits_for >= request or request >= $rows",
         "a request that waits for none before it"),
    ),
    "schedule": (
        ("request is null or request < 0 or request >= $rows", "a number of a request that cannot be"),
        ("planned_ns < 0 or input_tokens < 0 or output_tokens < 0 or prompt < 0", "a number below 0"),
        ("session < 0 or turn < 0 or delay_ns < 0 or shared_tokens < 0", "a session that cannot be"),
        (
            "cancel_ns < 0 or cancel_tokens < 1 or patience_ns < 0 or not (coalesce(read_bytes_per_s, 1) > 0 and "
            "coalesce(read_tokens_per_s, 1) > 0)",
            "a user that cannot be",
        ),
        ("images < 1 or image_pixels < 1 or not (input_audio_s > 0 and input_audio_s < 1e9)", "media that cannot be"),
    ),
}  # fmt: skip


def plain_file(path: Path) -> str | None:
    """Why a path is no plain file; None if it is one. Links are not followed: they may lead anywhere."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return error.strerror or "cannot be read"
    if stat.S_ISLNK(mode):
        return "is a link, which is not followed"
    return None if stat.S_ISREG(mode) else "is no plain file"


class Checked:
    """The parts of a recording's folder, and what they may hold."""

    def __init__(self, folder: Path, *, rows: int, ended_ns: int | None) -> None:
        """`rows` are those of its schedule, `ended_ns` is the end of its run."""
        self._folder, self._rows = folder, rows
        most = _MOST if ended_ns is None else min(ended_ns + _LATE_NS, _MOST)
        self._values = {"rows": rows, "end": most, "most": _MOST, "slack": _SLACK_NS}
        self.room = room_of(folder)

    def good(self, kind: str, wrong: list[str]) -> list[str]:
        """The parts of a table that can be read, in order; the others go to `wrong`, with what is wrong with them."""
        found: list[str] = []
        taken = 0
        with open_database() as database:
            for file in sorted(self._folder.glob(f"{kind}-*.parquet")):
                most = self._rows - taken if kind in ("requests", "tokens") else None
                why, rows = check_part(database, file, FILED[kind], self.room, most)
                why = why or self._cannot_be(database, kind, file)
                if why is not None:
                    wrong.append(f"{file.name} ({why})")
                    continue
                found.append(str(file))
                taken += rows
            if kind in ("requests", "tokens") and (twice := _twice(database, found)) is not None:
                wrong += [f"{Path(file).name} (request {twice} is in it twice, or in two parts)" for file in found]
                return []
        return found

    def _cannot_be(self, database: duckdb.DuckDBPyConnection, kind: str, file: Path) -> str | None:
        return cannot_be(database, kind, file, self._values)


def check_part(
    database: duckdb.DuckDBPyConnection, file: Path, table: Sequence[Column], room: int, most: int | None = None
) -> tuple[str | None, int]:
    """(why a part cannot be read, its rows): from what its end says of it, no row is read."""
    if (why := plain_file(file)) is not None:
        return why, 0
    name = f"'{_escaped(file)}'"
    try:
        ((rows,),) = database.execute(f"select num_rows from parquet_file_metadata({name})").fetchall()
        sizes = f"select coalesce(sum(total_uncompressed_size), 0) from parquet_metadata({name})"
        ((unpacked,),) = database.execute(sizes).fetchall()
        columns = {c[0]: c[1] for c in database.execute(f"describe select * from {parquet(file)}").fetchall()}
    except (duckdb.Error, ValueError):
        return "damaged, or cut short", 0
    if most is not None and rows > most:
        return f"{rows:,} rows, of which the plan has room for {most:,}", 0
    if max(rows * 8 * len(columns), unpacked) > room:
        return f"{rows:,} rows, which {file.stat().st_size:,} bytes cannot hold", 0
    for column, sql, _ in table:
        if column in columns and not _fits(columns[column], sql):
            return f"its column {column} is {columns[column]}, not {sql}", 0
    if table[0].name not in columns:
        return f"it has no column {table[0].name}", 0
    return None, rows


def cannot_be(database: duckdb.DuckDBPyConnection, kind: str, file: Path, values: Mapping[str, int]) -> str | None:
    """What a part holds that cannot be; None if all can."""
    tests = [(_filled(test, values), words) for test, words in _WRONG[kind]]
    texts = [c.name for c in FILED[kind] if c.sql == "VARCHAR"]
    sizes = " + ".join(f"coalesce(sum(strlen({name})), 0)" for name in texts) or "0"
    rows, every = rows_of(FILED[kind], [file]), " or ".join(f"({test})" for test, _ in tests)
    try:
        ((bad, size),) = database.execute(f"select count(*) filter ({every}), {sizes} from {rows}").fetchall()
        # Each by itself takes twice the time: only where there is something to name.
        counts = ", ".join(f"count(*) filter ({test})" for test, _ in tests)
        found = database.execute(f"select {counts} from {rows}").fetchall()[0] if bad else [0] * len(tests)
    except (duckdb.Error, ValueError):
        return "damaged, or cut short"
    if size > max(LEAST_ROOM, ROOM_A_BYTE * file.stat().st_size):
        return f"its texts take {size:,} bytes"
    return next((f"it has {words}" for (_, words), count in zip(tests, found, strict=True) if count), None)


def room_of(folder: Path) -> int:
    """Bytes of memory that the tables of a recording may take."""
    sizes = (file.lstat().st_size for file in folder.glob("*.parquet"))
    return LEAST_ROOM + ROOM_A_BYTE * sum(sizes)


def _twice(database: duckdb.DuckDBPyConnection, files: Sequence[str]) -> int | None:
    """A request that has two rows; None if none has."""
    if not files:
        return None
    sql = f"select request from {parquet(*files)} group by request having count(*) > 1 limit 1"
    found = database.execute(sql).fetchone()
    return None if found is None else int(found[0])


def _filled(test: str, values: Mapping[str, Any]) -> str:
    for name, value in values.items():
        test = test.replace(f"${name}", str(value))
    return test


def _fits(found: str, wanted: str) -> bool:
    if wanted in ("BIGINT", "INTEGER", "UTINYINT"):
        return found in _NUMBERS
    return found == wanted or (wanted == "DOUBLE" and found == "FLOAT")


def _escaped(path: Path) -> str:
    """A path in quotes, for functions that take patterns."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in quoted(path))
