from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from made import build, failed_request, ok_request

from loadcell.metrics import Counts, build_result
from loadcell.metrics.accounting import advice_for
from loadcell.recording.read import Recording, open_recording

Make = Callable[..., Recording]


def closes(counts: Counts) -> bool:
    return counts.planned == counts.ok + counts.failed + counts.cancelled + counts.unsent


def test_every_planned_request_is_counted_once(make: Make) -> None:
    rows = [
        ok_request(0),
        failed_request(1, "timeout"),
        failed_request(2, "timeout"),
        failed_request(3, "x") | {"status": "cancelled"},
    ]
    result = build_result(make(rows, planned=6, state="interrupted", audits=[{"issued": 4}]))
    assert result.counts.run == Counts(planned=6, ok=1, failed=2, cancelled=1, unsent=2)
    assert not result.invalid
    assert result.notes[0] == "the run was interrupted: 3 requests had ended"


def test_requests_that_died_with_their_worker_are_lost_not_unsent(make: Make) -> None:
    audits = [{"issued": 3, "died": "signal 9 (SIGKILL)"}, {"issued": 1}]
    rows = [ok_request(0), ok_request(1, worker=1)]
    result = build_result(make(rows, planned=5, state="broken", audits=audits))
    assert result.counts.run == Counts(planned=5, ok=2, failed=2, cancelled=0, unsent=1)
    (lost,) = result.errors
    assert (lost.kind, lost.count) == ("lost", 2) and lost.advice
    assert any("worker 0 died: signal 9" in note for note in result.notes)


def test_a_closed_loop_for_a_time_planned_what_it_started(make: Make) -> None:
    rows = [ok_request(0), ok_request(1)]
    result = build_result(make(rows, planned=3, closed_for_a_time=True, audits=[{"issued": 3}]))
    assert result.counts.run == Counts(planned=3, ok=2, failed=1, cancelled=0, unsent=0)


def test_failures_come_by_kind_with_a_sample_and_what_to_do(make: Make) -> None:
    rows = [failed_request(0, "http_503"), failed_request(1, "connect"), failed_request(2, "connect", error=None)]
    rows += [failed_request(3, "gremlins")]
    errors = build_result(make(rows)).errors
    assert [(e.kind, e.count) for e in errors] == [("connect", 2), ("gremlins", 1), ("http_503", 1)]
    assert errors[0].sample == "what connect said" and errors[0].advice and errors[2].advice
    assert errors[1].sample and errors[1].advice is None


def test_advice_knows_classes_of_http_status() -> None:
    assert advice_for("http_500") == advice_for("http_599")
    assert advice_for("http_500", "the model is still loading") != advice_for("http_500")
    assert advice_for("http_429") != advice_for("http_418") == advice_for("http_499")
    assert advice_for("http_302") == advice_for("http_308") != advice_for("http_200")


def test_more_requests_than_planned_make_the_run_invalid(make: Make) -> None:
    result = build_result(make([ok_request(0), ok_request(1)], planned=1))
    assert any("2 rows, of which the plan has room for 1" in reason for reason in result.invalid)


def test_a_request_recorded_twice_makes_the_run_invalid(make: Make) -> None:
    result = build_result(make([ok_request(0), ok_request(0)], planned=2))
    assert any("request 0 is in it twice" in reason for reason in result.invalid)


def test_a_worker_with_more_rows_than_requests_makes_the_run_invalid(make: Make) -> None:
    result = build_result(make([ok_request(0), ok_request(1)], audits=[{"issued": 1}]))
    assert any("worker 0 recorded 2 requests but started 1" in reason for reason in result.invalid)


def test_a_status_nobody_knows_makes_the_run_invalid(make: Make) -> None:
    result = build_result(make([ok_request(0), ok_request(1, status="odd")]))
    assert any("status" in reason for reason in result.invalid)


def test_reasons_of_the_run_itself_stay(make: Make) -> None:
    assert build_result(make([ok_request(0)], invalid=["the disk was full"])).invalid == ["the disk was full"]


def test_a_damaged_part_makes_the_run_invalid(make: Make, tmp_path: Path) -> None:
    recording = make([ok_request(0)])
    (recording.path / "requests-1-00000.parquet").write_bytes(b"PAR1 half of it")
    result = build_result(open_recording(recording.path))
    assert any("requests-1-00000.parquet" in reason for reason in result.invalid)


def test_a_crashed_run_says_that_it_did_not_end(make: Make) -> None:
    result = build_result(make([ok_request(0)], planned=9, state="running", ended_ns=None))
    assert result.notes[0] == "the run did not end: 1 request recorded up to its last flush"
    assert result.counts.run == Counts(planned=9, ok=1, failed=0, cancelled=0, unsent=8)
    assert result.run.duration_s is None


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["ok", "failed", "cancelled"]), max_size=12), st.integers(0, 5), st.integers(0, 5))
def test_the_identity_always_holds(statuses: list[str], lost: int, unsent: int) -> None:
    rows = [ok_request(i, start_ms=i) | {"status": status} for i, status in enumerate(statuses)]
    with TemporaryDirectory() as folder:
        recording = build(
            Path(folder) / "run",
            rows,
            planned=len(rows) + lost + unsent,
            audits=[{"issued": len(rows) + lost}],
            load={"concurrency": 2},
        )
        result = build_result(recording)
    assert closes(result.counts.run) and closes(result.counts.window)
    assert result.counts.run == result.counts.window
    assert (result.counts.run.unsent, result.counts.run.failed) == (unsent, statuses.count("failed") + lost)


def test_requests_beyond_the_end_stand_apart(make: Callable[..., Recording]) -> None:
    """They are in no count and no latency, and in flight beside the counted ones; NULL in older recordings counts."""
    rows = [
        ok_request(0, start_ms=0),
        ok_request(1, start_ms=100, counted=True),
        ok_request(2, start_ms=300, tokens=20, counted=False),
        failed_request(3, "timeout", start_ms=310, counted=False),
    ]
    result = build_result(make(rows, closed_for_a_time=True, load={"concurrency": 2, "duration_s": 0.3}))
    assert result.counts.run == Counts(planned=2, ok=2, failed=0, cancelled=0, unsent=0)
    assert (result.counts.beyond, result.counts.beyond_failed) == (2, 1)
    assert result.latency["e2e_ms"].service.n == 2 and result.errors == []
    assert result.latency["e2e_ms"].service.max == 230.0
    assert result.concurrency.max == 3  # request 3 ends before 2 does, 1 is still in flight
