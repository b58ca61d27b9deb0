"""How many request bodies are to be made by now: those of the next 20 s, by the plan or by the pace seen."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from loadcell.load.live import Count, Live

AHEAD_NS = 20_000_000_000
_BEYOND_NS = 5_000_000_000
"""Beyond the planned end, where only what keeps the load on is sent."""
_RECENT_NS = 2_000_000_000
_LEAST_NS = 1_000_000_000
"""A pace is told from this long a time at least."""


def first_rows(planned_ns: NDArray[np.int64] | None, users: int, e2e_s: float | None, end_ns: int | None) -> int | None:
    """Rows that the first 20 s of a load need: by the plan, else by what a request takes as far as the probe tells;
    None where nothing tells."""
    length_ns = horizon_ns(0, end_ns)
    if planned_ns is not None:
        return int(np.searchsorted(planned_ns, length_ns))
    if not e2e_s:
        return None
    return users + int(users * length_ns / (e2e_s * 1e9))


def likely_rows(planned: int | None, rows: int, users: int, e2e_s: float | None, end_ns: int | None) -> int:
    """Requests of a whole run: those planned, else as many as its users send by its end as far as the probe tells."""
    if planned is not None:
        return planned
    return min(rows, users + int(users * end_ns / (e2e_s * 1e9))) if e2e_s and end_ns else users


def horizon_ns(now_ns: int, end_ns: int | None) -> int:
    """How far ahead of a moment bodies are to be there."""
    return AHEAD_NS if end_ns is None else min(AHEAD_NS, max(end_ns - now_ns, _BEYOND_NS))


def used_rows(live: Live, *, in_order: bool = True) -> tuple[int, int]:
    """(rows before which all have been sent, rows after which none has): worker w of W sends rows w, w + W, ... in
    their order, or tells itself how far it is."""
    if not in_order:
        cells = [live.cells(w) for w in range(live.workers)]
        return min(one[Count.SETTLED] for one in cells), max(one[Count.REACHED] for one in cells)
    nexts = [w + live.workers * live.cells(w)[Count.ISSUED] for w in range(live.workers)]
    return min(nexts), max(nexts)


class Pace:
    """Of one load: tells how many rows are wanted, from what its counters show."""

    def __init__(self, planned_ns: NDArray[np.int64] | None, users: int, suggested: int, end_ns: int | None) -> None:
        """`suggested` rows are wanted until the load has shown its own pace."""
        self._planned_ns, self._users, self._suggested, self._end_ns = planned_ns, users, suggested, end_ns
        self._seen: deque[tuple[int, int]] = deque()

    def wanted(self, now_ns: int, sent: int) -> int:
        """Rows that are to be made by a moment since the start (0 before it), of which `sent` have been sent."""
        ahead_ns = horizon_ns(now_ns, self._end_ns)
        if self._planned_ns is not None:
            return int(np.searchsorted(self._planned_ns, now_ns + ahead_ns))
        self._seen.append((now_ns, sent))
        while len(self._seen) > 2 and now_ns - self._seen[1][0] >= _RECENT_NS:
            self._seen.popleft()
        then_ns, then = self._seen[0]
        pace = max(sent / max(now_ns, _LEAST_NS), (sent - then) / max(now_ns - then_ns, _LEAST_NS))
        wanted = sent + self._users + int(pace * ahead_ns)
        return wanted if now_ns > _RECENT_NS else max(wanted, self._suggested)
