from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import MS, ok_request

from loadcell.metrics import Estimate, Result, build_result
from loadcell.metrics.steady import _queue, caveats, growth_per_s
from loadcell.metrics.warmup import find_warmup
from loadcell.metrics.window import Span
from loadcell.recording.read import Recording

Make = Callable[..., Recording]
Floats = npt.NDArray[np.float64]


def ar1(rng: np.random.Generator, runs: int, n: int, rho: float) -> Floats:
    """Series with unit variance, one a row."""
    noise: Floats = rng.standard_normal((runs, n))
    noise[:, 1:] *= np.sqrt(1 - rho**2)
    for i in range(1, n):
        noise[:, i] += rho * noise[:, i - 1]
    return noise


# --- warm-up ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [60, 300, 2000])
@pytest.mark.parametrize("rho", [0.0, 0.7])
@pytest.mark.parametrize("shape", ["normal", "lognormal"])
def test_stationary_noise_is_not_cut(n: int, rho: float, shape: str) -> None:
    noise = ar1(np.random.default_rng(1), 300, n, rho)
    series = 1 + 0.1 * noise if shape == "normal" else np.exp(noise)
    assert np.mean([find_warmup(row, n).cut > 0 for row in series]) < 0.05


@pytest.mark.parametrize(("noise", "most_bias"), [(0.05, 0.002), (0.1, 0.004)])
def test_a_transient_is_cut_and_its_bias_goes(noise: float, most_bias: float) -> None:
    """40 % above the level, falling by e every 60 samples, in AR(1) noise."""
    transient = 1 + 0.4 * np.exp(-np.arange(2000) / 60)
    series = transient + noise * ar1(np.random.default_rng(2), 200, 2000, 0.7)
    found = [find_warmup(row, 2000) for row in series]
    bias = np.mean([row[w.cut :].mean() - 1 for row, w in zip(series, found, strict=True)])
    assert series.mean() - 1 == pytest.approx(0.012, abs=0.001)
    assert abs(bias) < most_bias
    assert min(w.cut for w in found) > 0 and not any(w.unsettled for w in found)
    assert 40 < np.median([w.cut for w in found]) < 215


def test_a_level_shift_is_cut_where_it_is() -> None:
    series = np.r_[np.full(40, 1.5), np.full(160, 1.0)]
    assert find_warmup(series, 200) == (40, pytest.approx(0.5), False)


def test_a_faster_start_is_a_warm_up_too() -> None:
    assert find_warmup(np.r_[np.full(40, 0.5), np.full(160, 1.0)], 200) == (40, pytest.approx(-0.5), False)


def test_a_shift_below_5_percent_is_not_worth_a_cut() -> None:
    assert find_warmup(np.r_[np.full(40, 1.04), np.full(160, 1.0)], 200).cut == 0


def test_a_lone_outlier_is_no_warm_up() -> None:
    series = 1 + 0.02 * ar1(np.random.default_rng(3), 50, 300, 0.5)
    series[:, 2] = 50.0
    assert not any(find_warmup(row, 300).cut for row in series)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_what_never_settles_is_cut_at_about_half_and_told(noise: float) -> None:
    series = np.linspace(1, 3, 400) + noise * ar1(np.random.default_rng(7), 20, 400, 0.5)
    found = [find_warmup(row, 400) for row in series]
    assert all(w.unsettled and 160 < w.cut <= 200 for w in found)


@given(st.lists(st.floats(0, 1e12), min_size=0, max_size=200), st.integers(0, 300))
def test_no_cut_passes_its_limits(values: list[float], most: int) -> None:
    cut = find_warmup(np.array(values), most).cut
    assert 0 <= cut <= min(most, len(values) / 2)


@given(st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(unit: float) -> None:
    series = 1 + 0.4 * np.exp(-np.arange(500) / 60) + 0.05 * ar1(np.random.default_rng(4), 1, 500, 0.7)[0]
    assert find_warmup(series * unit, 500).cut == find_warmup(series, 500).cut > 0


# --- growth ----------------------------------------------------------------------------------------------------------


def queue(rng: np.random.Generator, rate: float, servers: int, rho: float, seconds: float) -> tuple[Floats, Floats]:
    """Arrivals and departures, in s, of an M/M/c queue that starts empty; first come, first served."""
    arrivals = np.cumsum(rng.exponential(1 / rate, int(rate * seconds * 1.5) + 50))
    arrivals = arrivals[arrivals < seconds]
    work = rng.exponential(rho * servers / rate, arrivals.size)
    free, ends = np.zeros(servers), np.empty(arrivals.size)
    for i, (arrival, need) in enumerate(zip(arrivals, work, strict=True)):
        first = int(free.argmin())
        free[first] = ends[i] = max(arrival, free[first]) + need
    return arrivals, ends


def open_span(seconds: float) -> Span:
    return Span(0.0, seconds * 1e9, "", "found", seconds * 1e9)


def share_unstable(rho: float, servers: int, seconds: float = 60.0, runs: int = 100) -> float:
    rng = np.random.default_rng(5)
    found = []
    for _ in range(runs):
        starts, ends = queue(rng, 20.0, servers, rho, seconds)
        found.append(_queue(starts * 1e9, ends * 1e9, open_span(seconds))[0])
    return float(np.mean([stable is False for stable in found]))


@pytest.mark.parametrize("servers", [1, 16])
@pytest.mark.parametrize("rho", [0.7, 0.9])
def test_a_busy_queue_is_not_called_growing(rho: float, servers: int) -> None:
    assert share_unstable(rho, servers) < 0.05


@pytest.mark.parametrize("servers", [1, 16])
def test_an_overloaded_queue_is_called_growing(servers: int) -> None:
    assert share_unstable(1.2, servers) > 0.95


def test_the_interval_of_a_random_walk_covers_its_drift() -> None:
    rng = np.random.default_rng(6)
    fine = np.cumsum(rng.normal(0.1, 1.0, (2000, 4000)), axis=1)  # drift of 0.1 a step, 100 steps a batch
    means = fine.reshape(2000, 40, 100).mean(axis=2)
    growths = [growth_per_s(row, 100.0) for row in means]
    covered = np.mean([g.low is not None and g.high is not None and g.low <= 0.1 <= g.high for g in growths])
    assert 0.93 < covered < 0.97
    assert np.mean([g.value for g in growths]) == pytest.approx(0.1, abs=0.002)


def in_an_open_loop(make: Make, starts: Floats, ends: Floats, seconds: float, **load: object) -> Result:
    rows = [
        ok_request(
            i, start_ms=a * 1e3, planned_ns=round(a * 1e9), ready_ns=None, last_ns=round(b * 1e9),
            end_ns=round(b * 1e9), first_any_ns=round((a + 0.9 * (b - a)) * 1e9), output_tokens=None, output_chunks=2,
        )
        for i, (a, b) in enumerate(zip(starts, ends, strict=True))
    ]  # fmt: skip
    load = {"rate": 20.0, "duration_s": seconds} | load
    return build_result(
        make(rows, loop="open", planned=(starts * 1e3).tolist(), load=load, window_end_ns=round(seconds * 1e9))
    )


def test_a_growing_queue_shows_its_percentiles_and_says_what_they_are_worth(make: Make) -> None:
    starts = np.arange(0, 60, 0.05)
    result = in_an_open_loop(make, starts, 0.2 + starts * 1.25, 60.0)  # 16 of 20 requests a second are served
    state = result.steady
    assert state.stable is False
    assert state.growth_per_s.value == pytest.approx(4.0, rel=0.1)
    assert "the queue grows by 4 requests/s" in state.says
    for summary in (result.latency["e2e_ms"].service, result.latency["e2e_ms"].response):
        assert summary is not None and summary.mean_interval is None
        for one in (summary.p50, summary.p90, summary.p95, summary.p99):
            assert one.value is not None and (one.low, one.high, one.open) == (None, None, False)
            assert one.caveat == "unstable: the queue grows by 4 requests/s"
    assert result.latency["tpot_ms"].service.p99.caveat is None  # there is none
    assert result.whole_run is not None and result.whole_run.latency["e2e_ms"].service.p99.caveat


def test_values_of_a_growing_queue_stay_without_their_interval() -> None:
    some = Estimate(value=2.0, low=1.0, high=3.0, bound=4.0)
    kept = caveats({"p50": some, "p90": Estimate(needs=10)}, "unstable")
    assert kept == {"p50": Estimate(value=2.0, caveat="unstable"), "p90": Estimate(needs=10)}
    assert caveats({"p99": some}, None) == {"p99": some}


def test_a_cap_does_not_hide_the_queue_in_the_client(make: Make) -> None:
    """Sent one at a time, 16 a second: in flight is 1, but those that are planned and wait are more and more."""
    starts = np.arange(0, 60, 0.05)
    ends = (np.arange(starts.size) + 1) / 16
    rows = [
        ok_request(i, start_ms=(b - 1 / 16) * 1e3, planned_ns=round(a * 1e9), ready_ns=None, last_ns=round(b * 1e9),
                   end_ns=round(b * 1e9), first_any_ns=round((b - 0.03) * 1e9))
        for i, (a, b) in enumerate(zip(starts, ends, strict=True))
    ]  # fmt: skip
    load = {"rate": 20.0, "duration_s": 60.0, "concurrency": 1}
    result = build_result(
        make(rows, loop="open", planned=(starts * 1e3).tolist(), load=load, window_end_ns=60_000 * MS)
    )
    assert result.concurrency.mean == pytest.approx(1)
    assert result.steady.stable is False
    assert result.steady.growth_per_s.value == pytest.approx(4, rel=0.1)


def test_filling_up_is_no_growth(make: Make) -> None:
    """Requests that take 10 s: their number rises for 10 s, and then holds."""
    starts = np.arange(0, 60, 0.05)
    result = in_an_open_loop(make, starts, starts + 10, 60.0)
    assert result.steady.stable is True
    assert result.steady.growth_per_s.value == pytest.approx(0, abs=0.1)


def test_too_little_says_nothing_of_growth(make: Make) -> None:
    starts = np.arange(0, 60, 0.05)
    state = in_an_open_loop(make, starts, starts + 40, 60.0).steady
    assert (state.stable, state.growth_per_s.value) == (None, None)
    assert "too little to tell whether a queue grows" in state.says


def test_littles_law_holds_in_a_steady_window(make: Make) -> None:
    starts = np.arange(0, 60, 0.05)
    assert in_an_open_loop(make, starts, starts + 1, 60.0).steady.littles_ratio == pytest.approx(1, abs=0.02)


def test_littles_law_breaks_in_a_growing_queue(make: Make) -> None:
    starts = np.arange(0, 60, 0.05)
    ratio = in_an_open_loop(make, starts, 0.2 + starts * 1.25, 60.0).steady.littles_ratio
    assert ratio is not None and ratio > 1.05


def test_a_closed_loop_that_misses_its_users_is_not_stable(make: Make) -> None:
    """Each of 4 users rests as long as it works."""
    rows = [ok_request(i, start_ms=125 * (i // 4) * 4 + 10 * (i % 4)) for i in range(160)]
    state = build_result(make(rows, load={"concurrency": 4, "requests": 160})).steady
    assert (state.stable, state.growth_per_s.value) == (False, None)
    assert "only 1.98 of 4 users in flight" in state.says


# --- a run too short for the rule, but overloaded beyond doubt --------------------------------------------------------


def served(rate: float, capacity: float, servers: int, seconds: float, seed: int) -> tuple[Floats, Floats]:
    """Start and end in ns of Poisson arrivals at servers that work exponential times."""
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds)))
    free, ends = [0.0] * servers, []
    for start, work in zip(starts, rng.exponential(servers / capacity, starts.size), strict=True):
        place = int(np.argmin(free))
        free[place] = max(free[place], start) + work
        ends.append(free[place])
    return starts * 1e9, np.array(ends) * 1e9


def queue_of(starts: Floats, ends: Floats, seconds: float) -> tuple[bool | None, float | None, str]:
    stable, growth, says = _queue(starts, ends, Span(0.0, seconds * 1e9, "", "whole", seconds * 1e9))
    return stable, growth.value, says


def test_a_short_loop_whose_queue_grows_evenly_is_called_that() -> None:
    """8 s at 30/s on a server that carries 10/s: it was "too little to tell"."""
    starts = np.arange(240) / 30 * 1e9
    ends = starts[0] + (np.arange(240) + 1) / 10 * 1e9
    stable, growth, says = queue_of(starts, ends, 8.0)
    assert stable is False and growth == pytest.approx(20, rel=0.03)
    assert says.startswith("the queue grows by 20 requests/s")


@pytest.mark.parametrize("capacity", [10.0, 15.0])
def test_most_short_overloads_are_found(capacity: float) -> None:
    found = [queue_of(*served(30, capacity, servers, 8.0, seed), 8.0)[0] for servers in (1, 8) for seed in range(15)]
    assert found.count(False) >= 25 and True not in found


@pytest.mark.parametrize("load", [0.5, 0.9])
@pytest.mark.parametrize("servers", [4, 60, 500])
def test_a_short_run_that_only_fills_up_is_not(load: float, servers: int) -> None:
    found = [queue_of(*served(30, 30 / load, servers, 8.0, seed), 8.0)[0] for seed in range(25)]
    assert found.count(False) <= 1
