"""SQL over one or many recordings: the database that a query sees, which cannot write and cannot read anything else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from loadcell.errors import LoadcellError, RecordingError, UsageError, nearest
from loadcell.recording.campaign import is_set_aside
from loadcell.recording.database import parquet
from loadcell.recording.forms import AuditForm, EnvironmentForm
from loadcell.recording.imported import Imported
from loadcell.recording.index import remembered
from loadcell.recording.parts import plain_file
from loadcell.recording.read import read_json, read_manifest, read_told
from loadcell.recording.schema import Column, Manifest, Source
from loadcell.recording.tables import (
    AUDITS,
    CLASSES,
    PARTS,
    RUNS,
    SOURCES,
    TABLES,
    TOLD,
    WINDOW_START,
    literal,
    select_of,
)
from loadcell.spec import LIMITED, Spec

Warn = Callable[[str], None]
WindowOf = Callable[[Path], tuple[float, float, int]]
"""Start and end in ns (both inside) and first request of the window of the recording in a folder, or LoadcellError."""
DEFAULT_FOLDERS = ("recordings", "sweeps", "duels", "mlperf")
_DEPTH = 4
"""Folders below a named one in which recordings are looked for."""
_BATCH = 10_000
_LINES = 6
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


@dataclass(frozen=True)
class Answer:
    """What a query brings, batch by batch: nothing is held that was handed on."""

    names: list[str]
    types: list[str]
    batches: Iterator[list[tuple[Any, ...]]]


@contextmanager
def ask(sql: str, folders: Sequence[Path], *, spill: Path, window_of: WindowOf, warn: Warn) -> Iterator[Answer]:
    """The answer to one SELECT over the recordings in `folders`.

    `spill` is a folder for what does not fit into memory; `warn` is told what had to be left out. UsageError says what
    is wrong with the query, RecordingError that there is nothing to ask.
    """
    with _explained(), _database(sql, folders, spill, window_of, warn) as (database, statement):
        database.execute(statement)
        about = database.description or []
        yield Answer([_plain(str(one[0])) for one in about], [str(one[1]) for one in about], _batches(database))


def ask_to_file(sql: str, folders: Sequence[Path], path: Path, *, spill: Path, window_of: WindowOf, warn: Warn) -> int:
    """As `ask`, into a Parquet file, which appears only when it is whole; returns its rows."""
    draft = draft_of(path)
    with _explained(path), _database(sql, folders, spill, window_of, warn, draft) as (database, statement):
        try:
            done = database.execute(
                f"copy (\n{statement}\n) to {literal(str(draft))} (format parquet, compression zstd)"
            )
            rows = int(done.fetchall()[0][0])
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return rows


_OWN = re.compile("|".join(p.replace("*", ".*") for patterns in PARTS.values() for p in patterns))


def draft_of(path: Path) -> Path:
    """Where a Parquet file is written before it takes its name.

    UsageError where `path` is a folder, lies in none, or is a part of a recording.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file, as in {path / 'answer.parquet'}")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {path.parent}")
    if (path.parent / "recording.json").exists() and _OWN.fullmatch(path.name):
        raise UsageError(f"{path} is a part of a recording, and recordings are never changed: name another file")
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _batches(database: duckdb.DuckDBPyConnection) -> Iterator[list[tuple[Any, ...]]]:
    while rows := database.fetchmany(_BATCH):
        yield rows


# --- which recordings ------------------------------------------------------------------------------------------------


def find_recordings(folders: Sequence[Path], warn: Warn) -> list[Path]:
    """The recordings that the folders are or hold, each once, sorted by folder; RecordingError for one without any."""
    if not folders:
        return _known_recordings(warn)
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            what = "is a file, not a folder" if folder.exists() else "is not there"
            raise RecordingError(f"{folder} {what}: name recordings, or folders that hold them")
        inside = list(_recordings_in(folder, warn))
        if not inside:
            raise RecordingError(f"{folder} holds no recording: name the folder of a run, of repeats or of a sweep")
        found |= {path.resolve(): path for path in inside if path.resolve() not in found}
    return list(found.values())


def _known_recordings(warn: Warn) -> list[Path]:
    """Those in the default folders here, and wherever else this user's were written; RecordingError without any."""
    found: dict[Path, Path] = {}
    here = [Path(name) for name in DEFAULT_FOLDERS if Path(name).is_dir()]
    for folder in [*here, *map(_from_here, remembered())]:
        for path in _recordings_in(folder, warn):
            found.setdefault(path.resolve(), path)
    if not found:
        raise RecordingError(
            f"there is no recording in {', '.join(DEFAULT_FOLDERS)} here, and none is remembered elsewhere: name "
            "recordings, or folders that hold them"
        )
    return list(found.values())


def _from_here(folder: Path) -> Path:
    """As people write it: relative where it lies below this folder."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) and folder != here else folder


def _recordings_in(folder: Path, warn: Warn) -> Iterator[Path]:
    if (folder / "recording.json").exists():
        yield Path.cwd() if folder == Path() else folder  # files are known by their folder, which must have a name
        return
    for place, names, files in os.walk(folder, onerror=lambda error: warn(f"{error.filename}: {error.strerror}")):
        here = Path(place)
        if "recording.json" in files:
            yield here
            names.clear()
        elif len(here.relative_to(folder).parts) >= _DEPTH:
            names.clear()
        else:  # stages that were cut off and set aside count nowhere
            names[:] = sorted(name for name in names if not name.startswith(".") and not is_set_aside(name))


class _Stage(msgspec.Struct):
    number: int | None = None


def _read_runs(folders: Sequence[Path], warn: Warn) -> dict[Path, dict[str, Any]]:
    """A row of `runs` for each recording that can be read; RecordingError if none can."""
    rows, last = {}, None
    for folder in folders:
        try:
            rows[folder] = _run_row(folder)
        except RecordingError as error:
            last = error
            if len(folders) > 1:
                warn(f"left out: {error}")
    if not rows and last is not None:
        raise last if len(folders) == 1 else RecordingError(f"none of {len(folders)} recordings can be read: {last}")
    return rows


_UNTOLD = {
    "endpoint.url": "url", "endpoint.api": "api", "endpoint.model": "model", "loop": "loop", "load.rate": "rate",
    "load.concurrency": "concurrency", "load.arrivals": "arrivals", "workload.input_tokens": "input_length",
    "workload.output_tokens": "output_length", "run.seed": "seed",
}  # fmt: skip
"""What of a run may be missing in an import, and its column."""


def _run_row(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder)
    spec: Spec = read_json(folder / "spec.json", Spec)
    environment = folder / "environment.json"
    sweep = folder.parent if (folder.parent / "sweep.json").exists() else None
    stage = read_json(folder / "stage.json", _Stage) if sweep and (folder / "stage.json").exists() else _Stage()
    return _told(manifest, spec) | {
        "run": str(folder),
        "sweep": None if sweep is None else str(sweep),
        "stage": stage.number,
        "spec": _json(spec),
        "effective": _json(manifest.effective),
        "environment": _json(read_told(environment, EnvironmentForm)) if environment.exists() else None,
        **_untold(folder),
    }


def _untold(folder: Path) -> dict[str, None]:
    """Columns of a run of another tool that its files do not tell: what its spec has there is a default."""
    imported = folder / "imported.json"
    missing = read_json(imported, Imported).missing if imported.exists() else []
    return {_UNTOLD[each.field]: None for each in missing if each.field in _UNTOLD}


def _told(manifest: Manifest, spec: Spec) -> dict[str, Any]:
    same = ("id", "state", "loadcell", "format", "loop", "planned", "workers", "clock", "schedule_hash",
            "bodies_hash", "invalid", "notes")  # fmt: skip
    return {name: getattr(manifest, name) for name in same} | {
        "started_at": _utc(manifest.started_at),
        "lasted_s": None if manifest.ended_ns is None else manifest.ended_ns / 1e9,
        "url": spec.endpoint.url,
        "api": str(spec.endpoint.api),
        "model": manifest.effective.get("model") or spec.endpoint.model,
        **{name: getattr(spec.load, name) for name in ("rate", "concurrency", "duration_s")},
        "arrivals": spec.load.arrivals if manifest.loop == "open" else None,
        **{f"{name}_length": getattr(spec.workload, f"{name}_tokens") for name in ("input", "output")},
        **{f"slo_{name}": getattr(spec.slo, name) for name in LIMITED},
        "seed": spec.run.seed,
        "salt": spec.run.salt,
    }


def _utc(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    except ValueError:
        return None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# --- the database ----------------------------------------------------------------------------------------------------


@contextmanager
def _database(
    sql: str, folders: Sequence[Path], spill: Path, window_of: WindowOf, warn: Warn, target: Path | None = None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A database with the tables that the query names, closed to everything but the recordings; and the query."""
    statement = _one_select(sql)
    rows = _read_runs(find_recordings(folders, warn), warn)
    named = {name for name in TABLES if re.search(rf"\b{name}\b", sql, re.IGNORECASE)} or set(TABLES)
    with duckdb.connect(config=_CONFIG) as database:
        folders = list(rows)
        _insert(database, "runs", RUNS, rows.values())
        if "audits" in named:
            _insert(database, "audits", AUDITS, _audits(folders, warn))
        if "told" in named:
            _insert(database, "told", TOLD, _told_figures(folders))
        _insert(database, "_sources", SOURCES, _sources(folders, warn) if named & {"looks", "series"} else [])
        _insert(database, "_classes", CLASSES, _classes(folders) if named & {"requests", "schedule"} else [])
        loops = {str(folder): rows[folder]["loop"] == "open" for folder in folders}
        _insert(database, "_windows", _WINDOWS, [{"run": run, "w_open": is_open} for run, is_open in loops.items()])
        for table in PARTS:
            if table in named:
                _view(database, table, folders, warn)
        _close_off(database, folders, spill, target)
        if "requests" in named and _needs_windows(database, statement):
            windows = [_window(folder, window_of, warn) for folder in folders]
            database.execute("delete from _windows")
            _fill(database, "_windows", _WINDOWS, [one | {"w_open": loops[one["run"]]} for one in windows])
        yield database, statement


def _one_select(sql: str) -> str:
    """The query, if it is one SELECT; UsageError else. Whatever can write or change a setting is another statement."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise UsageError(_first_lines(error)) from None
    kinds = [str(statement.type).rpartition(".")[2] for statement in statements]
    if len(kinds) != 1:
        raise UsageError(f"{'no query' if not kinds else f'{len(kinds)} statements'}: give one SELECT")
    if kinds[0] not in ("SELECT", "MULTI"):  # MULTI: a PIVOT over values that it finds itself
        hint = " To write the answer to a file: --csv, --json or --parquet FILE." if kinds[0] == "COPY" else ""
        raise UsageError(f"a query only reads: give a SELECT, not {kinds[0]}.{hint}")
    return _without_end(statements[0].query)


def _without_end(sql: str) -> str:
    """A statement without semicolons and comments behind it, so that it can stand in brackets."""
    text = sql.encode()  # tokens are told by their place in bytes
    end = len(text)
    for place, kind in reversed(duckdb.tokenize(sql)):
        if text[place : place + 1] != b";" and "comment" not in str(kind):
            break
        end = place
    return text[:end].decode()


_WINDOWS = (
    Column("run", "VARCHAR", ""),
    Column(WINDOW_START, "DOUBLE", ""),
    Column("w_end_ns", "DOUBLE", ""),
    Column("w_first", "BIGINT", ""),
    Column("w_open", "BOOLEAN", ""),
)


def _insert(database: duckdb.DuckDBPyConnection, name: str, columns: Sequence[Column], rows: Any) -> None:
    database.execute(f"create table {name} ({', '.join(f'{c.name} {c.sql}' for c in columns)})")
    _fill(database, name, columns, rows)


def _fill(database: duckdb.DuckDBPyConnection, name: str, columns: Sequence[Column], rows: Any) -> None:
    values = [[row.get(column.name) for column in columns] for row in rows]
    if values:
        database.executemany(f"insert into {name} values ({', '.join('?' * len(columns))})", values)


def _audits(folders: Sequence[Path], warn: Warn) -> Iterator[dict[str, Any]]:
    for folder in folders:
        for file in sorted(folder.glob("audit-*.json")):
            try:
                audit = read_told(file, AuditForm)
            except RecordingError as error:
                warn(f"left out: {error}")
            else:
                yield {"run": str(folder), "worker": audit.get("worker"), "audit": _json(audit)}


def _told_figures(folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for folder in folders:
        if (folder / "imported.json").exists():
            imported: Imported = read_json(folder / "imported.json", Imported)
            for one in imported.told:
                yield {"run": str(folder), **msgspec.structs.asdict(one)}


def _sources(folders: Sequence[Path], warn: Warn) -> Iterator[dict[str, Any]]:
    for folder in folders:
        if not (folder / "sources.json").exists():
            continue
        try:
            sources: list[Source] = read_json(folder / "sources.json", list[Source])
        except RecordingError as error:
            warn(f"the names of its sources are left out: {error}")
        else:
            for number, one in enumerate(sources):
                yield {"run": str(folder), "source": number, "source_kind": one.kind, "source_name": one.name}


def _classes(folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The classes of each run by number; one where it has one endpoint and one model."""
    for folder in folders:
        manifest, spec = read_manifest(folder), read_json(folder / "spec.json", Spec)
        one = {"name": spec.dealt[0].name, "endpoint": spec.dealt[0].endpoint, "model": manifest.effective.get("model")}
        for number, told in enumerate(manifest.effective.get("classes") or [one]):
            named = {f"class_{key}": told[key] for key in ("name", "endpoint", "model")}
            yield {"run": str(folder), "class": number, **named}


def _view(database: duckdb.DuckDBPyConnection, table: str, folders: Sequence[Path], warn: Warn) -> None:
    """The view of a table over the files of all recordings; files that cannot be read are left out."""
    files = [
        [str(file) for folder in folders for file in sorted(folder.glob(pattern)) if _is_plain(file, warn)]
        for pattern in PARTS[table]
    ]
    try:
        database.execute(f"create view {table} as {select_of(table, files)}")
    except duckdb.Error:  # looked at one by one only where something is wrong
        good = [[file for file in some if _readable(database, file, warn)] for some in files]
        database.execute(f"create view {table} as {select_of(table, good)}")


def _is_plain(file: Path, warn: Warn) -> bool:
    why = plain_file(file)
    if why is not None:
        warn(f"left out: {file} {why}")
    return why is None


def _readable(database: duckdb.DuckDBPyConnection, file: str, warn: Warn) -> bool:
    try:
        database.execute(f"select count(*) from {parquet(file)}").fetchall()
    except duckdb.Error:
        warn(f"left out: {file} cannot be read, it is damaged or cut short")
        return False
    return True


def _close_off(database: duckdb.DuckDBPyConnection, folders: Sequence[Path], spill: Path, target: Path | None) -> None:
    """From here on the database reads these folders only, and writes to `spill` and `target` only."""
    names = [str(folder) for folder in folders]
    # A name with the marks of a pattern is asked for in its escaped form.
    escaped = [re.sub(r"[*?\[]", lambda m: f"[{m[0]}]", name) for name in names]
    allowed = ", ".join(literal(name) for name in dict.fromkeys([*names, *escaped]))
    database.execute(f"set temp_directory = {literal(str(spill))}")
    database.execute(f"set allowed_directories = [{allowed}]")
    if target is not None:
        database.execute(f"set allowed_paths = [{literal(str(target))}]")
    database.execute("set enable_external_access = false")
    database.execute("set lock_configuration = true")


def _needs_windows(database: duckdb.DuckDBPyConnection, statement: str) -> bool:
    """Whether the plan of the query uses the windows: to find one, the requests of its recording are read."""
    with suppress(duckdb.Error):  # what is wrong with the query is said when it runs
        plan = database.execute(f"explain (format json) {statement}").fetchall()
        return any(WINDOW_START in str(line) for line in plan)
    return "in_window" in statement.lower()


def _window(folder: Path, window_of: WindowOf, warn: Warn) -> dict[str, Any]:
    try:
        start_ns, end_ns, first = window_of(folder)
    except LoadcellError as error:
        warn(f"in_window is NULL: {error}")
        return {"run": str(folder)}
    return {"run": str(folder), WINDOW_START: start_ns, "w_end_ns": end_ns, "w_first": first}


# --- what went wrong -------------------------------------------------------------------------------------------------


@contextmanager
def _explained(path: Path | None = None) -> Iterator[None]:
    """DuckDB's errors as ours, with what to do about them."""
    try:
        yield
    except duckdb.PermissionException as error:
        raise UsageError(
            f"a query reads the recordings that were named, and nothing else: {_first_lines(error, 1)}"
        ) from None
    except duckdb.OutOfMemoryException as error:
        raise LoadcellError(f"the query needs more memory than there is: {_first_lines(error, 1)}") from None
    except duckdb.IOException as error:
        what = "a file cannot be read" if path is None else f"cannot read the recordings or write {path}"
        raise RecordingError(f"{what}: {_first_lines(error, 1)}") from None
    except OSError as error:
        if path is None:
            raise
        raise RecordingError(f"cannot write {path}: {error.strerror}") from None
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.Error as error:
        raise UsageError(_first_lines(error) + _advice(str(error))) from None


def _advice(message: str) -> str:
    found = re.search(r"Table with name (\S+) does not exist", message)
    if found is None:
        return ""
    return f"\nTables: {', '.join(TABLES)}{nearest(found[1], TABLES)}. loadcell query --tables shows their columns."


def _first_lines(error: Exception, most: int = _LINES) -> str:
    lines = [_plain(line) for line in str(error).splitlines() if line.strip()]
    return "\n".join(line if len(line) <= 300 else f"{line[:299]}…" for line in lines[:most])


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
