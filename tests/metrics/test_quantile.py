from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.metrics.quantile import Histogram, order_statistics

pytestmark = pytest.mark.usefixtures("thorough")

values = st.one_of(st.integers(0, 300), st.integers(0, 2**20), st.integers(2**30 - 9, 2**30 + 9), st.integers(0, 2**40))


def counted(parts: list[np.ndarray]) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


@given(st.lists(st.lists(values, max_size=30), min_size=1, max_size=5).filter(any), st.data())
def test_order_statistics_are_those_of_a_sort(lists: list[list[int]], data: st.DataObject) -> None:
    parts = [np.array(part, dtype=np.int64) for part in lists]
    everything = np.sort(np.concatenate(parts))
    ranks = data.draw(st.lists(st.integers(1, everything.size), min_size=1, max_size=8))
    histogram = counted(parts)
    assert order_statistics([histogram], ((0, part) for part in parts), [ranks])[0] == {
        r: int(everything[r - 1]) for r in ranks
    }
    assert (histogram.n, histogram.max) == (everything.size, everything[-1])
    assert histogram.mean == pytest.approx(everything.mean())


@given(st.lists(values, min_size=1, max_size=50), st.data())
def test_the_histogram_alone_is_within_its_resolution(numbers: list[int], data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(numbers)))
    true = sorted(numbers)[rank - 1]
    (found,) = counted([np.array(numbers)]).at([rank])
    assert found <= true or rank == len(numbers)
    assert found == true if true < 2**17 else found >= true * (1 - 2**-16)


def test_a_part_is_not_read_again_where_one_pass_is_exact() -> None:
    part = np.arange(1000)

    histogram = counted([part])
    assert order_statistics([histogram], iter(()), [[1, 500, 1000]])[0] == {1: 0, 500: 499, 1000: 999}


def test_memory_does_not_grow_with_alike_values() -> None:
    part = np.full(100_000, 10_000_001)
    parts = [part] * 30
    histogram = counted(parts)
    tracemalloc.start()
    (found,) = order_statistics([histogram], ((0, part) for part in parts), [[1, 1_500_000]])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == {1: 10_000_001, 1_500_000: 10_000_001}
    assert peak < 60e6  # all values together are 24 MB; the tables of bins dominate and are fixed


def test_nothing_has_no_mean() -> None:
    histogram = counted([np.empty(0, dtype=np.int64)])
    assert (histogram.n, histogram.mean) == (0, None)
    assert order_statistics([histogram], [], [[]]) == [{}]


def test_edges_part_the_values_as_nearly_as_bins_allow() -> None:
    histogram = Histogram()
    histogram.add(np.repeat([5, 7, 9], [60, 30, 10]))
    assert histogram.edges([1, 29, 30, 60, 61, 74, 75, 90, 94, 95, 100]) == [5, 5, 6, 6, 7, 7, 8, 8, 9, 10, 10]


def test_edges_of_values_in_bins_of_their_own_lie_above_them() -> None:
    values = np.random.default_rng(6).permutation(np.arange(10**7, 2 * 10**7, 10**4))
    histogram = Histogram()
    histogram.add(values)
    ranks = [1, 250, 500, 990, 999]
    assert [int((values < edge).sum()) for edge in histogram.edges(ranks)] == ranks
