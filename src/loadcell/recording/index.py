"""Where recordings were written, so that they are found again: a line a folder, in the user's state."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

_MARKS = ("recording.json", "schedule.parquet", "sweep.json", "duel.json")
_READ = 1024 * 1024
"""Bytes of the newest lines that are read; about 15,000 folders."""
MOST = 2_000
"""Folders that are told."""


def state_home() -> Path:
    """$XDG_STATE_HOME/loadcell; as that standard has it, a relative path there does not count."""
    home = Path(os.environ.get("XDG_STATE_HOME") or "")
    return (home if home.is_absolute() else Path.home() / ".local" / "state") / "loadcell"


def remember(folder: Path) -> None:
    """Add a folder that holds a recording, or holds folders that do; others are not added.

    One short line is appended in one write, so that processes do not mix theirs. OSError or RuntimeError (a user
    without a home) if it cannot be.
    """
    if not _holds_recording(folder):
        return
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    line = quote_from_bytes(os.fsencode(os.path.abspath(folder))).encode() + b"\n"  # noqa: PTH100 - a link stays one
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def remembered() -> list[Path]:
    """The folders that are still there, each once, the last written first; nothing where nothing can be read."""
    try:
        with _file().open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _READ))
            lines = file.read(_READ).splitlines()
    except (OSError, RuntimeError):
        return []
    found = dict.fromkeys(unquote_to_bytes(line) for line in reversed(lines) if line.startswith(b"/"))
    there = (Path(os.fsdecode(path)) for path in found if b"\0" not in path and os.path.isdir(path))  # noqa: PTH112
    return [path for path, _ in zip(there, range(MOST), strict=False)]


def _file() -> Path:
    return state_home() / "recordings.list"


def _holds_recording(folder: Path) -> bool:
    return any(next(folder.glob(pattern), None) for mark in _MARKS for pattern in (mark, f"*/{mark}"))
