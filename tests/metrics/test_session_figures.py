"""Figures of sessions: turns, times, rates, what was not sent, and the critical path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import made
import made_sessions
import numpy as np
import pytest
from made_sessions import Call, talk

from loadcell.compare.figures import ABSENT, figures
from loadcell.errors import RecordingError
from loadcell.metrics import build_result
from loadcell.metrics.model import Result
from loadcell.recording.query import ask
from loadcell.recording.read import Recording, open_recording
from loadcell.recording.schema import WAITS
from loadcell.recording.write import write_part
from loadcell.report.parquet import write_requests
from loadcell.report.tables import to_json


def result_of(tmp_path: Path, sessions: list[tuple[float, list[Call]]], **settings: object) -> Result:
    return build_result(made_sessions.write(tmp_path / "run", sessions, **settings))  # type: ignore[arg-type]


WHOLE = {"rate": 10.0, "duration_s": 100, "warmup_s": 0}
"""Everything counts."""


def test_none_without_sessions(make: Callable[..., Recording]) -> None:
    assert build_result(make([made.ok_request(0)])).sessions is None


def test_a_talk_by_turn_and_as_a_whole(tmp_path: Path) -> None:
    result = result_of(tmp_path, [(100.0 * i, talk(3)) for i in range(30)], load=WHOLE)
    found = result.sessions
    assert found is not None
    assert (found.begun, found.whole, found.failed, found.unfinished) == (30, 30, 0, 0)
    assert [(one.first, one.last, one.requests) for one in found.by_turn] == [(0, 0, 30), (1, 1, 30), (2, 2, 30)]
    assert [one.latency["ttft_ms"].service.p50.value for one in found.by_turn] == pytest.approx([50, 60, 70])
    response = [one.latency["ttft_ms"].response for one in found.by_turn]
    assert [one and one.p50.value for one in response] == pytest.approx([50.02, 60.02, 70.02])
    # Each call: late, TTFT, 4 gaps of 10 ms, and 1 ms to its end where another waits for it.
    calls = (50 + 41) + (60 + 41) + (70 + 40)
    assert found.time is not None
    assert found.busy is not None
    assert found.time.p50.value == pytest.approx(calls + 3 * 0.02 + 200)
    assert found.busy.p50.value == pytest.approx(calls + 3 * 0.02)
    assert found.path is not None
    assert found.path.calls + found.path.delays + found.path.late == pytest.approx(1)
    assert found.path.delays == pytest.approx(200 / (calls + 3 * 0.02 + 200))
    assert (found.tasks, found.deepest, found.turns, found.path.length) == (False, 3, 3.0, 3.0)


def test_a_failed_turn_ends_its_session_and_cries_no_wolf(tmp_path: Path) -> None:
    talks = [(200.0 * i, talk(5, fails_at=2 if i % 10 == 0 else None)) for i in range(100)]
    result = result_of(tmp_path, talks)
    found = result.sessions
    assert found is not None
    assert (found.begun, found.whole, found.failed) == (100, 90, 10)
    assert (found.unsent_turns.after_failure, found.unsent_turns.at_end) == (20, 0)
    run = result.counts.run
    assert run.planned == run.ok + run.failed + run.cancelled + run.unsent
    assert (run.failed, run.unsent) == (10, 20)
    assert result.counts.window.unsent == 0
    words = {check.name: check.word for check in result.verdict.checks}
    assert words["unsent"] == "VALID"
    assert words["accounting"] == "VALID"
    assert any("20 turns were not sent" in note for note in result.notes)


def test_a_session_that_its_user_gives_up_is_neither_failed_nor_unfinished(tmp_path: Path) -> None:
    talks = [(200.0 * i, talk(5)) for i in range(100)]
    for i in range(0, 100, 4):
        talks[i][1][2].left_ms = 20.0
    talks[1][1][0].fails = True
    result = result_of(tmp_path, talks, behaviour={"cancel": ["10%@20ms"]})
    found, run = result.sessions, result.counts.run
    assert found is not None
    assert (found.begun, found.whole, found.failed, found.abandoned, found.unfinished) == (100, 74, 1, 25, 0)
    unsent = found.unsent_turns
    assert (unsent.after_failure, unsent.after_abandoned, unsent.at_end) == (4, 50, 0)
    assert (run.ok, run.failed, run.abandoned, run.unsent) == (74 * 5 + 50, 1, 25, 54)
    whole = (50 + 60 + 70 + 80 + 90) + 5 * 41 - 1 + 5 * 0.02 + 400
    assert found.time is not None
    assert found.time.p50.value == pytest.approx(whole, abs=0.01)
    assert found.from_s < 1.5  # those who left do not hold the window up until the end
    left = 2 * 0.02 + (50 + 41) + (60 + 41) + 200 + 0.02 + 20
    lived = (74 * whole + 25 * left) / 99
    assert found.in_progress == pytest.approx(5 * lived / 1e3, rel=0.1)
    assert any("50 turns were not sent, for their users had given up" in note for note in result.notes)
    assert {check.name: check.word for check in result.verdict.checks}["unsent"] == "VALID"


def test_times_of_sessions_are_not_those_of_the_short_ones_where_users_give_up(tmp_path: Path) -> None:
    """Each turn is given up with a chance of 8 %: longer talks more often, which the estimate makes up for."""
    rng = np.random.default_rng(5)
    made_whole, made_left = [], []
    for i in range(600):
        turns = int(rng.integers(2, 9))
        gone = np.flatnonzero(rng.random(turns) < 0.08)
        made_whole.append((100.0 * i, talk(turns)))
        made_left.append((100.0 * i, talk(turns)))
        if gone.size:
            made_left[-1][1][int(gone[0])].left_ms = 45.0
    load = {"rate": 10.0, "duration_s": 100, "warmup_s": 0}
    truth = build_result(made_sessions.write(tmp_path / "whole", made_whole, load=load)).sessions
    found = build_result(made_sessions.write(tmp_path / "left", made_left, load=load)).sessions
    assert truth is not None and found is not None
    assert truth.time is not None and found.time is not None
    assert found.abandoned > 150
    for name in ("p50", "p90"):
        was, now = getattr(truth.time, name), getattr(found.time, name)
        assert now.value == pytest.approx(was.value, rel=0.1), name
    assert all(one.latency["ttft_ms"].service.n == one.requests for one in found.by_turn)


def test_turns_and_times_leave_out_what_slow_readers_took(tmp_path: Path) -> None:
    """The third turn of every fifth talk is read slowly, for a second and more."""
    slow = {"read_tokens_per_s": 1.0}
    talks = [(100.0 * i, talk(4)) for i in range(80)]
    for i in range(0, 80, 5):
        talks[i][1][2].more = slow
        talks[i][1][2].ttft_ms = 2000.0
    result = result_of(tmp_path, talks, load=WHOLE, behaviour={"slow_readers": "5%@1t/s"})
    found = result.sessions
    assert found is not None
    assert [one.requests for one in found.by_turn] == [80] * 4
    assert [one.latency["ttft_ms"].service.n for one in found.by_turn] == [80, 80, 64, 80]
    assert found.by_turn[2].latency["ttft_ms"].service.max == pytest.approx(70)
    assert (found.whole, found.censored) == (80, 16)
    assert found.time is not None
    assert found.time.p99.value is None or found.time.p99.value < 1500
    assert found.path is not None
    assert found.path.calls == pytest.approx(
        (50 + 60 + 70 + 80 + 41 * 4 - 1) / (50 + 60 + 70 + 80 + 41 * 4 - 1 + 300.08)
    )


def test_sessions_that_arrive_until_a_time_plan_those_that_began_and_those_that_should_have(tmp_path: Path) -> None:
    talks = [(100.0 * i, talk(3, fails_at=1 if i % 50 == 0 else None)) for i in range(200)]
    for i in (20, 40, 60):
        talks[i][1][0].missed = True
    result = result_of(tmp_path, talks, stops_ms=15_000, closed_for_a_time=True)  # 50 would have begun after it
    run, found = result.counts.run, result.sessions
    assert found is not None
    assert (found.begun, found.failed, found.unsent_turns.after_failure) == (147, 3, 3)
    assert run.unsent == 3
    assert run.planned == run.ok + run.failed + run.unsent
    assert {check.name: check.word for check in result.verdict.checks}["unsent"] == "INVALID"


def test_users_who_pause_between_requests_are_not_missing(make: Callable[..., Recording]) -> None:
    rows = [made.ok_request(i, start_ms=1250.0 * (i // 4) + 50 * (i % 4)) for i in range(200)]
    result = build_result(make(rows, load={"concurrency": 4, "requests": 200}, sessions={"think": "1s"}))
    assert {check.name: check.word for check in result.verdict.checks}["concurrency"] is None
    assert result.steady.stable is None


def test_a_failed_turn_in_a_closed_loop_is_no_unsent_request_of_the_window(tmp_path: Path) -> None:
    talks = [(600.0 * i, talk(4, fails_at=1 if i == 3 else None)) for i in range(20)]
    load = {"concurrency": 1, "requests": 80}
    result = result_of(tmp_path, talks, loop="closed", load=load)
    assert result.counts.run.unsent == 2
    assert result.counts.window.unsent == 0
    assert {check.name: check.word for check in result.verdict.checks}["unsent"] == "VALID"


def test_turns_cut_by_the_end_are_counted_and_their_sessions_censored(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    begins = made_sessions.poisson(rng, 5, 20_000)
    result = result_of(tmp_path, [(begin, talk(5, think_ms=400)) for begin in begins], stops_ms=20_000)
    found = result.sessions
    assert found is not None
    assert found.unfinished > 0
    assert found.unsent_turns.at_end > 0
    assert found.begun == found.whole + found.unfinished
    assert found.time is not None
    assert found.censored > 0
    assert found.time.p50.value == pytest.approx((50 + 60 + 70 + 80 + 90) + 5 * 41 - 1 + 5 * 0.02 + 1600, abs=0.01)
    assert found.time.mean is None
    assert b'"censored"' in to_json(result)
    assert result.verdict.word != "INVALID"
    assert {check.name: check.word for check in result.verdict.checks}["stability"] in ("VALID", None)


def test_response_times_of_waiting_turns_start_when_they_could_be_sent(tmp_path: Path) -> None:
    calls = talk(2)
    calls[1].late_ms = 30.0
    result = result_of(tmp_path, [(50.0 * i, calls) for i in range(40)], slo={"ttft_ms": 80}, load=WHOLE)
    later = result.sessions.by_turn[1].latency["ttft_ms"]  # type: ignore[union-attr]
    assert later.service.p50.value == pytest.approx(60)
    assert later.response is not None
    assert later.response.p50.value == pytest.approx(90)
    assert result.goodput is not None
    assert result.goodput.good == 40  # the second of each is late by the client
    assert result.instrument.send_lateness.max_ms == pytest.approx(30)


def test_think_time_of_users_is_no_missing_concurrency(tmp_path: Path) -> None:
    """4 users, each with one session after the other, who think nine tenths of their time."""
    one = talk(4, think_ms=1000, ttft_ms=lambda turn: 20.0)
    took = 4 * (20 + 41.02) + 3 * 1000
    talks = sorted((50.0 * user + round_ * took, user) for user in range(4) for round_ in range(12))
    result = result_of(
        tmp_path, [(begin, one) for begin, _ in talks], loop="closed", load={"concurrency": 4, "requests": 4 * 4 * 12}
    )
    assert result.concurrency.mean is not None
    assert result.concurrency.mean < 0.5
    assert result.sessions is not None
    assert result.sessions.in_progress == pytest.approx(4, rel=0.03)
    words = {check.name: check.word for check in result.verdict.checks}
    assert words["concurrency"] in ("VALID", None)
    assert result.steady.stable is not False


def test_users_who_have_no_session_more_to_begin_are_no_missing_concurrency(tmp_path: Path) -> None:
    """4 users, of whom one after the other runs out long before the last has ended."""
    one, took = talk(4, think_ms=1000, ttft_ms=lambda turn: 20.0), 4 * (20 + 41.02) + 3 * 1000
    rounds = {0: 12, 1: 9, 2: 8, 3: 8}
    talks = sorted((50.0 * user + round_ * took, user) for user, most in rounds.items() for round_ in range(most))
    load = {"concurrency": 4, "requests": 4 * sum(rounds.values()), "warmup_s": 0.2}
    result = result_of(tmp_path, [(begin, one) for begin, _ in talks], loop="closed", load=load)
    assert result.sessions is not None
    begun_last = 11 * took / 1e3
    assert result.throughput.to_s is not None
    assert result.throughput.to_s > begun_last  # the first end after the last begin: the rates end there
    talks = [(50.0 * user + round_ * took, one) for round_ in range(8) for user in range(4)]
    load = {"concurrency": 4, "requests": 4 * 32, "warmup_s": 0.2}
    whole = build_result(made_sessions.write(tmp_path / "even", talks, loop="closed", load=load))
    assert whole.sessions is not None
    assert whole.throughput.to_s == pytest.approx(8 * took / 1e3, rel=0.01)
    assert whole.sessions.in_progress == pytest.approx(4, rel=0.02)


def test_the_mix_of_turns_is_no_change_of_the_server(tmp_path: Path) -> None:
    """200 talks that begin within a second: their later turns, which are slower, come later."""
    talks = [(5.0 * i, talk(8, think_ms=500, ttft_ms=lambda turn: 20.0 * (1 + turn))) for i in range(200)]
    result = result_of(tmp_path, talks)
    assert all(one.kind in (None, "none") for one in result.change.values())
    assert result.steady.stable is not False


def test_times_of_sessions_are_compared_where_both_sides_have_them(
    tmp_path: Path, make: Callable[..., Recording]
) -> None:
    one = made_sessions.write(tmp_path / "a", [(100.0 * i, talk(3)) for i in range(80)], load=WHOLE)
    two = made_sessions.write(tmp_path / "b", [(100.0 * i, talk(3, think_ms=200)) for i in range(80)], load=WHOLE)
    found = [figures(build_result(one), one), figures(build_result(two), two)]
    for name in ("session_time.p50", "session_time.p90", "sessions_per_s.mean"):
        assert all(side[name].value and side[name].low and side[name].high for side in found), name
    assert found[1]["session_time.p50"].value - found[0]["session_time.p50"].value == pytest.approx(200)  # type: ignore[operator]
    plain = make([made.ok_request(i, start_ms=100.0 * i) for i in range(40)])
    assert figures(build_result(plain), plain)["session_time.p50"].why in ABSENT


def test_a_branch_that_failed_holds_up_what_waits_for_it_and_nothing_else(tmp_path: Path) -> None:
    """1 fails, which 3 and 4 wait for; 2 goes on, and 5 behind it comes after the end."""
    calls = [Call(), Call((0,), fails=True), Call((0,)), Call((1, 2)), Call((3,)), Call((2,), delay_ms=60_000)]
    result = result_of(tmp_path, [(100.0 * i, calls) for i in range(40)], stops_ms=10_000)
    found = result.sessions
    assert found is not None
    assert (found.failed, found.whole, found.unfinished) == (40, 0, 0)
    assert (found.unsent_turns.after_failure, found.unsent_turns.at_end) == (80, 40)


def test_a_task_that_branches_and_joins(tmp_path: Path) -> None:
    """0 plans; 1, 2 and 3 are done side by side after tools of 50 ms; 4 waits for all of them, 10 ms later."""
    calls = [
        Call(ttft_ms=100, tokens=1, late_ms=0),
        Call((0,), 50, 30, 1, 0),
        Call((0,), 50, 200, 1, 5),
        Call((0,), 50, 60, 1, 0),
        Call((1, 2, 3), 10, 100, 1, 2),
    ]
    result = result_of(tmp_path, [(1000.0 * i, calls) for i in range(30)], load=WHOLE)
    found = result.sessions
    assert found is not None
    assert found.tasks
    assert (found.deepest, [one.requests for one in found.by_turn]) == (3, [30, 90, 30])
    assert found.time is not None
    # The second of the three is the last: 101 + (50 + 5 + 201) + (10 + 2 + 100), each end 1 ms after its token.
    assert found.time.p50.value == pytest.approx(101 + 256 + 112)
    path = found.path
    assert path is not None
    assert path.delays == pytest.approx(60 / 469)
    assert path.late == pytest.approx(7 / 469)
    assert path.length == 3
    assert path.parallel == pytest.approx((101 + 31 + 201 + 61 + 101) / (101 + 201 + 100))


def test_sql_and_parquet_take_response_times_from_when_a_turn_could_be_sent(tmp_path: Path) -> None:
    calls = talk(2)
    calls[1].late_ms = 30.0
    folder = tmp_path / "run"
    recording = made_sessions.write(folder, [(50.0 * i, calls) for i in range(40)], load=WHOLE)
    sql = (
        "select s.turn, median(ttft_ms), median(ttft_response_ms), median(ttft_service_ms), median(send_lateness_ms), "
        "bool_and(in_window) from requests r join schedule s using (run, request) group by 1 order by 1"
    )
    with ask(sql, [folder], spill=tmp_path, window_of=lambda _: (0.0, 1e12, 0), warn=pytest.fail) as answer:
        ((first, *of_first), (later, *of_later)) = [row for batch in answer.batches for row in batch]
    assert (first, later) == (0, 1)
    assert of_first == pytest.approx([50.02, 50.02, 50, 0.02, True])
    assert of_later == pytest.approx([90, 90, 60, 30, True])
    write_requests(recording, build_result(recording), tmp_path / "out.parquet")
    told = duckdb.sql(f"select ttft_ms from '{tmp_path}/out.parquet' order by request limit 2").fetchall()
    assert [ms for (ms,) in told] == pytest.approx([50.02, 90])


def test_what_waits_for_what_cannot_be_is_damage(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made_sessions.write(folder, [(0.0, talk(3)), (10.0, talk(3))])
    write_part(folder, "waits", made.table(WAITS, [{"request": 1, "waits_for": 2}]))
    broken = open_recording(folder)
    assert any("waits.parquet" in one for one in broken.damaged)
    assert build_result(broken).verdict.word == "INVALID"
    write_part(folder, "waits", made.table(WAITS, [{"request": 4, "waits_for": 1}]))
    with pytest.raises(RecordingError, match="a request waits for one of another session"):
        build_result(open_recording(folder))
