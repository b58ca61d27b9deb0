"""What pairs of requests say: request i of one side against request i of the other, which asked for the same lengths.

Lengths make most of what latencies differ by, and a pair has them in common: its ratio is free of them. Successive
pairs depend on each other (pace, queues), so they are counted by blocks, which are the units of every interval here:

    geomean  mean log ratio of the pairs, which is the ratio of the geometric means
    mean     ratio of the means; its spread by the ratio estimator's residuals (Cochran, Sampling Techniques, 6.4)
    pNN      ratio of the percentiles; blocks are drawn with replacement, a pair as a whole, so that what both sides
             have in common stays in common (the block bootstrap; Lahiri, Resampling Methods for Dependent Data, 2.5)

An interval is the estimate and Student's t of (blocks - 1) degrees of freedom times its standard error, on the scale of
logarithms. Where blocks of one series follow one another their lag-1 correlation widens it, as in `variance_of_sum`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from loadcell.compare.effect import Effect, by_student, scaled
from loadcell.metrics.dependence import rank_of
from loadcell.metrics.interval import PERMILLE
from loadcell.metrics.rows import Floats, Ids
from loadcell.phrases import phrase

BLOCKS = 20
"""Blocks of a series of pairs."""
LEAST_PAIRS = 40
"""Two a block: fewer say nothing of how blocks differ."""
LEAST_BLOCKS = 4
_BEYOND = 5
"""Pairs beyond a percentile below which the bootstrap knows too few values to tell its spread."""
_DRAWS = 400
_CELLS = 2048
"""Cells of the ranks round a percentile; up to about so many samples each is a cell of its own."""
_REACH = 60.0
"""Standard deviations of a rank, of independent samples, that the cells span to each side."""
_CORRELATED_MOST = 0.9


@dataclass(frozen=True)
class Paired:
    """One latency of the same requests on both sides, in ms and in the order of time; no value is missing."""

    a: Floats
    b: Floats
    block: Ids
    """Block of each pair, from 0, none of them empty."""
    chained: bool = True
    """Blocks follow one another in one series, so that neighbours may depend on each other."""

    @property
    def n(self) -> int:
        """Pairs."""
        return int(self.a.size)

    @property
    def blocks(self) -> int:
        """Blocks."""
        return int(self.block.max()) + 1 if self.n else 0

    @cached_property
    def orders(self) -> tuple[Ids, Ids]:
        """What sorts each side."""
        one, other = (np.argsort(side, kind="stable").astype(np.int64) for side in (self.a, self.b))
        return one, other


def time_blocks(n: int) -> Ids:
    """Blocks of n successive pairs, equal to one pair."""
    blocks: Ids = np.arange(n, dtype=np.int64) * min(BLOCKS, n) // max(n, 1)
    return blocks


def values_of(paired: Paired, stat: str) -> tuple[float, float]:
    """The statistic of each side over the pairs, in ms."""
    of = _STATISTICS.get(stat)
    if of is not None:
        return of(paired.a), of(paired.b)
    rank = rank_of(PERMILLE[stat], paired.n) - 1
    one, other = paired.orders
    return float(paired.a[one[rank]]), float(paired.b[other[rank]])


def least_pairs(stat: str) -> int:
    """Pairs that a statistic needs."""
    permille = PERMILLE.get(stat)
    return LEAST_PAIRS if permille is None else max(LEAST_PAIRS, -(-_BEYOND * 1000 // (1000 - permille)))


def paired_effect(paired: Paired, stat: str) -> Effect:
    """Second over first by pairs; of at least `least_pairs` pairs in `LEAST_BLOCKS` blocks."""
    k = paired.blocks
    ratios = scaled(paired.b, True) - scaled(paired.a, True)
    one, other = values_of(paired, stat)
    effect = float(scaled(other, True) - scaled(one, True))
    if stat == "geomean":
        error = _error_of_mean(ratios - ratios.mean(), paired)
    elif stat == "mean":
        error = _error_of_mean(paired.b / other - paired.a / one, paired)
    else:
        error = _bootstrapped(paired, PERMILLE[stat]) * math.sqrt(k / (k - 1) * _chain(ratios - ratios.mean(), paired))
    return by_student(effect, error, k, error**2 * paired.n, "requests", phrase("pairs of requests in {} blocks", k))


def _error_of_mean(residuals: Floats, paired: Paired) -> float:
    """Standard error of the mean of residuals about 0, by blocks."""
    k = paired.blocks
    sums = np.bincount(paired.block, weights=residuals, minlength=k)
    return math.sqrt(k / (k - 1) * float((sums * sums).sum()) * _chain(residuals, paired)) / paired.n


def _chain(residuals: Floats, paired: Paired) -> float:
    """By how much the variance grows since neighbouring blocks depend on each other (Kendall's bias taken off)."""
    k = paired.blocks
    if not paired.chained or k < BLOCKS:
        return 1.0
    sums = np.bincount(paired.block, weights=residuals, minlength=k)
    sums = sums - sums.mean()
    squares = float((sums * sums).sum())
    r = float((sums[1:] * sums[:-1]).sum()) / squares + 1 / k if squares else 0.0
    r = min(max(r, 0.0), _CORRELATED_MOST)
    return (1 + r) / (1 - r)


def _geometric(side: Floats) -> float:
    return math.exp(float(scaled(side, True).mean()))


_STATISTICS: dict[str, Callable[[Floats], float]] = {"geomean": _geometric, "mean": lambda side: float(side.mean())}


# --- percentiles -----------------------------------------------------------------------------------------------------


def _bootstrapped(paired: Paired, permille: int) -> float:
    """Standard deviation of the log ratio of a percentile when blocks are drawn with replacement."""
    draws = _draws(paired.blocks)
    one, other = (
        _drawn(side[order], paired.block[order], draws, permille)
        for side, order in zip((paired.a, paired.b), paired.orders, strict=True)
    )
    return float((scaled(other, True) - scaled(one, True)).std())


@lru_cache(maxsize=8)
def _draws(blocks: int) -> Floats:
    """How often each draw takes each block; always the same."""
    rng = np.random.default_rng(20)
    return rng.multinomial(blocks, np.full(blocks, 1 / blocks), _DRAWS).astype(np.float64)


def _drawn(ordered: Floats, of: Ids, draws: Floats, permille: int) -> Floats:
    """The percentile of every draw of sorted values and their blocks: counts by block and cell, times the draws.

    Cells are ranks round the percentile, so that the cost is bounded however many samples there are.
    """
    n, k = ordered.size, draws.shape[1]
    at = n * permille / 1000
    reach = max(_CELLS / 2, _REACH * math.sqrt(at * (1 - permille / 1000)))
    first, last = max(0, math.floor(at - reach)), min(n, math.ceil(at + reach))
    cells = min(_CELLS, last - first)
    cell = np.arange(last - first) * cells // (last - first)
    counts = np.bincount(of[first:last] * cells + cell, minlength=k * cells).reshape(k, cells).astype(np.float64)
    below = np.bincount(of[:first], minlength=k).astype(np.float64)
    # einsum, not @: the threads of a matrix product cost more than they save, and round differently
    cumulated = np.cumsum(np.einsum("dk,kc->dc", draws, counts), axis=1) + (draws * below).sum(axis=1)[:, None]
    wanted = np.ceil((draws * np.bincount(of, minlength=k)).sum(axis=1) * (permille / 1000) - 1e-9)
    found = np.minimum((cumulated < wanted[:, None]).sum(axis=1), cells - 1)
    ends = first + np.searchsorted(cell, np.arange(cells), side="right") - 1
    values: Floats = ordered[ends[found]]
    return values
