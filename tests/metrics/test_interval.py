from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from loadcell.metrics.dependence import Effective
from loadcell.metrics.interval import (
    ALPHA,
    PERMILLE,
    Moments,
    floor_of,
    interval_ranks,
    late_allowed,
    percentile_ranks,
    rank_of,
    shown_from,
    summarise,
    summarise_array,
    wilson,
)
from loadcell.metrics.model import WithFailures

EARLY_STOPPING = {
    500: (7, 11, 14, 17, 22, 35, 59, 128, 237, 451, 1078),
    900: (44, 64, 81, 97, 127, 197, 325, 681, 1246, 2337, 5518),
    950: (90, 130, 165, 198, 259, 398, 656, 1372, 2504, 4691, 11064),
    970: (152, 219, 277, 332, 433, 667, 1097, 2293, 4182, 7831, 18458),
    990: (459, 662, 838, 1001, 1307, 2010, 3304, 6898, 12571, 23527, 55427),
    999: (4603, 6636, 8403, 10042, 13105, 20140, 33097, 69058, 125826, 235427, 554510),
}
"""MLPerf's least number of samples for 0, 1, 2, 3, 5, 10, 20, 50, 100, 200 and 500 late ones, by percentile."""


def coverage(permille: int, n: int) -> float:
    """Probability that the interval holds the true quantile of a continuous distribution."""
    low, high = interval_ranks(permille, n)
    assert high is not None
    below = 0.0 if low is None else float(stats.binom.cdf(low - 1, n, permille / 1000))
    return float(stats.binom.cdf(high - 1, n, permille / 1000)) - below


def test_floors_are_the_one_sided_ones() -> None:
    assert [floor_of(p) for p in PERMILLE.values()] == [5, 29, 59, 299, 2995]


@pytest.mark.parametrize(("n", "ranks"), [(500, (490, 500)), (1000, (983, 997)), (5000, (4936, 4964))])
def test_ranks_of_p99_lie_inside_the_published_equal_tailed_ones(n: int, ranks: tuple[int, int]) -> None:
    """Narrower by ranks that 95 % do not need: the published pairs cover 96.2, 97.2 and 95.3 %."""
    low, high = interval_ranks(990, n)
    assert low is not None and high is not None and ranks[0] <= low < high <= ranks[1]
    assert coverage(990, n) < 0.965


@given(st.sampled_from(sorted(PERMILLE.values())), st.integers(0, 20_000))
def test_every_interval_covers_95_percent(permille: int, extra: int) -> None:
    n = floor_of(permille) + extra
    assert coverage(permille, n) >= 1 - ALPHA - 1e-12
    low, high = interval_ranks(permille, n)
    assert (low or 1) <= rank_of(permille, n) <= (high or 0) <= n


@pytest.mark.parametrize("permille", PERMILLE.values())
def test_a_percentile_is_shown_from_the_samples_on_at_which_it_is_not_the_maximum(permille: int) -> None:
    least = shown_from(permille)
    assert least == round(1 / (1 - permille / 1000))
    assert percentile_ranks(permille, least - 1) == (None, None, None)
    for worth in (0.3, 1, least, None):  # whatever they are worth
        assert percentile_ranks(permille, least, worth).value == rank_of(permille, least)


@given(st.sampled_from(sorted(PERMILLE.values())), st.integers(0, 4000), st.floats(0.5, 4000))
def test_below_the_floor_the_interval_is_open_above_and_its_lower_end_holds_95_percent(
    permille: int, extra: int, worth: float
) -> None:
    n = shown_from(permille) + extra
    ranks, m = percentile_ranks(permille, n, worth), min(n, max(1, round(worth)))
    assert ranks.value is not None
    assert (ranks.high is None) == (m < floor_of(permille))
    assert (ranks.low or 1) <= ranks.value <= (ranks.high or n)
    if ranks.high is None:
        low, _ = interval_ranks(permille, m)
        assert stats.binom.sf((low or 0) - 1, m, permille / 1000) >= 0.95 - 1e-12


def test_an_upper_end_needs_the_whole_sample_to_be_worth_it_too() -> None:
    assert percentile_ranks(990, 3000, 600, 600).high is not None
    assert percentile_ranks(990, 3000, 600, 200).high is None
    assert percentile_ranks(990, 3000, 600, 200).low == percentile_ranks(990, 3000, 200, 200).low


def test_between_the_floors_the_upper_end_is_the_maximum() -> None:
    assert interval_ranks(990, 300)[1] == 300
    assert interval_ranks(990, 367)[1] == 367
    assert interval_ranks(500, 5) == (None, 5)  # the minimum is not low enough to be a lower end


@pytest.mark.usefixtures("thorough")
def test_simulated_coverage_of_p90() -> None:
    rng = np.random.default_rng(7)
    true = float(stats.lognorm.ppf(0.9, 0.5))
    hits = 0
    for _ in range(1000):
        p90 = summarise_array(rng.lognormal(0, 0.5, 200)).p90
        assert p90.low is not None and p90.high is not None
        hits += p90.low <= true <= p90.high
    assert 0.945 <= hits / 1000 <= 0.99


def test_gaps_of_few_requests_give_a_wide_interval_or_an_open_one() -> None:
    assert percentile_ranks(990, 100_000, 298.4).high is None
    assert percentile_ranks(990, 100_000, 299).value == 99_000
    wide, narrow = percentile_ranks(500, 100_000, 100), percentile_ranks(500, 100_000, 100_000)
    assert wide.low is not None and narrow.low is not None and wide.low < narrow.low
    assert percentile_ranks(990, 1000, 1000) == percentile_ranks(990, 1000)


def test_percentiles_are_nearest_ranks_without_interpolation() -> None:
    values = np.random.default_rng(2).permutation(np.arange(1, 1001, dtype=np.float64))
    summary = summarise_array(values)
    assert (summary.p50.value, summary.p90.value, summary.p95.value, summary.p99.value) == (500, 900, 950, 990)
    assert (summary.p99_9.value, summary.p99_9.open, summary.p99_9.high, summary.p99_9.needs) == (999, True, None, 2995)
    assert (summary.min, summary.max, summary.mean) == (1, 1000, 500.5)
    assert summary.sd == pytest.approx(np.std(values, ddof=1))


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


def test_wilson_of_dependent_trials_is_that_of_fewer() -> None:
    assert wilson(900, 1000, 100) == wilson(90, 100)
    assert wilson(900, 1000, 1000) == wilson(900, 1000)


def test_wilson_of_nothing_is_nothing() -> None:
    assert wilson(0, 0).value is None
    assert wilson(None, 5).value is None


@pytest.mark.parametrize("permille", EARLY_STOPPING)
def test_early_stopping_is_mlperfs(permille: int) -> None:
    for late, least in zip((0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500), EARLY_STOPPING[permille], strict=True):
        assert late_allowed(permille, least - 1) == late - 1
        assert late_allowed(permille, least) == late


@pytest.mark.parametrize(
    ("n", "late"), [(1000, 2), (4388, 28), (6396, 45), (8313, 62), (13368, 107), (24576, 209), (48289, 432)]
)
def test_late_samples_that_mlperf_allows_at_p99(n: int, late: int) -> None:
    assert late_allowed(990, n) == late
    assert late_allowed(990, 270336) == 2583
    assert late_allowed(900, 5000) == 450  # LoadGen: "Would discard 449"


@given(st.sampled_from(sorted(EARLY_STOPPING)), st.integers(1, 1_000_000))
def test_late_allowed_is_the_binomial_tail(permille: int, n: int) -> None:
    late = late_allowed(permille, n)
    beyond = 1 - permille / 1000
    assert late < 0 or stats.binom.cdf(late, n, beyond) < 0.01
    assert stats.binom.cdf(late + 1, n, beyond) >= 0.01


def test_the_bound_is_an_order_statistic_and_has_a_floor() -> None:
    values = np.random.default_rng(4).permutation(np.arange(1, 5001, dtype=np.float64))
    assert summarise_array(values).p90.bound == 5000 - 450 + 1
    assert summarise_array(values[:661]).p99.bound is None
    assert summarise_array(values[:662]).p99.bound == values[:662].max()


def test_gaps_of_requests_have_no_bound_because_they_are_not_independent() -> None:
    summary = summarise(
        5000,
        Moments(1.0, None, 1.0, None),
        lambda ranks: {r: float(r) for r in ranks},
        Effective(1000, dict.fromkeys(PERMILLE.values(), 1000)),
        bounded=False,
    )  # fmt: skip
    assert (summary.p99.value, summary.p99.bound, summary.p99.effective, summary.effective) == (4950, None, 1000, 1000)
    assert summary.p99_9.open and summary.p99_9.needs == 2995


def test_what_the_percentile_lacks_is_told_in_effective_samples() -> None:
    rising = summarise_array(np.arange(1000.0))
    assert rising.effective is not None and rising.effective < 5
    assert (rising.p50.value, rising.p50.open, rising.p50.high, rising.p50.needs) == (499, True, None, 5)


def test_failures_count_as_infinite_beside_the_percentiles_of_what_succeeded() -> None:
    values = np.arange(1.0, 96.0)
    summary = summarise_array(values, failed=5)
    assert summary.failed == 5 and summary.n == 95
    found = summary.with_failures
    assert found["p50"] == WithFailures(value=50.0, infinite=False)  # rank 50 of 100
    assert found["p95"] == WithFailures(value=95.0, infinite=False)
    assert found["p99"] == WithFailures(value=None, infinite=True)
    assert "p99_9" not in found and summarise_array(values).with_failures == {}


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_interval_of_a_mean_holds_it(rho: float) -> None:
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(600):
        shocks = rng.standard_normal(600) * np.sqrt(1 - rho**2)
        shocks[0] /= np.sqrt(1 - rho**2)
        within = summarise_array(np.asarray(signal.lfilter([1], [1, -rho], shocks))).mean_interval
        assert within is not None
        held += within.low <= 0 <= within.high
    assert 0.92 <= held / 600 <= 0.985


def test_a_mean_of_few_has_no_interval() -> None:
    assert summarise_array(np.arange(19.0)).mean_interval is None
    assert summarise_array(np.arange(20.0)).mean_interval is not None
    assert summarise_array(np.array([3.0])).sd is None
