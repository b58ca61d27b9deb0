"""Regions of a curve: the golden cases, and what must hold whatever C_max and C_min are."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.mlperf.curve.regions import BANDS, bounds, c_min_of, covers, region_of, regions_of

GOLDEN: list[dict[str, Any]] = json.loads(
    gzip.decompress((Path(__file__).parent / "data" / "golden_vectors.json.gz").read_bytes())
)["endpoints_regions"]["cases"]
c_maxes, c_mins = st.integers(33, 200_000), st.integers(1, 32)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['c_max']}-{case['c_min']}")
def test_the_golden_cases(case: dict[str, Any]) -> None:
    found = dict(bounds(regions_of(case["c_max"], case["c_min"])))
    assert found == {name: tuple(case[name]) for name in (*BANDS, "margin")}


def test_all_golden_cases_are_there() -> None:
    assert len(GOLDEN) == 24


@given(c_maxes, c_mins)
def test_regions_follow_each_other_without_gap_or_overlap(c_max: int, c_min: int) -> None:
    ends = [low_high for _, low_high in bounds(regions_of(c_max, c_min))]
    assert ends[0] == (1, c_min)
    assert all(after[0] == before[1] + 1 for before, after in pairwise(ends))
    assert ends[-2][1] == c_max
    assert 1.10 * c_max <= ends[-1][1] < 1.10 * c_max + 2


@given(c_maxes, c_mins, st.integers(1, 250_000))
def test_every_concurrency_has_one_region(c_max: int, c_min: int, concurrency: int) -> None:
    regions = regions_of(c_max, c_min)
    inside = [name for name, (low, high) in bounds(regions) if low <= concurrency <= high]
    assert [region_of(regions, concurrency)] == (inside or ["outside"])


@given(c_maxes, c_mins)
def test_ultra_low_counts_up_to_32_unless_c_min_is_declared(c_max: int, c_min: int) -> None:
    regions = regions_of(c_max, c_min)
    assert all(covers(regions, "low_latency", c, override=False) for c in (1, 32))
    assert not covers(regions, "low_latency", 33, override=False)
    assert covers(regions, "low_latency", c_min, override=True)
    assert not covers(regions, "low_latency", c_min + 1, override=True)


def test_a_small_c_max_leaves_regions_empty() -> None:
    empty = [[name for name, (low, high) in bounds(regions_of(*at)) if low > high] for at in ((33, 32), (256, 2))]
    assert empty == [["med_concurrency", "high_concurrency"], []]


def test_c_min_is_the_lowest_point_but_32_at_most() -> None:
    assert c_min_of([8, 2, 100]) == 2
    assert c_min_of([64, 100]) == 32
    assert c_min_of([2, 8, 100], override=8) == 8
    with pytest.raises(UsageError, match="C_min is unknown"):
        c_min_of([])


@pytest.mark.parametrize(("c_max", "c_min"), [(32, 2), (0, 1), (64, 0), (64, 33)])
def test_what_has_no_regions(c_max: int, c_min: int) -> None:
    with pytest.raises(UsageError, match=r"C_max is|C_min is"):
        regions_of(c_max, c_min)
