"""How sure a gate of a check can be, and how many requests that takes.

A pilot tells the variance, and nothing else of it is used (an external pilot: Browne 1995, Statistics in Medicine
14:1933, whose upper 80 % bound of the variance is taken). The number of requests is that for which both tests of a gate
have a power of 95 %: PASS where nothing differs, FAIL where the difference is twice the bound. A percentile of the tail
has few samples in a pilot: the variance of the next lower percentile, carried over as that of a lognormal, bounds it
from below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from loadcell.compare.gates import Bound
from loadcell.compare.model import Change
from loadcell.compare.pairs import least_pairs
from loadcell.metrics.interval import PERMILLE

ALPHA, BETA = 0.025, 0.05
"""The chances that a test of one side is wrong, and that it does not find what it was planned for."""
_SURE = 0.8
"""The chance with which the variance is not more than what is planned with."""
COUPLES, PILOT_COUPLES = (40, 120), (24, 40)
"""The fewest and the most turns a side: of what is judged, and of a pilot. Two make a block; there are 60 at most."""
_PILOT = {"p95": 400, "p99": 1000}
_PILOT_REQUESTS = 300
_BELOW = {"p99": "p95", "p95": "p90"}
_NEAREST = 4
"""A difference nearer to the bound than this part of what is planned for is not promised an answer."""


class Seen(NamedTuple):
    """A difference as a gate sees it: on the scale of the tests, turned so that more is towards the bound."""

    effect: float
    bound: float
    below: float
    """Standard error towards smaller values, `above` towards larger; inf where that end is open."""
    above: float
    freedom: float | None


def seen(bound: Bound, change: Change, noise: tuple[float, float] | None = None) -> Seen | None:
    """The difference of a gate; None where it has no interval at all.

    `noise` is the standard deviation of the difference between runs of the same thing, and its degrees of freedom.
    """
    value = change.relative if bound.measure.relative else change.difference
    limit = scaled_bound(bound, change)
    if value is None or limit is None or (change.low is None and change.high is None):
        return None
    scale = math.log1p if bound.measure.relative else float
    at, freedom = scale(value), change.freedom
    ends = (math.inf if end is None else abs(scale(end) - at) for end in (change.low, change.high))
    below, above = (end / quantile(0.025, freedom) for end in ends)
    if noise is not None:
        freedom = noise[1] if freedom is None else min(freedom, noise[1])
        below, above = math.hypot(below, noise[0]), math.hypot(above, noise[0])
    if bound.beyond[0] == "<":
        return Seen(-at, -limit, above, below, freedom)
    return Seen(at, limit, below, above, freedom)


def scaled_bound(bound: Bound, change: Change) -> float | None:
    """The bound on the scale of the tests; None where a figure of 0 gives its unit no scale."""
    if not bound.measure.relative:
        return bound.bound
    share = bound.bound if bound.unit == "%" else bound.bound / change.a if change.a else None
    return None if share is None or share <= -1 else math.log1p(share)


def quantile(tail: float, freedom: float | None) -> float:
    """The value that Student's t (without freedom, the normal) exceeds with this chance."""
    from scipy.special import ndtri, stdtrit

    return float(-ndtri(tail) if freedom is None else stdtrit(freedom, 1 - tail))


def reach(gates: int, freedom: float | None) -> float:
    """Standard errors between the bound and a truth that one of so many gates is to tell from it."""
    return quantile(ALPHA / gates, freedom) + quantile(BETA / gates, freedom)


def margin(bound: Bound, limit: float) -> float:
    """From the bound to no difference or to twice the bound, whichever is nearer, on the scale of the tests."""
    share = math.expm1(limit)
    if not bound.measure.relative or 2 * share <= -1:
        return abs(limit)
    return min(abs(limit), abs(math.log1p(2 * share) - limit))


# --- requests --------------------------------------------------------------------------------------------------------


def pilot(bounds: Sequence[Bound], turn: int) -> tuple[int, int]:
    """(requests of a turn, turns a side) that tell how many requests are needed."""
    return layout(max(_PILOT.get(bound.measure.stat, _PILOT_REQUESTS) for bound in bounds), turn, PILOT_COUPLES)


def layout(requests: int, turn: int, couples: tuple[int, int] | None = None) -> tuple[int, int]:
    """(requests of a turn, turns a side) for at least so many requests a side: not too few turns, and not too many."""
    least, most = couples or COUPLES
    length = max(turn, -(-requests // most))
    return length, max(least, 2 * -(-requests // (2 * length)))


def planned(bounds: Sequence[Bound], changes: Sequence[Change], ran: int) -> list[int | None]:
    """Requests a side for an answer of each gate, by what `ran` of them told of the variance; None if they did not."""
    return [needed(bound, changes, ran, len(bounds)) for bound in bounds]


def needed(
    bound: Bound, changes: Sequence[Change], ran: int, gates: int, distance: float = math.inf, noise: float = 0.0
) -> int | None:
    """Requests a side for an answer of one gate of so many; None where nothing tells it.

    `distance` from the bound, on the scale of the tests, at which a truth is to be told from it where that is less than
    the margin. `noise` is the standard deviation between runs, which no number of requests lessens.
    """
    by_key = {f"{c.metric}.{c.stat}": c for c in changes}
    own, stat = by_key.get(bound.measure.key), bound.measure.stat
    if own is None:
        return None
    if not bound.measure.relative:
        return of_share(((own.a or 0.0) + (own.b or 0.0)) / 2, abs(bound.bound), gates)
    limit = scaled_bound(bound, own)
    lower = by_key.get(f"{bound.measure.metric}.{_BELOW.get(stat, '')}")
    spreads = [_variance(own), None if lower is None else _carried(lower, stat)]
    known = [v for v in spreads if v is not None]
    if limit is None or not known:
        return None
    usual = margin(bound, limit)
    away = max(min(usual, distance), usual / _NEAREST)
    left = (away / reach(gates, COUPLES[0] / 2 - 1)) ** 2 - noise**2  # by the fewest blocks that there may be
    return max(math.ceil(max(known) * ran / left), least_pairs(stat) if stat in PERMILLE else 0) if left > 0 else None


def _variance(change: Change) -> float | None:
    """The upper bound of the squared standard error."""
    if change.low is None or change.high is None:
        return None
    half, sure = (math.log1p(change.high) - math.log1p(change.low)) / 2, 1.0
    if change.freedom is not None:
        from scipy.special import chdtri

        sure = change.freedom / float(chdtri(change.freedom, _SURE))
    return sure * (half / quantile(0.025, change.freedom)) ** 2


def _carried(lower: Change, stat: str) -> float | None:
    """The variance of a percentile by that of a lower one, if logarithms are normal."""
    found = _variance(lower)
    return None if found is None else found * _per_sample(stat) / _per_sample(lower.stat)


def _per_sample(stat: str) -> float:
    """p (1 - p) / density squared: the variance of a normal percentile, of one sample."""
    from scipy.special import ndtri

    p = PERMILLE[stat] / 1000
    density = math.exp(-(float(ndtri(p)) ** 2) / 2) / math.sqrt(2 * math.pi)
    return p * (1 - p) / density**2


def of_share(share: float, bound: float, gates: int = 1) -> int:
    """Requests a side for a bound on a share of about `share`: of none, Wilson's interval must end below the bound."""
    none = quantile(ALPHA / gates, None) ** 2 * (1 - bound) / bound
    return math.ceil(1.1 * max(none, 2 * share * (1 - share) * (reach(gates, None) / bound) ** 2))


def repeats(view: Seen, runs: int, away: float) -> int:
    """Repeats a side that tell a truth so far from the bound, by the spread between so many."""
    from loadcell.compare.effect import RUNS_LEAST

    variance, n = view.above**2 * runs, max(RUNS_LEAST, runs + 1)
    while n < _REPEATS_MOST and math.sqrt(variance / n) * reach(1, 2 * n - 2) > away:
        n += 1
    return n


_REPEATS_MOST = 1000


def rounded(n: int) -> int:
    """Up to two digits."""
    unit = int(10 ** max(0, len(str(n)) - 2))
    return -(-n // unit) * unit
