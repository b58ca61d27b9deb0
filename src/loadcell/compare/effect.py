"""How far two figures lie apart, with a 95 % interval and a p-value. Ratios are judged as differences of logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadcell.compare.figures import Figure
from loadcell.metrics.rows import Floats
from loadcell.phrases import phrase

_LEAST = 1e-6
"""What stands for 0 in a logarithm: a nanosecond, in ms."""
_Z = 1.959963984540054
"""97.5 % point of the normal distribution."""
POWER_Z = 0.8416212335729143
"""80 % point: the needed number of requests shows the minimum effect four times out of five."""
RUNS_LEAST = 3
"""Runs of a side that show how much runs differ."""


@dataclass(frozen=True)
class Effect:
    """Second less first, on the scale of the measure: a log ratio, or a difference of shares."""

    effect: float
    low: float | None
    high: float | None
    p: float | None
    variance: float | None
    """Of one request (or run) a side, both sides together: that of the effect with n a side is variance / n."""
    per: str
    """What n counts: requests or runs."""
    method: str
    open: str | None = None
    """Why an end of the interval is open, and what would give it one."""
    freedom: float | None = None
    """Degrees of freedom, where the interval is Student's t."""


def scaled(values: Floats | float, relative: bool) -> Floats:
    """Values on the scale on which they are compared."""
    return np.log(np.maximum(values, _LEAST)) if relative else np.asarray(values, dtype=np.float64)


def unscaled(effect: float | None, relative: bool) -> float | None:
    """An effect as people read it: a relative difference, or a difference of shares."""
    return None if effect is None else math.expm1(effect) if relative else effect


def within_runs(a: Figure, b: Figure, relative: bool) -> Effect:
    """The effect between two runs, by what the samples within each of them tell."""
    assert a.value is not None and b.value is not None
    effect = float(scaled(b.value, relative) - scaled(a.value, relative))
    if a.grid is None or b.grid is None:
        return _from_intervals(a, b, relative, effect)
    one, other = scaled(a.grid, relative), scaled(b.grid, relative)
    apart = (other[:, None] - one[None, :]).ravel()
    low, high = np.quantile(apart, (0.025, 0.975))
    tail = min(np.count_nonzero(apart <= 0), np.count_nonzero(apart >= 0)) / apart.size
    return Effect(
        effect=effect,
        low=None if a.open or b.open_below else float(low),
        high=None if b.open or a.open_below else float(high),
        p=float(min(1.0, max(2 * tail, 1 / apart.size))),
        variance=float(one.var() * a.n + other.var() * b.n),
        per="requests",
        method=phrase("within-run samples"),
        open=a.open or b.open or a.open_below or b.open_below,
    )


def _from_intervals(a: Figure, b: Figure, relative: bool, effect: float) -> Effect:
    """From the two intervals alone (MOVER; for proportions Newcombe 1998, method 10)."""
    method = phrase("the intervals of both sides")
    if a.low is None or a.high is None or b.low is None or b.high is None:
        why = a.open or b.open or a.open_below or b.open_below
        return Effect(effect, None, None, None, None, "requests", method, open=why)
    (la, va, ua), (lb, vb, ub) = (
        (float(scaled(x, relative)) for x in ends)
        for ends in ((a.low, a.value or 0.0, a.high), (b.low, b.value or 0.0, b.high))
    )
    down, up = math.hypot(vb - lb, ua - va), math.hypot(ub - vb, va - la)
    toward_zero = down if effect > 0 else up
    p = 1.0 if not effect else math.erfc(abs(effect) / max(toward_zero, 1e-300) * _Z / math.sqrt(2))
    variance = ((ua - la) / (2 * _Z)) ** 2 * a.n + ((ub - lb) / (2 * _Z)) ** 2 * b.n
    return Effect(effect, effect - down, effect + up, p, variance, "requests", method)


def between_runs(a: Sequence[float], b: Sequence[float], relative: bool) -> Effect:
    """The effect between the runs of two sides: Welch's t on the figures of each run.

    A side with fewer than three runs borrows the other's spread between runs. One of them must have three.
    """
    from scipy.special import stdtr, stdtrit

    one, other = (np.atleast_1d(scaled(np.array(values), relative)) for values in (a, b))
    effect = float(other.mean() - one.mean())
    spread = [float(x.var(ddof=1)) if x.size >= RUNS_LEAST else None for x in (one, other)]
    known = [v for v in spread if v is not None]
    shares = [(v if v is not None else known[0]) / x.size for v, x in zip(spread, (one, other), strict=True)]
    if None in spread:
        freedom = float(max(one.size, other.size) - 1)
    else:
        parts = [share**2 / (x.size - 1) for share, x in zip(shares, (one, other), strict=True)]
        freedom = sum(shares) ** 2 / sum(parts) if sum(parts) else float(one.size + other.size - 2)
    error = math.sqrt(sum(shares))
    half = error * float(stdtrit(freedom, 0.975))
    p = 2 * float(stdtr(freedom, -abs(effect) / error)) if error else float(effect == 0)
    method = phrase("Welch's t over {} and {} runs", one.size, other.size)
    if None in spread:
        method = phrase("{}, a side with fewer takes the other's spread", method)
    return Effect(
        effect=effect,
        low=effect - half,
        high=effect + half,
        p=p,
        variance=sum(v if v is not None else known[0] for v in spread),
        per="runs",
        method=method,
        freedom=freedom,
    )


def by_student(effect: float, error: float, units: int, variance: float, per: str, method: str) -> Effect:
    """The effect with Student's t of its standard error, which so many equal units (blocks, runs) told."""
    from scipy.special import stdtr, stdtrit

    half = error * float(stdtrit(units - 1, 0.975))
    p = 2 * float(stdtr(units - 1, -abs(effect) / error)) if error else float(effect == 0)
    return Effect(effect, effect - half, effect + half, p, variance, per, method, freedom=units - 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values corrected for their number (Holm 1979): reject where they are at most 5 %, and 5 % bounds any error."""
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    worst = 0.0
    for rank, (p, i) in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - rank) * p))
        corrected[i] = worst
    return corrected


def needed(effect: Effect, least: float, tests: int) -> int | None:
    """Requests (or runs) a side that show an effect of `least` in 80 % of comparisons of so many tests."""
    if effect.variance is None:
        return None
    from scipy.special import ndtri

    reach = -float(ndtri(0.025 / max(1, tests))) + POWER_Z
    n = effect.variance * (reach / least) ** 2
    return max(RUNS_LEAST, math.ceil(n) + 2) if effect.per == "runs" else math.ceil(n)
