from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import MS, ok_request

from loadcell.metrics import build_result
from loadcell.metrics.concurrency import InFlight
from loadcell.recording.read import Recording

Make = Callable[..., Recording]
spans = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 1000)), min_size=1, max_size=20)


@given(spans)
def test_the_integral_is_the_sum_of_the_stays(pairs: list[tuple[int, int]]) -> None:
    starts = np.array([start for start, _ in pairs], dtype=np.float64)
    ends = starts + [length for _, length in pairs]
    flight = InFlight(starts, ends)
    edges = np.arange(0, 2002, 7.0)
    by_hand = [
        sum(max(0.0, min(end, b) - max(start, a)) for start, end in zip(starts, ends, strict=True)) / 7
        for a, b in pairwise(edges)
    ]
    assert flight.means(edges) == pytest.approx(by_hand, abs=1e-9)
    assert flight.max() == max(int(((starts <= t) & (ends > t)).sum()) for t in starts)


def test_the_mean_lies_between_ramp_and_drain(make: Make) -> None:
    """Two users of 1 s requests; the second starts 0.5 s late; the last send is at 2.5 s."""
    starts = [0, 500, 1000, 1500, 2000, 2500]
    rows = [ok_request(i, start_ms=s, end_ns=(s + 1000) * MS) for i, s in enumerate(starts)]
    result = build_result(make(rows, load={"concurrency": 2}, effective={"ramp_s": 0.5}))
    flight = result.concurrency
    assert (flight.asked, flight.mean, flight.max) == (2, 2, 2)
    # From a TTFT after the ramp; both are at work until the first reply after the last send.
    assert (flight.mean_from_s, flight.mean_to_s) == (0.55, 2.5)
    assert len(flight.series) == 200 and flight.series_step_s == pytest.approx(3.5 / 200)
    assert flight.series[0] == 1 and flight.series[100] == 2 and flight.series[-1] == 1


def test_a_duration_starts_the_drain(make: Make) -> None:
    rows = [ok_request(0, end_ns=3000 * MS)]
    result = build_result(make(rows, load={"concurrency": 1, "duration_s": 2.0}, window_end_ns=2000 * MS))
    assert (result.concurrency.mean, result.concurrency.mean_to_s) == (1, 2)


def test_a_run_that_is_all_ramp_has_no_mean(make: Make) -> None:
    rows = [ok_request(i, start_ms=10 * i) for i in range(3)]
    flight = build_result(make(rows, effective={"ramp_s": 5.0})).concurrency
    assert (flight.mean, flight.mean_from_s, flight.max) == (None, None, 3)
