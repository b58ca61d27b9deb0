"""Distributions, thinned for drawing: every point that is kept is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.metrics.dependence import rank_of
from loadcell.metrics.interval import PERMILLE
from loadcell.metrics.quantile import Histogram
from loadcell.metrics.rows import Floats, Ids
from loadcell.report.detail.model import POINTS, Ecdf

_TAIL = 60
"""Points of either tail, spaced evenly in the logarithm of what is left of the share."""
_NS_IN_MS = 1e6


def of_values(values_ns: Floats) -> Ecdf | None:
    """The distribution of values, NaN left out; None without any."""
    known = values_ns[~np.isnan(values_ns)]
    if not known.size:
        return None
    distinct, counts = np.unique(known, return_counts=True)
    return thin(distinct / _NS_IN_MS, np.cumsum(counts))


def of_histogram(gaps: Histogram, least: int, of_least: int) -> Ecdf | None:
    """The distribution of gaps that were counted in bins, the least of which is `of_least` times there.

    A bin is drawn at its upper end, where the share at or below is exact, whatever lies inside.
    """
    if not gaps.n:
        return None
    x, below = gaps.steps()
    if x[0] > least:
        later = below > of_least
        x, below = np.append(least, x[later]), np.append(of_least, below[later])
    return thin(x / _NS_IN_MS, below, exact=False)


def thin(x_ms: npt.NDArray[Any], below: Ids, *, exact: bool = True, most: int = POINTS) -> Ecdf:
    """An ECDF of at most `most` of the points (x, samples at or below x), both ascending, the last one all samples.

    Smallest and largest are kept, and where the percentiles of a Summary lie; the rest evenly in share, and closer in
    both tails, so that one sample in 10,000 is still seen.
    """
    n = int(below[-1])
    if x_ms.size > most:
        places = np.unique(np.searchsorted(below, _ranks(n, most)))
        x_ms, below, exact = x_ms[places], below[places], False
    return Ecdf(n=n, x_ms=x_ms.tolist(), share=(below / n).tolist(), exact=exact)


def _ranks(n: int, most: int) -> Ids:
    """Ranks (from 1) of at most `most` of n samples, to be kept."""
    named = [1, n, *(rank_of(permille, n) for permille in PERMILLE.values())]
    tail = np.unique(np.geomspace(1, max(1, n / 4), _TAIL).astype(np.int64))
    even = np.linspace(1, n, most - len(named) - 2 * tail.size).astype(np.int64)
    ranks: Ids = np.concatenate((named, tail, n + 1 - tail, even))
    return ranks
