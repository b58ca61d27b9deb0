"""Where rows are kept: those that come with Loadcell, and those of later rounds that a person added.

Added files lie under $XDG_DATA_HOME/loadcell/published, one a summary; a row that is there takes the place of the
same row of an earlier source. To undo an addition, delete its file.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import msgspec

from loadcell.errors import RecordingError
from loadcell.published.clean import clean_summary
from loadcell.published.model import FORMAT, Key, Registry, Row, Source


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the registry: the cleaned rows of one summary."""

    format: int = FORMAT
    source: Source
    rows: list[Row]


class Added(NamedTuple):
    """What an addition changed."""

    source: Source
    new: int
    changed: int
    same: int


def data_folder() -> Path:
    """$XDG_DATA_HOME/loadcell/published; as that standard has it, a relative path there does not count."""
    home = Path(os.environ.get("XDG_DATA_HOME") or "")
    return (home if home.is_absolute() else Path.home() / ".local" / "share") / "loadcell" / "published"


def registry() -> Registry:
    """Every row: packaged, then added. RecordingError names a file that cannot be read."""
    kept = [*packaged(), *(decode(file.read_bytes(), str(file)) for file in _added_files())]
    rows: dict[Key, Row] = {row.key: row for one in kept for row in one.rows}
    return Registry(rows=list(rows.values()), sources=[one.source for one in kept])


def packaged() -> list[Kept]:
    """The rows that come with Loadcell, the oldest round first."""
    folder = files("loadcell.published") / "data"
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".json.gz")), key=lambda file: file.name)
    return [decode(file.read_bytes(), file.name) for file in found]


def add_file(path: Path, *, today: str, round: str | None = None) -> Added:
    """Keep the rows of a summary. Nothing is written where all of them are known already."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from None
    rows, source = clean_summary(_unzipped(data, path), origin=str(path), retrieved=today, round=round, added=True)
    known = {row.key: row for row in registry().rows}
    new = sum(row.key not in known for row in rows)
    changed = sum(row.key in known and not _equal(row, known[row.key]) for row in rows)
    if new or changed:
        file = data_folder() / f"{'-'.join(source.rounds)}-{source.sha256[:12]}.json.gz"
        source = msgspec.structs.replace(source, file=str(file), name=f"{source.name} ({path.name}, added)")
        rows = [msgspec.structs.replace(row, source=source.name) for row in rows]
        _write(file, encode(source, rows))
    return Added(source, new, changed, len(rows) - new - changed)


def encode(source: Source, rows: Sequence[Row]) -> bytes:
    """A file of the registry; the same bytes for the same rows."""
    return gzip.compress(msgspec.json.encode(Kept(source=source, rows=list(rows))), mtime=0)


def decode(data: bytes, name: str) -> Kept:
    """Read a file of the registry."""
    try:
        return msgspec.json.decode(gzip.decompress(data), type=Kept)
    except (OSError, EOFError, zlib.error, msgspec.DecodeError) as error:
        raise RecordingError(
            f"{name} is damaged, or of another version of loadcell ({error}): delete it, and add its summary again"
        ) from None


def _equal(row: Row, other: Row) -> bool:
    """Whether they say the same, wherever they came from."""
    return msgspec.structs.replace(row, source=other.source, retrieved=other.retrieved) == other


def _unzipped(data: bytes, path: Path) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise RecordingError(f"{path} is damaged: {error}") from None


def _added_files() -> list[Path]:
    """In the order in which they were added."""
    return sorted(data_folder().glob("*.json.gz"), key=lambda file: (file.stat().st_mtime_ns, file.name))


def _write(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_bytes(data)
        part.replace(file)
    except OSError as error:
        raise RecordingError(f"cannot write {file}: {error.strerror}") from None
