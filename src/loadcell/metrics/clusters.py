"""What the pooled gaps of requests are worth, for they come in clusters: by request, and by moment.

Gaps of one request share its pace, and gaps of one moment share the server's step: a stall hits every stream at once.
The variance of the share of gaps beyond a percentile is therefore taken from sums over clusters, as in a sample survey:
over requests, and over 20 batches of time, which see how moments depend on each other as well. The greater one counts.
An interval is then that of as many independent gaps as would give this variance (Woodruff 1952, Journal of the American
Statistical Association 47; Korn and Graubard 1998, Survey Methodology 24). The mean of all gaps goes by the same sums.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from loadcell.metrics.dependence import BATCHES, T_19, Z_975, variance_of_sum

Ids = npt.NDArray[np.int64]

LEAST_REQUESTS = 30
"""Requests with gaps below which their differences say too little of the spread of requests."""
LEAST_ON_EITHER_SIDE = 20
"""Requests with a gap beyond the percentile, and with one before it, below which they say too little of it."""
_T_WIDENS = (T_19 / Z_975) ** 2
"""Of a variance that is known from 20 batches."""


class Clusters:
    """Counts of gaps at or above each of some edges, in ns and ascending, by request and by batch of [start, end]."""

    def __init__(self, edges: Sequence[int], start: float, end: float) -> None:
        self._edges, self._start = edges, start
        self._scale = BATCHES / (end - start) if end > start else 0.0
        k = len(edges)
        self._requests = self._gaps = self._squares = 0
        """Requests, their gaps, and the sum of the squares of the numbers of these."""
        self._above, self._above_squares, self._products = (np.zeros(k, dtype=np.int64) for _ in range(3))
        """Gaps at or above each edge: their number n, and over requests the sums of n squared and n x gaps."""
        self._with_above, self._with_below = np.zeros(k, dtype=np.int64), np.zeros(k, dtype=np.int64)
        self._batches = np.zeros((BATCHES, k + 1), dtype=np.int64)
        """By the number of edges at or below the gap."""
        self._times = self._times_squares = self._times_products = 0.0
        """Over requests, with the sum of gaps t: the sums of t, t squared and t x gaps."""
        self._batch_times = np.zeros(BATCHES)

    def add(self, gaps: Ids, of_each: Ids, times: Ids) -> None:
        """Count the gaps of whole requests, one request after the other, `of_each` (>= 1) each; `times` is when."""
        levels = len(self._edges) + 1
        level = np.zeros(gaps.size, dtype=np.int8)
        for edge in self._edges:
            level += gaps >= edge
        size = of_each.size
        place = np.repeat(np.arange(0, size * levels, levels), of_each)
        place += level
        counts = np.bincount(place, minlength=size * levels).reshape(size, levels)
        above = _at_or_above(counts)
        self._requests += size
        self._gaps += gaps.size
        self._squares += int((of_each * of_each).sum())
        self._above += above.sum(axis=0)
        self._above_squares += (above * above).sum(axis=0)
        self._products += (above * of_each[:, None]).sum(axis=0)
        self._with_above += (above > 0).sum(axis=0)
        self._with_below += (above < of_each[:, None]).sum(axis=0)
        if size:
            lasted = np.add.reduceat(gaps.astype(np.float64), np.concatenate(([0], np.cumsum(of_each)[:-1])))
            self._times += float(lasted.sum())
            self._times_squares += float((lasted * lasted).sum())
            self._times_products += float((lasted * of_each).sum())
        place = np.clip((times - self._start) * self._scale, 0, BATCHES - 1).astype(np.int64)
        self._batch_times += np.bincount(place, weights=gaps, minlength=BATCHES)
        place *= levels
        place += level
        self._batches += np.bincount(place, minlength=BATCHES * levels).reshape(BATCHES, levels)

    def effective(self) -> list[float]:
        """Independent gaps that all (at least one) are worth to each edge: at most their number.

        With few requests, or few on either side of the edge, no more than one a request.
        """
        batches, of_each = _at_or_above(self._batches), self._batches.sum(axis=1)
        return [self._effective(i, batches[:, i], of_each) for i in range(len(self._edges))]

    def error_of_mean(self) -> float | None:
        """Standard error of the mean of all gaps, in ns; None with gaps of fewer than two requests."""
        n, gaps = self._requests, self._gaps
        if n < 2:
            return None
        mean = self._times / gaps
        squares = self._times_squares - 2 * mean * self._times_products + mean**2 * self._squares
        by_request = max(0.0, squares) * n / (n - 1)
        by_time = _T_WIDENS * variance_of_sum(self._batch_times - mean * self._batches.sum(axis=1))
        return math.sqrt(max(by_request, by_time)) / gaps

    def _effective(self, i: int, above: Ids, of_each: Ids) -> float:
        n, gaps = self._requests, self._gaps
        share = int(self._above[i]) / gaps
        independent = gaps * share * (1 - share)
        # Of the sum of z = above - share x gaps over requests, whose mean is 0.
        squares = float(self._above_squares[i] - 2 * share * self._products[i] + share**2 * self._squares)
        by_request = squares * n / (n - 1) if n > 1 else 0.0
        by_time = _T_WIDENS * variance_of_sum(above - share * of_each)
        found = gaps * independent / max(by_request, by_time, independent) if independent else float(gaps)
        few = n < LEAST_REQUESTS or min(self._with_above[i], self._with_below[i]) < LEAST_ON_EITHER_SIDE
        return max(1.0, min(found, n) if few else found)


def _at_or_above(counts: Ids) -> Ids:
    """Per row the counts at or above each edge, of counts by the number of edges at or below."""
    summed: Ids = counts[:, :0:-1].cumsum(axis=1)[:, ::-1]
    return summed
