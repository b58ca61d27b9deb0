"""How early what a read brought can have come: after the last look at the sockets that did not show it.

A poll that slept returns when the first of what it waited for came, and as late as the loop then waited for a core. The
scheduler counts that wait; so what a read brought after such a poll came no earlier than the poll's return less the
wait. Without the count, or where the poll came back later than it can have slept, the look before it is the bound.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from itertools import takewhile
from time import monotonic_ns
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.core import LOOK_NS

Ints = npt.NDArray[Any]

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

    def earliest(self, looks: Ints, spells: Sequence[tuple[int, int]]) -> Ints:
        """The earliest time that something can have come which a read brought after its look, a row each, monotonic ns.

        `spells`: when another thread worked, begin and end; in these the loop may have waited for it too.
        """
        looked: Ints
        looked, asked, woke = looks.T
        if self._waited is None or not looked.size:
            return looked
        # No copies: there are more of them the longer the run. These are gone before the next sample.
        at, waited = np.frombuffer(self._at_ns, "i8"), np.frombuffer(self._waited_ns, "i8")
        before, after = np.searchsorted(at, asked, "right") - 1, np.searchsorted(at, woke)
        known = (before >= 0) & (after < at.size) & (woke - asked <= self._most_ns)
        late = waited[np.minimum(after, at.size - 1)] - waited[before]
        first = asked.min()
        recent = [*takewhile(lambda spell: spell[1] >= first, reversed(spells))][::-1]
        begins, ends = np.array(recent, "i8").reshape(-1, 2).T
        beside = np.searchsorted(begins, woke, "right") > np.searchsorted(ends, asked)
        late += np.where(beside, LOOK_NS, _PROMPT_NS)
        # It slept for some of its time, so nothing was there when it fell asleep.
        earliest: Ints = np.where(known & (late < woke - asked), np.maximum(looked, woke - late), looked)
        return earliest
