"""Gaps counted in two dimensions: by when they ended, or how many were in flight, and by their length, to 1 %."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.metrics.dependence import rank_of
from loadcell.metrics.rows import Floats, Ids

_SHIFT = 17
"""Of the bits of a float32: six of its fraction stay, 64 bins an octave."""
_LEAST = (127 + 10) << 6
"""Bits of 1,024 ns after the shift: shorter gaps share a bin."""
BINS = (30 << 6) + 1
"""Up to 2**40 ns, 18 minutes; longer ones share the last."""


def bins_of(gaps_ns: Ids) -> npt.NDArray[np.int32]:
    """The bin of each gap."""
    bins = gaps_ns.astype(np.float32).view(np.int32) >> _SHIFT
    bins -= _LEAST - 1
    return np.clip(bins, 0, BINS - 1, out=bins)


def add_by_row(counts: Ids, row: npt.NDArray[Any], bins: npt.NDArray[np.int32], but: Ids) -> None:
    """Count gaps in `counts` (rows x BINS) by the row and the bin of each, but those at the places `but`."""
    low = int(row.min())
    place = (row - low).astype(np.int32)
    place *= BINS
    place += bins
    found = np.bincount(place)
    found -= np.bincount(place[but], minlength=found.size)
    flat = counts.reshape(-1)
    flat[low * BINS : low * BINS + found.size] += found


def percentile_ms(counts: Ids, permille: int, least_ns: float, most_ns: float) -> float | None:
    """A percentile of gaps counted by bin, in ms to 1 %, between their extremes; None without any."""
    n = int(counts.sum())
    if not n:
        return None
    bin_of_rank = int(np.searchsorted(np.cumsum(counts), rank_of(permille, n)))
    return min(max(float(_MIDDLES[bin_of_rank]), least_ns), most_ns) / 1e6


def _middles() -> Floats:
    """The middle of each bin in ns; that of the first is 512 ns."""
    octave, step = np.divmod(np.arange(BINS - 1), 64)
    return np.concatenate(([512.0], 1024.0 * 2.0**octave * (1 + (step + 0.5) / 64)))


_MIDDLES = _middles()
