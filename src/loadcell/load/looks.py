"""How early what a read brought can have come: after the last look at the sockets that did not show it.

A poll that slept returns when the first of what it waited for came, and as late as the loop then waited for a core. The
scheduler counts that wait; so what a read brought after such a poll came no earlier than the poll's return less the
wait. Without the count, or where the poll came back later than it can have slept, the look before it is the bound.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from time import monotonic_ns

from loadcell.core import LOOK_NS, Look

_PROMPT_NS = 50_000
"""So long, at most, is the way out of a poll while no other thread has the interpreter."""


def waited_ns_of_this_thread() -> Callable[[], int] | None:
    """Tells how long the calling thread has waited for a core; None where the system keeps no count of it.

    ns on a core, ns ready to run without one, time slices (Documentation/scheduler/sched-stats.rst).
    """
    try:
        fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None

    def waited() -> int:
        return int(os.pread(fd, 96, 0).split()[1])

    if int(os.pread(fd, 96, 0).split()[2]):
        return waited
    os.close(fd)  # a kernel that keeps no count writes zeros
    return None


class Looks:
    """Samples of the loop's wait for a core, and what they say of a read."""

    def __init__(self, most_ns: int) -> None:
        """A poll that took longer than `most_ns` did more than sleep."""
        self._most_ns = most_ns
        self._waited: Callable[[], int] | None = None
        self._at_ns, self._waited_ns = array("q"), array("q")

    def begin(self) -> None:
        """The loop starts, in the thread that calls."""
        self._waited = waited_ns_of_this_thread()
        self.sample()

    def sample(self) -> None:
        """Take a sample; a few times a second, by the loop's thread."""
        if self._waited is not None:
            self._waited_ns.append(self._waited())
            self._at_ns.append(monotonic_ns())

    def earliest(self, look: Look, writing: Callable[[int, int], bool]) -> int:
        """The earliest time that something can have come which a read brought after `look`, monotonic ns.

        `writing` tells whether another thread worked between two times: then the loop may have waited for it too.
        """
        looked, asked, woke = look
        if self._waited is None or woke - asked > self._most_ns:
            return looked
        if self._at_ns[-1] < woke:
            self.sample()
        before, after = bisect_right(self._at_ns, asked) - 1, bisect_left(self._at_ns, woke)
        if before < 0:
            return looked
        late = self._waited_ns[after] - self._waited_ns[before]
        late += LOOK_NS if writing(asked, woke) else _PROMPT_NS
        # It slept for some of its time, so nothing was there when it fell asleep.
        return max(looked, woke - late) if late < woke - asked else looked
