"""Whether a load held still: super-passes in issue order, the first plateau, drifts and staircases.

A super-pass is a pass over the data set. Of each, the p50 and the p90 of TPOT are taken. A run of four or more
super-passes is a plateau where both figures neither spread nor drift materially; what each value owes to its few
requests (a standard error from order statistics) is taken out first, so that small data sets are not called unsteady
for their noise. The first plateau counts, not the best one. The thresholds are our own: the official design names the
tests (coefficient of variation, trend), not their limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from loadcell.mlperf.curve.metrics import Floats, percentile, span_s
from loadcell.mlperf.curve.model import Gating, Status, Steady, Trend, Window, Word

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_PASSES = 4
"""Super-passes of a plateau."""
MATERIAL = 0.05
"""A drift from end to end of a window that is smaller is none."""
VARIATION = 0.03
"""Coefficient of variation that a plateau may have beyond the noise of its values."""
_SURE = 0.99
"""How sure it must be that the variation is larger than that."""
_TREND_P = 0.025
"""A drift is one if chance makes it more rarely: 5 % for both gating figures together. Four values cannot show it."""
_WARMUP_PART = 8
"""A warm-up is an eighth of the super-passes at most."""
_DEVIATIONS = 2.6
"""Standard errors of a slope beyond which its size alone tells."""
_PASSES_MOST = 48
"""More passes are drawn together, evenly."""
_SEGMENTS_MOST, _SEGMENT_LEAST = 4, 3
_LEAST_REQUESTS = 10
"""Requests with the figure that a super-pass must have."""
_METRICS = (("tpot_p50_ms", "tpot", 0.5, True), ("tpot_p90_ms", "tpot", 0.9, True), ("ttft_p90_ms", "ttft", 0.9, False))


@dataclass(frozen=True, eq=False)
class _Row:
    """One figure over the super-passes."""

    metric: str
    gating: bool
    values: Floats
    errors: Floats
    """Standard error of each value."""


def steady_of(issue_s: Floats, tpot_ms: Floats, ttft_ms: Floats, *, size: int, min_duration_s: float) -> Steady:
    """Whether requests in issue order held still; `size` requests are a pass over the data set.

    NaN is a request without the figure. Whatever the arrivals: nothing here needs a fixed concurrency.
    """
    passes = len(issue_s) / size
    size *= max(1, math.ceil(int(passes) / _PASSES_MOST))
    count = len(issue_s) // size
    if count < LEAST_PASSES:
        few: Status = "partial_dataset" if passes < 1 else "insufficient_passes"
        says = f"{passes:.3g} passes over the data set; a steady window needs {LEAST_PASSES}"
        return Steady(status=few, verdict="not found", super_passes=passes, window=None, says=says)
    source = {"tpot": tpot_ms, "ttft": ttft_ms}
    rows = [_row(metric, source[kind], share, gating, size, count) for metric, kind, share, gating in _METRICS]
    gates = [row for row in rows if row.gating]
    if any(np.isnan(row.values).any() for row in gates):
        says = f"a super-pass has fewer than {_LEAST_REQUESTS} requests with a TPOT"
        return _told(rows, None, "not found", None, passes, says)
    found = _first_plateau(gates, count)
    start, stop = found or (0, count)
    whole = found is not None and stop == count and start <= _warmup_most(count)
    since = 0 if stop == count else start
    drifting = [] if whole else [row for row in gates if _drifts(row, since, count)]
    if drifting:
        worst = max(drifting, key=lambda row: abs(_drift(row.values[since:])))
        drift, values = _drift(worst.values[since:]), worst.values[since:]
        up = drift > 0
        says = (
            f"{worst.metric} goes {'up' if up else 'down'} by {abs(drift):.0%} over the run, between "
            f"{values.min():.4g} and {values.max():.4g} ms a super-pass: no single figure stands for it"
        )
        return _told(rows, None, "drifting_up" if up else "drifting_down", None, passes, says)
    if found is None:
        return _told(rows, None, "not found", None, passes, f"no {LEAST_PASSES} super-passes in a row are a plateau")
    length_s = span_s(issue_s, start * size, stop * size)
    window = Window(
        super_pass_start=start,
        super_pass_end=stop,
        super_pass_size=size,
        n_samples=(stop - start) * size,
        duration_s=length_s,
    )
    status: Status = "windowable" if length_s >= min_duration_s else "insufficient_duration"
    verdict: Word = "STEADY STATE" if stop == count else "anomaly"
    return _told(rows, status, verdict, window, passes, _words(window, count, min_duration_s, gates))


# --- one window ------------------------------------------------------------------------------------------------------


def _first_plateau(gates: Sequence[_Row], count: int) -> tuple[int, int] | None:
    """The earliest start from which there is a plateau, and the furthest end of one from there.

    A plateau to the very end comes first if what is cut before it is little, and no plateau itself: the warm-up.
    """
    starts = range(count - LEAST_PASSES + 1)
    ends = ((start, count) for start in starts[: 1 + _warmup_most(count)])
    others = ((start, stop) for start in starts for stop in range(count, start + LEAST_PASSES - 1, -1))
    for start, stop in chain(ends, others):
        if all(_plateau(row, start, stop) for row in gates):
            return start, stop
    return None


def _warmup_most(count: int) -> int:
    return min(count // _WARMUP_PART, LEAST_PASSES - 1)


def _plateau(row: _Row, start: int, stop: int) -> bool:
    return not _spreads(row, start, stop) and not _trends(row, start, stop)


def _spreads(row: _Row, start: int, stop: int) -> bool:
    """Whether the values vary surely more than their noise and the variation that is allowed (chi-squared)."""
    from scipy.special import chdtri

    values, n = row.values[start:stop], stop - start
    allowed = _allowed(row, start, stop) ** 2
    return bool((n - 1) * float(np.var(values, ddof=1)) > allowed * float(chdtri(n - 1, 1 - _SURE)))


def _allowed(row: _Row, start: int, stop: int) -> float:
    """Standard deviation that values of a plateau may have: their noise and the variation that is allowed."""
    return math.hypot(
        VARIATION * float(np.median(row.values[start:stop])), math.sqrt(float(np.mean(row.errors[start:stop] ** 2)))
    )


def _trends(row: _Row, start: int, stop: int) -> bool:
    """Whether the values drift materially, and more than chance explains: by their order, or by their size."""
    values, n = row.values[start:stop], stop - start
    drift = _drift(values)
    if abs(drift) <= MATERIAL:
        return False
    slope_error = _allowed(row, start, stop) / math.sqrt(n * (n * n - 1) / 12)  # of a line through equal steps
    beyond = abs(drift) * float(np.median(values)) > _DEVIATIONS * slope_error * (n - 1)
    return beyond or _chance(values) < _TREND_P


def _drift(values: Floats) -> float:
    """Theil-Sen slope from the first value to the last, as a share of the median."""
    from scipy.stats import theilslopes

    return float(theilslopes(values).slope) * (len(values) - 1) / float(np.median(values))


def _chance(values: Floats) -> float:
    """Mann-Kendall: how often noise has such a trend, up or down (Kendall's tau against time; exact for few values)."""
    from scipy.stats import kendalltau

    if np.all(values == values[0]):
        return 1.0
    return float(kendalltau(np.arange(len(values)), values).pvalue)


# --- drift or staircase ----------------------------------------------------------------------------------------------


def _drifts(row: _Row, start: int, stop: int) -> bool:
    """Whether the figure goes one way gradually: a trend that a straight line tells better than a few level steps."""
    if not _trends(row, start, stop):
        return False
    values = row.values[start:stop]
    n, x = len(values), np.arange(stop - start)
    line = float(np.sum((values - np.polyval(np.polyfit(x, values, 1), x)) ** 2))
    return _bic(line, n, 2) <= min(
        (_bic(sse, n, 2 * parts - 1) for parts, sse in _levels(values).items() if parts > 1), default=math.inf
    )


def _bic(sse: float, n: int, parameters: int) -> float:
    """Bayesian information criterion of a least-squares fit; a perfect one is kept finite."""
    return n * math.log(max(sse, 1e-12) / n) + parameters * math.log(n)


def _levels(values: Floats) -> dict[int, float]:
    """Least squared error of 1, 2, ... level segments of three values or more, by dynamic programming."""
    n = len(values)
    ones, squares = np.concatenate(([0.0], np.cumsum(values))), np.concatenate(([0.0], np.cumsum(values**2)))

    def cost(a: int, b: int) -> float:
        return float(squares[b] - squares[a] - (ones[b] - ones[a]) ** 2 / (b - a))

    best = {1: [cost(0, b) if b >= _SEGMENT_LEAST else math.inf for b in range(1, n + 1)]}
    for parts in range(2, _SEGMENTS_MOST + 1):
        before = best[parts - 1]
        best[parts] = [
            min((before[a - 1] + cost(a, b) for a in range(1, b - _SEGMENT_LEAST + 1)), default=math.inf)
            for b in range(1, n + 1)
        ]
    return {parts: sums[-1] for parts, sums in best.items()}


# --- values and words ------------------------------------------------------------------------------------------------


def _row(metric: str, samples: Floats, share: float, gating: bool, size: int, count: int) -> _Row:
    blocks = [samples[i * size : (i + 1) * size] for i in range(count)]
    blocks = [block[~np.isnan(block)] for block in blocks]
    values = np.array([_value(block, share) for block in blocks])
    return _Row(metric, gating, values, np.array([_error(block, share) for block in blocks]))


def _value(block: Floats, share: float) -> float:
    value = percentile(block, share)
    return math.nan if value is None or len(block) < _LEAST_REQUESTS else value


def _error(block: Floats, share: float) -> float:
    """Standard error of a percentile: half the distance of the order statistics one binomial deviation to each side."""
    if len(block) < _LEAST_REQUESTS:
        return math.nan
    aside = math.sqrt(share * (1 - share) / len(block))
    low, high = (percentile(block, min(max(share + sign * aside, 0.0), 1.0)) for sign in (-1, 1))
    return math.nan if low is None or high is None else (high - low) / 2


def _told(
    rows: Sequence[_Row], status: Status | None, verdict: Word, window: Window | None, passes: float, says: str
) -> Steady:
    trends = [_trend(row, window) for row in rows]
    return Steady(status=status, verdict=verdict, super_passes=passes, window=window, trends=trends, says=says)


def _trend(row: _Row, window: Window | None) -> Trend:
    start, stop = (window.super_pass_start, window.super_pass_end) if window else (0, len(row.values))
    told = [None if math.isnan(value) else float(value) for value in row.values]
    inside = row.values[start:stop]
    if np.isnan(inside).any():
        return Trend(metric=row.metric, gating=row.gating, state=None, values=told)
    noise, middle = float(np.mean(row.errors[start:stop] ** 2)), float(np.median(inside))
    drift, state = _drift(inside), None
    if _trends(row, start, stop):
        state = _STATES[drift > 0]
    elif not _spreads(row, start, stop):
        state = "Plateau"
    return Trend(
        metric=row.metric,
        gating=row.gating,
        state=state,
        values=told,
        variation=math.sqrt(max(0.0, float(np.var(inside, ddof=1)) - noise)) / middle,
        drift=drift,
        p_value=_chance(inside),
        low=float(np.nanmin(row.values)),
        high=float(np.nanmax(row.values)),
    )


_STATES: dict[bool, Gating] = {True: "Drifting Up", False: "Drifting Down"}


def _words(window: Window, count: int, min_duration_s: float, gates: Sequence[_Row]) -> str:
    start, stop = window.super_pass_start, window.super_pass_end
    parts = [f"super-passes {start + 1} to {stop} of {count} are a plateau of {window.duration_s:.4g} s"]
    if start:
        parts.append(f"the first {start} stay out as warm-up")
    if window.duration_s < min_duration_s:
        parts.append(f"{min_duration_s:g} s are needed, so the whole run counts")
    if stop < count:
        shifts = [(row, row.values[stop:] / np.median(row.values[start:stop]) - 1) for row in gates]
        row, shift = max(shifts, key=lambda one: float(np.max(np.abs(one[1]))))
        worst = float(shift[np.argmax(np.abs(shift))])
        parts.append(
            f"later ones are off in {row.metric}: by {float(np.median(shift)):+.0%} at the median, up to {worst:+.0%}"
        )
    return "; ".join(parts)
