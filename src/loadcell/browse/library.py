"""The listed folder while it is served: what was found in it, and what was computed of it so far."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from loadcell.browse.figures import Figures, of_duel, of_repeats, of_result, of_sweep
from loadcell.browse.listing import Entry, Listing, outside, scan, unforeseen
from loadcell.errors import LoadcellError, RecordingError

_PAGES = 12
"""Pages that are kept, each a few MB at most."""
Mark = tuple[tuple[str, int, int], ...]
"""Names, sizes and times of change of the files of an entry: while it is the same, so are its figures."""


class Library:
    """Recordings below `root`, and in folders `elsewhere`.

    What was computed is kept in memory while the files stay as they are.
    Figures for rows are computed one at a time, and so are pages; neither waits for the other.
    """

    def __init__(self, root: Path, elsewhere: Callable[[], Sequence[Path]] = tuple) -> None:
        self._elsewhere = elsewhere
        self._listing = scan(root, elsewhere())
        self.root = self._listing.root
        self._figures: dict[str, tuple[Mark, Figures]] = {}
        self._pages: OrderedDict[tuple[str, ...], tuple[list[Mark], str]] = OrderedDict()
        self._one_row, self._one_page = threading.Lock(), threading.Lock()

    def look(self) -> Listing:
        """What is there now."""
        self._listing = scan(self.root, self._elsewhere())
        return self._listing

    def find(self, id: str) -> Entry | None:
        """The entry with this id, be it that it came after the last look."""
        return self._listing.find(id) or self.look().find(id)

    def known(self, entry: Entry) -> Figures | None:
        """The figures of an entry if they are at hand."""
        if entry.trouble is not None:
            return Figures(trouble=entry.trouble)
        kept = self._figures.get(entry.id)
        return kept[1] if kept is not None and kept[0] == _mark(entry) else None

    def figures(self, entry: Entry) -> Figures:
        """The figures of an entry; what is wrong with it is among them."""
        if entry.kind in ("repeats", "duel"):
            return (of_repeats if entry.kind == "repeats" else of_duel)([self.figures(run) for run in entry.inside])
        with self._one_row:
            found = self.known(entry)
            if found is None:
                mark = _mark(entry)
                found = self._read(entry)
                self._figures[entry.id] = mark, found
            return found

    def page(self, key: tuple[str, ...], entries: list[Entry], make: Callable[[], str]) -> str:
        """A page made of entries, or the one that was made of them before, by its key."""
        with self._one_page:
            marks = [_mark(entry) for entry in entries]
            kept = self._pages.pop(key, None)
            page = kept[1] if kept is not None and kept[0] == marks else make()
            self._pages[key] = marks, page
            if len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
            return page

    def check(self, entry: Entry) -> None:
        """RecordingError if an entry cannot be opened, or is not to be."""
        if entry.trouble is not None:
            raise RecordingError(entry.trouble)
        try:
            name = outside(entry, entry.home)
        except OSError as error:
            raise RecordingError(f"{entry.path} cannot be read: {error.strerror}") from None
        if name is not None:
            raise RecordingError(f"its {name} is a link out of the folder that is listed: it is not followed")

    def _read(self, entry: Entry) -> Figures:
        from loadcell.metrics import build_result
        from loadcell.recording.read import open_recording
        from loadcell.search import build_sweep

        try:
            self.check(entry)
            if entry.kind == "sweep":
                return of_sweep(build_sweep(entry.path))
            return of_result(build_result(open_recording(entry.path)))
        except LoadcellError as error:
            return Figures(trouble=str(error))
        except Exception as error:  # noqa: BLE001 - files can be damaged in ways that nobody thought of
            return Figures(trouble=unforeseen(entry.path, error))


def _mark(entry: Entry) -> Mark:
    folders = [entry.path, *(inside.path for inside in entry.inside)]
    found: list[tuple[str, int, int]] = []
    for folder in folders:
        try:
            with os.scandir(folder) as files:
                told = [(file.path, file.stat(follow_symlinks=False)) for file in files]
        except OSError:  # it went away meanwhile: it is another thing than it was
            found.append((str(folder), -1, -1))
        else:
            found += [(path, stat.st_size, stat.st_mtime_ns) for path, stat in told]
    return tuple(sorted(found))
