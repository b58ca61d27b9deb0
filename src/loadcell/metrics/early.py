"""How much earlier than its stamp each event can have come, and how far that can move what is made of the events.

The stamp of a read is that of the last thing it brought. Another event of the same read came before it, but not before
the look at the sockets ahead of that read (`poll_ns`), nor before the event ahead of it, nor before its request was
sent. The latest that an event can have come is its stamp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loadcell.kinds import KIND_ANSWER, KIND_OUTPUT
from loadcell.metrics.quantile import Histogram
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.recording.read import Recording, Table

_POLLS_SINCE = 5
"""The format of recordings from which on they hold `poll_ns`."""


@dataclass
class GapMoves:
    """What becomes of the counts of gaps where each is as short, or as long, as it can have been."""

    shorter: Histogram | None = None
    """Counts to be added for the shortest gaps; negative where gaps move away. None where none can be shorter."""
    longer: Histogram | None = None
    squares: float = 0.0
    """Sum over the gaps of the square of the most that each can be off, ns^2."""

    def add(self, gaps: Ids, shortest: Ids, longest: Ids) -> None:
        """Take gaps that may be off."""
        self.shorter = self.shorter or Histogram()
        self.longer = self.longer or Histogram()
        for delta, moved in ((self.shorter, shortest), (self.longer, longest)):
            delta.add(moved)
            delta.take(gaps)
        self.squares += float((np.maximum(gaps - shortest, longest - gaps).astype(np.float64) ** 2).sum())

    def __add__(self, other: GapMoves) -> GapMoves:
        """Those of both."""
        return GapMoves(
            _both(self.shorter, other.shorter), _both(self.longer, other.longer), self.squares + other.squares
        )


def _both(a: Histogram | None, b: Histogram | None) -> Histogram | None:
    return a if b is None else b if a is None else a + b


@dataclass
class Early:
    """The earliest times of the events that a request's latencies are made of, by row; NaN where there is none."""

    first: Floats
    answer: Floats
    last: Floats
    known: bool = True
    """False where the recording does not bound them: stamps of the client's clock, without the looks before."""

    @classmethod
    def of(cls, rows: Rows) -> Early:
        """As if every stamp were the event's own."""
        first = np.where(np.isnan(rows.first_any), rows.first_audio, rows.first_any)
        return cls(first, rows.first_answer.copy(), rows.last.copy())


class Sooner(NamedTuple):
    """Events of a part that may have come before their stamps."""

    places: Ids
    """Where they stand in the part, ascending."""
    earliest: Ids


def parts(recording: Recording, columns: Sequence[str]) -> Iterator[Table]:
    """As `recording.chunks`, with `poll_ns`; in older recordings the end of the read before, of the same reply."""
    if bounded_by_looks(recording):
        yield from recording.chunks((*columns, "poll_ns", "kind"))
        return
    needed = dict.fromkeys((*columns, "kind", "request", "read", "t_ns", "lag_ns"))
    for part in recording.chunks(tuple(needed), output_only=False):
        part["poll_ns"] = _reads_before(part)
        output = (part["kind"] & KIND_OUTPUT) > 0
        yield {name: values[output] for name, values in part.items()}


def bounded_by_looks(recording: Recording) -> bool:
    """Whether it holds the look before each read that brought several events."""
    return recording.manifest.format >= _POLLS_SINCE


def _reads_before(part: Table) -> Floats:
    """For each event that shares its read with a later one, the time of its reply's read before; -inf without."""
    request, read = part["request"], part["read"]
    if not request.size:
        return np.zeros(0)
    same = request[1:] == request[:-1]
    shared = np.append((read[1:] == read[:-1]) & same, False)
    begins = np.flatnonzero(np.concatenate(([True], ~(same & (read[1:] == read[:-1])))))  # of each read
    before = begins - 1
    there = (before >= 0) & (request[before] == request[begins])
    ends = np.where(there, (part["t_ns"] + np.nan_to_num(part["lag_ns"].astype(np.float64)))[before], -np.inf)
    of_each = np.repeat(ends, np.diff(np.append(begins, request.size)))
    return np.where(shared, of_each, np.nan)


def unbounded(recording: Recording, lag_ns: npt.NDArray[np.generic]) -> bool:
    """Whether an older recording has events stamped by the client's clock, of which nothing says how late they are."""
    old = not bounded_by_looks(recording)
    return old and lag_ns.dtype.kind == "f" and bool(np.isnan(lag_ns).any())


def sooner(part: Table, starts: Ids, sent: Floats) -> Sooner | None:
    """The events of a part that may be early; None where there are none. `sent` is by run: none came before it."""
    poll, t_ns = part["poll_ns"], part["t_ns"]
    places = np.flatnonzero(~np.isnan(poll)) if poll.dtype.kind == "f" else np.arange(poll.size)
    if not places.size:
        return None
    run = np.searchsorted(starts, places, side="right") - 1
    begin = starts[run]
    # The last event ahead whose stamp is its own: that before the first of each row of early ones.
    heads = np.concatenate(([True], np.diff(places) != 1)) | (places == begin)
    ahead = np.where(places > begin, places - 1, -1)[np.maximum.accumulate(np.where(heads, np.arange(places.size), 0))]
    floor = np.where(ahead >= 0, t_ns[ahead], sent[run])
    earliest = np.fmin(t_ns[places], np.fmax(poll[places], floor))
    return Sooner(places, earliest.astype(np.int64))


def at(early: Sooner, t_ns: Ids, places: Ids) -> Ids:
    """The earliest times of the events at `places`."""
    slots = np.minimum(np.searchsorted(early.places, places), early.places.size - 1)
    return np.where(early.places[slots] == places, early.earliest[slots], t_ns[places])


def note_ends(into: Early, early: Sooner, part: Table, starts: Ids, lengths: Ids, row_of_run: Ids) -> None:
    """Note the earliest first and last event of each request, and its earliest first answer."""
    t_ns, known = part["t_ns"], row_of_run >= 0
    rows = row_of_run[known]
    into.first[rows] = at(early, t_ns, starts[known])
    into.last[rows] = at(early, t_ns, (starts + lengths - 1)[known])
    answers = np.where(part["kind"] & KIND_ANSWER, np.arange(t_ns.size), t_ns.size)
    first = np.minimum.reduceat(answers, starts)
    some = known & (first < t_ns.size)
    into.answer[row_of_run[some]] = at(early, t_ns, first[some])


def note_gaps(into: GapMoves, early: Sooner, t_ns: Ids, starts: Ids, lengths: Ids, wanted: Mask) -> None:
    """Note the gaps of the wanted requests that an early event begins or ends."""
    ends = np.unique(np.concatenate((early.places, early.places + 1)))
    ends = ends[ends < t_ns.size]
    run = np.searchsorted(starts, ends, side="right") - 1
    ends = ends[(ends != starts[run]) & wanted[run]]
    if ends.size:
        low, high = at(early, t_ns, ends - 1), at(early, t_ns, ends)
        gaps = np.maximum(t_ns[ends] - t_ns[ends - 1], 0)
        into.add(gaps, np.maximum(high - t_ns[ends - 1], 0), np.maximum(t_ns[ends] - low, gaps))


def crossing(early: Sooner, t_ns: Ids, tokens: Floats, start: float, end: float) -> tuple[float, float]:
    """(tokens that may have come before the window instead of in it, or in it instead of after it; their sums).

    `tokens` are those of the early events.
    """
    stamp, earliest = t_ns[early.places], early.earliest
    inside = (stamp >= start) & (stamp <= end)
    out = inside & (earliest < start)
    into = (stamp > end) & (earliest <= end)
    return float(tokens[out].sum()), float(tokens[into].sum())
