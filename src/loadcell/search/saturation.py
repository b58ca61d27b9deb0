"""Early stop of a load that its server cannot carry: the number of requests in the system grows beyond doubt."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from loadcell.load.steer import Outcome, Steer, Stop, View
from loadcell.load.steering import first_pending_ns
from loadcell.metrics import Estimate, growth_per_s
from loadcell.phrases import phrase

Floats = npt.NDArray[np.float64]

_FIRST = 20
"""Requests that tell how long the system needs to fill: all but one of them have gone through it by then. More would
have waited in the queue that is looked for, and put its finding off."""
_LEAST_REQUESTS = 50
"""Fewer planned ones tell no trend, as in a result."""
_LEAST_FILLS = 1.0
"""Growth is looked for over at least as long again."""
_BATCHES_MOST, _BATCHES_LEAST = 40, 16
_BEYOND_DOUBT = 3.2
"""Standard errors that the growth must be above 0. It is asked at every look, and of loads that begin empty and are
nearly saturated too: tests/search/test_saturation.py says how often that is wrong."""
_GROWTH_REQUESTS, _GROWTH_SHARE, _GROWTH_OF_RATE = 3.0, 0.1, 0.02
"""Least growth that matters, as in a result: requests and share of the mean level, and share of the arrivals."""
_EACH_HALF = 0.25
"""Share of the growth a second that both halves of the time must show: one pause or burst of the server is no trend."""
_T_38 = 2.024394163911969
"""Standard errors in half an interval of `growth_per_s`."""


def saturation_steer(stable_before_s: float | None = None) -> Steer:
    """Ends an open loop once its queue grows beyond doubt; what is in the air is given up, for a queue is of no use.

    Nothing before `stable_before_s` is looked at (a ramp, say), nor before the system can have filled. The window ends
    where the first request without an outcome was planned. Closed loops, whose users cannot queue, are never ended.
    """
    times: list[float] = []
    levels: list[float] = []
    stays = np.full(_FIRST, np.inf)

    def steer(view: View) -> Stop | None:
        planned = view.planned_ns
        if planned is None or planned.size < _FIRST:
            return None
        times.append(view.now_ns / 1e9)
        levels.append(float(view.in_system))
        ended = np.isinf(stays) & (view.outcomes[:_FIRST] != Outcome.PENDING)
        stays[ended] = (view.now_ns - planned[:_FIRST][ended]) / 1e9
        fill = float(np.quantile(stays, 0.95, method="inverted_cdf"))
        low = max(fill, stable_before_s or 0.0)
        if math.isinf(fill) or times[-1] - low < _LEAST_FILLS * fill:
            return None
        came = np.diff(np.searchsorted(planned, [low * 1e9, view.now_ns]))[0]
        growth = growth_beyond_doubt(np.array(times), np.array(levels), low, int(came))
        if growth is None:
            return None
        reason = phrase(
            "the queue grew by {:.2g} requests/s (95 % interval {:.2g} to {:.2g})",
            growth.value,
            growth.low,
            growth.high,
        )
        return Stop("saturated", phrase("saturated: {}", reason), cancel=True, window_end_ns=first_pending_ns(view))

    return steer


def growth_beyond_doubt(times_s: Floats, levels: Floats, low_s: float, came: int) -> Estimate | None:
    """Growth a second of a level that was looked at now and then, from `low_s` to the last look; None if in doubt.

    `came` is the number of requests planned in this time. Between looks the level is taken to change evenly.
    """
    looks, length_s = int(np.count_nonzero(times_s >= low_s)), float(times_s[-1]) - low_s
    batches = min(_BATCHES_MOST, looks // 2)
    if batches < _BATCHES_LEAST or came < _LEAST_REQUESTS:
        return None
    each = looks // batches
    points = np.linspace(low_s, times_s[-1], batches * each)
    means = np.interp(points, times_s, levels).reshape(batches, each).mean(axis=1)
    growth = growth_per_s(means, length_s / batches)
    assert growth.value is not None and growth.low is not None
    error = (growth.value - growth.low) / _T_38
    least = max(_GROWTH_REQUESTS, _GROWTH_SHARE * float(means.mean()), _GROWTH_OF_RATE * came) / length_s
    middle = batches // 2
    halves = (means[middle] - means[0]) / middle, (means[-1] - means[middle]) / (batches - 1 - middle)
    a_second = batches / length_s
    doubt = (
        growth.value < _BEYOND_DOUBT * error
        or growth.value < least
        or min(halves) * a_second < _EACH_HALF * growth.value
    )
    return None if doubt else growth
