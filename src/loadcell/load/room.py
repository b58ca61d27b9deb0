"""One bound for the memory of all replies of a worker together: beyond it the largest gives way first."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable
from pathlib import Path

from loadcell.load.flight import Flight

_STATM = Path("/proc/self/statm")


class Room:
    """What the replies of a worker may take: `most_bytes`, counted over what the process held before them."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._before = _resident_bytes()
        self._weighed = 0
        """What the process held when the replies were weighed last."""

    def is_tight(self) -> bool:
        """Whether it is worth to weigh the replies: a look at the process alone, whatever its load.

        Weighing a thousand streams takes milliseconds in which nothing is read: within the bound it is done anew only
        when the process has grown.
        """
        held = _resident_bytes() - self._before
        if held <= self.most_bytes // 2 or self._weighed <= held < min(
            self._weighed + self.most_bytes // 16, self.most_bytes
        ):
            return False
        self._weighed = held
        return True

    def too_much(self, flights: Iterable[Flight]) -> list[tuple[Flight, int, int]]:
        """The flights in the air that must end for the others to have room, the largest first, with their bytes and
        those of all. They have half of the room; the other half is for what has landed and waits to be written."""
        weighed = sorted(((flight.weight(), place, flight) for place, flight in enumerate(flights)), reverse=True)
        held = sum(weight for weight, _, _ in weighed)
        found = []
        for weight, _, flight in weighed:
            if held <= self.most_bytes // 2:
                break
            found.append((flight, weight, held))
            held -= weight
        return found

    def is_full(self, landed_bytes: int) -> bool:
        """Whether what has landed takes more than its half."""
        return landed_bytes > self.most_bytes // 2


def _resident_bytes() -> int:
    """Memory that the process holds now; where the system does not tell, the most that it ever held."""
    if sys.platform == "linux":
        return int(_STATM.read_bytes().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
