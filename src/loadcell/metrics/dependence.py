"""How much dependence between successive samples widens an interval.

n samples of a dependent series are worth n / VIF independent ones (VIF: variance inflation factor). It is estimated
twice and the larger one is taken: from the lag-1 autocorrelation r, (1 + r) / (1 - r) as of an AR(1) process, and from
the variance of the means of 20 batches over the variance that independent samples would give them (Law, Simulation
Modeling and Analysis, 5th ed., 4.4 and 9.5.3). The first sees short dependence sharply, the second sees a long one.

An estimate counts only beyond 3 standard deviations of what independent samples give: else its noise would widen every
interval, and cost percentiles that the samples do carry.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BATCHES = 20
Z_975 = 1.959963984540054
"""97.5 % point of the normal distribution."""
T_19 = 2.093024054408263
"""97.5 % point of Student's t with 19 degrees of freedom."""
_Z = 3.0
_RATIO_GATE = (1 - 2 / (9 * (BATCHES - 1)) + _Z * math.sqrt(2 / (9 * (BATCHES - 1)))) ** 3
"""Chi-square of 19 degrees over 19, at 3 standard deviations (Wilson and Hilferty 1931)."""
_STRONGEST = 0.999
"""Of r, so that a series that only rises is worth a little."""


class Effective(NamedTuple):
    """Independent samples that samples are worth: as a whole, and to each percentile in thousandths."""

    overall: float
    at: dict[int, float]


class Inflation(NamedTuple):
    """VIF of a sample: of its ranks, and of each percentile in thousandths, which is never less."""

    overall: float
    at: dict[int, float]


def inflation(series: npt.NDArray[Any]) -> float:
    """VIF, >= 1, of a bounded series in time order: ranks or 0/1. 1 where dependence cannot be told from none."""
    n = series.size
    if n == 0 or series.min() == series.max():
        return 1.0
    centred = series - series.mean()
    square = centred * centred  # sums, not dot products: threads would cost more than they save and round differently
    squares = float(square.sum())
    lag1 = float((centred[1:] * centred[:-1]).sum()) / squares
    # r of independent samples has deviation 1 / sqrt(n) and the skewness of the products (Cornish and Fisher 1938):
    # without the latter, two rare events side by side would look like a run.
    skewness = float((square * centred).sum()) / n / (squares / n) ** 1.5
    gate = _Z / math.sqrt(n) + (_Z**2 - 1) / 6 * skewness**2 / n
    r = min(lag1, _STRONGEST)
    found = (1 + r) / (1 - r) if lag1 > gate else 1.0
    size = n // BATCHES
    if size > 1:
        means = centred[: size * BATCHES].reshape(BATCHES, size).mean(axis=1)
        ratio = size * float(means.var(ddof=1)) / (squares / n)
        found = max(found, ratio if ratio > _RATIO_GATE else 1.0)
    return found


def sample_inflation(values: Floats, permilles: Iterable[int]) -> Inflation:
    """VIF of samples in time order, none of them NaN.

    Ranks keep the tail from dominating. A percentile is also judged by which samples lie above it: slow requests that
    come in runs (a stall, a queue) are worth fewer to p99 than to the median.
    """
    if not values.size:
        return Inflation(1.0, dict.fromkeys(permilles, 1.0))
    order = np.argsort(values)
    ordered = values[order]
    overall = inflation(_mid_ranks(order, ordered))
    at = {p: max(overall, inflation((values > ordered[rank_of(p, values.size) - 1]) * 1.0)) for p in permilles}
    return Inflation(overall, at)


def variance_of_sum(batches: Floats) -> float:
    """Variance of the sum of 20 batches, from the differences between them.

    Neighbouring batches that depend on each other widen it by (1 + r) / (1 - r), their lag-1 correlation r corrected
    for its bias of -1/20 (Kendall 1954).
    """
    centred = batches - batches.mean()
    squares = float((centred * centred).sum())
    r = float((centred[1:] * centred[:-1]).sum()) / squares + 1 / BATCHES if squares else 0.0
    r = min(max(r, 0.0), 0.95)
    return squares * BATCHES / (BATCHES - 1) * (1 + r) / (1 - r)


def rank_of(permille: int, n: int) -> int:
    """Nearest rank of a percentile in n >= 1 samples."""
    return max(1, -(-n * permille // 1000))


def _mid_ranks(order: npt.NDArray[np.intp], ordered: Floats) -> Floats:
    """Ranks between 0 and 1, equal for equal values."""
    n = ordered.size
    starts = np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
    lengths = np.diff(np.append(starts, n))
    ranks = np.empty(n)
    ranks[order] = np.repeat((starts + (lengths - 1) / 2) / n, lengths)
    return ranks
