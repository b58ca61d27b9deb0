"""Shared memory: counters and outcomes, which the workers tell while they run; the signs to start, end and stop."""

from __future__ import annotations

import mmap
from enum import IntEnum

_HEADER = 3
_SLOTS = 8


class Count(IntEnum):
    """Counters of one worker."""

    ISSUED = 0
    OK = 1
    FAILED = 2
    CANCELLED = 3
    IN_FLIGHT = 4
    EVENTS = 5


class Live:
    """One block for all workers, on a nameless file whose descriptor they inherit. Each counter has one writer."""

    def __init__(self, fd: int, workers: int) -> None:
        self._map = mmap.mmap(fd, self.size(workers))
        self._cells = memoryview(self._map).cast("q")
        self.workers = workers

    @staticmethod
    def size(workers: int) -> int:
        """Bytes that the file must have."""
        return 8 * (_HEADER + _SLOTS * workers)

    @property
    def t0_ns(self) -> int:
        """Start of the load on the monotonic clock; 0 until the parent has set it."""
        return self._cells[0]

    @t0_ns.setter
    def t0_ns(self, value: int) -> None:
        self._cells[0] = value

    @property
    def stop(self) -> bool:
        """Whether the workers are to cancel what is in flight and end."""
        return bool(self._cells[1])

    @stop.setter
    def stop(self, value: bool) -> None:
        self._cells[1] = value

    @property
    def end_ns(self) -> int:
        """End of sending since the start of the load, where it was ordered; 0 until then.

        Nothing planned at or after it is sent; in a closed loop, no user that becomes ready then sends. It is set while
        it lies ahead, and each worker reads it before it sends: so all of them agree on what was sent, however late
        they are.
        """
        return self._cells[2]

    @end_ns.setter
    def end_ns(self, value: int) -> None:
        self._cells[2] = value

    def cells(self, worker: int) -> memoryview:
        """The counters of one worker, indexed by `Count`."""
        start = _HEADER + _SLOTS * worker
        return self._cells[start : start + _SLOTS]

    def total(self, count: Count) -> int:
        """Sum of one counter over the workers."""
        return sum(self.cells(w)[count] for w in range(self.workers))


def outcomes_of(fd: int, rows: int) -> mmap.mmap:
    """One byte a request (`steer.Outcome`) on a nameless file of that many bytes. Each byte has one writer."""
    return mmap.mmap(fd, rows)
