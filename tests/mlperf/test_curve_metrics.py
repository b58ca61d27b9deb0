"""The figures of a point, against recordings whose figures are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_run import row, write_recording

from loadcell.mlperf.curve.metrics import figures_of_run, figures_of_window, measure, percentile
from loadcell.mlperf.curve.model import Window


def test_ttft_tpot_and_throughput(tmp_path: Path) -> None:
    rows = [row(i, 100 * i, ttft_ms=50 + i, tokens=11, gap_ms=20 + i) for i in range(10)]
    found = figures_of_run(measure(write_recording(tmp_path / "r", rows, [0] * 10, loop="closed")))
    assert found is not None
    last_ms = 900 + 59 + 10 * 29
    assert found.duration_s == pytest.approx(last_ms / 1e3)
    assert (found.issued, found.completed, found.failed, found.output_tokens) == (10, 10, 0, 110)
    assert found.system_tps == pytest.approx(110 / (last_ms / 1e3))
    assert found.tpot_p90_ms == pytest.approx(29)  # element floor(0.9 * 10) of 20, 21, ..., 29
    assert found.tps_per_user == pytest.approx(1000 / 29)
    assert found.ttft_p90_ms == pytest.approx(59)
    assert found.tpot_samples == 10


def test_what_has_no_tpot_is_left_out(tmp_path: Path) -> None:
    rows = [
        row(0, 0, gap_ms=20),
        row(1, 100, tokens=1),
        row(2, 200, tokens=5, first_tokens=5, gap_ms=10),  # all of it in the first chunk
        row(3, 300, tokens=9, first_tokens=3, gap_ms=30),  # 8 gaps over 6 tokens
        row(4, 400, tokens=3, first_any_ns=None, first_answer_ns=None, output_chunks=0),  # not streamed
        row(5, 500, status="failed", output_tokens=None),
        row(6, 600, ready_ns=None, send_start_ns=None, status="cancelled"),  # never issued
    ]
    measured = measure(write_recording(tmp_path / "r", rows, [0] * 7, loop="closed"))
    assert len(measured) == 6
    np.testing.assert_allclose(measured.tpot_ms, [20, np.nan, np.nan, 40, np.nan, np.nan])
    found = figures_of_run(measured)
    assert found is not None
    assert (found.issued, found.completed, found.failed, found.tpot_samples) == (6, 5, 1, 2)
    assert found.output_tokens == 11 + 1 + 5 + 9 + 3


def test_an_unknown_count_is_unknown_not_zero(tmp_path: Path) -> None:
    rows = [row(i, 100 * i, **({"output_tokens": None} if i == 3 else {})) for i in range(5)]
    found = figures_of_run(measure(write_recording(tmp_path / "r", rows, [0] * 5, loop="closed")))
    assert found is not None
    assert (found.output_tokens, found.system_tps) == (None, None)
    assert found.tpot_p90_ms == pytest.approx(20)


def test_order_is_that_of_issue(tmp_path: Path) -> None:
    rows = [row(i, at) for i, at in enumerate((300, 0, 200, 100))]
    measured = measure(write_recording(tmp_path / "r", rows, [0] * 4, loop="closed"))
    np.testing.assert_allclose(measured.issue_s, [0, 0.1, 0.2, 0.3])


def test_a_window_takes_its_issue_span_and_whole_lives(tmp_path: Path) -> None:
    rows = [row(i, 100 * i, tokens=11 + i) for i in range(20)]
    measured = measure(write_recording(tmp_path / "r", rows, [0] * 20, loop="closed"))
    inside = figures_of_window(measured, window(1, 3, 5))
    assert inside.duration_s == pytest.approx(1.0)
    assert inside.system_tps == pytest.approx(sum(11 + i for i in range(5, 15)) / 1.0)
    to_the_end = figures_of_window(measured, window(2, 4, 5))
    assert to_the_end.duration_s == pytest.approx(0.9)
    assert to_the_end.system_tps == pytest.approx(sum(11 + i for i in range(10, 19)) / 0.9)
    assert to_the_end.completed == 10


def window(start: int, end: int, size: int) -> Window:
    return Window(
        super_pass_start=start, super_pass_end=end, super_pass_size=size, n_samples=(end - start) * size, duration_s=1.0
    )


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50), st.floats(0, 1))
def test_percentiles_are_values(values: list[float], share: float) -> None:
    found = percentile(np.array([*values, np.nan]), share)
    assert found in values
    assert percentile(np.array(values), 1.0) == max(values)
    assert percentile(np.array(values), 0.0) == min(values)


def test_no_values_no_percentile() -> None:
    assert percentile(np.array([np.nan]), 0.9) is None
