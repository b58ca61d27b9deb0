from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from loadcell.metrics.dependence import inflation, sample_inflation
from loadcell.metrics.interval import PERMILLE, batch_slots, rate_interval


@given(arrays(np.float64, st.integers(0, 300), elements=st.integers(-3, 3)))
def test_it_is_finite_and_at_least_one_whatever_the_values(values: np.ndarray) -> None:
    found = sample_inflation(values, PERMILLE.values())
    assert 1 <= found.overall < np.inf
    assert all(1 <= vif < np.inf for vif in found.at.values())


@given(arrays(np.float64, st.integers(1, 300), elements=st.integers(-50, 50)))
def test_only_the_order_of_the_values_counts(values: np.ndarray) -> None:
    assert sample_inflation(np.exp(values), PERMILLE.values()) == sample_inflation(values, PERMILLE.values())


@pytest.mark.parametrize(("rho", "vif"), [(0.5, 2.87), (0.9, 17.4)])
def test_of_an_autoregressive_series_it_is_the_known_one(rho: float, vif: float) -> None:
    """(1 + r) / (1 - r), with r the rank correlation 6 / pi asin(rho / 2) of successive values."""
    rng = np.random.default_rng(1)
    shocks = rng.standard_normal(100_000) * np.sqrt(1 - rho**2)
    series = np.empty_like(shocks)
    series[0] = shocks[0]
    for i in range(1, series.size):
        series[i] = rho * series[i - 1] + shocks[i]
    assert sample_inflation(series, []).overall == pytest.approx(vif, rel=0.35)
    assert sample_inflation(series, []).overall >= vif * 0.95


def test_slow_requests_in_runs_cost_the_tail_and_not_the_median() -> None:
    rng = np.random.default_rng(2)
    values = rng.lognormal(0, 0.3, 10_000)
    for start in range(200, 10_000, 500):
        values[start : start + 5] += 20.0
    found = sample_inflation(values, PERMILLE.values())
    assert found.at[500] < 1.5 and found.at[990] > 5


def test_two_rare_events_side_by_side_are_no_run() -> None:
    rare = np.zeros(300)
    rare[[40, 150, 151]] = 1.0
    assert inflation(rare) == 1.0
    rare[152] = 1.0
    assert inflation(rare) > 1.0


def test_a_slow_wave_is_seen_by_the_batches() -> None:
    rng = np.random.default_rng(3)
    values = rng.standard_normal(2000) + 0.3 * np.sin(np.arange(2000) / 2000 * 4 * np.pi)
    assert sample_inflation(values, []).overall > 2


def test_values_that_are_all_equal_depend_on_nothing() -> None:
    assert sample_inflation(np.ones(1000), PERMILLE.values()).at[990] == 1.0


def test_alternation_does_not_earn_more_than_independence() -> None:
    assert inflation(np.tile([0.0, 1.0], 500)) == 1.0


def test_batches_of_a_window() -> None:
    assert batch_slots(np.array([0.0, 4.99, 5.0, 99.9, 100.0]), 0, 100).tolist() == [0, 0, 1, 19, 19]
    assert batch_slots(np.array([3.0]), 3, 3).tolist() == [0]


def test_a_rate_of_few_events_has_no_interval() -> None:
    assert rate_interval(np.ones(20), 10.0, 39) is None
    steady = rate_interval(np.full(20, 5.0), 10.0, 100)
    assert steady is not None and (steady.low, steady.high) == (10, 10)


def test_neighbouring_batches_alike_widen_the_interval_of_a_rate() -> None:
    up_and_down = np.array([90.0, 110.0] * 10)
    halves = np.sort(up_and_down)
    narrow, wide = (rate_interval(amounts, 20.0, 2000) for amounts in (up_and_down, halves))
    assert narrow is not None and wide is not None
    assert narrow.low + narrow.high == pytest.approx(wide.low + wide.high) == 200
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
