"""Simulated coverage: how often an interval holds what it claims to hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import signal, stats

from loadcell.metrics.dependence import inflation
from loadcell.metrics.interval import PERMILLE, interval_ranks, rate_interval, summarise_array, wilson

Floats = npt.NDArray[np.float64]
NAMES = ("p50", "p90", "p95", "p99")


def coverage(series: Floats, truth: Callable[[float], float]) -> dict[str, tuple[int, int]]:
    """By percentile: intervals given and intervals that hold the truth, one series a row."""
    counts = {name: [0, 0] for name in NAMES}
    for row in series:
        summary = summarise_array(row)
        for name in NAMES:
            estimate = getattr(summary, name)
            if estimate.value is not None:
                true = truth(PERMILLE[name] / 1000)
                counts[name][0] += 1
                counts[name][1] += (estimate.low is None or estimate.low <= true) and true <= estimate.high
    return {name: (given, hits) for name, (given, hits) in counts.items()}


def expected(permille: int, n: int) -> float:
    """Exact coverage of the interval of n independent samples."""
    low, high = interval_ranks(permille, n)
    assert high is not None
    return float(stats.binom.cdf(high - 1, n, permille / 1000) - stats.binom.cdf((low or 0) - 1, n, permille / 1000))


def autoregressive(rng: np.random.Generator, runs: int, n: int, rho: float) -> Floats:
    shocks = rng.standard_normal((runs, n)) * np.sqrt(1 - rho**2)
    shocks[:, 0] /= np.sqrt(1 - rho**2)
    series: Floats = signal.lfilter([1], [1, -rho], shocks, axis=1)
    return series


def queue(rng: np.random.Generator, runs: int, n: int, load: float) -> Floats:
    """Times in an M/M/1 queue in its steady state (Lindley's recursion): exponential with rate 1 - load."""
    gaps, services = rng.exponential(1 / load, (n, runs)), rng.exponential(1, (n, runs))
    wait = rng.exponential(1 / (1 - load), runs) * (rng.random(runs) < load)
    times = np.empty((n, runs))
    for i in range(n):
        times[i] = wait + services[i]
        wait = np.maximum(0, times[i] - gaps[i])
    return times.T


@pytest.mark.parametrize("law", [stats.norm(), stats.lognorm(1)], ids=["normal", "lognormal"])
@pytest.mark.parametrize(("n", "runs"), [(100, 150), (400, 150), (1000, 150), (5000, 80)])
def test_independent_samples(law: stats.rv_continuous, n: int, runs: int) -> None:
    """Against the exact coverage, which is 95 % or little more, but for p95 of 100 (98.5 %) and p99 of 400 (96.3 %) and
    1000 (97.2 %): ranks are whole numbers, and a narrower pair of them would cover less than 95 %."""
    rng = np.random.default_rng(n + (law.dist.name == "norm"))
    found = coverage(law.rvs(size=(runs, n), random_state=rng), law.ppf)
    for name, (given, hits) in found.items():
        if n == 100 and name == "p99":
            assert given == 0
            continue
        exact = expected(PERMILLE[name], n)
        assert 0.95 <= exact < 0.986
        assert given >= 0.98 * runs
        assert abs(hits / given - exact) < 4 * np.sqrt(exact * (1 - exact) / given) + 0.005


def test_independent_samples_pooled_cover_what_they_claim() -> None:
    """Normal, the sizes and percentiles at which whole ranks come close to 95 %."""
    rng = np.random.default_rng(11)
    given = hits = 0
    for n, names in ((400, ("p50", "p90")), (1000, ("p50", "p90", "p95"))):
        found = coverage(rng.standard_normal((250, n)), stats.norm.ppf)
        given += sum(found[name][0] for name in names)
        hits += sum(found[name][1] for name in names)
    assert 0.93 <= hits / given <= 0.97


@pytest.mark.parametrize("n", [299, 305, 310])
def test_independent_samples_just_enough_for_p99_keep_it(n: int) -> None:
    rng = np.random.default_rng(n)
    assert np.mean([summarise_array(row).p99.value is not None for row in rng.lognormal(size=(200, n))]) > 0.985


@pytest.mark.parametrize(("rho", "least"), [(0.5, 0.90), (0.9, 0.88)])
@pytest.mark.parametrize(("n", "runs"), [(1000, 150), (5000, 80), (20_000, 40)])
def test_autoregressive_samples(rho: float, least: float, n: int, runs: int) -> None:
    rng = np.random.default_rng(n)
    found = coverage(autoregressive(rng, runs, n, rho), stats.norm.ppf)
    for given, hits in found.values():
        assert hits >= least * given
    must = NAMES[: 2 if n == 1000 and rho > 0.5 else 3 if n < 20_000 else 4]
    assert all(found[name][0] >= 0.9 * runs for name in must)
    if n == 1000 and rho > 0.5:
        assert found["p99"][0] == 0  # worth some 57 samples, of the 299 needed


@pytest.mark.parametrize(("load", "n", "runs"), [(0.7, 5000, 100), (0.7, 20_000, 40), (0.9, 20_000, 40)])
def test_a_queue_near_saturation(load: float, n: int, runs: int) -> None:
    """The longest times come in runs and depend on each other far longer than the ranks' lag-1 correlation tells."""
    found = coverage(queue(np.random.default_rng(n), runs, n, load), lambda p: -np.log(1 - p) / (1 - load))
    for name in ("p50", "p90", "p95"):
        given, hits = found[name]
        assert given >= 0.7 * runs and hits >= 0.86 * given


def test_without_the_correction_the_same_samples_cover_half() -> None:
    """What the tests above would find if dependence were ignored."""
    series = np.sort(autoregressive(np.random.default_rng(1000), 200, 1000, 0.9), axis=1)
    low, high = interval_ranks(950, 1000)
    assert low is not None and high is not None
    true = stats.norm.ppf(0.95)
    assert np.mean((series[:, low - 1] <= true) & (true <= series[:, high - 1])) < 0.65


@pytest.mark.parametrize("stay", [0.0, 0.8])
def test_proportions(stay: float) -> None:
    """Hits and misses that stay as they were with probability `stay`, else are drawn anew: 90 % hits."""
    rng, runs, n, share = np.random.default_rng(6), 400, 2000, 0.9
    fresh, keep = rng.random((runs, n)) < share, rng.random((runs, n)) < stay
    keep[:, 0] = False
    last = np.maximum.accumulate(np.where(keep, 0, np.arange(n)), axis=1)
    met = np.take_along_axis(fresh, last, axis=1).astype(np.float64)
    intervals = [wilson(int(row.sum()), n, n / inflation(row)) for row in met]
    held = np.mean([i.low is not None and i.high is not None and i.low <= share <= i.high for i in intervals])
    assert 0.92 <= held <= 0.99
    if stay:
        plain = [wilson(int(row.sum()), n) for row in met]
        assert np.mean([(i.low or 0) <= share <= (i.high or 0) for i in plain]) < 0.7


@pytest.mark.parametrize(
    ("memory", "least"), [(0.0, 0.93), (0.2, 0.93), (0.5, 0.91), (0.6, 0.85)], ids=lambda x: f"{x:g}"
)
def test_rates(memory: float, least: float) -> None:
    """Poisson counts of 20 batches whose rate has this correlation from a batch to the next."""
    rng, runs = np.random.default_rng(8), 1500
    rates = 50 * (1 + 0.1 * autoregressive(rng, runs, 20, memory))
    counts = rng.poisson(np.maximum(rates, 1)).astype(np.float64)
    intervals = [rate_interval(row, 20.0, int(row.sum())) for row in counts]
    held = np.mean([i is not None and i.low <= 50 <= i.high for i in intervals])
    assert least <= held <= 0.985
