"""How near the requests of a stage came to their limit, at the share that is asked: more than which of them missed.

The reading of a stage is the logarithm of (worst figure / its limit), at the target's percentile: below 0 the stage
holds. Its noise is mostly that of the arrivals: where more come together, all are slower. That part is known, since the
schedule is ours: each request's *company*, the mean number of planned requests beside it were all to take as long as
is usual, has a law that follows from the arrivals alone. So the percentile is corrected by what the company of this
stage, against its law, should have made of it: a control variate (Lavenberg and Welch 1981) in the form of a difference
estimator (Särndal, Swensson and Wretman 1992, 6.3), which needs no model that is right: where the company explains
nothing, or wrongly, the correction vanishes with more requests. Errors by a jackknife over blocks of time.

Over loads the readings are fitted by a line on the logarithm of the load near where it crosses 0, each with the
error that a curve would make of its distance. The interval is Fieller's (1954).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_BLOCKS, _BLOCK_SPANS, _LEAST_BLOCKS = 20, 1.5, 4
"""Blocks of the jackknife; each lasts as many times as a request, else there are fewer of them."""
_T = {3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 10: 2.23, 12: 2.18, 14: 2.14, 16: 2.12, 19: 2.09}
"""97.5 % points of Student's t by degrees of freedom."""
_Z = 1.96
_FARTHEST = 1.5
"""Logarithm of a margin beyond which it is as far as can be."""
_DRAWS = 20_000
"""Residuals that are drawn for a percentile of company and residual together."""
_ALIKE = 1e-3
"""Company that varies by a smaller share explains nothing."""
_FEW = 2.0
"""With so few requests beyond the percentile, the standard deviation of all is the error of its tail."""
_LEAST = 12
"""Requests below which nothing is read."""


class Reading(NamedTuple):
    """The margin of one stage at the target's percentile: logarithm of the figure over its limit."""

    value: float
    error: float
    """Standard error, as of a normal distribution."""


class Company(NamedTuple):
    """The number of requests beside each request that its schedule brings about, and what it is in the long run."""

    beside: Floats
    law: Floats


def company(planned_s: Floats, spans_s: Floats) -> Floats:
    """Mean number of planned requests in the system beside each, were each to stay for its span."""
    ends = planned_s + spans_s
    starts, stops = np.sort(planned_s), np.sort(ends)
    start_sums, stop_sums = (np.concatenate(([0.0], np.cumsum(x))) for x in (starts, stops))

    def busy(at: Floats) -> Floats:
        """Time of all requests in the system, up to a time."""
        began, ended = np.searchsorted(starts, at, side="right"), np.searchsorted(stops, at, side="right")
        done: Floats = (began * at - start_sums[began]) - (ended * at - stop_sums[ended])
        return done

    found: Floats = (busy(ends) - busy(planned_s)) / spans_s
    return found


def read_margin(
    log_margins: Floats, times_s: Floats, span_s: float, target: float, around: Company | None = None
) -> Reading | None:
    """The reading of a stage's requests in the order of their times; None where they are too few.

    `span_s` is the usual time of a request: what is nearer together in time depends on each other.
    """
    count = log_margins.size
    blocks = _blocks(times_s, span_s)
    if count < max(_LEAST, blocks) or blocks < _LEAST_BLOCKS:
        return None
    values = np.clip(log_margins, -2 * _FARTHEST, _FARTHEST)
    block = np.minimum(((times_s - times_s[0]) / (times_s[-1] - times_s[0]) * blocks).astype(np.int64), blocks - 1)
    whole = _corrected(values, around, target)
    left = np.array(
        [_corrected(values[kept], _without(around, kept), target) for i in range(blocks) if (kept := block != i).any()]
    )
    error = math.sqrt((len(left) - 1) / len(left) * float(((left - left.mean()) ** 2).sum()))
    tail = float(values.std()) * min(1.0, _FEW / (count * (1 - target)))
    return Reading(whole, math.hypot(error * _t(blocks - 1) / _Z, tail))


def _blocks(times_s: Floats, span_s: float) -> int:
    length_s = float(times_s[-1] - times_s[0]) if times_s.size > 1 else 0.0
    return min(_BLOCKS, int(length_s / (_BLOCK_SPANS * span_s)) if span_s > 0 else 0)


def _t(degrees: int) -> float:
    return next(t for known, t in sorted(_T.items(), reverse=True) if known <= degrees)


def _without(around: Company | None, kept: npt.NDArray[np.bool_]) -> Company | None:
    return None if around is None else Company(around.beside[kept], around.law)


def _corrected(values: Floats, around: Company | None, target: float) -> float:
    """The percentile, less what the company of these requests against its law should have made of it."""
    seen = float(np.quantile(values, target))
    if around is None or values.size < 4 * _LEAST:
        return seen
    centre, scale = float(around.law.mean()), float(around.law.std())
    if min(scale, float(around.beside.std())) < _ALIKE * centre:
        return seen
    near, law = ((x - centre) / scale for x in around)
    square, slope, level = np.polyfit(near, values, 2)
    here, usual = (square * x * x + slope * x + level for x in (near, law))
    rng = np.random.default_rng(0)  # the same draws for whatever is compared
    residuals = rng.choice(values - here, _DRAWS)
    places = rng.random(_DRAWS)
    one, other = (float(np.quantile(x[(places * x.size).astype(np.int64)] + residuals, target)) for x in (usual, here))
    return seen + one - other


# --- over loads ------------------------------------------------------------------------------------------------------

_BEND = 3.0
"""Error of a line at a distance d in the logarithm of the load: its slope times this, times d squared."""
_ROUNDS, _SMALL = 4, 0.1
"""Rounds of the fit, and how far the limit may move in one: else the readings are too far off for a line."""
_LEAST_SLOPE, _MOST_SLOPE = 0.05, 50.0
_SLOPE_ERROR, _SLOPE_WITHIN = 0.3, 0.8
"""Relative error of the slope that readings within some distance show, for the slope at the limit itself."""
_LEAST_OF_USUAL = 0.5
"""Share of the slope that is known from afar, below which the slope at the limit is not taken to be."""
_SURE = 2.6
"""Standard errors that a reading must be away from 0 to bound the limit by itself."""


class Limit(NamedTuple):
    """Where the line of readings crosses 0, as loads. An end that no stage bounds is None."""

    value: float | None
    low: float | None
    high: float | None
    slope: float | None
    """Of the readings, on the logarithm of the load."""


def fit_limit(readings: Sequence[tuple[float, Reading]], z: float) -> Limit:
    """The load at which the margin crosses 0, with an interval of `z` standard errors, from (load, reading)."""
    clear_low, clear_high = _clear(readings)
    points = _rising(readings)
    slope = _slope(points)
    at = _crossing(points)
    if at is None or slope is None:
        return Limit(None, clear_low, clear_high, slope)
    u = np.log([level for level, _ in readings])
    y, error = (np.array([getattr(x, name) for _, x in readings]) for name in ("value", "error"))
    move = 0.0
    for _ in range(_ROUNDS):  # what is near the limit is known once the limit is
        at, d = at + move, u - (at + move)
        line = _line(d, y, error**2 + (_BEND * slope * d * d) ** 2 + 1e-8, slope)
        around = min(max(line[1], _LEAST_SLOPE), _MOST_SLOPE)
        move = -line[0] / around
        if abs(move) > _SMALL or abs(move) < 1e-4:
            break
    low, high = (math.exp(at + end) for end in _fieller(line, z, slope))
    low, high = max(low, clear_low or 0.0), min(high, clear_high or math.inf)
    if low >= high:  # not the same server twice
        low, high = math.exp(at) * min(1.0, low / high), math.exp(at) * max(1.0, low / high)
    value = math.exp(at + move) if abs(move) <= _SMALL else math.exp(at)
    return Limit(min(max(value, low or 0.0), high or math.inf), low, high, around)


def _clear(readings: Sequence[tuple[float, Reading]]) -> tuple[float | None, float | None]:
    """Loads whose readings by themselves are below the limit and above it, beyond doubt."""
    high = min((level for level, x in readings if x.value - _SURE * x.error > 0), default=None)
    lows = [level for level, x in readings if x.value + _SURE * x.error < 0]
    return max((level for level in lows if high is None or level < high), default=None), high


def beyond(readings: Sequence[tuple[float, Reading]]) -> float | None:
    """Where a straight line through the readings would cross the limit, all of them being on one side of it."""
    points = _rising(readings)
    slope = _slope(points)
    if not points or slope is None:
        return None
    u, y = points[-1] if points[-1][1] <= 0 else points[0]
    return math.exp(u - y / slope)


def _rising(readings: Sequence[tuple[float, Reading]]) -> list[tuple[float, float]]:
    """The readings over the logarithm of the load, made to rise: adjacent violators are pooled."""
    pools: list[tuple[float, float, float]] = []  # weighted sum of logarithms, of readings, weight
    at_level: dict[float, list[tuple[float, float]]] = {}
    for level, x in sorted(readings):
        at_level.setdefault(level, []).append((x.value, 1 / (x.error**2 + 1e-8)))
    for level, found in at_level.items():
        weight = sum(w for _, w in found)
        pools.append((weight * math.log(level), sum(w * value for value, w in found), weight))
        while len(pools) > 1 and pools[-2][1] / pools[-2][2] >= pools[-1][1] / pools[-1][2]:
            (a, b, c), (d, e, f) = pools.pop(), pools.pop()
            pools.append((a + d, b + e, c + f))
    return [(u / weight, y / weight) for u, y, weight in pools]


def _crossing(points: Sequence[tuple[float, float]]) -> float | None:
    """Where straight lines between rising points cross 0; None where they do not."""
    for (u0, y0), (u1, y1) in pairwise(points):
        if y0 <= 0 < y1:
            return u0 - y0 * (u1 - u0) / (y1 - y0)
    return None


def _slope(points: Sequence[tuple[float, float]]) -> float | None:
    """The slope that rising points show around the limit: that between the two that are farthest within reach."""
    if len(points) < 2:
        return None
    near = min(range(len(points)), key=lambda i: abs(points[i][1]))
    reach = [p for p in points if abs(p[0] - points[near][0]) <= _SLOPE_WITHIN]
    if len(reach) < 2:
        other = near - 1 if near else near + 1
        reach = sorted([points[near], points[other]])
    (u0, y0), (u1, y1) = reach[0], reach[-1]
    return min(max((y1 - y0) / (u1 - u0), _LEAST_SLOPE), _MOST_SLOPE)


def _line(d: Floats, y: Floats, variance: Floats, usual: float) -> tuple[float, float, float, float, float]:
    """Level and slope of a line, and their variances and covariance; the slope is known to be about as usual.

    Weighted least squares with that as one observation more (Theil and Goldberger 1961).
    """
    w = 1 / variance
    known = 1 / (_SLOPE_ERROR * usual) ** 2
    s, sd, sdd = float(w.sum()), float((w * d).sum()), float((w * d * d).sum()) + known
    sy, sdy = float((w * y).sum()), float((w * d * y).sum()) + known * usual
    det = s * sdd - sd * sd
    a, b = (sdd * sy - sd * sdy) / det, (s * sdy - sd * sy) / det
    left = float((w * (y - a - b * d) ** 2).sum()) + known * (b - usual) ** 2
    more = max(1.0, left / (d.size - 1)) if d.size > 2 else 1.0
    return a, b, more * sdd / det, more * -sd / det, more * s / det


def _fieller(line: tuple[float, float, float, float, float], z: float, usual: float) -> tuple[float, float]:
    """Where a line may cross 0; where its slope is too uncertain for that, it is taken to be half as usual."""
    a, b, va, cab, vb = line
    g, half = b * b - z * z * vb, a * b - z * z * cab
    root = half * half - g * (a * a - z * z * va)
    if g <= (_LEAST_OF_USUAL * b) ** 2 or b <= 0 or root < 0:
        middle, reach = -a / max(b, _LEAST_OF_USUAL * usual), z * math.sqrt(va) / (_LEAST_OF_USUAL * usual)
        return middle - reach, middle + reach
    return (-half - math.sqrt(root)) / g, (-half + math.sqrt(root)) / g
