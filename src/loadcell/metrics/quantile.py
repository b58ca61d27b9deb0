"""Exact order statistics of a stream too long to hold.

The first pass counts values in bins of relative width 2**-16, taken from the bit pattern of the value as a float. That
finds the bin of each wanted rank; the second pass counts each integer of those few bins. Memory does not depend on the
number of values, nor on how alike they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_KEPT = 16
_SHIFT = 52 - _KEPT
_ONE = 1023 << _KEPT
"""Bits of 1.0 after the shift."""
_SPARSE = 8
"""Values that are fewer than the bins between them by this factor are sorted: that is less work than a count of all."""
_BINS = (53 << _KEPT) + 1
"""Zero and every octave up to 2**53, where a float64 stops being exact."""


class Histogram:
    """Counts of integers in [0, 2**53). Those below 2**17 have a bin each."""

    def __init__(self) -> None:
        self.counts: Ints = np.zeros(_BINS, dtype=np.int64)
        self.n = 0
        self.total = 0
        self.squares = 0.0
        """Sum of the squares of the values."""
        self.min = 0
        self.max = 0
        self.held = slice(_BINS, 0)
        """Outside of these bins none was ever counted: they are far fewer than all, which take milliseconds to sum."""
        self._sums: Ints | None = None
        """Of the counts, until one changes."""

    def add(self, values: npt.NDArray[Any], times: Ints | None = None) -> None:
        """Count `values`, each once or so many times (>= 1)."""
        if values.size:
            held, counts = self._counted(values, times)
            self.counts[held] += counts
            least = int(values.min())
            self.min = min(self.min, least) if self.n else least
            self.n += values.size if times is None else int(times.sum())
            squares = np.square(values, dtype=np.float64)
            self.squares += float(squares.sum() if times is None else (squares * times).sum())
            self.total += int(values.sum(dtype=np.int64) if times is None else (values * times).sum(dtype=np.int64))
            self.max = max(self.max, int(values.max()))

    def take(self, values: npt.NDArray[Any]) -> None:
        """Count `values` less; the maximum stays."""
        if values.size:
            held, counts = self._counted(values)
            self.counts[held] -= counts
            self.n -= values.size
            self.total -= int(values.sum(dtype=np.int64))

    def _counted(self, values: npt.NDArray[Any], times: Ints | None = None) -> tuple[slice | Ints, Ints]:
        """Bins that hold all of `values`, each of them once, and how many are in each."""
        bins = _bins(values)
        low, high = int(bins.min()), int(bins.max()) + 1
        self.held = _around(self.held, slice(low, high))
        self._sums = None
        if times is not None:
            return slice(low, high), np.bincount(bins - low, weights=times).astype(np.int64)
        if _SPARSE * bins.size < high - low:
            return np.unique(bins, return_counts=True)
        return slice(low, high), np.bincount(bins - low)

    def __add__(self, other: Histogram) -> Histogram:
        """Counts of the values of both."""
        both = Histogram()
        both.held = _around(self.held, other.held)
        both.counts[both.held] = self.counts[both.held] + other.counts[both.held]
        both.n, both.total, both.max = self.n + other.n, self.total + other.total, max(self.max, other.max)
        both.squares = self.squares + other.squares
        both.min = min((h.min for h in (self, other) if h.n), default=0)
        return both

    @property
    def mean(self) -> float | None:
        """Mean of the values, None without any."""
        return self.total / self.n if self.n else None

    @property
    def sd(self) -> float | None:
        """Standard deviation of the values, None below two."""
        if self.n < 2:
            return None
        return math.sqrt(max(0.0, self.squares - self.total**2 / self.n) / (self.n - 1))

    def sums(self) -> tuple[int, Ints]:
        """(the first bin that may hold a value; how many values lie in or below it, and each that follows)."""
        if self._sums is None:
            self._sums = np.cumsum(self.counts[self.held])
        return self.held.start, self._sums

    def at(self, ranks: Sequence[int]) -> list[int]:
        """Values at ranks (from 1), to one part in 2**16; exact below 2**17 and at the last rank."""
        first, sums = self.sums()
        bins = first + np.searchsorted(sums, ranks)
        return [self.max if rank == self.n else _lowest(int(b)) for rank, b in zip(ranks, bins, strict=True)]

    def bins(self, ranks: Sequence[int]) -> list[tuple[int, int]]:
        """(least, largest) integer of the bin in which the value at each rank (from 1) lies."""
        first, sums = self.sums()
        bins = first + np.searchsorted(sums, ranks)
        return [(_lowest(b), _lowest(b) + _width(b) - 1) for b in bins.tolist()]

    def steps(self) -> tuple[Ints, Ints]:
        """(largest integer of each bin that holds values, ascending; how many values are at or below it)."""
        bins = self.held.start + np.flatnonzero(self.counts[self.held])
        highest = np.array([_lowest(b) + _width(b) - 1 for b in bins.tolist()], dtype=np.int64)
        return np.minimum(highest, self.max), np.cumsum(self.counts[bins])

    def edges(self, ranks: Sequence[int]) -> list[int]:
        """For each rank (from 1) the least value of a bin such that, as nearly as bins allow, so many are less."""
        first, sums = self.sums()
        places = np.searchsorted(sums, ranks)
        upper = 2 * np.asarray(ranks) >= 2 * sums[places] - self.counts[first + places]
        return [_lowest(int(b)) for b in first + places + upper]


def order_statistics(
    histograms: Sequence[Histogram], parts: Iterable[tuple[int, npt.NDArray[Any]]], ranks: Sequence[Iterable[int]]
) -> list[dict[int, int]]:
    """Exact values at `ranks` (from 1) of nested sets of values, each set's in a dict.

    `parts` gives the counted values again, each array with the number of the first histogram that counted it; all later
    ones did too.
    """
    below = [histogram.sums() for histogram in histograms]
    found: list[dict[int, int]] = []
    exact: list[dict[int, int]] = []
    for histogram, (begin, sums), wanted in zip(histograms, below, ranks, strict=True):
        bins = {rank: begin + int(np.searchsorted(sums, rank)) for rank in wanted}
        known = {rank: _lowest(b) for rank, b in bins.items() if _width(b) == 1}
        known |= {rank: histogram.max for rank in bins if rank == histogram.n}
        exact.append(known)
        found.append({rank: b for rank, b in bins.items() if rank not in known})
    wide = sorted({b for bins in found for b in bins.values()})
    if not wide:
        return exact
    slot_of = np.full(_BINS, -1, dtype=np.int8)
    slot_of[wide] = np.arange(len(wide))
    starts = np.concatenate(([0], np.cumsum([_width(b) for b in wide])))
    # Place of a value in the counts of all wide bins, one bin after the other.
    shift = starts[:-1] - np.array([_lowest(b) for b in wide])
    counts = np.zeros((len(histograms), starts[-1]), dtype=np.int64)
    for first, values in parts:
        slots = slot_of[_bins(values)]
        inside = np.flatnonzero(slots >= 0)
        np.add.at(counts[first], values[inside].astype(np.int64) + shift[slots[inside]], 1)
    for bins, known, (begin, sums), of_set in zip(found, exact, below, np.cumsum(counts, axis=0), strict=True):
        for rank, b in bins.items():
            slot = wide.index(b)
            within = np.cumsum(of_set[starts[slot] : starts[slot + 1]])
            lower = int(sums[b - 1 - begin]) if b > begin else 0
            known[rank] = _lowest(b) + int(np.searchsorted(within, rank - lower))
    return exact


def _around(one: slice, other: slice) -> slice:
    return slice(min(one.start, other.start), max(one.stop, other.stop))


def _bins(values: npt.NDArray[Any]) -> Ints:
    bits = values.astype(np.float64).view(np.int64)
    bits >>= _SHIFT
    bits -= _ONE - 1
    return np.maximum(bits, 0, out=bits)  # zero has no exponent and lands far below


def _lowest(b: int) -> int:
    """Least integer of bin b."""
    if b == 0:
        return 0
    octave, step = divmod(b - 1, 1 << _KEPT)
    return (1 << octave) + -(-(step << octave) // (1 << _KEPT))


def _width(b: int) -> int:
    """Integers in bin b."""
    return 1 << max(0, (b - 1 >> _KEPT) - _KEPT) if b else 1
