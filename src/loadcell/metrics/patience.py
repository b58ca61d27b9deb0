"""Quantiles of times of which some are only known to be longer than a time: the estimator of Kaplan and Meier (1958).

Users who give up before the first output say that it would have come later than when they left. To leave them out
would take the slowest away, to count them at their leaving would make them fast. Where leaving does not follow from how
long the rest would have taken (here both follow from the seed), the estimator has neither bias.
"""

from __future__ import annotations

import math

import numpy as np

from loadcell.metrics.dependence import Z_975
from loadcell.metrics.interval import PERMILLE, shown_from
from loadcell.metrics.model import Estimate
from loadcell.metrics.rows import Floats, Mask

LEAST_WAITING = 10
"""Users who still wait, below which a time tells of too few: the rest of them gave up before."""


def survival(times: Floats, observed: Mask) -> tuple[Floats, Floats, Floats]:
    """(times at which something was observed, the share that lasts longer, the variance of its logarithm).

    The variance is Greenwood's: the sum of d / (n (n - d)) over the n still waiting and the d observed at each time.
    Of equal times, those observed come first.
    """
    at, places = np.unique(times[observed], return_inverse=True)
    came = np.bincount(places, minlength=at.size).astype(np.float64)
    waiting = times.size - np.searchsorted(np.sort(times), at, side="left").astype(np.float64)
    lasts = np.cumprod(1 - came / waiting)
    with np.errstate(divide="ignore"):
        variance = np.cumsum(came / (waiting * (waiting - came)))
    return at, lasts.astype(np.float64), variance


def quantiles(times: Floats, observed: Mask, *, unit: float, inflation: float = 1.0) -> dict[str, Estimate]:
    """The percentiles of a Summary, in `unit`; one without a value lies beyond what enough
    of them waited for.

    Intervals are those of Brookmeyer and Crowley (1982) on the scale log(-log S), their variance times `inflation` for
    samples that depend on each other.
    """
    if not observed.any():
        return {}
    at, lasts, variance = survival(times, observed)
    enough = _enough(times, observed, at)
    at, lasts, variance = at[:enough], lasts[:enough], variance[:enough]
    low_s, high_s = _band(lasts, variance * inflation)
    found = {}
    for name, permille in PERMILLE.items():
        if times.size < shown_from(permille):
            continue
        left = 1 - permille / 1000
        value, low, high = (_first(at, curve <= left + 1e-12, unit) for curve in (lasts, low_s, high_s))
        found[name] = Estimate(value=value, low=low, high=high, open=high is None)
    return found


def _enough(times: Floats, observed: Mask, at: Floats) -> int:
    """How many of the times tell enough: none does from the first on before which some gave up and few still wait."""
    waiting = times.size - np.searchsorted(np.sort(times), at, side="left")
    all_came = np.searchsorted(np.sort(times[~observed]), at, side="left") == 0
    poor = ~all_came & (waiting < LEAST_WAITING)
    return int(np.argmax(poor)) if poor.any() else at.size


def _band(lasts: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Pointwise 95 % limits of the share that lasts; where it is 1 or 0 it is both."""
    low, high = lasts.copy(), lasts.copy()
    inner = (lasts > 0) & (lasts < 1) & np.isfinite(variance)
    logs = np.log(lasts[inner])
    reach = Z_975 * np.sqrt(variance[inner]) / np.abs(logs)
    low[inner], high[inner] = np.exp(logs * np.exp(reach)), np.exp(logs * np.exp(-reach))
    if inner.any():  # nobody is left: nothing narrows the limits any more
        high[lasts <= 0] = high[inner][-1]
    return low, high


def _first(at: Floats, reached: Mask, unit: float) -> float | None:
    place = int(np.argmax(reached)) if reached.any() else -1
    return None if place < 0 or not math.isfinite(at[place]) else float(at[place]) / unit
