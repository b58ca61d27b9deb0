"""Reading a recording, whole or cut short. Later steps see a run through this module only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import numpy.typing as npt

from loadcell.errors import RecordingError
from loadcell.kinds import KIND_OUTPUT
from loadcell.recording.database import open_database, parquet
from loadcell.recording.schema import FORMAT, Manifest
from loadcell.spec import Spec

Table = dict[str, npt.NDArray[Any]]


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

    def requests(self, columns: Sequence[str]) -> Table:
        """Columns of the requests that ended, ordered by request.

        Integers that may be missing come as float64 with NaN (exact: below 2**53); text as objects with None.
        """
        if not self.request_parts:
            return {name: np.empty(0) for name in columns}
        picked = ", ".join(_REQUEST_SQL.get(name, f"r.{name}") for name in columns)
        tokens = parquet(*self.token_parts) if self.token_parts else _NO_TOKENS
        rows = parquet(*self.request_parts)
        return _numpy(f"select {picked} from {rows} r left join {tokens} t using (request) order by request", columns)

    def schedule(self, columns: Sequence[str]) -> Table:
        """Columns of the schedule, ordered by request; missing as in `requests`."""
        return read_columns(self.path / "schedule.parquet", columns, "order by request")

    def chunks(self, columns: Sequence[str], *, output_only: bool = True) -> Iterator[Table]:
        """Columns of the received events, part by part. The events of one request are adjacent, in order, in one part.

        With `output_only`, only events that carry output. Memory is bounded by one part (about 37 bytes a row).
        """
        where = f"where kind & {KIND_OUTPUT} > 0" if output_only else ""
        with open_database() as database:  # opening one costs 16 ms: one for all parts
            for part in self.chunk_parts:
                sql = f"select {', '.join(columns)} from {parquet(part)} {where}"
                yield _numpy(sql, columns, database)


_NO_TOKENS = "(select null::bigint as request, null::integer as output_tokens where false)"
# A count made after the run replaces the count of chunks that stood in for it.
_REQUEST_SQL = {
    "request": "request",
    "output_tokens": "coalesce(t.output_tokens, r.output_tokens) as output_tokens",
    "token_source": "case when t.output_tokens is null then r.token_source else 'tokenizer' end as token_source",
}


def open_recording(path: str | Path) -> Recording:
    """Open a recording folder; RecordingError says what is wrong with it."""
    folder = Path(path)
    if not folder.is_dir():
        raise RecordingError(f"{folder} is not a recording: there is no such folder")
    manifest = read_json(folder / "recording.json", Manifest)
    if manifest.format > FORMAT:
        raise RecordingError(
            f"{folder} was written by loadcell {manifest.loadcell} in format {manifest.format}; "
            f"this version reads up to {FORMAT}: upgrade loadcell"
        )
    damaged: list[str] = []
    parts = {kind: _good_parts(folder, kind, damaged) for kind in ("requests", "chunks", "tokens")}
    if not (folder / "schedule.parquet").is_file():
        raise RecordingError(f"{folder} has no schedule.parquet: the run ended before its load began")
    return Recording(
        path=folder,
        manifest=manifest,
        spec=read_json(folder / "spec.json", Spec),
        environment=read_json(folder / "environment.json", dict),
        audits=[read_json(file, dict) for file in sorted(folder.glob("audit-*.json"))],
        damaged=damaged,
        request_parts=parts["requests"],
        chunk_parts=parts["chunks"],
        token_parts=parts["tokens"],
    )


def read_json(path: Path, kind: type[Any]) -> Any:
    """The JSON file at `path` as `kind`; RecordingError if it is missing or not that."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise RecordingError(f"{path.parent} is not a recording: it has no {path.name}") from None
    except (OSError, msgspec.DecodeError) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from None


def read_columns(path: Path, columns: Sequence[str], order: str = "") -> Table:
    """Columns of one Parquet file in the order of its rows, or as `order` says; missing as in `Recording.requests`."""
    return _numpy(f"select {', '.join(columns)} from {parquet(path)} {order}", columns)


def _good_parts(folder: Path, kind: str, damaged: list[str]) -> list[str]:
    """Readable parts in order; the names of the others go to `damaged`."""
    good = []
    with open_database() as database:
        for file in sorted(folder.glob(f"{kind}-*.parquet")):
            try:
                database.execute(f"select count(*) from {parquet(file)}").fetchall()
            except duckdb.Error:
                damaged.append(file.name)
            else:
                good.append(str(file))
    return good


def _numpy(sql: str, columns: Sequence[str], database: duckdb.DuckDBPyConnection | None = None) -> Table:
    """Run a query; masked integers become float64 with NaN, text becomes objects with None."""
    if database is None:
        with open_database() as database:
            return _numpy(sql, columns, database)
    raw = database.execute(sql).fetchnumpy()
    return {name: _plain(raw[name]) for name in columns}


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if not isinstance(values, np.ma.MaskedArray):
        return values
    missing: Any = None if values.dtype == object else np.nan
    plain = np.array(values.data, dtype=object if values.dtype == object else np.float64)
    plain[np.ma.getmaskarray(values)] = missing
    return plain


def dump_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON so that a reader never sees half of it."""
    text = json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False, allow_nan=False)
    draft = path.with_name(path.name + ".tmp")
    try:
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RecordingError(f"cannot write {path}: {error.strerror}") from None
