"""Thinning is honest: what is kept is exact, and the extremes are kept."""

from __future__ import annotations

import made_laws
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.metrics.quantile import Histogram
from loadcell.report.detail.bins import BINS, add_by_row, bins_of, percentile_ms
from loadcell.report.detail.dots import choose
from loadcell.report.detail.ecdf import of_histogram, of_values
from loadcell.report.detail.model import POINTS

SHAPES = {
    "lognormal": lambda rng, n: rng.lognormal(17, 2, n),
    "ties": lambda rng, n: rng.integers(1, 30, n) * 1e6,
    "two": lambda rng, n: np.where(rng.random(n) < 0.01, 5e9, 1e7),
    "wide": lambda rng, n: 10 ** rng.uniform(0, 14, n),
    "one": lambda rng, n: np.full(n, 7e6),
}
shapes = st.sampled_from(sorted(SHAPES))
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 20_000)


def values_of(shape: str, seed: int, n: int) -> np.ndarray:
    return np.floor(SHAPES[shape](np.random.default_rng(seed), n))


@given(shapes, seeds, sizes)
@settings(deadline=None, max_examples=60)
def test_every_point_of_an_ecdf_is_exact(shape: str, seed: int, n: int) -> None:
    values = values_of(shape, seed, n)
    ecdf = of_values(np.append(values, [np.nan, np.nan]))
    assert ecdf is not None and ecdf.n == n
    made_laws.check_ecdf(ecdf)
    ordered = np.sort(values) / 1e6
    assert (ecdf.x_ms[0], ecdf.x_ms[-1]) == (ordered[0], ordered[-1])
    assert np.array_equal(ecdf.share, np.searchsorted(ordered, ecdf.x_ms, side="right") / n)
    assert ecdf.exact == (len(np.unique(values)) <= POINTS) == (len(ecdf.x_ms) == len(np.unique(values)))


@given(shapes, seeds, sizes)
@settings(deadline=None, max_examples=60)
def test_no_step_of_an_ecdf_hides_much(shape: str, seed: int, n: int) -> None:
    values = values_of(shape, seed, n)
    ecdf = of_values(values)
    assert ecdf is not None
    ordered = np.sort(values) / 1e6
    # What lies between two kept points: less than 1 % of the samples, and less than a fifth of what is above.
    below = np.searchsorted(ordered, ecdf.x_ms[1:], side="left") / n
    hidden = below - np.array(ecdf.share[:-1])
    assert np.all(hidden <= 0.01)
    assert np.all(hidden <= 0.2 * (1 - np.array(ecdf.share[:-1])) + 1.5 / n)
    assert np.all(hidden <= 0.2 * below + 1.5 / n)


@given(shapes, seeds, sizes)
@settings(deadline=None, max_examples=60)
def test_counted_gaps_have_the_ecdf_of_the_gaps_themselves(shape: str, seed: int, n: int) -> None:
    values = values_of(shape, seed, n).astype(np.int64)
    gaps = Histogram()
    gaps.add(values)
    ecdf = of_histogram(gaps, int(values.min()), int(np.count_nonzero(values == values.min())))
    assert ecdf is not None and ecdf.n == n and not ecdf.exact
    made_laws.check_ecdf(ecdf)
    ordered = np.sort(values) / 1e6
    assert (ecdf.x_ms[0], ecdf.x_ms[-1]) == (ordered[0], ordered[-1])
    assert np.array_equal(ecdf.share, np.searchsorted(ordered, np.array(ecdf.x_ms), side="right") / n)


def test_no_values_have_no_ecdf() -> None:
    assert of_values(np.array([np.nan])) is None
    assert of_histogram(Histogram(), 0, 0) is None


@given(st.lists(st.integers(0, 2**39), min_size=1, max_size=500), st.sampled_from([500, 900, 990]))
def test_a_binned_percentile_is_within_1_percent(values: list[int], permille: int) -> None:
    gaps = np.sort(np.array(values))
    counts = np.bincount(bins_of(gaps), minlength=BINS)
    told = percentile_ms(counts, permille, float(gaps[0]), float(gaps[-1]))
    true = gaps[-(-permille * gaps.size // 1000) - 1] / 1e6
    assert told is not None and abs(told - true) <= 0.01 * true + 0.001024
    assert gaps[0] / 1e6 <= told <= gaps[-1] / 1e6


def test_gaps_longer_than_all_bins_share_the_last() -> None:
    assert bins_of(np.array([0, 1023, 1024, 2**40 - 1, 2**50])).tolist() == [0, 0, 1, BINS - 1, BINS - 1]
    assert percentile_ms(np.zeros(BINS, dtype=np.int64), 500, 0, 0) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, BINS - 1), st.booleans()), min_size=1, max_size=200))
def test_counting_by_row_leaves_out_what_is_no_gap(events: list[tuple[int, int, bool]]) -> None:
    row, bins, none = (np.array(column) for column in zip(*events, strict=True))
    counts = np.zeros((10, BINS), dtype=np.int64)
    add_by_row(counts, row, bins.astype(np.int32), np.flatnonzero(none))
    expected = np.zeros_like(counts)
    np.add.at(expected, (row[~none], bins[~none]), 1)
    assert np.array_equal(counts, expected)


@given(st.integers(2001, 6000), seeds, st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_the_sample_of_requests_keeps_extremes_and_failures(n: int, seed: int, failing: float) -> None:
    rng = np.random.default_rng(seed)
    failed = rng.random(n) < failing
    figures = [np.where(failed | (rng.random(n) < 0.1), np.nan, rng.lognormal(0, 1, n)) for _ in range(3)]
    chosen, kept = choose(figures, failed, 2000)
    assert np.all(np.diff(chosen) > 0) and kept.size == chosen.size <= 2000
    if np.count_nonzero(~failed) >= 1500:
        assert chosen.size == 2000
    always = chosen[kept]
    for values in figures:
        known = np.sort(values[~np.isnan(values)])
        if known.size:
            assert np.all(np.isin([known[0], known[-1]], values[always]))
    assert np.count_nonzero(failed[chosen]) == min(500, np.count_nonzero(failed))
    again, _ = choose(figures, failed, 2000)
    assert np.array_equal(chosen, again)


def test_those_drawn_by_lot_are_drawn_evenly() -> None:
    n = 100_000
    chosen, kept = choose([np.random.default_rng(3).random(n)], np.zeros(n, dtype=bool), 2000)
    counts = np.bincount(chosen[~kept] // (n // 10), minlength=10)
    expected = counts.sum() / 10
    assert ((counts - expected) ** 2 / expected).sum() < 27.9  # chi-square with 9 degrees of freedom, 1 in 1,000
