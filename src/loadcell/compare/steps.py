"""Steps in a figure that is measured again and again, by sequential ranks: whatever law its values follow.

The rank of each value among those before it is as likely to be any, and independent of the ranks before, as long as the
values are exchangeable (McDonald, "A CUSUM procedure based on sequential ranks", Naval Research Logistics 37, 1990). So
its normal score has a known law without a baseline to be learned, and a CUSUM of scores a known rate of false alarms.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

DRIFT = 0.5
"""Reference value of the CUSUM in standard deviations: it is the fastest to find a change of twice that."""
_OVERSHOOT = 1.166
"""Siegmund's correction of the boundary (Siegmund, "Sequential Analysis", 1985, chapter 10)."""


class Step(NamedTuple):
    """A change of level that was found."""

    seen: int
    """Index of the value at which it was."""
    since: int
    """Index of the first value after it."""
    before: float
    """Median since the last change."""
    after: float
    """Median from `since` to `seen`."""


def boundary(values: float, figures: int) -> float:
    """How high CUSUMs may go, so that those of so many figures, two-sided, give one false alarm in `values` on average.

    By Siegmund's approximation of the mean time to one: for one side, (exp(2kb) - 2kb - 1) / 2k², b = h + 1.166.
    """
    from scipy.optimize import brentq

    wanted = values * 2 * figures

    def lacking(b: float) -> float:
        return (math.exp(2 * DRIFT * b) - 2 * DRIFT * b - 1) / (2 * DRIFT**2) - wanted

    return float(brentq(lacking, 1e-6, 60.0)) - _OVERSHOOT


def steps(values: Sequence[float], height: float, matters: Callable[[float, float], bool]) -> list[Step]:
    """The steps in finite `values`, one after the other; after each, what came until it was seen counts no more.

    One that does not matter, by its medians before and after, is left out of the answer; the CUSUM begins anew all the
    same. Ties are broken by turns, so that a figure that hardly moves has no steps.
    """
    found: list[Step] = []
    begun = 0
    while (step := _next(values, begun, height)) is not None:
        if matters(step.before, step.after):
            found.append(step)
        begun = step.seen + 1  # what raised the alarm was chosen for being far off: no fair beginning
    return found


def _next(values: Sequence[float], begun: int, height: float) -> Step | None:
    """The first step in the values from `begun` on."""
    ordered: list[float] = []
    sums, starts = [0.0, 0.0], [begun, begun]
    for place in range(begun, len(values)):
        score = _score(ordered, values[place], place)
        bisect.insort(ordered, values[place])
        for side, signed in enumerate((score, -score)):
            sums[side] = max(0.0, sums[side] + signed - DRIFT)
            if not sums[side]:
                starts[side] = place + 1
            elif sums[side] > height:
                since = _dated(values[begun : place + 1], starts[side] - begun) + begun
                return Step(place, since, _median(values[begun:since]), _median(values[since : place + 1]))
    return None


def _score(ordered: Sequence[float], value: float, place: int) -> float:
    """The normal score of a value's rank among those before it."""
    from statistics import NormalDist

    low, high = bisect.bisect_left(ordered, value), bisect.bisect_right(ordered, value)
    ties = high - low
    rank = low + (place * 0.6180339887498949 % 1.0) * ties + 0.5  # golden ratio: spread evenly, the same each time
    return NormalDist().inv_cdf(rank / (len(ordered) + 1))


def _dated(values: Sequence[float], earliest: int) -> int:
    """Where two levels fit best, by absolute deviations from medians; the CUSUM may have begun to rise before that."""

    def off(part: Sequence[float]) -> float:
        middle = _median(part)
        return sum(abs(value - middle) for value in part)

    return min(range(max(earliest, 1), len(values)), key=lambda place: off(values[:place]) + off(values[place:]))


def _median(values: Sequence[float]) -> float:
    from statistics import median

    return median(values)
