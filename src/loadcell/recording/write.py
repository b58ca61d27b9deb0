"""Writing a recording, whoever its author is: `begin` its folder, write parts, audits and sources, `end` it, `seal` it.

A worker fills typed columns and hands full ones to a thread of low priority, which writes them as Parquet without
holding the interpreter lock. A part gets its name only when it is whole.
"""

from __future__ import annotations

import math
import os
import queue
import sys
import tempfile
import threading
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic_ns
from typing import IO, Any, Protocol

import duckdb
import numpy as np
import numpy.typing as npt

from loadcell.errors import RecordingError
from loadcell.phrases import phrases
from loadcell.recording.bursts import note_bursts
from loadcell.recording.database import open_database, quoted
from loadcell.recording.schema import FILED, MISSING, REQUESTS, TEXT, Column, Manifest, Source
from loadcell.recording.seal import MANIFEST, dump_json
from loadcell.spec import Spec, redact

_TYPECODES = {"BIGINT": "q", "INTEGER": "i", "UTINYINT": "B", "DOUBLE": "d", "BOOLEAN": "b"}
_FEW = 1000
"""Distinct words of a text column, up to which they are written by number."""
_FOREVER_NS = 2**63 - 1
_WRITER_NICENESS = 10
"""Not more: a thread that gets no time while it holds the interpreter keeps the event loop waiting."""
MISSING_INT = -(2**31)
"""NULL inside 32-bit integer columns while they are in memory."""
MISSING_TRUTH = -1
"""NULL inside boolean columns while they are in memory."""
_NULL = {"BIGINT": MISSING, "INTEGER": MISSING_INT, "BOOLEAN": MISSING_TRUTH, "DOUBLE": math.nan, "VARCHAR": None}


def begin(
    folder: Path,
    manifest: Manifest,
    spec: Spec,
    environment: Mapping[str, Any],
    schedule: Mapping[str, Any],
    selftest: Mapping[str, Any] | None = None,
    waits: Mapping[str, Any] | None = None,
) -> None:
    """Write what is known before the load into a claimed folder: what was asked for, where, and what is to be sent.

    `schedule` are columns of SCHEDULE, as `write_part` takes them, `waits` those of WAITS where there are sessions.
    Secrets are taken out of the Spec here, not out of anything else. RecordingError, as of all that write, if the disk
    does not take it.
    """
    dump_json(folder / "spec.json", redact(spec))
    dump_json(folder / "environment.json", environment)
    if selftest is not None:
        dump_json(folder / "selftest.json", selftest)
    write_part(folder, "schedule", schedule)
    if waits is not None:
        write_part(folder, "waits", waits)
    dump_json(folder / MANIFEST, manifest)


def write_part(
    folder: Path,
    table: str,
    columns: Mapping[str, Any],
    *,
    worker: int | None = None,
    part: int | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> None:
    """Write a part of a table, named by its worker and its number where the table has such (`recording.schema`)."""
    numbers = ["" if worker is None else f"-{worker}", "" if part is None else f"-{part:05d}"]
    write_table(folder / f"{table}{''.join(numbers)}.parquet", FILED[table], columns, connection)


def write_audit(folder: Path, worker: int, told: Mapping[str, Any]) -> None:
    """Write what one load process says of itself."""
    dump_json(folder / f"audit-{worker}.json", told)


def write_sources(folder: Path, sources: Sequence[Source]) -> None:
    """Write what is watched beside the load, in the order of the numbers in its looks."""
    dump_json(folder / "sources.json", sources)


def end(folder: Path, manifest: Manifest, host: Mapping[str, Any] | None = None) -> None:
    """Write how the run ended and what the machine did meanwhile; `seal` follows when the last file is there."""
    if host is not None:
        dump_json(folder / "host.json", host)
    manifest.phrases = phrases(manifest)
    dump_json(folder / MANIFEST, manifest)


def write_table(
    path: Path,
    table: Sequence[Column],
    columns: Mapping[str, Any],
    connection: duckdb.DuckDBPyConnection | None = None,
) -> None:
    """Write columns (arrays or lists) as one Parquet file, or RecordingError. One that is not given is NULL.

    NULL stands for MISSING in integers and booleans, and for what is no finite number in a DOUBLE.

    `connection` saves opening one (some 30 ms); it must have one thread, which keeps the rows in order.
    """
    data: dict[str, npt.NDArray[Any]] = {}
    picked, words = [], []
    assert columns.keys() <= {column.name for column in table}
    for name, sql, _ in table:
        values = columns.get(name)
        if values is None:
            picked.append(f"null::{sql} as {name}")
        elif sql == "VARCHAR" and len(distinct := list(dict.fromkeys(values))) <= _FEW:
            # Reading text objects takes the interpreter from the event loop for long; numbers of words do not.
            number = {word: k for k, word in enumerate(distinct, 1)}
            data[name] = np.array([number[value] for value in values], dtype="i4")
            words.append(distinct)
            picked.append(f"list_extract(cast(${len(words)} as varchar[]), {name}) as {name}")
        else:
            data[name] = _as_numpy(values, sql)
            picked.append(f"{_nullable(name, sql)} as {name}")
    draft = path.with_name(path.name + ".tmp")
    try:
        # Version 2 delta-codes the stamps: half the size and faster to read.
        (connection or open_database()).execute(
            f"copy (select {', '.join(picked)} from data) to '{quoted(draft)}' "
            "(format parquet, parquet_version v2, compression zstd, row_group_size 131072)",
            words,
        )
        draft.replace(path)
    except (duckdb.Error, OSError) as error:
        draft.unlink(missing_ok=True)
        raise RecordingError(f"cannot write {path}: {_cause(error)}") from None


@contextmanager
def nameless_file(folder: Path, mode: str = "w+b", buffering: int = -1) -> Iterator[IO[Any]]:
    """A file on the disk of `folder` that is gone when it is closed, however this process ends."""
    try:
        encoding = None if "b" in mode else "utf-8"
        file = tempfile.TemporaryFile(mode, buffering, dir=folder, encoding=encoding)  # noqa: SIM115
    except OSError as error:
        raise RecordingError(f"cannot write to {folder}: {error.strerror}; free some space") from None
    try:
        yield file
    finally:
        with suppress(OSError):  # what a full disk has not taken is not wanted any more
            file.close()


def _as_numpy(values: Any, sql: str) -> npt.NDArray[Any]:
    if isinstance(values, array):
        return np.frombuffer(values, dtype=values.typecode)
    if sql == "VARCHAR":
        return np.array(values, dtype=object)
    return np.asarray(values, dtype=_TYPECODES[sql])


def _nullable(name: str, sql: str) -> str:
    if sql == "DOUBLE":
        return f"case when isfinite({name}) then {name} end"
    missing = _NULL.get(sql)
    if sql == "BOOLEAN":
        return f"cast(nullif({name}, {missing}) as {sql})"
    # DuckDB reads -2**63 as a negated overflow, so the sentinel is written as text and cast.
    return f"cast({name} as {sql})" if missing is None else f"nullif({name}, cast('{missing}' as {sql}))"


def _cause(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error).partition("\n")[0]


class Rows(Protocol):
    """Rows of one table that wait to be written."""

    def __len__(self) -> int: ...

    def take(self) -> Callable[[], dict[str, Any]]:
        """Start anew; what gives the columns of those so far, in any thread."""


class Columns:
    """Growing columns of one table: `array` for numbers, `list` for text."""

    def __init__(self, table: Sequence[Column]) -> None:
        self.table = table
        self.data: dict[str, Any] = {}
        self.clear()

    def clear(self) -> dict[str, Any]:
        """Return the filled columns and start empty ones."""
        full = self.data
        self.data = {c.name: [] if c.sql == "VARCHAR" else array(_TYPECODES[c.sql]) for c in self.table}
        return full

    def take(self) -> Callable[[], dict[str, Any]]:
        """As `Rows` tells."""
        full = self.clear()
        return lambda: full

    def add(self, row: Mapping[str, Any]) -> None:
        """One row more, NULL in the columns that it does not name or has None in."""
        assert row.keys() <= self.data.keys()
        for name, sql, _ in self.table:
            value = row.get(name)
            self.data[name].append(_NULL[sql] if value is None else value)

    def __len__(self) -> int:
        return len(self.data[self.table[0].name])


class PartWriter:
    """Writes a worker's tables as numbered parts from a thread of its own.

    `error` is set when a part could not be written (full disk); nothing is written after that.
    """

    def __init__(self, folder: Path, worker: int, chunks: Rows, spells: list[tuple[int, int]]) -> None:
        """`spells` takes when something was written, begin and end, monotonic ns."""
        self.folder = folder
        self.worker = worker
        self.requests, self.chunks, self.text = Columns(REQUESTS), chunks, Columns(TEXT)
        self.error: str | None = None
        self._part = 0
        self._spells = spells
        self._database = open_database()
        self._jobs: queue.SimpleQueue[dict[str, Callable[[], dict[str, Any]]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_parts, name="part-writer", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Hand what is buffered to the writing thread. Events go first, so no request is seen without its events."""
        tables: tuple[tuple[str, Rows], ...] = (
            ("chunks", self.chunks), ("text", self.text), ("requests", self.requests),
        )  # fmt: skip
        job = {name: rows.take() for name, rows in tables if len(rows)}
        if job:
            self._jobs.put(job)

    def close(self) -> None:
        """Write what is left and wait for it; `error` tells whether it was written."""
        self.flush()
        self._jobs.put(None)
        self._thread.join()
        self._database.close()

    def _write_parts(self) -> None:
        lower_priority()
        while (job := self._jobs.get()) is not None:
            if self.error:
                continue
            began_ns = monotonic_ns()
            self._spells.append((began_ns, _FOREVER_NS))
            try:
                tables = {name: made() for name, made in job.items()}
                if tables.keys() >= {"requests", "chunks"}:
                    note_bursts(tables["requests"], tables["chunks"])
                for name, data in tables.items():
                    write_part(self.folder, name, data, worker=self.worker, part=self._part, connection=self._database)
            except RecordingError as error:
                self.error = str(error)
            except Exception as error:
                self.error = f"{type(error).__name__}: {error}"
                raise
            self._part += 1
            self._spells[-1] = (began_ns, monotonic_ns())


def lower_priority() -> None:
    """Let the load preempt this thread. Elsewhere than on Linux, threads have no niceness of their own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _WRITER_NICENESS)
