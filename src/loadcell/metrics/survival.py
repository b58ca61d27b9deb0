"""Times of which some are known from below alone: sessions that failed, or that a load's end cut short.

To leave them out would leave out the long ones. The product-limit estimate (Kaplan and Meier 1958, Journal of the
American Statistical Association 53) takes each for as long as it was seen: where none is cut short it is the share of
the samples at or below each time, and its percentiles are their nearest ranks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.metrics.dependence import inflation_by, reach_of
from loadcell.metrics.interval import PERMILLE, interval_ranks, shown_from, summarise_array
from loadcell.metrics.model import Estimate, Summary
from loadcell.phrases import phrase

Floats = npt.NDArray[np.float64]
_ROUNDING = 1e-12


def product_limit(times: Floats, ended: npt.NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """(times of ends, the share that has ended by each, its variance by Greenwood 1926 over the square of the rest)."""
    order = np.argsort(times, kind="stable")
    at, counts = np.unique(times[order], return_counts=True)
    ends = np.zeros(at.size)
    np.add.at(ends, np.searchsorted(at, times[ended]), 1)
    at_risk = times.size - np.concatenate(([0], np.cumsum(counts)[:-1]))
    known = ends > 0
    at, ends, at_risk = at[known], ends[known], at_risk[known]
    left = np.cumprod(1 - ends / at_risk)
    with np.errstate(divide="ignore"):
        spread = np.cumsum(ends / (at_risk * (at_risk - ends)))
    return at, 1 - left, spread


def summarise_censored(times: Floats, ended: npt.NDArray[np.bool_], unit: float, failed: int = 0) -> Summary:
    """Summary of times in the order of their starts, of which those that have not `ended` took longer.

    Where all have, that of their array. Else there is no mean, no deviation and no maximum, and an interval is that of
    as many independent samples as would give the share its variance, less what successive ones depend on each other.
    """
    if ended.all():
        return summarise_array(times, unit, failed)
    at, share, spread = product_limit(times, ended)
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
        rest, error = 1 - share[place], spread[place]
        worth = times.size if rest <= 0 or not math.isfinite(error) else share[place] / rest / error
        worth = max(1.0, min(float(worth), times.size) / inflation(p))
        low, high = interval_ranks(permille, round(worth))
        upper = None if high is None else when((high - 0.5) / round(worth))
        lower = None if low is None else when((low - 0.5) / round(worth))
        return Estimate(value=value, low=lower, high=upper, open=upper is None, effective=worth)

    known: dict[str, Any] = {name: estimate(permille) for name, permille in PERMILLE.items()}
    return Summary(
        n=int(times.size), effective=times.size / inflation_by(ranks, reach), mean=None, sd=None, max=None,
        min=float(at[0]) / unit if at.size else None, failed=failed, **known,
    )  # fmt: skip
