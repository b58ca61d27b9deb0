"""Request bodies on disk: nameless files that take turns, and where the body of each row lies in them.

One process writes at a time: the parent before the load, the feeder while it runs. Workers only read. A file is emptied
and used again when every request in it has been sent, so that the disk holds what is made ahead and no more.
"""

from __future__ import annotations

import mmap
import os
from array import array
from collections.abc import Sequence

from loadcell.load.live import Live

SEGMENTS = 6
"""Files that take turns. One that is written is never one that is read then, so no reader waits for a writer's lock."""
PLACE_BYTES = 16
"""Of each row: in which file its body begins and where (int64), and its length (int64)."""
_FILE_SHIFT = 48
_SEGMENT_BYTES = 4 << 20
"""A file takes this much before the next one is used, or a third of what is to be ahead."""
_FLUSH_BYTES, _FLUSH_ROWS = 1 << 20, 256


class Spool:
    """The writing end. Bodies are there for the workers once `flush` has told them so."""

    def __init__(
        self, segments: Sequence[int], places_fd: int, live: Live, *, row: int = 0, keep_first: bool = True
    ) -> None:
        """From `row` on, after another has written those before it into the first file; that is never emptied if
        `keep_first`."""
        self._segments, self._places_fd, self._live = segments, places_fd, live
        self._kept = {0} if row and keep_first else set()
        self.row = row
        """The next one."""
        self.bytes = 0
        """Of the bodies that this end has made."""
        self._current, self._offset = (1 if row else 0), 0
        self._ends: list[tuple[int, int]] = [(0, row)] if row and not keep_first else []
        """(file, first row beyond it) of the files that are full and may be emptied, in order."""
        self._payloads: list[bytes] = []
        self._waiting = 0
        self._places = array("q")
        self._places_row = row

    def add(self, payload: bytes) -> None:
        """The body of the next row."""
        self._places.extend((self._current << _FILE_SHIFT | self._offset, len(payload)))
        self._payloads.append(payload)
        self._offset += len(payload)
        self._waiting += len(payload)
        self.bytes += len(payload)
        self._next_row()

    def again(self, row: int) -> None:
        """The next row sends what an earlier one sends."""
        first = 2 * (row - self._places_row)
        if first >= 0:
            place = self._places[first : first + 2]
        else:
            place = array("q", os.pread(self._places_fd, PLACE_BYTES, PLACE_BYTES * row))
        self._places.extend(place)
        self._next_row()

    def _next_row(self) -> None:
        self.row += 1
        if self._waiting >= _FLUSH_BYTES or self.row - self._places_row >= _FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits, then tell the workers. OSError if the disk does not take it."""
        write_all(self._segments[self._current], b"".join(self._payloads), self._offset - self._waiting)
        write_all(self._places_fd, self._places.tobytes(), PLACE_BYTES * self._places_row)
        self._payloads, self._waiting, self._places, self._places_row = [], 0, array("q"), self.row
        self._live.made = self.row

    def turn(self, used: int, ahead_bytes: int) -> None:
        """Empty the files of which all rows before `used` have been sent; go on in another file when the current one
        holds enough and one is free."""
        while self._ends and self._ends[0][1] <= used:
            os.ftruncate(self._segments[self._ends.pop(0)[0]], 0)
        if self._offset < max(_SEGMENT_BYTES, ahead_bytes // 3):
            return
        taken = {self._current, *self._kept, *(segment for segment, _ in self._ends)}
        free = next((number for number in range(len(self._segments)) if number not in taken), None)
        if free is not None:
            self.flush()
            self._ends.append((self._current, self.row))
            self._current, self._offset = free, 0


class Bodies:
    """The reading end of a worker."""

    def __init__(self, segments: Sequence[int], places_fd: int, rows: int, live: Live) -> None:
        self._segments, self._live = segments, live
        self._places = memoryview(mmap.mmap(places_fd, PLACE_BYTES * rows, access=mmap.ACCESS_READ)).cast("q")
        self._made = 0

    def ready(self, row: int) -> bool:
        """Whether the body of a row has been made."""
        if row < self._made:
            return True
        self._made = self._live.made
        return row < self._made

    def read(self, row: int) -> bytes:
        """The body of a row that is ready."""
        place, size = self._places[2 * row], self._places[2 * row + 1]
        return os.pread(self._segments[place >> _FILE_SHIFT], size, place & (1 << _FILE_SHIFT) - 1)


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` at a place of a file; OSError if the disk does not take it."""
    left = memoryview(data)
    while left:
        written = os.pwrite(fd, left, offset)
        left, offset = left[written:], offset + written
