"""When the requests of an open loop are to be sent: a renewal process on the planned clock.

Gaps are drawn, added up and left alone: scaling them so that the last falls on count / rate would take the variance
out of the count. The first arrival of a random process comes after its first gap; a constant one starts at 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.spec import Arrivals
from loadcell.workload.streams import stream

MAX_REQUESTS = 10_000_000
"""Rows that a schedule may have: above it, a run has been asked for by mistake."""
_BLOCK = 65_536  # gaps a draw; fixed, so that a longer schedule begins with the shorter one


def planned_ns(
    arrivals: Arrivals,
    rate: float,
    *,
    seed: int,
    requests: int | None = None,
    duration_s: float | None = None,
    ramp_s: float = 0.0,
) -> NDArray[np.int64]:
    """Planned send times, ascending, in ns since the start of the load.

    The process has `rate` arrivals per second and ends before the first arrival at or after `duration_s`, or after
    `requests` arrivals, whichever comes first. With a ramp the rate rises linearly from 0 to `rate` over `ramp_s`: the
    process runs in unit-rate time and is mapped through the inverse of the cumulative rate (Çinlar, Introduction to
    Stochastic Processes, 1975, section 4.7), so it stays exact for Poisson.

    UsageError if it has no end or would hold more than MAX_REQUESTS arrivals.
    """
    unit_end = math.inf if duration_s is None else _cumulative(duration_s, rate, ramp_s)
    expected = min(unit_end, math.inf if requests is None else requests)
    if math.isinf(expected):
        raise UsageError("the run has no end: give a number of requests or a duration")
    if expected > MAX_REQUESTS:
        raise UsageError(
            f"about {expected:,.0f} requests are more than the {MAX_REQUESTS:,} that one run may plan: "
            "lower the rate or shorten the run"
        )
    unit = _unit_times(arrivals, seed, unit_end, requests)
    times_ns = np.rint(_inverse_cumulative(unit, rate, ramp_s) * 1e9)
    if duration_s is not None:
        times_ns = times_ns[times_ns < round(duration_s * 1e9)]
    if len(times_ns) and times_ns[-1] >= 2**63:
        raise UsageError(f"at {rate:g} requests/s the run would last for centuries: raise the rate")
    return times_ns.astype(np.int64)


def _cumulative(t_s: float, rate: float, ramp_s: float) -> float:
    """Expected arrivals in [0, t_s)."""
    return rate * t_s**2 / (2 * ramp_s) if t_s < ramp_s else rate * (t_s - ramp_s / 2)


def _inverse_cumulative(unit: NDArray[np.float64], rate: float, ramp_s: float) -> NDArray[np.float64]:
    if ramp_s == 0:
        return unit / rate
    return np.where(unit < rate * ramp_s / 2, np.sqrt(2 * ramp_s * unit / rate), unit / rate + ramp_s / 2)


def _unit_times(arrivals: Arrivals, seed: int, end: float, requests: int | None) -> NDArray[np.float64]:
    """Arrivals of the process with mean gap 1: at most `requests`, and at least all that come before `end`."""
    if arrivals.kind == "constant":  # by multiplication: adding gaps would add their rounding errors up
        within = math.inf if requests is None else requests
        return np.arange(min(within, end + 1), dtype=np.float64)
    rng = stream(seed, "arrivals")
    blocks: list[NDArray[np.float64]] = []
    last, count = 0.0, 0
    while last < end and (requests is None or count < requests):
        gaps = _unit_gaps(arrivals, rng)
        gaps[0] += last
        times = np.cumsum(gaps)
        blocks.append(times)
        last, count = float(times[-1]), count + len(times)
    return np.concatenate(blocks)[:requests]


def _unit_gaps(arrivals: Arrivals, rng: np.random.Generator) -> NDArray[np.float64]:
    if arrivals.kind == "poisson":
        return rng.standard_exponential(_BLOCK)
    shape = 1 / arrivals.cv**2
    return rng.standard_gamma(shape, _BLOCK) / shape
