"""Where a series settles: MSER-5, and whether what it would cut differs from the rest by more than noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from loadcell.metrics.rows import Floats

_BATCH = 5
LEAST_SAMPLES = 50
"""With fewer there is no telling a warm-up from noise."""
LEAST_LOOK = 2 * _BATCH
"""Samples among which a warm-up must end: with fewer, none could be found."""
_MATERIAL = 0.05
"""Least shift of the median that is cut: below it, a cut costs samples and buys nothing."""
_BEYOND_NOISE = 4.0
"""Standard errors. The cut was picked to make the shift large: 1.96 would cut noise in far more than 5 % of runs."""
_FEW = 4.0
"""Of few batches the standard error is itself a guess: twice as many errors are asked of so many."""
_SETTLED_BY = 0.8
"""Of the latest cut allowed: the best one of a trend without end, give or take some noise."""
_MOST_CORRELATED = 0.95
"""A lag-1 autocorrelation above this cannot be told from a trend in so few batches."""


class Warmup(NamedTuple):
    """What to leave out of a series."""

    cut: int
    """Samples, a multiple of five; 0 where the series is steady from its start, or too short to tell."""
    shift: float
    """Median of what is cut over that of the rest, less 1."""
    unsettled: bool
    """The best cut lies about as late as a cut may: the series settles later, or never."""


NO_WARMUP = Warmup(0, 0.0, False)


def find_warmup(series: Floats, most: int) -> Warmup:
    """The warm-up of a series of positive samples in time order; at most `most` samples, and half of the series.

    MSER-5 (White, Cobb and Spratt 2000) on medians of five, so that a lone outlier is no warm-up, and on their
    logarithms, so that a long tail is none: of all cuts d it takes the one with the least var(y[d:]) / (m - d), that is
    by precision, whatever the value left. It counts if it moves the median by 5 % and the mean by four standard errors.
    """
    batches = series[: series.size // _BATCH * _BATCH].reshape(-1, _BATCH)
    if series.size < LEAST_SAMPLES:
        return NO_WARMUP
    medians = np.median(batches, axis=1)
    middle = float(np.median(medians))
    if middle <= 0:
        return NO_WARMUP
    logs = np.log(np.maximum(medians / middle, 1e-6))
    limit = min(logs.size // 2, most // _BATCH)
    cut = int(np.argmin(_mser(logs)[: limit + 1]))
    if cut == 0:
        return NO_WARMUP
    shift = math.exp(float(np.median(logs[:cut]) - np.median(logs[cut:]))) - 1
    errors = _BEYOND_NOISE * (1 + _FEW / logs.size)
    if abs(shift) < _MATERIAL or abs(logs[:cut].mean() - logs[cut:].mean()) <= errors * _noise(logs, cut):
        return NO_WARMUP
    return Warmup(cut * _BATCH, shift, cut > _SETTLED_BY * limit)


def _mser(values: Floats) -> Floats:
    """var(values[d:]) / (m - d) for every d."""
    left = np.arange(values.size, 0, -1)
    centred = values - values.mean()
    sums, squares = (np.cumsum(x[::-1])[::-1] for x in (centred, centred**2))
    scores: Floats = np.maximum(squares - sums**2 / left, 0) / left.astype(np.float64) ** 2
    return scores


def _noise(values: Floats, cut: int) -> float:
    """Standard error of the difference of the means before and after the cut, as in an AR(1) series like the rest.

    What is left of a slow transient there, a straight line by and large, is not noise.
    """
    rest = values[cut:]
    place = np.arange(rest.size) - (rest.size - 1) / 2
    rest = rest - rest.mean() - place * float(place @ rest) / float(place @ place)
    squares = float(rest @ rest)
    if squares <= 0:
        return 0.0
    lag = float(rest[1:] @ rest[:-1]) / squares
    unbiased = (lag * rest.size + 2) / (rest.size - 4)  # bias with a line taken out: -(2 + 4 r) / n (Kendall 1954)
    r = min(max(unbiased, 0.0), _MOST_CORRELATED)
    variance = squares / (rest.size - 2)
    return math.sqrt(variance * (_of_mean(cut, r) + _of_mean(rest.size, r)))


def _of_mean(n: int, r: float) -> float:
    """Variance of the mean of n samples of an AR(1) series with unit variance."""
    lags = np.arange(1, n)
    return float((1 + 2 * ((1 - lags / n) * r**lags).sum()) / n)
