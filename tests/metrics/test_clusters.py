"""What pooled gaps are worth, and how often the intervals of their percentiles hold what they claim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from loadcell.metrics.clusters import Clusters
from loadcell.metrics.dependence import rank_of
from loadcell.metrics.interval import percentile_ranks

Floats = npt.NDArray[np.float64]
Simulated = tuple[Floats, Floats]
"""Gaps, one request a row, and when each ended."""
PERMILLES = (500, 950, 990)


def worth(gaps: npt.NDArray[np.generic], times: npt.NDArray[np.generic], edges: list[float]) -> list[float]:
    clusters = Clusters(edges, float(times.min()), float(times.max()))  # type: ignore[arg-type]
    clusters.add(gaps.ravel(), np.full(len(gaps), gaps.shape[1]), times.ravel())  # type: ignore[arg-type]
    return clusters.effective()


def streams(rng: np.random.Generator, gaps: Floats, users: int) -> Simulated:
    """Requests of as many users, each one after the other, with a wait of three gaps before each."""
    n, m = gaps.shape
    rows = gaps[: n - n % users].reshape(-1, users, m)
    rows = np.concatenate([np.full((*rows.shape[:2], 1), 3 * gaps.mean()), rows], axis=2)
    ends = rows.swapaxes(0, 1).reshape(users, -1).cumsum(axis=1) + rng.random((users, 1)) * m * gaps.mean()
    ends = ends.reshape(users, -1, m + 1).swapaxes(0, 1)[:, :, 1:].reshape(-1, m)
    return gaps[: len(ends)], ends


def paces(rng: np.random.Generator, n: int, m: int, *, own: float, level: float, memory: float = 0.0) -> Simulated:
    """Lognormal gaps around a pace of each request, which follows an AR(1) process over the requests."""
    shocks = rng.standard_normal(n) * np.sqrt(1 - memory**2)
    shocks[0] /= np.sqrt(1 - memory**2)
    pace = signal.lfilter([1], [1, -memory], shocks)
    return streams(rng, np.exp(own * rng.standard_normal((n, m)) + level * pace[:, None]), 8)


def lockstep(
    rng: np.random.Generator, n: int, m: int, *, users: int, step: float, own: float, stalls: float = 0.0
) -> Simulated:
    """Continuous batching: all streams in flight share each step, and the stall that may lengthen it to six times."""
    first = np.sort((rng.integers(0, m, users)[:, None] + np.arange(-(-n // users)) * m).ravel())[:n]
    steps = np.exp(step * rng.standard_normal(first.max() + m)) + 5 * (rng.random(first.max() + m) < stalls)
    which = first[:, None] + np.arange(m)
    return steps[which] * np.exp(own * rng.standard_normal((n, m))), np.cumsum(steps)[which]


def lockstep_truth(step: float, own: float, stalls: float) -> Callable[[float], float]:
    rng, size = np.random.default_rng(0), 1_000_000
    steps = np.exp(step * rng.standard_normal(size)) + 5 * (rng.random(size) < stalls)
    ordered = np.sort(steps * np.exp(own * rng.standard_normal(size)))
    return lambda p: float(ordered[int(p * size)])


def lognormal_truth(sigma: float) -> Callable[[float], float]:
    return lambda p: float(np.exp(sigma * stats.norm.ppf(p)))


def coverage(
    simulate: Callable[[np.random.Generator], Simulated], truth: Callable[[float], float], runs: int
) -> dict[int, tuple[int, float]]:
    """By percentile: intervals given, and the share of them that holds the truth."""
    given_, hits = dict.fromkeys(PERMILLES, 0), dict.fromkeys(PERMILLES, 0)
    for run in range(runs):
        gaps, times = simulate(np.random.default_rng(run))
        ordered = np.sort(gaps, axis=None)
        n = ordered.size
        found = worth(gaps, times, [ordered[rank_of(p, n)] for p in PERMILLES])
        for permille, effective in zip(PERMILLES, found, strict=True):
            ranks = percentile_ranks(permille, n, effective)
            if ranks.value is not None:
                low = -np.inf if ranks.low is None else ordered[ranks.low - 1]
                high = np.inf if ranks.high is None else ordered[ranks.high - 1]
                given_[permille] += 1
                hits[permille] += low <= truth(permille / 1000) <= high
    return {p: (given_[p], hits[p] / max(1, given_[p])) for p in PERMILLES}


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("sigma", [0.1, 0.83], ids=["cv 0.1", "cv 1"])
def test_independent_gaps(sigma: float) -> None:
    """The intervals are those of some 80 % of the gaps, for 20 batches only guess at the variance: they cover more."""
    pooled = []
    for n, m, runs in ((104, 100, 300), (400, 50, 150), (200, 300, 80)):
        found = coverage(lambda rng: paces(rng, n, m, own=sigma, level=0), lognormal_truth(sigma), runs)  # noqa: B023
        assert all(count == runs and share >= 0.93 for count, share in found.values()), found
        pooled += [(count, count * share) for count, share in found.values()]
    count, hits = np.sum(pooled, axis=0)
    assert 0.95 <= hits / count <= 0.98


def test_few_independent_gaps_are_worth_most_of_their_number() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(100):
        gaps, times = paces(rng, 104, 100, own=0.3, level=0)
        found.append(worth(gaps, times, [float(np.quantile(gaps, 0.99))])[0] / gaps.size)
    assert 0.7 < np.median(found) < 0.9


@pytest.mark.parametrize(("n", "m", "runs"), [(40, 100, 200), (104, 100, 200), (384, 57, 150)])
def test_requests_that_differ_in_their_pace(n: int, m: int, runs: int) -> None:
    found = coverage(lambda rng: paces(rng, n, m, own=0.1, level=0.1), lognormal_truth(np.hypot(0.1, 0.1)), runs)
    assert all(share >= 0.92 for count, share in found.values() if count), found
    assert found[500][0] >= 0.99 * runs and found[950][0] >= (0.9 * runs if n > 40 else 0)


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("level", [0.1, 0.03])
@pytest.mark.parametrize(("n", "m", "runs"), [(400, 57, 200), (1000, 30, 200)])
def test_a_pace_that_drifts_over_the_requests(n: int, m: int, runs: int, level: float) -> None:
    found = coverage(
        lambda rng: paces(rng, n, m, own=0.1, level=level, memory=0.9), lognormal_truth(np.hypot(0.1, level)), runs
    )
    assert all(share >= 0.9 for _, share in found.values()), found
    assert all(count >= (0.9 if n == 1000 else 0.6) * runs for count, _ in found.values()), found


@pytest.mark.parametrize("users", [8, 64])
def test_streams_that_share_their_steps(users: int) -> None:
    found = coverage(lambda rng: lockstep(rng, 384, 57, users=users, step=0.1, own=0.1),
                     lognormal_truth(np.hypot(0.1, 0.1)), 150)  # fmt: skip
    assert all(count >= 0.95 * 150 and share >= 0.92 for count, share in found.values()), found


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize(("users", "stalls"), [(8, 0.01), (64, 0.02)])
def test_stalls_that_hit_all_streams(users: int, stalls: float) -> None:
    found = coverage(lambda rng: lockstep(rng, 384, 100, users=users, step=0.1, own=0.02, stalls=stalls),
                     lockstep_truth(0.1, 0.02, stalls), 150)  # fmt: skip
    assert all(count >= 0.8 * 150 and share >= 0.9 for count, share in found.values()), found


def test_taken_as_independent_the_same_gaps_cover_half() -> None:
    rng, true = np.random.default_rng(5), lognormal_truth(np.hypot(0.1, 0.1))(0.95)
    hits = []
    for _ in range(150):
        ordered = np.sort(lockstep(rng, 384, 57, users=64, step=0.1, own=0.1)[0], axis=None)
        ranks = percentile_ranks(950, ordered.size)
        assert ranks.low is not None and ranks.high is not None
        hits.append(ordered[ranks.low - 1] <= true <= ordered[ranks.high - 1])
    assert np.mean(hits) < 0.6


def test_requests_that_are_all_slow_or_all_fast_are_worth_one_gap_each() -> None:
    """Half the requests above the edge, in no order of time: variance between requests is that of n samples."""
    rng = np.random.default_rng(2)
    gaps = np.repeat(rng.permutation(np.repeat([10, 30], 500)), 40).reshape(1000, 40)
    times = rng.random(gaps.shape)
    (found,) = worth(gaps, times, [20])
    assert found == pytest.approx(999)  # n / (n - 1) of the variance


def test_gaps_of_the_same_moment_are_worth_one_together() -> None:
    rng = np.random.default_rng(3)
    times = np.tile(np.arange(2000.0), (50, 1))
    found = []
    for _ in range(30):
        gaps = np.tile(np.where(rng.random(2000) < 0.3, 30, 10), (50, 1))
        found += worth(gaps, times, [20])
    assert 1200 < np.median(found) < 2000


def test_batches_of_time_widen_by_students_t_and_by_the_likeness_of_neighbours() -> None:
    """40 requests of 20 gaps, one in each batch: all are slow in every second batch, or in every second five."""
    start, times = 1e9, np.tile(1e9 + np.arange(20.0) + 0.5, (40, 1))
    of_each, t_squared = np.full(40, 20), (2.0930240544 / 1.9599639845) ** 2
    for slow, likeness in ((np.arange(20) % 2 == 0, 0.0), (np.arange(20) % 10 < 5, 13 / 20 + 1 / 20)):
        clusters = Clusters([20], start, start + 20)
        clusters.add(np.tile(np.where(slow, 30, 10), 40), of_each, times.ravel())  # type: ignore[arg-type]
        variance = t_squared * 20 * 20**2 * 20 / 19 * (1 + likeness) / (1 - likeness)  # z is 20 or -20
        assert clusters.effective() == [pytest.approx(800 * 800 / 4 / variance)]


def test_few_requests_are_worth_no_more_than_themselves() -> None:
    rng = np.random.default_rng(4)
    for n, m, least, most in ((29, 100, 29, 29), (30, 100, 1000, 3000)):
        (found,) = worth(rng.integers(0, 1000, (n, m)), rng.random((n, m)), [500])
        assert least <= found <= most


@pytest.mark.parametrize(("beyond", "few"), [(19, True), (20, False)])
def test_few_requests_beyond_the_percentile_say_little_of_it(beyond: int, few: bool) -> None:
    for slow, fast in ((30, 10), (10, 30)):  # above it, below it
        gaps = np.full((100, 50), fast)
        gaps[:beyond, 7] = slow
        (found,) = worth(gaps, np.random.default_rng(0).random(gaps.shape), [20])
        assert (found <= 100) == few


def test_gaps_all_alike_are_worth_their_requests() -> None:
    assert worth(np.full((50, 9), 10), np.random.default_rng(0).random((50, 9)), [11, 10]) == [50, 50]


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=60), st.integers(0, 60))
def test_it_is_what_the_definition_says_however_the_parts_are_cut(requests: list[list[int]], cut: int) -> None:
    edges, end = [3, 5, 9], 59.0
    times = [np.full(len(gaps), i) for i, gaps in enumerate(requests)]
    clusters = Clusters(edges, 0.0, end)
    for part in (slice(0, cut), slice(cut, None)):
        if requests[part]:
            of_each = np.array([len(gaps) for gaps in requests[part]])
            clusters.add(np.concatenate(requests[part]), of_each, np.concatenate(times[part]))
    found = clusters.effective()
    sizes = np.array([len(gaps) for gaps in requests])
    for edge, effective in zip(edges, found, strict=True):
        assert 1 <= effective <= sizes.sum()
        above = np.array([sum(gap >= edge for gap in gaps) for gaps in requests])
        share = above.sum() / sizes.sum()
        if len(requests) >= 30 and min((above > 0).sum(), (above < sizes).sum()) >= 20:
            z = above - share * sizes
            variance = max(z.var(ddof=1) * z.size, sizes.sum() * share * (1 - share))
            assert effective <= sizes.sum() ** 2 * share * (1 - share) / variance * (1 + 1e-9)
        else:
            assert effective <= len(requests)
