"""A recording's requests and a sweep's stages as Parquet, for other programs: typed columns, units in the metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from loadcell import __version__
from loadcell.errors import RecordingError
from loadcell.metrics import Result
from loadcell.metrics.window import window_of
from loadcell.recording.database import open_database
from loadcell.recording.query import draft_of
from loadcell.recording.read import Recording
from loadcell.recording.schema import REQUESTS, Column
from loadcell.recording.tables import DERIVED, WINDOW_START, literal, requests_of
from loadcell.report.tables import sweep_rows

if TYPE_CHECKING:
    from loadcell.search.model import Sweep

_FIRST = ("request", "status", "error_kind", "error", "http_status", "finish_reason")
_KEPT = (
    "input_tokens", "inputs", "results", "audio_ns", "asked_tokens", "prompt_tokens", "cached_tokens",
    "reasoning_tokens", "output_tokens", "token_source", "output_chunks", "worker", "connection", "bytes_sent",
    "bytes_received", "counted",
)  # fmt: skip
_IN_MS = ("server_queue_ns", "server_prefill_ns", "server_decode_ns")
_UNITS = {"ms": "ms", "s": "s"}


def write_requests(recording: Recording, result: Result, path: Path) -> int:
    """Write one row a request that ended, by request, and return how many.

    Latencies in ms by both anchors, times in s since the start of the load; NULL is what cannot be known. `in_window`
    is the window of `result`. Requests that were never sent, or were lost with their worker, have no row.
    RecordingError if a part cannot be read or the file not be written; then there is none.
    """
    span = window_of(result, recording.spec.load)
    columns, picked = _request_columns()
    window = (
        f"select {span.start!r}::double as {WINDOW_START}, {span.end!r}::double as w_end_ns, "
        f"{span.first_request} as w_first, {result.methodology.loop == 'open'} as w_open"
    )
    requests = requests_of(recording.request_parts, recording.token_parts, f"cross join ({window}) w")
    about = {
        "run": result.run.id,
        "started_at": result.run.started_at,
        "loop": result.methodology.loop,
        "window_s": [result.methodology.window.start_s, result.methodology.window.end_s],
        "verdict": result.verdict.word,
        "invalid": result.invalid,
        "schedule_hash": result.methodology.schedule_hash,
        "bodies_hash": result.methodology.bodies_hash,
    }
    return _write(f"select {picked} from ({requests}) order by request", columns, about, path)


def _request_columns() -> tuple[list[Column], str]:
    known = {column.name: column for column in REQUESTS}
    kept = [known[name] for name in _KEPT]
    server = [known[name] for name in _IN_MS]
    derived = [one.column for one in DERIVED]
    told = [Column(f"{c.name.removesuffix('_ns')}_ms", "DOUBLE", c.doc) for c in server]
    columns = [*(known[name] for name in _FIRST), *derived, *told, *kept]
    picked = [*(c.name for c in derived), *(f"{c.name} / 1e6 as {c.name.removesuffix('_ns')}_ms" for c in server)]
    return columns, ", ".join([*_FIRST, *picked, *_KEPT])


_TEXT = ("phase", "axis", "changes", "folder", "started_at", "state", "ended", "answer", "binding", "verdict", "reason")
_WHOLE = ("stage", "judged", "missed", "requests")
_TRUTH = ("stable", "pareto")


def write_stages(sweep: Sweep, path: Path) -> int:
    """Write one row a stage, with the columns of `sweep_csv`, and return how many; RecordingError as above.

    Figures that could not be measured are NULL.
    """
    rows = sweep_rows(sweep)
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["stage", "phase", "load"]
    columns = [Column(name, _type_of(name), "") for name in names]
    about = {"mode": sweep.plan.mode, "axis": sweep.plan.axis, "seed": sweep.plan.seed}
    # One parameter a column: names of columns go into SQL quoted, values never do.
    lists = [[row.get(name) for row in rows] for name in names]
    picked = ", ".join(f"unnest(${i}::{column.sql}[]) as {_quoted(column.name)}" for i, column in enumerate(columns, 1))
    return _write(f"select {picked}", columns, about, path, lists)


def _type_of(name: str) -> str:
    kinds = (("VARCHAR", _TEXT), ("BIGINT", _WHOLE), ("BOOLEAN", _TRUTH))
    return next((sql for sql, names in kinds if name in names), "DOUBLE")


# --- writing ---------------------------------------------------------------------------------------------------------


def _write(
    select: str, columns: Sequence[Column], about: Mapping[str, Any], path: Path, values: Sequence[Any] = ()
) -> int:
    """Write a SELECT as a Parquet file that appears only when it is whole; returns its rows.

    Key-value metadata: `loadcell` says what it is of, `columns` what each column means and its unit, both JSON.
    """
    draft = draft_of(path)
    metadata = ", ".join(
        f"{key}: {literal(json.dumps(value, ensure_ascii=True))}"
        for key, value in (("loadcell", {"loadcell": __version__, **about}), ("columns", _described(columns)))
    )
    with _explained(path, draft), open_database() as database:
        done = database.execute(
            f"copy ({select}) to {literal(str(draft))} (format parquet, parquet_version v2, compression zstd, "
            f"kv_metadata {{{metadata}}})",
            values or None,
        )
        rows = int(done.fetchall()[0][0])
        draft.replace(path)
    return rows


def _described(columns: Sequence[Column]) -> dict[str, dict[str, str]]:
    return {column.name: dict(_facts(column)) for column in columns}


def _facts(column: Column) -> Iterator[tuple[str, str]]:
    if column.doc:
        yield "means", column.doc
    unit = _UNITS.get(column.name.rpartition("_")[2])
    if unit is not None and not column.name.endswith("_per_s"):
        yield "unit", unit


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _explained(path: Path, draft: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
        raise RecordingError(f"cannot write {path}: {why}") from None
    finally:
        draft.unlink(missing_ok=True)
