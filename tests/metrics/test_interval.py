from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loadcell.metrics.interval import (
    ALPHA,
    PERMILLE,
    floor_of,
    interval_ranks,
    percentile_ranks,
    rank_of,
    summarise_array,
    wilson,
)


def coverage(permille: int, n: int) -> float:
    """Probability that the interval holds the true quantile of a continuous distribution."""
    low, high = interval_ranks(permille, n)
    assert high is not None
    below = 0.0 if low is None else float(stats.binom.cdf(low - 1, n, permille / 1000))
    return float(stats.binom.cdf(high - 1, n, permille / 1000)) - below


def test_floors_are_the_one_sided_ones() -> None:
    assert [floor_of(p) for p in PERMILLE.values()] == [5, 29, 59, 299, 2995]


@pytest.mark.parametrize(("n", "ranks"), [(500, (490, 500)), (1000, (983, 997)), (5000, (4936, 4964))])
def test_ranks_of_p99_are_the_published_ones(n: int, ranks: tuple[int, int]) -> None:
    assert interval_ranks(990, n) == ranks


@given(st.sampled_from(sorted(PERMILLE.values())), st.integers(0, 20_000))
def test_every_interval_covers_95_percent(permille: int, extra: int) -> None:
    n = floor_of(permille) + extra
    assert coverage(permille, n) >= 1 - ALPHA - 1e-12
    low, high = interval_ranks(permille, n)
    assert (low or 1) <= rank_of(permille, n) <= (high or 0) <= n


@pytest.mark.parametrize("permille", PERMILLE.values())
def test_below_the_floor_there_is_neither_value_nor_interval(permille: int) -> None:
    assert percentile_ranks(permille, floor_of(permille) - 1) == (None, None, None)
    assert percentile_ranks(permille, floor_of(permille)).value is not None


def test_between_the_floors_the_upper_end_is_the_maximum() -> None:
    assert interval_ranks(990, 300)[1] == 300
    assert interval_ranks(990, 367)[1] == 367
    assert interval_ranks(500, 5) == (None, 5)  # the minimum is not low enough to be a lower end


def test_simulated_coverage_of_p90() -> None:
    rng = np.random.default_rng(7)
    true = float(stats.lognorm.ppf(0.9, 0.5))
    hits = 0
    for _ in range(1000):
        p90 = summarise_array(rng.lognormal(0, 0.5, 200)).p90
        assert p90.low is not None and p90.high is not None
        hits += p90.low <= true <= p90.high
    assert 0.945 <= hits / 1000 <= 0.99


def test_gaps_of_few_requests_give_a_wide_interval_or_none() -> None:
    assert percentile_ranks(990, 100_000, 100) == (99_000, None, None)
    wide, narrow = percentile_ranks(500, 100_000, 100), percentile_ranks(500, 100_000, 100_000)
    assert wide.low is not None and narrow.low is not None and wide.low < narrow.low
    assert percentile_ranks(990, 1000, 1000) == percentile_ranks(990, 1000)


def test_percentiles_are_nearest_ranks_without_interpolation() -> None:
    values = np.arange(1, 1001, dtype=np.float64)[::-1]
    summary = summarise_array(values)
    assert (summary.p50.value, summary.p90.value, summary.p95.value, summary.p99.value) == (500, 900, 950, 990)
    assert summary.p99_9.value is None and summary.p99_9.needs == 2995
    assert summary.max == 1000 and summary.mean == 500.5


def test_nan_is_left_out_and_nothing_is_nothing() -> None:
    summary = summarise_array(np.array([np.nan, 3.0, np.nan]), 2.0)
    assert (summary.n, summary.mean, summary.max) == (1, 1.5, 1.5)
    empty = summarise_array(np.array([np.nan]))
    assert (empty.n, empty.mean, empty.max, empty.p50.value) == (0, None, None, None)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(case: tuple[int, int]) -> None:
    successes, n = case
    theirs = stats.binomtest(successes, n).proportion_ci(method="wilson")
    ours = wilson(successes, n)
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)


def test_wilson_of_nothing_is_nothing() -> None:
    assert wilson(0, 0).value is None
    assert wilson(None, 5).value is None
