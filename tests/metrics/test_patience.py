"""Times of which some are only known to be longer: against SciPy's estimator, and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loadcell.metrics.survival import quantiles, survival


@given(
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=60).filter(
        lambda pairs: any(came for _, came in pairs)
    )
)
def test_it_is_the_estimator_of_kaplan_and_meier(pairs: list[tuple[int, bool]]) -> None:
    """SciPy's, which shares no code with it, ties among observed and censored times included."""
    times, came = np.array([t for t, _ in pairs], float), np.array([c for _, c in pairs])
    at, lasts, _ = survival(times, came)
    known = stats.ecdf(stats.CensoredData(uncensored=times[came], right=times[~came])).sf
    np.testing.assert_allclose(lasts, known.evaluate(at), atol=1e-12)


def test_without_anyone_who_gave_up_it_is_the_nearest_rank() -> None:
    times = np.random.default_rng(1).permutation(np.arange(1.0, 1001.0))
    found = quantiles(times, np.ones(1000, bool), unit=1.0)
    assert {name: one.value for name, one in found.items()} == {
        "p50": 500, "p90": 900, "p95": 950, "p99": 990, "p99_9": 999,
    }  # fmt: skip
    assert all(one.low is not None and one.low <= (one.value or 0) for one in found.values())


def test_what_nobody_waited_for_is_not_told() -> None:
    """Patience of 10 for all, and a third takes longer: p50 is known, p90 is only beyond 10."""
    times = np.minimum(np.arange(1.0, 16.0), 10.0).repeat(20)
    found = quantiles(times, np.arange(1.0, 16.0).repeat(20) <= 10, unit=1.0)
    assert found["p50"].value == 8.0
    assert found["p90"].value is None and found["p90"].low is None and found["p90"].open


@pytest.mark.usefixtures("thorough")
def test_simulated_users_who_give_up() -> None:
    """TTFT lognormal (median 2 s), patience lognormal (median 4 s), independent: a quarter gives up. The estimate has
    no bias and its interval covers the truth in 95 % of runs; leaving them out would be far off."""
    rng, runs, n = np.random.default_rng(18), 200, 2000
    truth = {name: 2 * np.exp(0.8 * stats.norm.ppf(p)) for name, p in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95))}
    values: dict[str, list[float]] = {name: [] for name in truth}
    naive: dict[str, list[float]] = {name: [] for name in truth}
    covered = dict.fromkeys(truth, 0)
    for _ in range(runs):
        ttft = 2 * np.exp(0.8 * rng.standard_normal(n))
        patience = 4 * np.exp(0.8 * rng.standard_normal(n))
        came = ttft <= patience
        found = quantiles(np.minimum(ttft, patience), came, unit=1.0)
        for name, true in truth.items():
            one = found[name]
            values[name].append(np.inf if one.value is None else one.value)
            naive[name].append(float(np.quantile(ttft[came], {"p50": 0.5, "p90": 0.9, "p95": 0.95}[name])))
            low, high = one.low or 0.0, np.inf if one.high is None else one.high
            covered[name] += low <= true <= high
    for name, true in truth.items():
        assert np.median(values[name]) == pytest.approx(true, rel=0.03), name
        assert covered[name] / runs > 0.92, name
    assert np.median(naive["p90"]) < 0.7 * truth["p90"]
