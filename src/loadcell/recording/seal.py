"""Checksums of a recording, made when its run has ended: a bit that flips later is told by the name of its file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from loadcell.errors import RecordingError
from loadcell.recording.parts import plain_file
from loadcell.recording.schema import Manifest

_FILES = (
    "spec.json", "environment.json", "schedule.parquet", "requests-*.parquet", "chunks-*.parquet", "text-*.parquet",
    "tokens-*.parquet", "audit-*.json", "host.json", "selftest.json", "server-*.prom", "sources.json",
    "looks-*.parquet", "series-*.parquet", "imported.json",
)  # fmt: skip
MANIFEST = "recording.json"


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with the checksums of all files of its recording, and of itself."""
    manifest.files = {name: _sum_of(folder / name) for name in files_of(folder)}
    manifest.sha256 = None
    manifest.sha256 = _own_sum(msgspec.to_builtins(manifest))
    dump_json(folder / MANIFEST, manifest)


def altered(folder: Path) -> list[str] | None:
    """Files that are not as they were sealed, by name; None where nothing was: an older version, or a run cut short."""
    told: dict[str, Any] = msgspec.json.decode((folder / MANIFEST).read_bytes())
    sums: dict[str, str] | None = told.get("files")
    if sums is None:
        return None if told.get("sha256") is None else [MANIFEST]
    found = [MANIFEST] if told.get("sha256") != _own_sum(told) else []
    there = files_of(folder)
    found += [f"{name} (gone)" for name in sums if name not in there]
    found += [f"{name} (not of this run)" for name in there if name not in sums]
    return found + [name for name in there if name in sums and _sum_of(folder / name) != sums[name]]


def files_of(folder: Path) -> list[str]:
    """Names of the files that make up a recording; pages and the like that lie beside them are none."""
    return sorted(file.name for pattern in _FILES for file in folder.glob(pattern))


def _sum_of(file: Path) -> str:
    if plain_file(file) is not None:
        return ""
    try:
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _own_sum(manifest: dict[str, Any]) -> str:
    """Over what the manifest says, however it is written."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


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
