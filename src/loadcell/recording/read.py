"""Reading a recording, whole or cut short. Later steps see a run through this module only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import numpy.typing as npt

from loadcell.errors import RecordingError
from loadcell.kinds import KIND_OUTPUT
from loadcell.phrases import Phrase, learn
from loadcell.recording.database import open_database, parquet, quoted
from loadcell.recording.forms import AuditForm, EffectiveForm, EnvironmentForm, HostForm, decode
from loadcell.recording.imported import Imported
from loadcell.recording.parts import Checked, cannot_be, check_part, plain_file, room_of
from loadcell.recording.schema import (
    CHUNKS,
    FORMAT,
    LOOKS,
    SCHEDULE,
    SERIES,
    WAITS,
    Column,
    Manifest,
    Source,
)
from loadcell.recording.seal import altered, dump_json
from loadcell.recording.tables import rows_of, settled, settled_rows
from loadcell.spec import Spec

Table = dict[str, npt.NDArray[Any]]
_MOST_JSON = 256 * 1024 * 1024

__all__ = [
    "Recording", "dump_json", "open_recording", "read_columns", "read_json", "read_manifest", "read_told",
    "read_versioned",
]  # fmt: skip


@dataclass(frozen=True)
class Recording:
    """An opened recording. Tables are read when asked for; `damaged` names parts that could not be read."""

    path: Path
    manifest: Manifest
    spec: Spec
    environment: dict[str, Any]
    audits: list[dict[str, Any]]
    damaged: list[str]
    request_parts: list[str]
    chunk_parts: list[str]
    token_parts: list[str]
    host: dict[str, Any] | None
    """What the machine did meanwhile; None if nobody looked."""
    selftest: dict[str, Any] | None
    """This machine's self-test, if there was one before the run."""
    prometheus: tuple[str, str] | None
    """The server's Prometheus page before and after the load, if it has one."""
    sources: list[Source] = field(default_factory=list)
    """What was watched beside the load; none in recordings of older versions."""
    look_parts: list[str] = field(default_factory=list)
    series_parts: list[str] = field(default_factory=list)
    damaged_beside: list[str] = field(default_factory=list)
    """Files of what was watched that could not be read: no figure of the load needs them."""
    wait_parts: list[str] = field(default_factory=list)
    """The file of what waits for what; none without sessions."""
    imported: Imported | None = None
    """Where it comes from, if another tool made the load."""
    altered: list[str] | None = None
    """Files that are not as the run wrote them, by its checksums; None where it made none."""

    def requests(self, columns: Sequence[str]) -> Table:
        """Columns of the requests that ended, ordered by request.

        Integers that may be missing come as float64 with NaN (exact: below 2**53); text as objects with None.
        """
        rows, files = settled_rows(self.request_parts, self.token_parts), [*self.request_parts, *self.token_parts]
        return _numpy(f"select {', '.join(settled(columns))} from {rows} order by r.request", columns, files)

    def schedule(self, columns: Sequence[str]) -> Table:
        """Columns of the schedule, ordered by request; missing as in `requests`."""
        files = [self.path / "schedule.parquet"]
        return _numpy(f"select {', '.join(columns)} from {rows_of(SCHEDULE, files)} order by request", columns, files)

    def waits(self) -> Table:
        """Which requests of a session wait for which, ordered; the columns of `WAITS`, empty without sessions."""
        columns = [column.name for column in WAITS]
        sql = f"select {', '.join(columns)} from {rows_of(WAITS, self.wait_parts)} order by request, waits_for"
        return _numpy(sql, columns, self.wait_parts)

    def chunks(self, columns: Sequence[str], *, output_only: bool = True) -> Iterator[Table]:
        """Columns of the received events, part by part. The events of one request are adjacent, in order, in one part.

        With `output_only`, only events that carry output. Memory is bounded by one part (about 37 bytes a row).
        """
        where = f"where kind & {KIND_OUTPUT} > 0" if output_only else ""
        with open_database() as database:  # opening one costs 16 ms: one for all parts
            for part in self.chunk_parts:
                sql = f"select {', '.join(columns)} from {rows_of(CHUNKS, [part])} {where}"
                yield _numpy(sql, columns, [part], database)

    def looks(self) -> Table:
        """Every look at a source while the load ran, ordered by source and time; the columns of `LOOKS`."""
        return self._watched(LOOKS, self.look_parts, "source, start_ns")

    def series(self, names: Sequence[str] | None = None) -> Table:
        """What the looks brought, ordered by source, time, name and labels; the columns of `SERIES`.

        Only values of `names`, if given: a page has many that nobody wants. NaN is what was no finite number.
        """
        wanted = ", ".join(f"'{quoted(name)}'" for name in names or ())
        where = "" if names is None else f"where list_contains([{wanted}]::varchar[], name)"
        return self._watched(SERIES, self.series_parts, "source, t_ns, name, labels", where)

    def _watched(self, table: Sequence[Column], parts: Sequence[str], order: str, where: str = "") -> Table:
        columns = [column.name for column in table]
        picked = [_FINITE if name == "value" else name for name in columns]
        sql = f"select {', '.join(picked)} from {rows_of(table, parts)} {where} order by {order}"
        return _numpy(sql, columns, parts)


_FINITE = "case when abs(value) < 1e100 then value end as value"
"""Beyond that nothing is measured, and differences and ratios are no numbers any more."""


def open_recording(path: str | Path) -> Recording:
    """Open a recording folder; RecordingError says what is wrong with it."""
    folder = Path(path)
    _check_folder(folder)
    manifest = read_manifest(folder)
    try:
        datetime.fromisoformat(manifest.started_at)
    except ValueError as error:
        raise RecordingError(f"{folder / 'recording.json'} is damaged: started_at: {error}") from None
    damaged: list[str] = []
    damaged_beside: list[str] = []
    sources = _sources(folder, damaged_beside)
    rows = _planned_rows(folder, manifest)
    checked = Checked(folder, rows=rows, ended_ns=manifest.ended_ns)
    parts = {kind: checked.good(kind, damaged) for kind in ("requests", "chunks", "tokens")}
    parts |= {kind: checked.good(kind, damaged_beside) for kind in ("looks", "series")}
    waits = _waits(folder, rows, damaged)
    return Recording(
        path=folder,
        manifest=manifest,
        spec=read_json(folder / "spec.json", Spec),
        environment=read_told(folder / "environment.json", EnvironmentForm),
        audits=_audits(folder),
        damaged=damaged,
        request_parts=parts["requests"],
        chunk_parts=parts["chunks"],
        token_parts=parts["tokens"],
        host=_optional(folder / "host.json", HostForm),
        selftest=_optional(folder / "selftest.json", dict[str, Any]),
        prometheus=_pages(folder),
        sources=sources,
        look_parts=parts["looks"],
        series_parts=parts["series"],
        damaged_beside=damaged_beside,
        wait_parts=waits,
        imported=_imported(folder / "imported.json"),
        altered=altered(folder),
    )


def _planned_rows(folder: Path, manifest: Manifest) -> int:
    """Rows of the schedule; RecordingError if it is not there, or cannot be one."""
    file = folder / "schedule.parquet"
    if not os.path.lexists(file):
        raise RecordingError(f"{folder} has no schedule.parquet: the run ended before its load began, or it was lost")
    with open_database() as database:
        why, rows = check_part(database, file, SCHEDULE, room_of(folder))
        planned = manifest.effective.get("rows")
        if why is None and planned is not None and planned != rows:
            why = f"it has {rows:,} rows, and {planned:,} were planned"
        why = why or cannot_be(database, "schedule", file, {"rows": rows})
    if why is not None:
        raise RecordingError(f"{file} cannot be read: {why}")
    return rows


def _waits(folder: Path, rows: int, damaged: list[str]) -> list[str]:
    """The file of what waits for what, if there is one; one that cannot be read goes to `damaged`."""
    file = folder / "waits.parquet"
    if not os.path.lexists(file):
        return []
    with open_database() as database:
        why, _ = check_part(database, file, WAITS, room_of(folder))
        why = why or cannot_be(database, "waits", file, {"rows": rows})
    if why is not None:
        damaged.append(f"{file.name} ({why})")
        return []
    return [str(file)]


def _check_folder(folder: Path) -> None:
    """RecordingError if `folder` is none that can be read."""
    try:
        list(folder.iterdir())
    except FileNotFoundError:
        raise RecordingError(f"{folder} is not a recording: there is no such folder") from None
    except NotADirectoryError:
        raise RecordingError(
            f"{folder} is not a recording but a file: name the folder that the run wrote. "
            f"(A saved result has its figures inside; to run it again: loadcell run {folder})"
        ) from None
    except OSError as error:
        raise RecordingError(f"{folder} cannot be read: {error.strerror}") from None


class _Version(msgspec.Struct):
    """What every file with a format tells, whatever that is."""

    format: int
    loadcell: str


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a recording; RecordingError if it is missing, none, or of a format newer than this version."""
    file = folder / "recording.json"
    manifest: Manifest = read_versioned(file, Manifest, FORMAT)
    try:
        msgspec.convert(manifest.effective, EffectiveForm)
    except msgspec.ValidationError as error:
        raise RecordingError(f"{file} is damaged or not a loadcell file: effective: {error}") from None
    learn(manifest.phrases)
    return manifest


def read_versioned(file: Path, kind: type[Any], newest: int) -> Any:
    """The JSON file as `kind`; RecordingError if it is not that, or of a format newer than `newest`."""
    found: _Version = read_json(file, _Version)
    if found.format > newest:
        raise RecordingError(
            f"{file.parent} was written by loadcell {found.loadcell} in format {found.format}; "
            f"this version reads up to {newest}: upgrade loadcell"
        )
    return read_json(file, kind)


def read_json(path: Path, kind: Any) -> Any:
    """The JSON file at `path` as `kind`; RecordingError if it is missing or not that."""
    return _decoded(path, kind, whole=False)


def read_told(path: Path, form: Any) -> dict[str, Any]:
    """What the JSON file at `path` tells, where it tells it in `form`, with what the form does not name."""
    told: dict[str, Any] = _decoded(path, form, whole=True)
    return told


def _decoded(path: Path, form: Any, *, whole: bool) -> Any:
    try:
        if os.path.lexists(path) and (why := plain_file(path)) is not None:
            raise RecordingError(f"{path} {why}")
        if path.stat().st_size > _MOST_JSON:
            raise RecordingError(f"{path} is damaged or not a loadcell file: it has more than {_MOST_JSON >> 20} MiB")
        return decode(path.read_bytes(), form, whole=whole)
    except FileNotFoundError:
        raise RecordingError(f"{path.parent} is not a recording: it has no {path.name}") from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path} is damaged or not a loadcell file: {error}") from None


def _optional(path: Path, form: Any) -> dict[str, Any] | None:
    return read_told(path, form) if os.path.lexists(path) else None


def _imported(path: Path) -> Imported | None:
    if not os.path.lexists(path):
        return None
    found: Imported = read_json(path, Imported)
    learn(found.phrases)
    return found


def _audits(folder: Path) -> list[dict[str, Any]]:
    audits = [read_told(file, AuditForm) for file in sorted(folder.glob("audit-*.json"))]
    for audit in audits:
        learn(msgspec.convert(audit.pop("phrases", {}), dict[str, Phrase]))
    return audits


def _sources(folder: Path, damaged: list[str]) -> list[Source]:
    """What was watched beside the load. A file that cannot be read goes to `damaged`."""
    file = folder / "sources.json"
    try:
        sources: list[Source] = read_json(file, list[Source]) if file.exists() else []
    except RecordingError:
        damaged.append(file.name)
        return []
    for source in sources:
        learn(source.phrases)
    return sources


def _pages(folder: Path) -> tuple[str, str] | None:
    files = [folder / f"server-{when}.prom" for when in ("before", "after")]
    if not all(file.exists() for file in files):
        return None
    for file in files:
        if (why := plain_file(file)) is not None:
            raise RecordingError(f"{file} {why}")
    try:
        before, after = (file.read_text(encoding="utf-8", errors="replace") for file in files)
    except OSError as error:
        raise RecordingError(f"{error.filename} cannot be read: {error.strerror}") from None
    return before, after


def read_columns(path: Path, columns: Sequence[str], order: str = "") -> Table:
    """Columns of one Parquet file in the order of its rows, or as `order` says; missing as in `Recording.requests`."""
    return _numpy(f"select {', '.join(columns)} from {parquet(path)} {order}", columns, [path])


def _numpy(
    sql: str,
    columns: Sequence[str],
    files: Sequence[str | Path],
    database: duckdb.DuckDBPyConnection | None = None,
) -> Table:
    """Run a query over some files; masked integers become float64 with NaN, text becomes objects with None."""
    if database is None:
        with open_database() as database:
            return _numpy(sql, columns, files, database)
    try:
        raw = database.execute(sql).fetchnumpy()
    except duckdb.Error as error:
        which = ", ".join(str(file) for file in files if not _is_whole(database, file)) or "the recording"
        raise RecordingError(f"{which} is damaged: {str(error).partition(chr(10))[0]}") from error
    return {name: _plain(raw[name]) for name in columns}


def _is_whole(database: duckdb.DuckDBPyConnection, file: str | Path) -> bool:
    """Whether every value of a file can be read."""
    try:
        database.execute(f"select bit_xor(hash(rows)) from {parquet(file)} as rows").fetchall()
    except duckdb.Error:
        return False
    return True


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if not isinstance(values, np.ma.MaskedArray):
        return values
    missing: Any = None if values.dtype == object else np.nan
    plain = np.array(values.data, dtype=object if values.dtype == object else np.float64)
    plain[np.ma.getmaskarray(values)] = missing
    return plain
