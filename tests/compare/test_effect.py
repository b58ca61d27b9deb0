"""The statistics of a comparison against published figures and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loadcell.compare.effect import between_runs, holm, needed, within_runs
from loadcell.compare.figures import Figure, quantile_grid
from loadcell.metrics.interval import wilson


def proportion(successes: int, n: int) -> Figure:
    share = wilson(successes, n)
    return Figure(share.value, n, share.low, share.high)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [((48, 80), (56, 70), 0.0524, 0.3339), ((3, 10), (9, 10), 0.1705, 0.8090), ((0, 20), (10, 20), 0.2605, 0.7010)],
)
def test_newcombes_intervals(first: tuple[int, int], second: tuple[int, int], low: float, high: float) -> None:
    """Newcombe 1998, table II, method 10, and its rule by hand for 0 of 20."""
    effect = within_runs(proportion(*first), proportion(*second), relative=False)
    if first == (0, 20):
        (_, u1), (l2, u2) = (stats.binomtest(k, 20).proportion_ci(method="wilson") for k in (0, 10))
        low, high = 0.5 - np.hypot(0.5 - l2, u1), 0.5 + np.hypot(u2 - 0.5, 0)
    assert effect.low == pytest.approx(low, abs=1e-4)
    assert effect.high == pytest.approx(high, abs=1e-4)


def test_newcombes_p_agrees_with_its_interval() -> None:
    """Just significant where the interval just excludes 0."""
    for successes in range(40, 70):
        effect = within_runs(proportion(40, 100), proportion(successes, 100), relative=False)
        assert effect.low is not None and effect.high is not None and effect.p is not None
        assert (effect.p < 0.05) == (effect.low > 0 or effect.high < 0)


def test_welch_is_scipys() -> None:
    rng = np.random.default_rng(5)
    for sizes in ((3, 3), (4, 9), (20, 5)):
        a, b = (rng.lognormal(3, 0.1 * (i + 1), n) for i, n in enumerate(sizes))
        found = between_runs(a.tolist(), b.tolist(), relative=True)
        asked = stats.ttest_ind(np.log(b), np.log(a), equal_var=False)
        interval = asked.confidence_interval(0.95)
        assert found.p == pytest.approx(asked.pvalue)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_a_single_run_borrows_the_spread_of_the_other_side() -> None:
    """Then it is the interval of one further observation."""
    a = [1.0, 2.0, 3.0, 4.0]
    found = between_runs(a, [2.5], relative=False)
    half = stats.t.ppf(0.975, 3) * np.std(a, ddof=1) * np.sqrt(1 + 1 / 4)
    assert (found.low, found.high) == pytest.approx((-half, half))
    assert "borrow" not in found.method and "takes the other's spread" in found.method


def test_runs_that_are_all_equal_differ_surely_or_not_at_all() -> None:
    assert between_runs([2.0] * 3, [2.0] * 3, relative=True).p == 1
    assert between_runs([2.0] * 3, [3.0] * 3, relative=True).p == 0


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30))
def test_holm_is_by_its_definition(p_values: list[float | None]) -> None:
    """Never less than the p-value, never more than Bonferroni's, in its order, missing where it is missing."""
    found = holm(p_values)
    known = [(p, h) for p, h in zip(p_values, found, strict=True) if p is not None and h is not None]
    assert [h is None for h in found] == [p is None for p in p_values]
    assert all(p <= h <= min(1, p * len(known)) + 1e-12 for p, h in known)
    ranked = sorted(known)
    assert [h for _, h in ranked] == sorted(h for _, h in ranked)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_swapping_the_sides_mirrors_the_effect() -> None:
    rng = np.random.default_rng(1)
    sides = []
    for scale in (50, 55):
        ordered = np.sort(rng.lognormal(np.log(scale), 0.5, 700))
        sides.append(Figure(float(ordered[349]), 700, grid=quantile_grid(ordered, 0.5, 700)))
    there, back = within_runs(sides[0], sides[1], True), within_runs(sides[1], sides[0], True)
    assert there.low is not None and back.high is not None
    assert (there.effect, there.low, there.p) == pytest.approx((-back.effect, -back.high, back.p))


def test_a_gap_of_zero_is_compared_without_a_logarithm_of_zero() -> None:
    zeros, some = np.zeros(100), np.full(100, 10.0)
    a, b = (Figure(float(x[0]), 100, grid=quantile_grid(x, 0.5, 100)) for x in (zeros, some))
    assert within_runs(a, a, True).effect == 0
    effect = within_runs(a, b, True)
    assert np.isfinite(effect.effect) and effect.effect > 0


def test_without_an_interval_there_is_no_finding() -> None:
    effect = within_runs(Figure(1.0, 10, None, 2.0), Figure(1.5, 10, 1.0, 2.0), True)
    assert (effect.low, effect.p, needed(effect, 0.05, 1)) == (None, None, None)


def test_more_tests_need_more_requests() -> None:
    effect = within_runs(proportion(500, 1000), proportion(520, 1000), relative=False)
    one, many = needed(effect, 0.05, 1), needed(effect, 0.05, 16)
    # n = (p q + p q) ((z_0.975 + z_0.8) / d)^2, the textbook's formula for two proportions
    assert one == pytest.approx(2 * 0.25 * ((1.96 + 0.8416) / 0.05) ** 2, rel=0.02)
    assert many is not None and one is not None and 1.5 < many / one < 2
