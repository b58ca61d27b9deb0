from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.spec import Arrivals, parse_arrivals
from loadcell.workload.arrivals import MAX_REQUESTS, planned_ns

POISSON, CONSTANT, GAMMA = parse_arrivals("poisson"), parse_arrivals("constant"), parse_arrivals("gamma:2")
KINDS = st.sampled_from([POISSON, CONSTANT, GAMMA, parse_arrivals("gamma:0.3")])


def dispersion(times_ns: NDArray[np.int64], bin_ns: int) -> float:
    """Variance over mean of the counts in bins: 1 for Poisson."""
    counts = np.bincount(times_ns // bin_ns)[:-1]
    return float(counts.var() / counts.mean())


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_poisson_counts_are_poisson_however_many_workers_share_them(workers: int) -> None:
    times = planned_ns(POISSON, 200.0, seed=5, duration_s=1000.0)
    slices = [times[w::workers] for w in range(workers)]
    pooled = np.sort(np.concatenate(slices))
    assert dispersion(pooled, 10**9) == pytest.approx(1, abs=0.15)
    assert len(np.unique(pooled)) > 0.999 * len(pooled)  # workers that draw alike would send in step


def test_poisson_gaps_are_exponential_and_independent() -> None:
    gaps = np.diff(planned_ns(POISSON, 100.0, seed=1, requests=100_000), prepend=0) / 1e9
    assert gaps.mean() == pytest.approx(0.01, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.02)
    assert np.mean(gaps > 0.03) == pytest.approx(np.exp(-3), abs=0.003)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 0.015


def test_the_count_keeps_its_variance_and_nothing_falls_on_the_end() -> None:
    runs = [planned_ns(POISSON, 10.0, seed=seed, duration_s=10.0) for seed in range(400)]
    counts = np.array([len(run) for run in runs])
    assert counts.mean() == pytest.approx(100, abs=2)
    assert counts.var() == pytest.approx(100, rel=0.25)
    last = np.array([run[-1] for run in runs]) / 1e9
    assert last.max() < 10 and (10 - last).mean() == pytest.approx(0.1, rel=0.2)
    first = np.array([run[0] for run in runs]) / 1e9
    assert first.mean() == pytest.approx(0.1, rel=0.2)


def test_constant_does_not_drift_by_a_nanosecond() -> None:
    times = planned_ns(CONSTANT, 3.0, seed=0, requests=300_001)
    assert times[0] == 0 and times[300_000] == 100_000 * 10**9
    assert np.all(np.abs(times - np.arange(300_001) * 1e9 / 3) <= 0.5)
    gaps = np.diff(planned_ns(CONSTANT, 250.0, seed=0, requests=1000))
    assert gaps.std() == 0


@pytest.mark.parametrize(
    ("rate", "duration_s", "rows"), [(10.0, 0.3, 3), (3.0, 1.0, 3), (7.0, 3.0, 21), (0.1, 30.0, 3)]
)
def test_constant_has_rate_times_duration_arrivals(rate: float, duration_s: float, rows: int) -> None:
    assert len(planned_ns(CONSTANT, rate, seed=0, duration_s=duration_s)) == rows


@pytest.mark.parametrize("cv", [0.5, 1.0, 3.0])
def test_gamma_gaps_have_the_asked_variation(cv: float) -> None:
    gaps = np.diff(planned_ns(Arrivals("gamma", cv), 50.0, seed=2, requests=200_000), prepend=0)
    assert gaps.mean() == pytest.approx(2e7, rel=0.05)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


@given(kind=KINDS, seed=st.integers(0, 2**80), n=st.integers(1, 500), more=st.integers(0, 500), ramp=st.floats(0, 20))
def test_a_longer_schedule_begins_with_the_shorter(kind: Arrivals, seed: int, n: int, more: int, ramp: float) -> None:
    short = planned_ns(kind, 25.0, seed=seed, requests=n, ramp_s=ramp)
    long = planned_ns(kind, 25.0, seed=seed, requests=n + more, ramp_s=ramp)
    assert len(short) == n and np.array_equal(long[:n], short)
    assert short[0] >= 0 and np.all(np.diff(short) >= 0)


def test_the_beginning_does_not_depend_on_how_the_run_ends() -> None:
    by_count = planned_ns(POISSON, 1000.0, seed=3, requests=200_000)
    by_time = planned_ns(POISSON, 1000.0, seed=3, duration_s=150.0)
    assert len(by_time) > 140_000  # more than one block of draws
    assert np.array_equal(by_count[: len(by_time)], by_time) and by_count[len(by_time)] >= 150 * 10**9


@given(kind=KINDS, n=st.integers(1, 300), duration=st.floats(0.01, 20), ramp=st.floats(0, 10))
def test_the_first_end_reached_ends_the_schedule(kind: Arrivals, n: int, duration: float, ramp: float) -> None:
    times = planned_ns(kind, 20.0, seed=1, requests=n, duration_s=duration, ramp_s=ramp)
    by_count = planned_ns(kind, 20.0, seed=1, requests=n, ramp_s=ramp)
    assert np.array_equal(times, by_count[by_count < round(duration * 1e9)])


def test_a_ramp_rises_linearly() -> None:
    times = planned_ns(POISSON, 400.0, seed=9, duration_s=200.0, ramp_s=100.0) / 1e9
    for until, expected in ((25.0, 1250), (50.0, 5000), (100.0, 20_000), (200.0, 60_000)):
        assert np.sum(times < until) == pytest.approx(expected, abs=4 * expected**0.5)
    constant = planned_ns(CONSTANT, 10.0, seed=0, duration_s=20.0, ramp_s=10.0)
    assert len(constant) == 150  # 10 * (20 - 10/2)
    assert np.ptp(np.diff(constant[constant > 10 * 10**9])) <= 1


def test_seeds_differ() -> None:
    one, two = (planned_ns(POISSON, 10.0, seed=seed, requests=50) for seed in (1, 2))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    "end", [{}, {"requests": MAX_REQUESTS + 1}, {"duration_s": 1e9}, {"requests": 10**9, "duration_s": 1e9}]
)
def test_a_run_needs_an_end_within_bounds(end: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"no end|more than the"):
        planned_ns(POISSON, 100.0, seed=0, **end)  # type: ignore[arg-type]


def test_a_rate_that_takes_centuries_is_refused() -> None:
    with pytest.raises(UsageError, match="centuries"):
        planned_ns(CONSTANT, 1e-12, seed=0, requests=2)
