"""What the latencies of a run prove about a percentile, with a confidence of 99 %: LoadGen's early stopping.

A percentile p holds by the exact one-sided binomial bound: were every query late with probability 1 - p, so few late
ones among so many would come about in less than 1 % of runs. The bound is the regularised incomplete beta function
I_p(n - t, t + 1), the chance of at most t late ones among n.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loadcell.mlperf.model import EarlyStopping, Of

CONFIDENCE = 0.99
Latencies = NDArray[np.int64] | NDArray[np.float64]


def least_samples(percentile: float, over: int) -> int:
    """The smallest number of samples that proves the percentile (a share, as in 0.99) with `over` of them late."""
    chance = _chance(percentile)

    def proves(n: int) -> bool:
        return chance(n, over) < 1 - CONFIDENCE

    most = over + 1
    while not proves(most):
        most *= 2
    return bisect.bisect_left(range(most), True, lo=over + 1, key=proves)


def allowed_over(percentile: float, n: int) -> int | None:
    """The most late samples among `n` that still prove the percentile; None where not even 0 do."""
    chance = _chance(percentile)
    allowed = bisect.bisect_left(range(n), True, key=lambda over: not chance(n, over) < 1 - CONFIDENCE) - 1
    return None if allowed < 0 else allowed


def answer(latencies_ns: Latencies, limit_ns: int, percentile: float, of: Of) -> EarlyStopping:
    """Whether the latencies prove that the percentile is within the limit; a failed sample is infinite.

    A latency at the limit is in time, as it is for LoadGen.
    """
    _check_latencies(latencies_ns)
    n, over = len(latencies_ns), int(np.count_nonzero(latencies_ns > limit_ns))
    needed = least_samples(percentile, over)
    return EarlyStopping(
        of=of, percentile=percentile, limit_ns=limit_ns, n=n, over=over, needed=needed,
        met=n >= needed, more=max(0, needed - n),
    )  # fmt: skip


def estimate(latencies_ns: Latencies, percentile: float, of: Of) -> EarlyStopping:
    """An upper bound of the percentile: the t-th highest latency, t the most that may be late.

    It takes the samples that t = 1 needs; with fewer there is no estimate, nor where the bound is a failed sample.
    """
    _check_latencies(latencies_ns)
    n, needed = len(latencies_ns), least_samples(percentile, 1)
    bound, discarded = None, None
    if n >= needed:
        allowed = allowed_over(percentile, n) or 1
        discarded = allowed - 1
        highest = float(np.partition(latencies_ns, n - allowed)[n - allowed])
        bound = int(highest) if np.isfinite(highest) else None
    return EarlyStopping(
        of=of, percentile=percentile, limit_ns=None, n=n, over=None, needed=needed,
        met=n >= needed and bound is not None, more=max(0, needed - n), estimate_ns=bound, discarded=discarded,
    )  # fmt: skip


def _chance(percentile: float) -> Callable[[int, int], float]:
    """The chance of at most t late ones among n, as a function of (n, t)."""
    if not 0 < percentile < 1:
        raise ValueError(f"percentile {percentile:g}: give a share between 0 and 1, as in 0.99")
    from scipy.special import betainc  # late: it costs a tenth of a second

    return lambda n, over: betainc(n - over, over + 1, percentile)


def _check_latencies(latencies_ns: Latencies) -> None:
    if np.isnan(latencies_ns).any():
        raise ValueError("latencies hold NaN: leave samples without the latency out, and give failed ones as infinite")
