"""What lies in a folder of recordings: found, and told by its manifests alone. No figure is computed here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from loadcell.errors import RecordingError
from loadcell.recording.campaign import is_set_aside
from loadcell.recording.read import read_json, read_manifest
from loadcell.recording.schema import Manifest
from loadcell.search import SWEEP, Plan, stage_folders

Kind = Literal["run", "repeats", "sweep", "duel"]
DEEP, FOLDERS, MOST = 6, 20_000, 2_000
"""Levels of folders, folders and recordings that are looked at, at most."""
_MARKS = ("recording.json", "schedule.parquet")
"""A folder with one of these is a recording, or what is left of one."""


@dataclass(frozen=True)
class Entry:
    """A recording, or the recordings of a folder of repeats or of a sweep."""

    id: str
    """Its path below the listed folder, or its whole path elsewhere, percent-encoded: ASCII, whatever the names are."""
    path: Path
    home: Path
    """The folder that its links may not leave: the listed one, or the one that was remembered."""
    kind: Kind
    started: datetime | None
    """Wall-clock start: of the run, or of the first run inside; None where nothing tells it."""
    order: float
    """Seconds since the epoch to sort by: the start, else when its folder was last changed."""
    manifest: Manifest | None = None
    """Of a run; None if it cannot be read."""
    spec: dict[str, Any] = field(default_factory=dict)
    """Of a run, unchecked; empty if it cannot be read."""
    plan: Plan | None = None
    """Of a sweep; None if it cannot be read."""
    trouble: str | None = None
    """Why it cannot be opened, in words."""
    inside: tuple[Entry, ...] = ()
    """Runs of repeats, stages of a sweep or turns of a duel, in their order."""

    def section(self, name: str) -> dict[str, Any]:
        """A section of the spec; empty if there is none."""
        found = self.spec.get(name)
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Listing:
    """All that was found, newest first."""

    root: Path
    entries: tuple[Entry, ...]
    cut: bool = False
    """The folder holds more, or deeper ones, than is looked for."""
    links: int = 0
    """Links beside recordings, which are not followed."""
    closed: int = 0
    """Folders that cannot be read."""

    def every(self) -> Iterator[Entry]:
        """All entries, those inside others too."""
        for entry in self.entries:
            yield entry
            yield from entry.inside

    def find(self, id: str) -> Entry | None:
        """The entry with this id. An id is only ever compared: no path is made of it."""
        return next((entry for entry in self.every() if entry.id == id), None)


def scan(root: Path, elsewhere: Sequence[Path] = ()) -> Listing:
    """Look through a folder, and through others `elsewhere`; RecordingError if the first cannot be read."""
    root = root.resolve()
    try:
        with os.scandir(root):
            pass
    except NotADirectoryError:
        raise RecordingError(f"{root} is a file: name a folder that holds recordings") from None
    except FileNotFoundError:
        raise RecordingError(f"there is no folder {root}: name one that holds recordings") from None
    except OSError as error:
        raise RecordingError(f"{root} cannot be read: {error.strerror}") from None
    walk = _Walk(root)
    entries = walk.look(root, 0)
    seen = {one.path for entry in entries for one in (entry, *entry.inside)}
    for folder in elsewhere:
        walk.root, walk.whole_ids = folder.resolve(), True
        for entry in walk.look(walk.root, 0):
            if entry.path not in seen:
                seen |= {entry.path, *(one.path for one in entry.inside)}
                entries.append(entry)
    found = sorted(entries, key=lambda entry: (-entry.order, entry.id))
    return Listing(root, tuple(found), walk.cut, walk.links, walk.closed)


def outside(entry: Entry, root: Path) -> str | None:
    """The first link of its files that leads out of `root`, if one does: nothing of the entry is then to be read."""
    if os.path.realpath(entry.path) != str(entry.path):
        return entry.path.name
    folders = [entry.path]
    while folders:
        with os.scandir(folders.pop()) as found:
            for one in found:
                if one.is_symlink() and not _within(one.path, root):
                    return one.name
                if one.is_dir(follow_symlinks=False) and entry.kind != "run":
                    folders.append(Path(one.path))
    return None


def unforeseen(path: Path, error: Exception) -> str:
    """What is said of a recording that fails in a way that no check knows."""
    return f"{path} cannot be read ({type(error).__name__}: {error}): it is damaged, or this is a fault of loadcell"


class _Walk:
    """One look through a folder, and what it could not see."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.whole_ids = False
        self.cut = False
        self.links = self.closed = 0
        self._folders = self._runs = 0

    def look(self, folder: Path, depth: int) -> list[Entry]:
        """The entries in a folder: itself, or those below it."""
        self._folders += 1
        if depth > DEEP or self._folders > FOLDERS or self._runs >= MOST:
            self.cut = True
            return []
        try:
            with os.scandir(folder) as found:
                inside = sorted(found, key=lambda one: one.name, reverse=True)  # names that are times: newest first
        except OSError:
            self.closed += 1
            return []
        names = {one.name for one in inside}
        if names & set(_MARKS):
            self._runs += 1
            return [self._run(folder)]
        below: list[Entry] = []
        for one in inside:
            if one.is_symlink():
                self.links += 1
            elif one.is_dir(follow_symlinks=False) and not one.name.startswith(".") and not is_set_aside(one.name):
                below += self.look(Path(one.path), depth + 1)
        if "sweep.json" in names:
            return self._sweep(folder, below)
        if "duel.json" in names:
            return [self._group(folder, "duel", sorted(below, key=lambda entry: entry.id))]
        here = {entry.path.name: entry for entry in below if entry.path.parent == folder and entry.kind == "run"}
        repeats: list[Entry] = []  # 1, 2, 3, ... as loadcell run --repeat names them
        while (name := str(len(repeats) + 1)) in here:
            repeats.append(here.pop(name))
        if len(repeats) < 2:
            return below
        return [self._group(folder, "repeats", repeats), *(entry for entry in below if entry not in repeats)]

    def _run(self, folder: Path) -> Entry:
        manifest, spec, trouble = None, {}, None
        try:
            if (name := self._leads_out(folder)) is not None:
                raise RecordingError(f"its {name} is a link out of the folder that is listed: it is not followed")
            if not _is_text(folder):
                raise RecordingError("its path is no UTF-8, which DuckDB cannot open: rename the folder")
            manifest = read_manifest(folder)
            spec = read_json(folder / "spec.json", dict)
        except RecordingError as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001 - files can be damaged in ways that nobody thought of
            trouble = unforeseen(folder, error)
        started = None if manifest is None else _time(manifest.started_at)
        return Entry(
            self._id(folder), folder, self.root, "run", started, _order(folder, started), manifest, spec,
            trouble=trouble,
        )  # fmt: skip

    def _sweep(self, folder: Path, below: list[Entry]) -> list[Entry]:
        """The sweep with its stages, and what else lies in its folder."""
        order = {path: number for number, path in enumerate(stage_folders(folder))}
        stages = sorted((entry for entry in below if entry.path in order), key=lambda entry: order[entry.path])
        return [self._sweep_of(folder, stages), *(entry for entry in below if entry.path not in order)]

    def _sweep_of(self, folder: Path, stages: list[Entry]) -> Entry:
        try:
            if (name := self._leads_out(folder)) is not None:
                raise RecordingError(f"its {name} is a link out of the folder that is listed: it is not followed")
            return self._group(folder, "sweep", stages, plan=SWEEP.read(folder))
        except RecordingError as error:
            return self._group(folder, "sweep", stages, trouble=str(error))
        except Exception as error:  # noqa: BLE001 - as above
            return self._group(folder, "sweep", stages, trouble=unforeseen(folder, error))

    def _group(self, folder: Path, kind: Kind, inside: list[Entry], **told: Any) -> Entry:
        started = min((entry.started for entry in inside if entry.started is not None), default=None)
        return Entry(
            self._id(folder), folder, self.root, kind, started, _order(folder, started), inside=tuple(inside), **told
        )  # fmt: skip

    def _leads_out(self, folder: Path) -> str | None:
        with os.scandir(folder) as found:
            links = [one for one in found if one.is_symlink()]
        return next((one.name for one in links if not _within(one.path, self.root)), None)

    def _id(self, folder: Path) -> str:
        return quote(os.fsencode(folder if self.whole_ids else folder.relative_to(self.root)))


def _within(path: str, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _time(text: str) -> datetime | None:
    """A time with its zone, as manifests have it; None if the text is none."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone()
    except (ValueError, OverflowError):
        return None


def _order(folder: Path, started: datetime | None) -> float:
    if started is not None:
        return started.timestamp()
    try:
        return folder.stat().st_mtime
    except OSError:  # it went away meanwhile
        return 0.0
