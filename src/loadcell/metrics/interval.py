"""Percentiles with distribution-free intervals, their sample floors, and Wilson's interval of a proportion.

A percentile is the nearest-rank order statistic: of n sorted samples, the one at rank ceil(p n). With B ~ Bin(n, p)
samples at or below the true quantile, the order statistics at ranks l and u cover it with P(l <= B < u), whatever the
distribution (David and Nagaraja, Order Statistics, 3rd ed., 7.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loadcell.metrics.model import Estimate, Share, Spread, Summary

PERMILLE = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p99_9": 999}
"""The percentiles of a Summary. In thousandths, so that ranks are integer arithmetic."""
ALPHA = 0.05
_Z = 1.959963984540054
"""97.5 % point of the normal distribution."""
PERCENTILE_DEFINITION = "nearest rank: the sample at rank ceil(p n) of n sorted samples, no interpolation"
INTERVAL_DEFINITION = (
    "95 %, distribution-free from binomial ranks; for ITL the number of requests stands for the number of samples, "
    "because gaps of one request are not independent; proportions: Wilson"
)


class Ranks(NamedTuple):
    """Ranks (from 1) of a percentile and of the ends of its interval; None where there is none."""

    value: int | None
    low: int | None
    high: int | None


def rank_of(permille: int, n: int) -> int:
    """Nearest rank of a percentile in n >= 1 samples."""
    return max(1, -(-n * permille // 1000))


def floor_of(permille: int) -> int:
    """Samples needed before the maximum is a one-sided 95 % upper bound: n >= ln 0.05 / ln p."""
    return math.ceil(math.log(ALPHA) / math.log(permille / 1000))


def interval_ranks(permille: int, n: int) -> tuple[int | None, int | None]:
    """Ranks of the 95 % interval of a percentile in n samples.

    Equal-tailed; where no sample lies high enough for that, the upper end is the maximum and the lower tail gets what
    its tail leaves of 5 %. A lower end that would lie below the minimum is None; below the floor both are.
    """
    if n < floor_of(permille):
        return None, None
    p = permille / 1000
    high = _binom_ppf(1 - ALPHA / 2, n, p) + 1
    lower_tail = ALPHA / 2
    if high > n:
        high, lower_tail = n, ALPHA - p**n
    low = _binom_ppf(lower_tail, n, p)
    return (low if low >= 1 else None), high


@cache
def _binom_ppf(q: float, n: int, p: float) -> int:
    """Least k with P(B <= k) >= q, for B ~ Bin(n, p).

    The masses within 12 standard deviations follow from one another by their ratios, (n - k) p / ((k + 1) (1 - p));
    what lies outside is below 1e-30. (Importing scipy's takes longer than all the rest of a report; tests compare.)
    """
    reach = math.ceil(12 * math.sqrt(n * p * (1 - p))) + 40
    low, high = max(0, math.floor(n * p) - reach), min(n, math.ceil(n * p) + reach)
    k = np.arange(low, high)
    log_mass = np.concatenate(([0.0], np.cumsum(np.log((n - k) / (k + 1)) + math.log(p / (1 - p)))))
    below = np.cumsum(np.exp(log_mass - log_mass.max()))
    return low + int(np.searchsorted(below, q * below[-1]))


def percentile_ranks(permille: int, n: int, independent: int | None = None) -> Ranks:
    """Ranks of a percentile and its interval in n samples, of which only `independent` count for the interval.

    The ranks among the independent ones are carried over as proportions, outwards.
    """
    if n < floor_of(permille):
        return Ranks(None, None, None)
    m = n if independent is None else independent
    low, high = interval_ranks(permille, m)
    return Ranks(
        rank_of(permille, n),
        None if low is None else (low - 1) * n // m + 1,
        None if high is None else -(-high * n // m),
    )


def summarise(
    n: int,
    mean: float | None,
    pick: Callable[[Iterable[int]], dict[int, float]],
    *,
    independent: int | None = None,
    unit: float = 1.0,
) -> Summary:
    """Summary of n samples; `pick` gives the order statistics at ranks (from 1), divided by `unit`."""
    ranks = {name: percentile_ranks(permille, n, independent) for name, permille in PERMILLE.items()}
    wanted = {rank for triple in ranks.values() for rank in triple if rank is not None} | ({n} if n else set())
    values = pick(sorted(wanted))

    def at(rank: int | None) -> float | None:
        return None if rank is None else float(values[rank]) / unit

    estimates = {
        name: Estimate(value=at(r.value), low=at(r.low), high=at(r.high))
        if r.value is not None
        else Estimate(needs=floor_of(PERMILLE[name]))
        for name, r in ranks.items()
    }
    return Summary(n=n, mean=None if mean is None else mean / unit, max=at(n or None), **estimates)


def summarise_array(values: npt.NDArray[Any], unit: float = 1.0) -> Summary:
    """Summary of the values that are not NaN, divided by `unit`."""
    known = np.sort(values[~np.isnan(values)])
    mean = float(known.mean()) if known.size else None
    return summarise(known.size, mean, lambda ranks: {r: float(known[r - 1]) for r in ranks}, unit=unit)


def spread_ms(values_ns: npt.NDArray[Any]) -> Spread:
    """Spread of delays in nanoseconds, NaN left out."""
    known = np.sort(values_ns[~np.isnan(values_ns)]) / 1e6
    return spread_of(known.size, lambda rank: float(known[rank - 1]))


def spread_of(n: int, at_ms: Callable[[int], float]) -> Spread:
    """Spread of n delays, from a function of the rank."""

    def percentile(permille: int) -> float | None:
        return at_ms(rank_of(permille, n)) if n >= floor_of(permille) else None

    return Spread(
        n=n,
        min_ms=at_ms(1) if n else None,
        p50_ms=percentile(500),
        p99_ms=percentile(990),
        max_ms=at_ms(n) if n else None,
    )


def wilson(successes: int | None, n: int) -> Share:
    """Proportion with Wilson's 95 % score interval (Wilson 1927); all None without trials or without a count."""
    if successes is None or n == 0:
        return Share(value=None, low=None, high=None)
    share = successes / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Share(value=share, low=max(0.0, min(share, centre - half)), high=min(1.0, max(share, centre + half)))
