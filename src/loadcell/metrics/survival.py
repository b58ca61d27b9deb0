"""Times of which some are known from below alone: the product-limit estimate (Kaplan and Meier 1958).

A session that failed, or that a load's end cut short, took longer than it was seen; users who give up before the first
output say that it would have come later than when they left. To leave them out would leave out the long ones, to count
them as ended would make them short. Where leaving does not follow from how long the rest would have taken, the
estimator has neither bias. Where none is cut short it is the share of the samples above each time, and its percentiles
are their nearest ranks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from loadcell.metrics.dependence import Z_975, inflation_by, reach_of
from loadcell.metrics.interval import PERMILLE, interval_ranks, shown_from, summarise_array
from loadcell.metrics.model import Estimate, Summary
from loadcell.metrics.rows import Floats, Mask
from loadcell.phrases import phrase

LEAST_WAITING = 10
"""Users who still wait, below which a time tells of too few: the rest of them gave up before."""
_ROUNDING = 1e-12


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


def summarise_censored(times: Floats, ended: Mask, unit: float, failed: int = 0) -> Summary:
    """Summary of times in the order of their starts, of which those that have not `ended` took longer.

    Where all have, that of their array. Else there is no mean, no deviation and no maximum, and an interval is that of
    as many independent samples as would give the share its variance, less what successive ones depend on each other.
    """
    if ended.all():
        return summarise_array(times, unit, failed)
    at, lasts, spread = survival(times, ended)
    share = 1 - lasts
    shares = np.concatenate(([0.0], share))[np.searchsorted(at, times, side="right")]
    ranks = np.where(ended, shares, (1 + shares) / 2)  # what is expected of those cut short: they are short for the end
    reach = reach_of(ranks)

    def inflation(p: float) -> float:
        """Of which samples lie above a percentile, or how likely they do."""
        above = np.where(shares >= p - _ROUNDING, 1.0, np.where(ended, 0.0, (1 - p) / np.maximum(1 - shares, 1 - p)))
        return inflation_by(above, reach)

    def when(wanted: float) -> float | None:
        place = int(np.searchsorted(share, wanted - _ROUNDING))
        return float(at[place]) / unit if place < at.size else None

    def estimate(permille: int) -> Estimate:
        p = permille / 1000
        if times.size < shown_from(permille):
            return Estimate(needs=shown_from(permille))
        value = when(p)
        if value is None:
            return Estimate(withheld=phrase("too many sessions had not ended"))
        place = int(np.searchsorted(share, p - _ROUNDING))
        alike = _worth(share, spread, int(np.count_nonzero(times >= at[place])), place)
        if round(alike) < shown_from(permille):
            return Estimate(withheld=phrase("too many sessions had not ended"))
        worth = max(1.0, min(alike, times.size) / inflation(p))
        low, high = interval_ranks(permille, round(worth))
        upper = None if high is None else when((high - 0.5) / round(worth))
        lower = None if low is None else when((low - 0.5) / round(worth))
        return Estimate(value=value, low=lower, high=upper, open=upper is None, effective=worth)

    known: dict[str, Any] = {name: estimate(permille) for name, permille in PERMILLE.items()}
    return Summary(
        n=int(times.size), effective=times.size / inflation_by(ranks, reach), mean=None, sd=None, max=None,
        min=float(at[0]) / unit if at.size else None, failed=failed, **known,
    )  # fmt: skip


def _worth(share: Floats, spread: Floats, waiting: int, place: int) -> float:
    """How many independent samples would give the share at a place its variance. Where it leaves nobody of those who
    were still `waiting`, half of one of them is taken to be left: the last alone tells little, of whatever share."""
    below, variance = share[place], spread[place]
    if below >= 1:
        before, variance = (share[place - 1], spread[place - 1]) if place else (0.0, 0.0)
        below = 1 - (1 - before) / (2 * waiting)
        variance += (2 * waiting - 1) / waiting
    return float(below / (1 - below) / variance)


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
