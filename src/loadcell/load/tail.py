"""Beyond the end: what one worker goes on sending, uncounted, until the last counted reply of all workers has ended.

Else the last counted requests would end on a server that empties, and be faster than its load makes them. Workers tell
each other by a counter each; nothing is added to a read.
"""

from __future__ import annotations

from loadcell.load.job import Slice
from loadcell.load.live import Count, Live


class Tail:
    """Which requests of a worker are counted, and whether those beyond are still to be sent. Times since t0."""

    def __init__(self, job: Slice, live: Live) -> None:
        self._job, self._live = job, live
        self._cells = live.cells(job.worker)
        self.left = 0
        """Counted requests that have begun and not ended."""
        self.over = False
        """Whether all that is beyond was given up."""

    @property
    def end_ns(self) -> int | None:
        """End of the counted sending: as ordered, else as planned; None where no time ends it."""
        return self._live.counted_end_ns or self._job.end_ns

    def counts(self, due_ns: int) -> bool:
        """Whether a request that is due at a time is a counted one."""
        end = self.end_ns if self._job.keep else None
        return end is None or due_ns < end

    def closed(self, due_ns: int) -> bool:
        """Whether what is due at a time beyond the end is not to be sent any more."""
        end = self.end_ns
        return end is not None and (self.over or due_ns >= 2 * end)

    def begun(self) -> None:
        """A counted request has begun."""
        self.left += 1
        self._cells[Count.LEFT] = self.left

    def ended(self) -> None:
        """A counted request has ended."""
        self.left -= 1
        self._cells[Count.LEFT] = self.left

    def is_last(self, now_ns: int, due_ns: int | None) -> bool:
        """Tell the others once every counted request of this worker has ended; True when all have told.

        `due_ns` is when the next request of this worker is due, None for none.
        """
        end = self.end_ns
        if not self._job.keep or self.over or end is None or now_ns < end:
            return False
        if self.left or (due_ns is not None and due_ns < end):
            return False
        self._cells[Count.COUNTED_OVER] = 1
        return self._live.total(Count.COUNTED_OVER) == self._live.workers
