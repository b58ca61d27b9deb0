"""How much dependence between successive samples widens an interval.

n samples of a dependent series are worth n / VIF independent ones (VIF: variance inflation factor). It is estimated
several times and the largest one is taken: from the lag-1 autocorrelation r, (1 + r) / (1 - r) as of an AR(1) process,
and from the variance of the means of batches over the variance that independent samples would give them (Law,
Simulation Modeling and Analysis, 5th ed., 4.4 and 9.5.3). The first sees short dependence sharply, the second sees a
long one. 20 batches always count; 10 and 5 of them as far as the dependence seen at lag 1 reaches beyond the length of
a batch, for then neighbouring batches depend on each other and their variance comes out too small.

A variance known from few batches is uncertain itself: what exceeds that of independent samples is taken at the square
of Student's t over the normal quantile. There is no test whether there is dependence at all: one at 3 standard
deviations takes a true VIF of 3 for none in half of all runs, and the intervals then cover 85 to 91 % instead of 95.
Only half a standard deviation of what independent samples give is taken off, lest noise alone widen their intervals.
Turns of one session share its prompt and its luck, and stand far apart among those of others: what the sums over
sessions vary more than independent samples would counts likewise (`cluster_inflation`), and the greater one is taken.
`benchmarks/coverage.py` measures what these choices give.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

BATCHES = 20
Z_975 = 1.959963984540054
"""97.5 % point of the normal distribution."""
T_19 = 2.093024054408263
"""97.5 % point of Student's t with 19 degrees of freedom."""
_T_9, _T_4 = 2.2621571628540993, 2.7764451051977934
_NOISE = 0.5
"""Of the standard deviation of what independent samples give."""
_NOISE_20 = _NOISE * math.sqrt(2 / (BATCHES - 1))
_REACHES = 0.3
"""Dependence counts as longer than a batch from this part of its length on."""
_STRONGEST = 0.999
"""Of r, so that a series that only rises is worth a little."""
_SLOWEST = 0.1
"""Share of requests, the worst, whose coming in runs tells of misses that are rarer still."""
_FEW_CLUSTERS, _FEW_ON_EITHER_SIDE = 30, 20
"""As of gaps (clusters.py)."""
_Z = 3.0
_RATIO_GATE = (1 - 2 / (9 * (BATCHES - 1)) + _Z * math.sqrt(2 / (9 * (BATCHES - 1)))) ** 3
"""Chi-square of 19 degrees over 19, at 3 standard deviations (Wilson and Hilferty 1931)."""


class Effective(NamedTuple):
    """Independent samples that samples are worth: as a whole, and to each percentile in thousandths."""

    overall: float
    at: dict[int, float]
    ends: dict[int, float] | None = None
    """Likewise, of which an interval with two ends needs enough; `at` if None."""


class Inflation(NamedTuple):
    """VIF of a sample: of its ranks, and of what lies above each percentile in thousandths."""

    overall: float
    at: dict[int, float]


def sample_inflation(values: Floats, permilles: Iterable[int], clusters: Ids | None = None) -> Inflation:
    """VIF of samples in time order, none of them NaN; `clusters` are the sessions that they are of.

    A percentile goes by which samples lie above it: slow requests that come in runs (a stall, a queue) are worth fewer
    to p99 than to the median. Ranks tell how far dependence reaches, and keep the tail from dominating.
    """
    if not values.size:
        return Inflation(1.0, dict.fromkeys(permilles, 1.0))
    order = np.argsort(values)
    ordered = values[order]
    ranks = _mid_ranks(order, ordered)
    reach = reach_of(ranks)
    above = {p: values > ordered[rank_of(p, values.size) - 1] for p in permilles}
    at = {p: inflation_by(mask, reach) for p, mask in above.items()}
    overall = inflation_by(ranks, reach)
    if clusters is None:
        return Inflation(overall, at)
    return Inflation(
        max(overall, cluster_inflation(ranks, clusters)),
        {p: max(vif, cluster_inflation(above[p], clusters)) for p, vif in at.items()},
    )


def share_inflation(missed: npt.NDArray[np.bool_], margins: Floats) -> float:
    """VIF of a share: `missed` in time order, and how near each came to it (greater is nearer; a miss is inf).

    Rare misses are too few to tell their own dependence, and none tell none at all. So runs of the tenth of the
    requests that came nearest count as well: they show how long a slow spell lasts before a limit breaks. So do runs
    of the upper half, as far as dependence reaches beyond a batch: then even the tenth may come in one run or none.
    """
    n = missed.size
    if not n:
        return 1.0
    graded = np.where(missed | np.isnan(margins), np.inf, margins)
    order = np.argsort(graded)
    ordered = graded[order]
    reach = reach_of(_mid_ranks(order, ordered))
    misses = int(np.count_nonzero(missed))
    tenth, half = (
        inflation_by(graded > ordered[n - 1 - min(n - 1, max(misses, math.ceil(part * n)))], reach)
        for part in (_SLOWEST, 0.5)
    )
    return max(inflation_by(missed, reach), tenth, 1 + reach * (half - 1))


def mean_inflation(values: Floats, clusters: Ids | None = None) -> float:
    """VIF of the mean of samples in time order, none of them NaN; `clusters` are the sessions that they are of."""
    if not values.size:
        return 1.0
    order = np.argsort(values)
    found = inflation_by(values, reach_of(_mid_ranks(order, values[order])))
    return found if clusters is None else max(found, cluster_inflation(values, clusters))


def cluster_inflation(series: npt.NDArray[Any], clusters: Ids) -> float:
    """VIF, >= 1, of the mean of a series whose members come in clusters, by the sums over these, as in a survey
    (Woodruff 1952; Cochran, Sampling Techniques, 3rd ed., 9A).

    With fewer than 30 clusters, or of 0/1 fewer than 20 that hold either, it is worth no more than one each.
    """
    _, place, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    n, several = series.size, sizes.size
    centred, squares = _centred(series)
    if several == n or not squares > 0:
        return 1.0
    least = 1.0
    if several < _FEW_CLUSTERS or (series.dtype == np.bool_ and _rare(series, place, sizes)):
        least = n / several
    if several < 2:
        return float(n)
    sums = np.bincount(place, weights=centred)
    ratio = several / (several - 1) * float((sums * sums).sum()) / squares
    t = 1 + (Z_975**2 + 1) / (4 * (several - 1))  # over the normal quantile
    return max(least, 1 + t**2 * max(0.0, ratio - 1 - _NOISE * math.sqrt(2 / (several - 1))))


def _rare(series: npt.NDArray[np.bool_], place: Ids, sizes: Ids) -> bool:
    above = np.bincount(place, weights=series)
    return bool(min(np.count_nonzero(above), np.count_nonzero(above < sizes)) < _FEW_ON_EITHER_SIDE)


def inflation_by(series: npt.NDArray[Any], reach: float) -> float:
    """VIF, >= 1, of the mean of a series in time order; `reach` (0 to 1) is how much coarse batches count."""
    centred, squares = _centred(series)
    if not squares > 0:
        return 1.0
    found = [1.0, _of_lag(centred, squares)]
    if (twenty := _ratio(centred, squares, BATCHES)) is not None:
        found.append(1 + (T_19 / Z_975) ** 2 * max(0.0, twenty - 1 - _NOISE_20))
    for batches, t in ((10, _T_9), (5, _T_4)):
        if reach > 0 and (ratio := _ratio(centred, squares, batches)) is not None:
            found.append(1 + reach * ((t / Z_975) ** 2 * ratio - 1))
    return max(found)


def _centred(series: npt.NDArray[Any]) -> tuple[Floats, float]:
    """A series less its mean, and the sum of its squares: 0 where all are equal, or there is none."""
    if not series.size or series.min() == series.max():
        return np.zeros(series.size), 0.0
    centred = series - series.mean()
    # a sum, not a dot product: threads would cost more than they save and round differently
    return centred, float((centred * centred).sum())


def _of_lag(centred: Floats, squares: float) -> float:
    r = float((centred[1:] * centred[:-1]).sum()) / squares - _NOISE / math.sqrt(centred.size)
    r = min(max(r, 0.0), _STRONGEST)
    return (1 + r) / (1 - r)


def _ratio(centred: Floats, squares: float, batches: int) -> float | None:
    """Variance of batch means over that of independent samples; None where batches have one sample or none."""
    size = centred.size // batches
    if size < 2:
        return None
    means = centred[: size * batches].reshape(batches, size).mean(axis=1)
    return size * float(means.var(ddof=1)) / (squares / centred.size)


def reach_of(ranks: Floats) -> float:
    """How far dependence reaches beyond a batch of a twentieth: 0 (short) to 1 (beyond its length)."""
    centred, squares = _centred(ranks)
    if not squares > 0:
        return 0.0
    return min(1.0, (_of_lag(centred, squares) - 1) * BATCHES / ranks.size / _REACHES)


def inflation(series: npt.NDArray[Any]) -> float:
    """VIF, >= 1, of a bounded series in time order: ranks or 0/1. 1 where dependence cannot be told from none.

    For tests that look again and again (`search.evidence`), where the noise of every look would count. Intervals take
    `inflation_by`.
    """
    n, (centred, squares) = series.size, _centred(series)
    if not squares > 0:
        return 1.0
    lag1 = float((centred[1:] * centred[:-1]).sum()) / squares
    # r of independent samples has deviation 1 / sqrt(n) and the skewness of the products (Cornish and Fisher 1938):
    # without the latter, two rare events side by side would look like a run.
    skewness = float((centred * centred * centred).sum()) / n / (squares / n) ** 1.5
    gate = _Z / math.sqrt(n) + (_Z**2 - 1) / 6 * skewness**2 / n
    r = min(lag1, _STRONGEST)
    found = (1 + r) / (1 - r) if lag1 > gate else 1.0
    ratio = _ratio(centred, squares, BATCHES)
    return max(found, ratio) if ratio is not None and ratio > _RATIO_GATE else found


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
