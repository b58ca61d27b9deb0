"""When the requests of an open loop are to be sent: a renewal process, or bursts, on the planned clock.

Gaps are drawn, added up and left alone: scaling them so that the last falls on count / rate would take the variance
out of the count. The first arrival of a random process comes after its first gap; a constant one starts at 0.

A rate that varies, be it a ramp, a series or bursts, maps the process from unit-rate time through the inverse of the
cumulative rate (Çinlar, Introduction to Stochastic Processes, 1975, section 4.7). Poisson stays exact by that, and of
any process the mean count up to a time is the integral of the rate.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.spec import Arrivals, Load, Series, parse_arrivals, parse_series
from loadcell.workload.streams import stream

MAX_REQUESTS = 10_000_000
"""Rows that a schedule may have: above it, a run has been asked for by mistake."""
_BLOCK = 65_536  # gaps a draw; fixed, so that a longer schedule begins with the shorter one
_PERIODS = 1_024  # and bursts a draw, likewise
_MOST_BURSTS = 2_000_000

Floats = NDArray[np.float64]


class Course(NamedTuple):
    """A rate over time: pieces that begin at `starts_s`, the last of which has no end and no slope."""

    starts_s: Floats
    begins: Floats
    """Requests/s at the begin of each piece."""
    slopes: Floats
    """And what that grows by in a second."""

    @property
    def sums(self) -> Floats:
        """Expected arrivals before each piece."""
        lengths = np.diff(self.starts_s)
        return np.concatenate(([0.0], np.cumsum(lengths * (self.begins[:-1] + self.slopes[:-1] * lengths / 2))))

    def expected(self, t_s: float) -> float:
        """Arrivals expected before a time: the integral of the rate."""
        place = int(np.searchsorted(self.starts_s, t_s, side="right")) - 1
        since = t_s - self.starts_s[place]
        return float(self.sums[place] + since * (self.begins[place] + self.slopes[place] * since / 2))

    def when(self, units: Floats) -> Floats:
        """The inverse: when so many arrivals are expected; infinite where they never are."""
        sums = self.sums
        place = np.searchsorted(sums, units, side="right") - 1
        begins, slopes, left = self.begins[place], self.slopes[place], units - sums[place]
        # The root of begin * t + slope * t^2 / 2 = left in the form that loses no digits, and works without a slope.
        root = np.sqrt(np.maximum(begins**2 + 2 * slopes * left, 0.0))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            since = np.where(left > 0, 2 * left / (begins + root), 0.0)
        found: Floats = self.starts_s[place] + since
        return found

    def with_edges(self, edges: Floats) -> Course:
        """The same rates, parted at these times too."""
        starts = np.union1d(self.starts_s, edges)
        place = np.searchsorted(self.starts_s, starts, side="right") - 1
        begins = self.begins[place] + self.slopes[place] * (starts - self.starts_s[place])
        return Course(starts, begins, self.slopes[place])

    def held(self, from_s: float) -> Course:
        """The same up to a time, from which on the rate is what it was just before."""
        starts = self.starts_s[self.starts_s < from_s]
        count = len(starts)
        begins, slopes = self.begins[:count], self.slopes[:count]
        last = begins[-1] + slopes[-1] * (from_s - starts[-1])
        return Course(np.append(starts, from_s), np.append(begins, last), np.append(slopes, 0.0))


def planned_ns(
    arrivals: Arrivals,
    rate: float,
    *,
    seed: int,
    requests: int | None = None,
    duration_s: float | None = None,
    ramp_s: float = 0.0,
    series: Series | None = None,
    hold_s: float = math.inf,
) -> NDArray[np.int64]:
    """Planned send times, ascending, in ns since the start of the load.

    The process has `rate` arrivals per second and ends before the first arrival at or after `duration_s`, or after
    `requests` arrivals, whichever comes first. With a ramp the rate rises linearly from 0 to `rate` over `ramp_s`. With
    a series it is that of the series, scaled to the mean `rate`, again and again; from `hold_s` on what it is by then.

    UsageError if it has no end or would hold more than MAX_REQUESTS arrivals.
    """

    def course(until_s: float) -> Course:
        planned = _steady(rate, ramp_s) if series is None else repeated(series.scaled(rate), until_s, hold_s)
        return planned if arrivals.kind != "bursts" else _bursting(planned, arrivals, seed, until_s)

    found = course(duration_s or 0.0)
    unit_end = math.inf if duration_s is None else found.expected(duration_s)
    expected = min(unit_end, math.inf if requests is None else requests)
    if math.isinf(expected):
        raise UsageError("the run has no end: give a number of requests or a duration")
    if expected > MAX_REQUESTS:
        raise UsageError(
            f"about {expected:,.0f} requests are more than the {MAX_REQUESTS:,} that one run may plan: "
            "lower the rate or shorten the run"
        )
    unit = _unit_times(arrivals, seed, unit_end, requests)
    if duration_s is None and len(unit):
        reach_s = float(unit[-1]) / rate + ramp_s
        while (found := course(reach_s)).expected(reach_s) < unit[-1] and reach_s < 2**63 / 1e9:
            reach_s *= 2
    with np.errstate(over="ignore"):  # where the rate is nearly 0 for good; what is left is refused below
        times_ns = np.rint(found.when(unit) * 1e9)
    if duration_s is not None:
        times_ns = times_ns[times_ns < round(duration_s * 1e9)]
    if len(times_ns) and times_ns[-1] >= 2**63:
        raise UsageError(f"at {rate:g} requests/s the run would last for centuries: raise the rate")
    return times_ns.astype(np.int64)


def peak_rate(load: Load) -> float | None:
    """Highest requests/s that is planned, of bursts the mean within one; None for a closed loop."""
    if load.rate is None:
        return None
    process = parse_arrivals(load.arrivals)
    peak = load.rate if load.rate_series is None else parse_series(load.rate_series).scaled(load.rate).peak
    return peak if process.kind != "bursts" else peak * _burst_factor(process)


def _burst_factor(arrivals: Arrivals) -> float:
    """Rate within a burst over the mean."""
    return arrivals.base + (1 - arrivals.base) * (arrivals.on_s + arrivals.off_s) / arrivals.on_s


def _steady(rate: float, ramp_s: float) -> Course:
    if ramp_s < 1e-9:  # less than the clock tells
        return Course(np.zeros(1), np.array([rate]), np.zeros(1))
    return Course(np.array([0.0, ramp_s]), np.array([0.0, rate]), np.array([rate / ramp_s, 0.0]))


def repeated(series: Series, until_s: float, hold_s: float = math.inf) -> Course:
    """The course of a series, begun anew where it ends, until a time at least; from `hold_s` on it holds its rate."""
    times = math.floor(min(until_s, hold_s) / series.length_s) + 1
    lengths = np.array(series.lengths_s)
    begins = np.array(series.begins)
    slopes = (np.array(series.ends) - begins) / lengths
    edges = np.concatenate(([0.0], np.cumsum(np.tile(lengths, times))))
    whole = Course(edges, np.append(np.tile(begins, times), series.ends[-1]), np.append(np.tile(slopes, times), 0.0))
    return whole if math.isinf(hold_s) else whole.held(hold_s)


def _bursting(course: Course, arrivals: Arrivals, seed: int, until_s: float) -> Course:
    """The course, switched between bursts and the times between them, to the same mean in the long run.

    Lengths of either are exponential: with no rate between bursts it is the interrupted Poisson process (Kuczura, Bell
    System Technical Journal 52, 1973), with one a Markov-modulated process of two states. It starts in the long run's
    mix of the two.
    """
    on_s, off_s = arrivals.on_s, arrivals.off_s
    rng = stream(seed, "arrivals", 1)
    burst_first = bool(rng.random() < on_s / (on_s + off_s))
    means_s = [on_s, off_s] if burst_first else [off_s, on_s]
    if (many := until_s / (on_s + off_s)) > _MOST_BURSTS:
        raise UsageError(
            f"load.arrivals: about {many:,.0f} bursts in {until_s:,.0f} s are more than the {_MOST_BURSTS:,} that one "
            "run may plan: make them longer, or the run shorter"
        )
    drawn, last_s = [np.zeros(1)], 0.0
    while last_s <= until_s:
        lengths = rng.standard_exponential((_PERIODS, 2)) * means_s
        lengths[0, 0] += last_s  # added up as in one sum: more of them change none of the first
        drawn.append(np.cumsum(lengths))
        last_s = float(drawn[-1][-1])
    edges = np.concatenate(drawn)
    fine = course.with_edges(edges[1 : int(np.searchsorted(edges, until_s, side="right")) + 1])
    period = np.searchsorted(edges, fine.starts_s, side="right") - 1
    within = (period % 2 == 0) == burst_first
    factor = np.where(within, _burst_factor(arrivals), arrivals.base)
    return Course(fine.starts_s, fine.begins * factor, fine.slopes * factor)


def _unit_times(arrivals: Arrivals, seed: int, end: float, requests: int | None) -> Floats:
    """Arrivals of the process with mean gap 1: at most `requests`, and at least all that come before `end`."""
    if arrivals.kind == "constant":  # by multiplication: adding gaps would add their rounding errors up
        within = math.inf if requests is None else requests
        return np.arange(min(within, end + 1), dtype=np.float64)
    rng = stream(seed, "arrivals")
    blocks: list[Floats] = []
    last, count = 0.0, 0
    while last < end and (requests is None or count < requests):
        gaps = _unit_gaps(arrivals, rng)
        gaps[0] += last
        times = np.cumsum(gaps)
        blocks.append(times)
        last, count = float(times[-1]), count + len(times)
    return np.concatenate(blocks)[:requests] if blocks else np.empty(0)


def _unit_gaps(arrivals: Arrivals, rng: np.random.Generator) -> Floats:
    if arrivals.kind == "gamma":
        shape = 1 / arrivals.cv**2
        return rng.standard_gamma(shape, _BLOCK) / shape
    if arrivals.kind == "weibull":
        shape = weibull_shape(arrivals.cv)
        return rng.weibull(shape, _BLOCK) / math.gamma(1 + 1 / shape)
    return rng.standard_exponential(_BLOCK)


def weibull_shape(cv: float) -> float:
    """The shape k of a Weibull law whose coefficient of variation is `cv`, from 0.01 to 100.

    Its square is G(1 + 2/k) / G(1 + 1/k)^2 - 1, with the gamma function G, which falls with k: found by bisection.
    """
    wanted, low, high = math.log1p(cv**2), 0.05, 200.0
    while high - low > 1e-12 * high:
        k = (low + high) / 2
        if math.lgamma(1 + 2 / k) - 2 * math.lgamma(1 + 1 / k) > wanted:
            low = k
        else:
            high = k
    return (low + high) / 2
