"""The sessions of one worker: which of its requests wait for which, and which of them are on their way.

A request becomes ready when all that it waits for have ended well, its delay after the last of these. One that failed
ends what waits for it: that is never sent. A session is over once nothing of it is ready or in the air.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_NEVER = -1
"""In `_left`: it will not be sent, for something that it waits for has failed."""


class Course:
    """Rows by number; times are monotonic."""

    def __init__(self, session: Ints, waits: Mapping[str, Ints], delay_ns: Ints | None) -> None:
        """`session` of each row of the schedule; `waits` as a recording holds them: a row a pair."""
        rows = len(session)
        waiting, awaited = waits["request"].astype(np.int64), waits["waits_for"].astype(np.int64)
        self._session = _flat(session)
        self._delay = None if delay_ns is None else _flat(delay_ns)
        counts = np.bincount(waiting, minlength=rows)
        self._left = _flat(counts)
        self._parents, self._parent_ends = _lists(waiting, awaited, rows)
        self._children, self._child_ends = _lists(awaited, waiting, rows)
        self._latest: dict[int, int] = {}
        """When the last so far has ended of those that a row waits for, where it waits for further ones."""
        self._alive: dict[int, int] = {}
        """Rows of each open session that are ready or in the air."""
        self._dropped: set[int] = set()
        """Rows that were ready when it became known that something they wait for has failed."""
        begins = np.flatnonzero(np.diff(session, prepend=-1))
        self._begins = _flat(begins)
        self._ends = _flat(np.append(begins[1:], rows))
        self._first = counts == 0

    def firsts(self, worker: int, workers: int) -> list[int]:
        """The rows of this worker's sessions that wait for none, in their order."""
        sessions = np.frombuffer(self._session, np.int64)
        rows: list[int] = np.flatnonzero(self._first & (sessions % workers == worker)).tolist()
        return rows

    def session_of(self, row: int) -> int:
        """The session of a row."""
        return self._session[row]

    def parents(self, row: int) -> Sequence[int]:
        """What a row waits for."""
        return self._parents[self._parent_ends[row - 1] if row else 0 : self._parent_ends[row]]

    def children(self, row: int) -> Sequence[int]:
        """What waits for a row."""
        return self._children[self._child_ends[row - 1] if row else 0 : self._child_ends[row]]

    def begins(self, row: int) -> None:
        """A row that waits for none is sent."""
        session = self._session[row]
        self._alive[session] = self._alive.get(session, 0) + 1

    def ended(self, row: int, end_ns: int, *, failed: bool) -> list[tuple[int, int]]:
        """A row has ended: (when, row) of those that are ready by that."""
        found: list[tuple[int, int]] = []
        if failed:
            self._never(self.children(row))
        else:
            for child in self.children(row):
                left = self._left[child]
                if left == _NEVER:
                    continue
                last_ns = max(end_ns, self._latest.pop(child, end_ns))
                self._left[child] = left - 1
                if left > 1:
                    self._latest[child] = last_ns
                else:
                    found.append((last_ns + (self._delay[child] if self._delay else 0), child))
        self._count(row, len(found) - 1)
        return found

    def failed_late(self, row: int) -> None:
        """What had looked like a good end of a row was none: what is ready by it is not sent, nor what waits on."""
        children = self.children(row)
        for child in children:
            if self._left[child] == 0 and child not in self._dropped:
                self._dropped.add(child)
                self._count(child, -1)
        self._never(children)

    def may(self, row: int) -> bool:
        """Whether a row that was ready is still to be sent."""
        if row not in self._dropped:
            return True
        self._dropped.discard(row)
        return False

    def is_over(self, session: int) -> bool:
        """Whether nothing of a session that began is ready or in the air."""
        return session not in self._alive

    def begin_of(self, row: int) -> int:
        """The first row of its session."""
        return self._begins[self._session[row]]

    def end_of(self, row: int) -> int:
        """The row after the last of its session."""
        return self._ends[self._session[row]]

    def oldest(self) -> int | None:
        """The first row of the open session that has the lowest; None where none is open."""
        return self._begins[min(self._alive)] if self._alive else None

    def _never(self, rows: Iterable[int]) -> None:
        for row in rows:
            self._left[row] = _NEVER
            self._latest.pop(row, None)

    def _count(self, row: int, more: int) -> None:
        session = self._session[row]
        alive = self._alive[session] + more
        if alive:
            self._alive[session] = alive
        else:
            del self._alive[session]


def _flat(values: NDArray[Any]) -> array[int]:
    return array("q", values.astype(np.int64).tobytes())


def _lists(of: Ints, values: Ints, rows: int) -> tuple[array[int], array[int]]:
    """The values that stand beside each row, one list after another, and where each ends."""
    order = np.argsort(of, kind="stable")
    return _flat(values[order]), _flat(np.cumsum(np.bincount(of, minlength=rows)))


def course_of(columns: Mapping[str, Any], waits: Mapping[str, Any] | None) -> Course | None:
    """The sessions of a schedule as it was recorded; None where requests are alone."""
    if waits is None:
        return None
    delay = columns["delay_ns"]
    return Course(
        columns["session"].astype(np.int64),
        waits,
        None if delay.dtype.kind == "f" and np.isnan(delay).all() else np.nan_to_num(delay).astype(np.int64),
    )
