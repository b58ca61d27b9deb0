"""How often a load is ended that its server could carry, and how soon one that it cannot, on simulated queues."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from loadcell.load.steer import Stop, View
from loadcell.search.saturation import growth_beyond_doubt, saturation_steer

Floats = npt.NDArray[np.float64]
LOOK_S, RUN_S = 0.2, 60.0


def arrivals(rng: np.random.Generator, rate: float) -> Floats:
    """Poisson."""
    times = np.cumsum(rng.exponential(1 / rate, int(rate * RUN_S * 1.5) + 50))
    return times[times < RUN_S]


def departures(came: Floats, work: Floats, servers: int) -> Floats:
    """First come, first served, from an empty start."""
    free, ends = [0.0] * servers, np.empty(came.size)
    for i, (arrival, need) in enumerate(zip(came.tolist(), work.tolist(), strict=True)):
        ends[i] = max(arrival, heapq.heappop(free)) + need
        heapq.heappush(free, ends[i])
    return ends


def watched(came: Floats, ends: Floats, start_s: float | None = None) -> tuple[float, Stop] | None:
    """When a load was ended, and how; looked at as the parent of a run does."""
    steer, done = saturation_steer(start_s), np.sort(ends)
    planned, tokens = (came * 1e9).astype(np.int64), np.ones(came.size, np.int32)
    for now in np.arange(LOOK_S, RUN_S, LOOK_S):
        issued, ended = (int(np.searchsorted(times, now, side="right")) for times in (came, done))
        outcomes = (ends <= now).astype(np.uint8)
        stop = steer(View(int(now * 1e9), planned, tokens, outcomes, issued, ended, issued - ended))
        if stop is not None:
            return float(now), stop
    return None


WORK: dict[str, Callable[[np.random.Generator, float, int], Floats]] = {
    "M": lambda rng, mean, n: rng.exponential(mean, n),
    "D": lambda _, mean, n: np.full(n, mean),
    "lognormal": lambda rng, mean, n: rng.lognormal(np.log(mean) - 0.5, 1.0, n),
}


def stops_of(kind: str, servers: int, rho: float, runs: int, rate: float = 20.0) -> list[float]:
    found = []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        came = arrivals(rng, rate)
        stopped = watched(came, departures(came, WORK[kind](rng, rho * servers / rate, came.size), servers))
        found += [stopped[0]] if stopped else []
    return found


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize(
    ("kind", "servers", "rho"),
    [("M", 1, 0.9), ("M", 16, 0.9), ("D", 16, 0.9), ("lognormal", 64, 0.8), ("M", 16, 0.5)],
)
def test_a_load_that_is_carried_is_not_ended(kind: str, servers: int, rho: float) -> None:
    """300 looks a run. With more seeds: 5 of 3,600 runs of the first three were ended, 0 of 1,200 of the others."""
    assert stops_of(kind, servers, rho, runs=15) == []


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize(("kind", "servers", "rho"), [("M", 16, 1.2), ("D", 16, 1.2), ("M", 16, 3.0)])
def test_an_overload_is_ended_early(kind: str, servers: int, rho: float) -> None:
    """With more seeds: 268 of 300, 100 of 100 and 100 of 100 were ended in 60 s."""
    ends = stops_of(kind, servers, rho, runs=15)
    assert len(ends) >= 13
    assert np.median(ends) < 0.75 * RUN_S


def test_the_stop_says_what_it_saw() -> None:
    rng = np.random.default_rng(1)
    came = arrivals(rng, 50.0)
    ends = departures(came, np.full(came.size, 4 / 25), 4)
    found = watched(came, ends)
    assert found is not None
    now, stop = found
    assert (stop.kind, stop.cancel) == ("saturated", True)
    assert stop.reason.startswith("saturated: the queue grew by 2") and "95 % interval" in stop.reason
    assert stop.window_end_ns == int(came[np.argmax(ends > now)] * 1e9), "the first request that is not over"


def test_nothing_is_seen_before_the_start() -> None:
    rng = np.random.default_rng(2)
    came = arrivals(rng, 50.0)
    ends = departures(came, np.full(came.size, 4 / 25), 4)
    late = watched(came, ends, 30.0)
    assert late is not None and late[0] > 30


@pytest.mark.parametrize(("at_s", "pause_s"), [(10.0, 6.0), (20.0, 10.0)])
def test_a_pause_of_the_server_is_no_growing_queue(at_s: float, pause_s: float) -> None:
    """It stands still for a while, and then works off what has come meanwhile."""
    for seed in range(2):
        came = arrivals(np.random.default_rng(seed), 20.0)
        at_work = np.where(came < at_s, came, np.maximum(at_s, came - pause_s))
        ends = departures(at_work, np.full(came.size, 0.2), 8)
        assert watched(came, np.where(ends < at_s, ends, ends + pause_s)) is None


def test_a_step_is_no_trend() -> None:
    times = np.arange(0.2, 30.0, 0.2)
    step = np.where(times > 15, 100.0, 10.0) + np.random.default_rng(4).normal(0, 1, times.size)
    slope = 3 * times + np.random.default_rng(4).normal(0, 1, times.size)
    assert growth_beyond_doubt(times, step, 0.0, 600) is None
    found = growth_beyond_doubt(times, slope, 0.0, 600)
    assert found is not None and found.value == pytest.approx(3, rel=0.1)
    assert growth_beyond_doubt(times, slope, 27.5, 600) is None, "too few looks"
    assert growth_beyond_doubt(times, slope, 0.0, 20) is None, "too few requests"


def test_growth_that_does_not_matter_is_let_go() -> None:
    """Sure, but below 2 % of the arrivals."""
    times = np.arange(0.2, 60.0, 0.2)
    level = 50 + 0.5 * times + np.random.default_rng(5).normal(0, 0.01, times.size)
    assert growth_beyond_doubt(times, level, 0.0, 60 * 20) is not None
    assert growth_beyond_doubt(times, level, 0.0, 60 * 40) is None


def test_a_closed_loop_and_a_short_schedule_are_left_alone() -> None:
    few = np.arange(10, dtype=np.int64)
    for planned in (None, few):
        view = View(10**10, planned, np.ones(10, np.int32), np.zeros(10, np.uint8), 10, 0, 10)
        steer = saturation_steer()
        assert [steer(view) for _ in range(100)] == [None] * 100
