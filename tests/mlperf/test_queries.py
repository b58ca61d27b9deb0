from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_run import MS, row, write_recording

from loadcell.errors import RecordingError
from loadcell.mlperf.model import Scenario
from loadcell.mlperf.queries import read_queries


def test_server_counts_from_the_planned_time(tmp_path: Path) -> None:
    rows = [row(0, 0), row(1, 130, send_start_ns=140 * MS, send_end_ns=140 * MS), row(2, 250)]
    got = read_queries(write_recording(tmp_path / "run", rows, [7, 3, 5]), "server")
    assert got.scheduled_ns.tolist() == [0, 130 * MS, 250 * MS]
    assert got.issued_ns.tolist() == [20_000, 140 * MS, 250 * MS + 20_000]
    assert got.sample.tolist() == [7, 3, 5]
    assert got.query.tolist() == [0, 1, 2]
    assert got.first_ns.tolist() == [50 * MS, 180 * MS, 300 * MS]
    assert got.end_ns.tolist() == [250 * MS, 380 * MS, 500 * MS]
    assert got.tokens.tolist() == [11, 11, 11] and got.ok.all()


def test_offline_is_one_query_due_at_the_start(tmp_path: Path) -> None:
    rows = [row(0, 0), row(1, 300), row(2, 600)]
    got = read_queries(write_recording(tmp_path / "run", rows, [1, 0, 2], loop="closed"), "offline")
    assert got.query.tolist() == [0, 0, 0]
    assert got.scheduled_ns.tolist() == [0, 0, 0]
    assert got.issued_ns.tolist() == [20_000, 300 * MS + 20_000, 600 * MS + 20_000]


def test_closed_loops_count_from_when_the_client_was_ready(tmp_path: Path) -> None:
    rows = [row(i, i // 8 * 400, send_start_ns=i // 8 * 400 * MS + i) for i in range(16)]
    recording = write_recording(tmp_path / "run", rows, list(range(16)), loop="closed")
    multi = read_queries(recording, "multistream")
    assert multi.query.tolist() == [0] * 8 + [1] * 8
    assert set(multi.scheduled_ns.tolist()) == {0, 400 * MS}
    single = read_queries(recording, "singlestream")
    assert single.query.tolist() == list(range(16))


def test_failed_cancelled_and_never_sent_requests_are_rows_that_did_not_do(tmp_path: Path) -> None:
    missing = {"first_any_ns": None, "last_ns": None, "output_tokens": None, "output_chunks": 0}
    rows = [
        row(0, 0),
        row(1, 10, status="failed", error_kind="timeout", end_ns=900 * MS, **missing),
        row(2, 20, status="failed", error_kind="connect", send_start_ns=None, end_ns=30 * MS, **missing),
        row(4, 40, status="cancelled", end_ns=950 * MS, **missing),
    ]
    got = read_queries(write_recording(tmp_path / "run", rows, [0, 1, 2, 3, 4]), "interactive")
    assert got.ok.tolist() == [True, False, False, False]
    assert got.sample.tolist() == [0, 1, 2, 4]
    assert got.issued_ns.tolist() == [20_000, 10 * MS + 20_000, 20 * MS, 40 * MS + 20_000]
    assert np.isnan(got.first_ns[1:]).all() and np.isnan(got.tokens[1:]).all()


@pytest.mark.parametrize(("scenario", "loop"), [("server", "closed"), ("singlestream", "open")])
def test_a_recording_of_another_loop_is_refused(tmp_path: Path, scenario: Scenario, loop: str) -> None:
    rows = [row(0, 0, ready_ns=None)]
    recording = write_recording(tmp_path / "run", rows, [0], loop=loop)
    with pytest.raises(RecordingError, match=f"no {scenario} run"):
        read_queries(recording, scenario)


def test_a_recording_that_tells_no_samples_is_refused(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "run", [row(0, 0), row(1, 5)], [0, None])
    with pytest.raises(RecordingError, match="does not say which sample"):
        read_queries(recording, "server")
