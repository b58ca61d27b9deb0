"""Percentiles with distribution-free intervals, means with theirs, and Wilson's interval of a proportion.

A percentile is the nearest-rank order statistic: of n sorted samples, the one at rank ceil(p n). With B ~ Bin(n, p)
samples at or below the true quantile, the order statistics at ranks l and u cover it with P(l <= B < u), whatever the
distribution (David and Nagaraja, Order Statistics, 3rd ed., 7.1). Samples that depend on each other are worth fewer
(dependence.py): intervals go by what they are worth. Whether a percentile is shown goes by the number of samples
alone: an estimate of what they are worth is low just where a run missed the slow spells, so that what passed such a
bar would be the lucky runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loadcell.metrics.dependence import (
    BATCHES,
    T_19,
    Z_975,
    Effective,
    Ids,
    mean_inflation,
    rank_of,
    sample_inflation,
    variance_of_sum,
)
from loadcell.metrics.model import Estimate, Interval, Share, Spread, Summary, WithFailures
from loadcell.phrases import phrase

PERMILLE = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p99_9": 999}
"""The percentiles of a Summary. In thousandths, so that ranks are integer arithmetic."""
ALPHA = 0.05
PERCENTILE_DEFINITION = phrase("nearest rank: the sample at rank ceil(p n) of n sorted samples, no interpolation")
INTERVAL_DEFINITION = phrase(
    "95 %, distribution-free from binomial ranks, of the independent samples that the samples are worth: their number "
    "over the variance inflation of what lies above the percentile, in the order of the sends; open above, with a "
    "one-sided lower end, where these (or the samples as a whole) are worth too few for an upper end; for ITL, as many "
    "as give the share of gaps beyond the percentile its variance between requests or between 20 batches of time, the "
    "greater one; means: normal, with their variance inflation; proportions: Wilson, likewise; requests/s and "
    "tokens/s: means of 20 batches of time"
)
_EARLY_STOPPING_ALPHA = 0.01
_ENOUGH = 2 * BATCHES
"""Events below which batches say little of a rate."""


LEAST_FOR_MEAN = 20
"""Samples from which on a mean has an interval."""


class Ranks(NamedTuple):
    """Ranks (from 1) of a percentile and of the ends of its interval; None where there is none."""

    value: int | None
    low: int | None
    high: int | None


def shown_from(permille: int) -> int:
    """Samples from which on a percentile is not the maximum by another name: n >= 1 / (1 - p)."""
    return -(-1000 // (1000 - permille))


def floor_of(permille: int) -> int:
    """Samples needed before the maximum is a one-sided 95 % upper bound: n >= ln 0.05 / ln p."""
    return math.ceil(math.log(ALPHA) / math.log(permille / 1000))


@cache
def interval_ranks(permille: int, n: int) -> tuple[int | None, int | None]:
    """Ranks of the 95 % interval of a percentile in n samples.

    Equal-tailed, then narrowed by single ranks, the least likely first, while it still covers 95 %: ranks are whole
    numbers, and an equal-tailed pair covers up to 98 %. Where no sample lies high enough, the upper end is the maximum
    and the lower tail gets what its tail leaves of 5 %. Below the floor there is no upper end, and the lower one is
    one-sided. A lower end that would lie below the minimum is None.
    """
    p = permille / 1000
    if n < floor_of(permille):
        return (_binom_ppf(ALPHA, n, p) or None) if n else None, None
    high, lower_tail = _binom_ppf(1 - ALPHA / 2, n, p) + 1, ALPHA / 2
    if high > n:
        high, lower_tail = n, ALPHA - p**n
    low = _binom_ppf(lower_tail, n, p)
    while True:
        at_low = _binom_cdf(low, n, p) - _binom_cdf(low - 1, n, p)
        at_high = _binom_cdf(high - 1, n, p) - _binom_cdf(high - 2, n, p)
        covered = _binom_cdf(high - 1, n, p) - _binom_cdf(low - 1, n, p)
        if covered - min(at_low, at_high) < 1 - ALPHA or high - low < 2:
            return low or None, high
        low, high = (low + 1, high) if at_low <= at_high else (low, high - 1)


@cache
def _binomial(n: int, p: float) -> tuple[int, npt.NDArray[np.float64]]:
    """(k, P(B <= k), P(B <= k + 1), ...) for B ~ Bin(n, p).

    The masses within 12 standard deviations follow from one another by their ratios, (n - k) p / ((k + 1) (1 - p));
    what lies outside is below 1e-30. (Importing scipy's takes longer than all the rest of a report; tests compare.)
    """
    reach = math.ceil(12 * math.sqrt(n * p * (1 - p))) + 40
    low, high = max(0, math.floor(n * p) - reach), min(n, math.ceil(n * p) + reach)
    k = np.arange(low, high)
    log_mass = np.concatenate(([0.0], np.cumsum(np.log((n - k) / (k + 1)) + math.log(p / (1 - p)))))
    below = np.cumsum(np.exp(log_mass - log_mass.max()))
    return low, below / below[-1]


def _binom_ppf(q: float, n: int, p: float) -> int:
    """Least k with P(B <= k) >= q, for B ~ Bin(n, p)."""
    low, below = _binomial(n, p)
    return low + int(np.searchsorted(below, q))


def _binom_cdf(k: int, n: int, p: float) -> float:
    low, below = _binomial(n, p)
    return 0.0 if k < low else float(below[min(k - low, below.size - 1)])


def late_allowed(permille: int, n: int) -> int:
    """MLPerf's early stopping: the largest t for which at most t of n samples above the percentile have a chance below
    1 %, were its bound wrong; -1 if not even none has (inference_policies, appendix "early stopping")."""
    return _binom_ppf(_EARLY_STOPPING_ALPHA, n, (1000 - permille) / 1000) - 1


def percentile_ranks(permille: int, n: int, worth: float | None = None, ends: float | None = None) -> Ranks:
    """Ranks of a percentile and its interval in n samples that are `worth` so many independent ones (all n if None).

    The ranks among the independent ones are carried over as proportions. There is no upper end where `worth` or `ends`
    (by default the same) is below the floor, and no value below `shown_from` samples: it would be the maximum.
    """
    if n < shown_from(permille):
        return Ranks(None, None, None)
    value, m = rank_of(permille, n), n if worth is None else min(n, max(1, round(worth)))
    least = min(m, m if ends is None else max(1, int(ends)))
    if least < floor_of(permille):
        m = least
    low, high = interval_ranks(permille, m)
    return Ranks(
        value,
        None if low is None else min(value, _carried(low, m, n)),
        None if high is None else n if high == m else max(value, min(n, _carried(high, m, n))),
    )


def _carried(rank: int, m: int, n: int) -> int:
    """The rank among n samples that stands where `rank` stands among m, by the middles of their shares."""
    return max(1, round((rank - 0.5) * n / m + 0.5))


class Moments(NamedTuple):
    """What n samples are on the average, in their own unit; None where it cannot be known."""

    mean: float | None
    sd: float | None
    least: float | None
    error: float | None
    """Standard error of the mean, of dependent samples."""


def moments(values: npt.NDArray[Any], clusters: Ids | None = None) -> Moments:
    """Of samples in time order, none of them NaN; `clusters` are the sessions that they are of."""
    n = values.size
    if not n:
        return Moments(None, None, None, None)
    sd = float(values.std(ddof=1)) if n > 1 else None
    error = None if sd is None else sd * math.sqrt(mean_inflation(values, clusters) / n)
    return Moments(float(values.mean()), sd, float(values.min()), error)


def _mean_interval(n: int, of: Moments, unit: float) -> Interval | None:
    """95 % interval of a mean; None below 20 samples. Student's t of n - 1 degrees by its first correction."""
    if n < LEAST_FOR_MEAN or of.mean is None or of.error is None:
        return None
    half = Z_975 * (1 + (Z_975**2 + 1) / (4 * (n - 1))) * of.error
    return Interval(low=(of.mean - half) / unit, high=(of.mean + half) / unit)


def summarise(
    n: int,
    of: Moments,
    pick: Callable[[Iterable[int]], dict[int, float]],
    effective: Effective,
    *,
    bounded: bool = True,
    unit: float = 1.0,
    failed: int = 0,
) -> Summary:
    """Summary of n samples; `pick` gives the order statistics at ranks (from 1), divided by `unit`.

    Early stopping's bound takes every sample as independent, as MLPerf does: not `bounded` where that is absurd.
    `failed` requests have no sample; their percentiles `with_failures` take them as infinite.
    """
    worth, ends = effective.at, effective.ends or effective.at
    ranks = {name: percentile_ranks(p, n, worth[p], ends[p]) for name, p in PERMILLE.items()}
    late = {
        name: late_allowed(permille, n) if bounded and ranks[name].value is not None else 0
        for name, permille in PERMILLE.items()
    }
    bounds = {name: n - t + 1 if t >= 1 else None for name, t in late.items()}
    beyond = {name: rank_of(p, n + failed) for name, p in PERMILLE.items() if failed and n + failed >= shown_from(p)}
    wanted = {rank for triple in ranks.values() for rank in triple} | set(bounds.values()) | {n or None}
    wanted |= {rank for rank in beyond.values() if rank <= n}
    values = pick(sorted(rank for rank in wanted if rank is not None))

    def at(rank: int | None) -> float | None:
        return None if rank is None else float(values[rank]) / unit

    def estimate(name: str) -> Estimate:
        r, permille = ranks[name], PERMILLE[name]
        open_ = r.value is not None and r.high is None
        needs = shown_from(permille) if r.value is None else floor_of(permille) if open_ else None
        known = min(worth[permille], ends[permille]) if open_ else worth[permille]
        return Estimate(
            value=at(r.value),
            low=at(r.low),
            high=at(r.high),
            open=open_,
            needs=needs,
            effective=known if n else None,
            bound=at(bounds[name]),
        )

    def divided(value: float | None) -> float | None:
        return None if value is None else value / unit

    return Summary(
        n=n,
        effective=effective.overall if n else None,
        mean=divided(of.mean),
        mean_interval=_mean_interval(n, of, unit),
        sd=divided(of.sd),
        min=divided(of.least),
        p50=estimate("p50"),
        p90=estimate("p90"),
        p95=estimate("p95"),
        p99=estimate("p99"),
        p99_9=estimate("p99_9"),
        max=at(n or None),
        failed=failed,
        with_failures={
            name: WithFailures(value=at(rank) if rank <= n else None, infinite=rank > n)
            for name, rank in beyond.items()
        },
    )


def summarise_array(
    values: npt.NDArray[Any], unit: float = 1.0, failed: int = 0, clusters: Ids | None = None
) -> Summary:
    """Summary of the values that are not NaN, in the order of their sends, divided by `unit`; `clusters` are the
    sessions that they are of, where there are any."""
    there = ~np.isnan(values)
    known, clusters = values[there], None if clusters is None else clusters[there]
    inflation = sample_inflation(known, PERMILLE.values(), clusters)
    overall = known.size / inflation.overall
    at = {p: known.size / vif for p, vif in inflation.at.items()}
    effective = Effective(overall, at, {p: min(overall, worth) for p, worth in at.items()})
    ordered = np.sort(known)

    def pick(ranks: Iterable[int]) -> dict[int, float]:
        return {r: float(ordered[r - 1]) for r in ranks}

    return summarise(known.size, moments(known, clusters), pick, effective, unit=unit, failed=failed)


def spread_ms(values_ns: npt.NDArray[Any]) -> Spread:
    """Spread of delays in nanoseconds, NaN left out."""
    known = np.sort(values_ns[~np.isnan(values_ns)]) / 1e6
    return spread_of(known.size, lambda rank: float(known[rank - 1]))


def spread_of(n: int, at_ms: Callable[[int], float]) -> Spread:
    """Spread of n delays, from a function of the rank."""

    def percentile(permille: int) -> float | None:
        return at_ms(rank_of(permille, n)) if n >= shown_from(permille) else None

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
