"""Few requests, early, and far slower than any later one: a server that woke up, whatever the window says of it."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.model import ColdStart
from loadcell.metrics.rows import Floats, Mask, Rows

_LEAST_REQUESTS = 20
_EARLY = 0.1
"""Share of the requests that the slow ones must lie among; or one a user, if that is more."""
_SLOWER, _SLOWER_NS = 2.0, 20e6
"""Times, and time, that they are slower than the slowest of the second half."""


def cold_start(rows: Rows, anchor: Floats, members: Mask, users: int) -> ColdStart | None:
    """The slow first requests of the whole run, by TTFT (E2E without a stream), in the order of `anchor`; else None."""
    streamed = 2 * np.count_nonzero(rows.ok & rows.streamed) >= np.count_nonzero(rows.ok)
    values = np.where(rows.ok, (rows.first_any if streamed else rows.last) - rows.send_start, np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(anchor[known], kind="stable")]
    if order.size < _LEAST_REQUESTS:
        return None
    taken = values[order]
    later = float(taken[order.size // 2 :].max())
    slow = np.flatnonzero(taken > max(_SLOWER * later, later + _SLOWER_NS))
    if not slow.size or slow[-1] >= max(users, _EARLY * order.size):
        return None
    first = int(slow[-1]) + 1
    return ColdStart(
        metric="ttft_ms" if streamed else "e2e_ms",
        slow=int(slow.size),
        of_first=first,
        least_ms=float(taken[slow].min()) / 1e6,
        most_ms=float(taken[slow].max()) / 1e6,
        later_most_ms=float(taken[first:].max()) / 1e6,
        in_window=int(np.count_nonzero(members[order[slow]])),
    )
