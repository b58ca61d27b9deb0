"""Percentiles with distribution-free intervals, their sample floors, and Wilson's interval of a proportion.

A percentile is the nearest-rank order statistic: of n sorted samples, the one at rank ceil(p n). With B ~ Bin(n, p)
samples at or below the true quantile, the order statistics at ranks l and u cover it with P(l <= B < u), whatever the
distribution (David and Nagaraja, Order Statistics, 3rd ed., 7.1). Samples that depend on each other are worth fewer
(dependence.py): floors and intervals go by what they are worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loadcell.metrics.dependence import BATCHES, T_19, Z_975, Effective, rank_of, sample_inflation, variance_of_sum
from loadcell.metrics.model import Estimate, Interval, Share, Spread, Summary

PERMILLE = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p99_9": 999}
"""The percentiles of a Summary. In thousandths, so that ranks are integer arithmetic."""
ALPHA = 0.05
PERCENTILE_DEFINITION = "nearest rank: the sample at rank ceil(p n) of n sorted samples, no interpolation"
INTERVAL_DEFINITION = (
    "95 %, distribution-free from binomial ranks, of the independent samples that the samples are worth: their number "
    "over the variance inflation of their ranks in the order of the sends, and of what lies above the percentile; for "
    "ITL, as many as give the share of gaps beyond the percentile its variance between requests or between 20 batches "
    "of time, the greater one; proportions: Wilson, likewise; requests/s and tokens/s: means of 20 batches of time"
)
_EARLY_STOPPING_ALPHA = 0.01
_ENOUGH = 2 * BATCHES
"""Events below which batches say little of a rate."""


class Ranks(NamedTuple):
    """Ranks (from 1) of a percentile and of the ends of its interval; None where there is none."""

    value: int | None
    low: int | None
    high: int | None


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


def late_allowed(permille: int, n: int) -> int:
    """MLPerf's early stopping: the largest t for which at most t of n samples above the percentile have a chance below
    1 %, were its bound wrong; -1 if not even none has (inference_policies, appendix "early stopping")."""
    return _binom_ppf(_EARLY_STOPPING_ALPHA, n, (1000 - permille) / 1000) - 1


def percentile_ranks(permille: int, n: int, worth: float | None = None) -> Ranks:
    """Ranks of a percentile and its interval in n samples that are `worth` so many independent ones (all n if None).

    The ranks among the independent ones are carried over as proportions, outwards. Below the floor there is no value
    either: so few say nothing of a percentile, however often each is repeated.
    """
    m = n if worth is None else min(n, int(worth))
    if m < floor_of(permille):
        return Ranks(None, None, None)
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
    effective: Effective,
    *,
    bounded: bool = True,
    unit: float = 1.0,
) -> Summary:
    """Summary of n samples; `pick` gives the order statistics at ranks (from 1), divided by `unit`.

    Early stopping's bound takes every sample as independent, as MLPerf does: not `bounded` where that is absurd.
    """
    worth = {name: effective.at[permille] for name, permille in PERMILLE.items()}
    ranks = {name: percentile_ranks(permille, n, worth[name]) for name, permille in PERMILLE.items()}
    late = {
        name: late_allowed(permille, n) if bounded and ranks[name].value is not None else 0
        for name, permille in PERMILLE.items()
    }
    bounds = {name: n - t + 1 if t >= 1 else None for name, t in late.items()}
    wanted = {rank for triple in ranks.values() for rank in triple} | set(bounds.values()) | {n or None}
    values = pick(sorted(rank for rank in wanted if rank is not None))

    def at(rank: int | None) -> float | None:
        return None if rank is None else float(values[rank]) / unit

    def estimate(name: str) -> Estimate:
        r = ranks[name]
        needs = floor_of(PERMILLE[name]) if r.value is None else None
        return Estimate(
            value=at(r.value),
            low=at(r.low),
            high=at(r.high),
            needs=needs,
            effective=worth[name] if n else None,
            bound=at(bounds[name]),
        )

    return Summary(
        n=n,
        effective=effective.overall if n else None,
        mean=None if mean is None else mean / unit,
        p50=estimate("p50"),
        p90=estimate("p90"),
        p95=estimate("p95"),
        p99=estimate("p99"),
        p99_9=estimate("p99_9"),
        max=at(n or None),
    )


def summarise_array(values: npt.NDArray[Any], unit: float = 1.0) -> Summary:
    """Summary of the values that are not NaN, in the order of their sends, divided by `unit`."""
    known = values[~np.isnan(values)]
    inflation = sample_inflation(known, PERMILLE.values())
    effective = Effective(known.size / inflation.overall, {p: known.size / vif for p, vif in inflation.at.items()})
    ordered = np.sort(known)
    mean = float(known.mean()) if known.size else None
    return summarise(known.size, mean, lambda ranks: {r: float(ordered[r - 1]) for r in ranks}, effective, unit=unit)


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


def wilson(successes: int | None, n: int, worth: float | None = None) -> Share:
    """Proportion with Wilson's 95 % score interval (Wilson 1927); all None without trials or without a count.

    The interval is that of `worth` independent trials (all n if None).
    """
    if successes is None or n == 0:
        return Share(value=None, low=None, high=None)
    share, m = successes / n, n if worth is None else worth
    centre = (share + Z_975**2 / (2 * m)) / (1 + Z_975**2 / m)
    half = Z_975 / (1 + Z_975**2 / m) * math.sqrt(share * (1 - share) / m + Z_975**2 / (4 * m**2))
    return Share(value=share, low=max(0.0, min(share, centre - half)), high=min(1.0, max(share, centre + half)))


def batch_slots(times: npt.NDArray[Any], start: float, end: float) -> npt.NDArray[np.intp]:
    """Which of 20 equal batches of a window each time inside it lies in; the first if the window has no length."""
    slots = ((times - start) * (BATCHES / (end - start) if end > start else 0.0)).astype(np.intp)
    return np.minimum(slots, BATCHES - 1, out=slots)


def rate_interval(amounts: npt.NDArray[Any], length_s: float, events: int) -> Interval | None:
    """95 % interval of a rate from what each batch of time of a window brought; None below 40 events.

    Student's t over batch means, widened where neighbouring batches depend on each other.
    """
    if events < _ENOUGH:
        return None
    half = T_19 * math.sqrt(variance_of_sum(amounts)) / BATCHES
    per_s = BATCHES / length_s
    mean = float(amounts.mean())
    return Interval(low=max(0.0, mean - half) * per_s, high=(mean + half) * per_s)
