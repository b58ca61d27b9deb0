"""Bursts: events of a reply that came together, by the hand of the server or of something on the way.

Events of one read came together, and so did those that followed each other far faster than their reply went on. All of
them are seen when the last one is there: its time is the burst's, and the time of one of them says nothing of the pace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.kinds import KIND_OUTPUT

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_PART, _MOST_NS = 0.05, 1_000_000
"""A gap of less than this part of its reply's mean gap, and than this, lies inside a burst."""
AT_ONCE_NS = 100_000
"""A mean gap below this is no server's pace: what was collected comes in as fast as it can be read."""
COLLECTED = 1.5
"""Events a burst, from which on a reply was collected: no gap of it is the server's."""
_BYTES_A_TOKEN = 2
"""Less than any token adds to its event: so much smaller an event holds fewer tokens."""


def together(read: npt.NDArray[Any], t_ns: npt.NDArray[Any], starts: Ids, lengths: Ids) -> Mask:
    """Which events came with the one before, of the same reply; replies begin at `starts` and are adjacent."""
    found = np.zeros(t_ns.size, dtype=bool)
    found[1:] = (read[1:] == read[:-1]) | (np.diff(t_ns) <= np.repeat(within_ns(t_ns, starts, lengths), lengths)[1:])
    found[starts] = False
    return found


def within_ns(t_ns: npt.NDArray[Any], starts: Ids, lengths: Ids) -> npt.NDArray[np.float64]:
    """The longest gap inside a burst, by reply; infinite where all came at once."""
    mean = (t_ns[starts + lengths - 1] - t_ns[starts]) / np.maximum(lengths - 1, 1)
    return np.where(mean < AT_ONCE_NS, np.inf, np.minimum(_PART * mean, _MOST_NS))


def note_bursts(requests: dict[str, Any], chunks: dict[str, Any]) -> None:
    """Fill in what the rows of streamed requests say of their bursts, from the events of the same requests."""
    columns = ("request", "read", "t_ns", "kind", "bytes")
    output = (np.asarray(chunks["kind"]) & KIND_OUTPUT) > 0
    request, read, t_ns, _, size = (np.asarray(chunks[name])[output] for name in columns)
    if not request.size:
        return
    starts = np.concatenate(([0], np.flatnonzero(request[1:] != request[:-1]) + 1))
    lengths = np.diff(np.append(starts, request.size))
    heads = np.flatnonzero(~together(read, t_ns, starts, lengths))
    first = np.searchsorted(heads, starts)  # place of each reply's first burst
    bursts = np.diff(np.append(first, heads.size))
    last_head = heads[first + bursts - 1]
    first_events = np.where(bursts > 1, np.append(heads, request.size)[first + 1] - starts, lengths)
    cut = (bursts > 2) & (lengths >= COLLECTED * bursts)
    rows = _rows_of(requests["request"], request[starts])
    alike = _like_others(requests, rows, size, starts, lengths)
    for k in np.flatnonzero((rows >= 0) & ((first_events > 1) | alike | cut)).tolist():
        row = int(rows[k])
        if first_events[k] > 1 or alike[k]:
            requests["first_events"][row] = int(first_events[k])
        if cut[k]:
            requests["last_events"][row] = int(starts[k] + lengths[k] - last_head[k])
            requests["pace_end_ns"][row] = int(t_ns[last_head[k] - 1])


def _rows_of(numbers: Any, wanted: Ids) -> Ids:
    """The row of each wanted request; -1 for one without."""
    known = np.asarray(numbers)
    order = np.argsort(known, kind="stable")
    places = np.minimum(np.searchsorted(known[order], wanted), known.size - 1)
    rows = order[places]
    return np.where(known[rows] == wanted, rows, -1)


def _like_others(requests: dict[str, Any], rows: Ids, size: npt.NDArray[Any], starts: Ids, lengths: Ids) -> Mask:
    """Whether a first event whose tokens nobody tells is as large as the others, which hold several tokens each."""
    told, tokens = (np.asarray(requests[name])[rows] for name in ("first_tokens", "output_tokens"))
    others = (np.add.reduceat(size.astype(np.int64), starts) - size[starts]) / np.maximum(lengths - 1, 1)
    large = size[starts] >= others - _BYTES_A_TOKEN * (tokens / lengths - 1)
    known = size[starts] >= 0  # a missing number is negative
    found: Mask = (told < 0) & (lengths > 1) & (tokens > lengths) & known & large
    return found
