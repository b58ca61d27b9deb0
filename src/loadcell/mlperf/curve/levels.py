"""Which concurrencies a curve has where nobody says them, and what they leave uncovered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from loadcell.mlperf.curve.model import Regions
from loadcell.mlperf.curve.regions import BANDS, NAMES, ULTRA_LOW_MOST, covers

_LOWEST = ((512, 2), (2048, 8), (4096, 16))
"""Lowest concurrency of a curve by its C_max, below these; 32 from there on: so the official examples go."""


def lowest_of(c_max: int) -> int:
    """The lowest concurrency of a curve where nobody says it."""
    return next((lowest for below, lowest in _LOWEST if c_max < below), ULTRA_LOW_MOST)


def spread(regions: Regions, count: int) -> list[int]:
    """`count` concurrencies from C_min to C_max: one in every region that is not empty, others where a step is widest.

    Steps are ratios: a new point is the geometric middle of its neighbours. Fewer, if there are not so many.
    """
    chosen = {regions.c_min, regions.c_max}
    for low, high in (regions.low_concurrency, regions.med_concurrency):
        if low <= high:
            chosen.add(_middle(low, high))
    while len(chosen) < count:
        row = sorted(chosen)
        gaps = [(high / low, low, high) for low, high in pairwise(row) if high - low > 1]
        if not gaps:
            break
        _, low, high = max(gaps)
        chosen.add(min(max(_middle(low, high), low + 1), high - 1))
    return sorted(chosen)


def _middle(low: int, high: int) -> int:
    return round(math.sqrt(low * high))


def uncovered(regions: Regions, levels: Sequence[int], *, override: bool) -> list[str]:
    """Bands without a point, in words that say why."""
    said = []
    for band in BANDS:
        low, high = getattr(regions, band)
        if any(covers(regions, band, level, override=override) for level in levels):
            continue
        why = f"{low}-{high} has no point" if low <= high else f"it is empty, C_max {regions.c_max} is too small"
        said.append(f"{NAMES[band]}: {why}")
    return said
