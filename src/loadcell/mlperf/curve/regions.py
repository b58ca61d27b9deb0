"""Regions of a curve over concurrency: from C_max and C_min alone, by the formula of the rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from loadcell.errors import UsageError
from loadcell.mlperf.curve.model import Region, Regions

ULTRA_LOW_MOST = 32
"""Highest concurrency of the ultra-low band, and of C_min."""
NAMES: dict[Region, str] = {
    "low_latency": "Ultra Low",
    "low_concurrency": "Low",
    "med_concurrency": "Medium",
    "high_concurrency": "High",
    "margin": "margin",
    "outside": "outside",
}
BANDS: tuple[Region, ...] = ("low_latency", "low_concurrency", "med_concurrency", "high_concurrency")
"""Regions that need a point."""


def regions_of(c_max: int, c_min: int) -> Regions:
    """The regions: with i = log2(C_max - C_min) / 3, Low ends at round(C_min + 2^i), Medium at round(C_min + 2^2i).

    Rounding is half to even; the margin ends at ceil(1.10 C_max) in binary floating point (100 gives 111). UsageError
    if C_max is not above 32, or C_min not in 1 to 32.
    """
    if c_max <= ULTRA_LOW_MOST:
        raise UsageError(f"C_max is {c_max}: a curve needs a C_max above {ULTRA_LOW_MOST}; give --c-max 33 or more")
    if not 1 <= c_min <= ULTRA_LOW_MOST:
        raise UsageError(f"C_min is {c_min}: it must be 1 to {ULTRA_LOW_MOST}")
    i = math.log2(c_max - c_min) / 3
    low, med = round(c_min + 2**i), round(c_min + 2 ** (2 * i))
    return Regions(
        c_max=c_max,
        c_min=c_min,
        low_latency=(1, c_min),
        low_concurrency=(c_min + 1, low),
        med_concurrency=(low + 1, med),
        high_concurrency=(med + 1, c_max),
        margin=(c_max + 1, math.ceil(1.10 * c_max)),
    )


def c_min_of(concurrencies: Iterable[int], override: int | None = None) -> int:
    """C_min: the declared override, else the lowest concurrency, but 32 at most. UsageError without any."""
    if override is not None:
        return override
    lowest = min(concurrencies, default=None)
    if lowest is None:
        raise UsageError("no point has a concurrency: C_min is unknown")
    return min(lowest, ULTRA_LOW_MOST)


def region_of(regions: Regions, concurrency: int) -> Region:
    """The region that a concurrency lies in; where the bounds of an empty region cross, the first that holds it."""
    return next((name for name, (low, high) in bounds(regions) if low <= concurrency <= high), "outside")


def bounds(regions: Regions) -> Iterator[tuple[Region, tuple[int, int]]]:
    """Every region with its bounds, from the lowest up."""
    for name in (*BANDS, "margin"):
        yield name, getattr(regions, name)


def covers(regions: Regions, band: Region, concurrency: int, *, override: bool) -> bool:
    """Whether a point counts for a band. Ultra Low goes up to 32 even where C_min is lower, unless that is declared."""
    low, high = getattr(regions, band)
    if band == "low_latency" and not override:
        high = ULTRA_LOW_MOST
    return bool(low <= concurrency <= high)
