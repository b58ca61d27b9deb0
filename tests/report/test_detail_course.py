"""Timeline, stalls, levels and parts of recordings whose numbers are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import made_laws
import numpy as np
import pytest
from made import failed_request, ok_request, table

from loadcell.kinds import KIND_ANSWER
from loadcell.metrics import build_result
from loadcell.metrics.rows import read_rows
from loadcell.recording.read import Recording, open_recording
from loadcell.recording.schema import CHUNKS
from loadcell.recording.write import write_table
from loadcell.report.detail import Detail, build_both
from loadcell.report.detail.levels import fine_levels, in_flight
from loadcell.report.detail.steps import Steps, make_steps

Make = Callable[..., Recording]
MS = 1_000_000


def detail_of(recording: Recording) -> Detail:
    result, detail = build_both(recording)
    made_laws.check_laws(recording, result, detail)
    return detail


def streamed(request: int, times_ms: list[float], *, sent_ms: float = 0.0, **more: Any) -> dict[str, Any]:
    """A request whose output came at these times."""
    first, last = round(times_ms[0] * MS), round(times_ms[-1] * MS)
    times = {"first_any_ns": first, "first_answer_ns": first, "last_ns": last}
    return ok_request(request, start_ms=sent_ms, tokens=len(times_ms), end_ns=last + MS, **times) | more


def events(request: int, times_ms: list[float], lags_ms: dict[int, float] | None = None) -> list[dict[str, Any]]:
    lags = lags_ms or {}
    return [
        {"request": request, "read": i, "t_ns": round(t * MS), "lag_ns": round(lags.get(i, 0.02) * MS),
         "kind": KIND_ANSWER, "tokens": 1}
        for i, t in enumerate(times_ms)
    ]  # fmt: skip


def steady_times(begin: float, count: int, stalls: dict[int, float] | None = None) -> list[float]:
    """Times 20 ms apart; before event i a gap of `stalls[i]`."""
    return np.cumsum([begin, *((stalls or {}).get(i, 20.0) for i in range(1, count))]).tolist()


def test_stalls_are_found_placed_and_blamed(make: Make) -> None:
    times = [steady_times(50, 30, {10: 900}), steady_times(52, 30, {10: 905, 20: 300}), steady_times(1000, 30)]
    rows = [streamed(i, t, sent_ms=0 if i < 2 else 950) for i, t in enumerate(times)]
    seen = [*events(0, times[0]), *events(1, times[1], {20: 5.0}), *events(2, times[2])]
    stalls = detail_of(make(rows, events=seen)).stalls
    assert stalls is not None
    assert (stalls.threshold_ms, stalls.gaps, stalls.stalls) == (pytest.approx(200, rel=1e-4), 87, 3)
    assert (stalls.requests, stalls.of) == (2, 3)
    assert [(s.request, s.event, s.others, s.by_client) for s in stalls.worst] == [
        (1, 11, 1, False), (0, 11, 1, False), (1, 21, 0, True)
    ]  # fmt: skip
    assert [s.gap_ms for s in stalls.worst] == pytest.approx([905, 900, 300])
    assert stalls.worst[0].at_s == pytest.approx((52 + 9 * 20 + 905) / 1e3)
    time = sum(t[-1] - t[0] for t in times)
    assert stalls.share_of_time == pytest.approx(2105 / time)


def test_a_usual_pause_of_less_than_100_ms_is_no_stall(make: Make) -> None:
    times = [float(t) for t in np.cumsum([50, *([1] * 9 + [99]) * 5])]
    stalls = detail_of(make([streamed(0, times)], events=events(0, times))).stalls
    assert stalls is not None and (stalls.threshold_ms, stalls.stalls, stalls.worst) == (100, 0, [])


def test_a_slow_server_is_judged_by_its_own_pace(make: Make) -> None:
    times = np.cumsum([50, *[150] * 20, 1400, 1600]).tolist()
    stalls = detail_of(make([streamed(0, times)], events=events(0, times))).stalls
    assert stalls is not None and stalls.stalls == 1
    assert stalls.threshold_ms == pytest.approx(1500, rel=2e-5)


def test_the_worst_of_many_stalls_are_kept(make: Make) -> None:
    times = {i: steady_times(50 + i, 5, {3: 200.0 + i}) for i in range(60)}
    rows = [streamed(i, t, sent_ms=i) for i, t in times.items()]
    seen = [event for i, t in times.items() for event in events(i, t)]
    stalls = detail_of(make(rows, events=seen)).stalls
    assert stalls is not None and stalls.stalls == stalls.requests == 60
    assert [stall.request for stall in stalls.worst] == list(range(59, 39, -1))


def in_parts(make: Make, rows: list[dict[str, Any]], *parts: list[dict[str, Any]]) -> Recording:
    """A recording with its events in several parts."""
    recording = make(rows, events=parts[0])
    for number, part in enumerate(parts[1:], 1):
        write_table(recording.path / f"chunks-{number}-00000.parquet", CHUNKS, table(CHUNKS, part))
    return open_recording(recording.path)


def test_stalls_of_several_parts_find_their_reads(make: Make) -> None:
    times = [steady_times(50, 30, {5: 400}), steady_times(60, 30, {5: 500}), steady_times(70, 30, {5: 300})]
    parts = [events(i, t, {5: 2.0} if i == 1 else None) for i, t in enumerate(times)]
    stalls = detail_of(in_parts(make, [streamed(i, t) for i, t in enumerate(times)], *parts)).stalls
    assert stalls is not None
    assert [(s.request, s.event, s.by_client) for s in stalls.worst] == [(1, 6, True), (0, 6, False), (2, 6, False)]


def test_the_read_of_a_stall_is_found_behind_requests_that_do_not_count(make: Make) -> None:
    times = [steady_times(50, 7), steady_times(55, 10, {5: 700})]
    rows = [streamed(0, times[0], status="failed", error_kind="cut", error="cut"), streamed(1, times[1])]
    stalls = detail_of(make(rows, events=[*events(0, times[0]), *events(1, times[1], {5: 3.0})])).stalls
    assert stalls is not None and [(s.request, s.by_client) for s in stalls.worst] == [(1, True)]


def test_the_shortest_gaps_are_counted_over_all_parts(make: Make) -> None:
    times = [steady_times(50, 10, {3: 19.0, 5: 19.0}), steady_times(50, 10), steady_times(60, 10, {4: 19.0})]
    rows = [streamed(i, t) for i, t in enumerate(times)]
    ecdf = detail_of(in_parts(make, rows, *(events(i, t) for i, t in enumerate(times)))).ecdf["itl_ms"]
    assert (ecdf.n, ecdf.x_ms[0], ecdf.share[0]) == (27, pytest.approx(19), pytest.approx(3 / 27))


def test_tokens_of_a_reply_that_counts_as_not_streamed_are_counted_once(make: Make) -> None:
    times = [steady_times(50, 10), steady_times(55, 10)]
    rows = [streamed(0, times[0]), streamed(1, times[1], first_any_ns=None, first_answer_ns=None, output_chunks=None)]
    line = detail_of(make(rows, events=[*events(0, times[0]), *events(1, times[1])], load={"concurrency": 2})).timeline
    assert line is not None
    assert sum(x or 0 for x in line.output_tokens_per_s) * line.step_s == pytest.approx(20)


def test_gaps_of_failed_requests_count_nowhere_but_their_tokens_do(make: Make) -> None:
    times = [steady_times(50, 10), steady_times(55, 10, {5: 700})]
    rows = [streamed(0, times[0]), streamed(1, times[1], status="failed", error_kind="cut", error="cut")]
    detail = detail_of(make(rows, events=[*events(0, times[0]), *events(1, times[1])]))
    assert detail.stalls is not None and (detail.stalls.gaps, detail.stalls.stalls) == (9, 0)
    assert detail.timeline is not None
    tokens = sum(x or 0 for x in detail.timeline.output_tokens_per_s) * detail.timeline.step_s
    assert tokens == pytest.approx(20)


def test_levels_tell_how_gaps_grow_with_requests_in_flight(make: Make) -> None:
    """Ten requests in flight from 0 s, 20 from 10 s, 40 from 20 s; gaps of 10, 20 and 40 ms."""
    rows, seen, number = [], [], 0
    for phase, (users, gap) in enumerate([(10, 10.0), (20, 20.0), (40, 40.0)]):
        for user in range(users):
            begin = phase * 10_000 + user * 0.1
            times = (begin + np.arange(1, int(9000 / gap)) * gap).tolist()
            rows.append(streamed(number, times, sent_ms=begin))
            seen += events(number, times)
            number += 1
    levels = detail_of(make(rows, events=seen, load={"concurrency": 40, "warmup_s": 0.0})).levels
    assert 3 <= len(levels) <= 12
    for level in levels:
        users = min((10, 20, 40), key=lambda n: abs(n - level.concurrency))
        assert level.concurrency == pytest.approx(users, rel=0.1)
        assert level.p50_ms == pytest.approx(users, rel=0.01) == level.p90_ms


def test_a_steady_closed_loop_has_no_levels(make: Make) -> None:
    rows, seen = [], []
    for user in range(8):
        for turn in range(10):
            number, begin = turn * 8 + user, turn * 500 + user * 0.01
            times = steady_times(begin + 20, 20)
            rows.append(streamed(number, times, sent_ms=begin) | {"end_ns": round((begin + 499) * MS)})
            seen += events(number, times)
    rows.sort(key=lambda row: int(row["request"]))
    assert detail_of(make(rows, events=seen, load={"concurrency": 8})).levels == []


def test_parts_of_the_mean_e2e(make: Make) -> None:
    """Planned 0, connecting from 2 to 5, sent 6; queued 10, prefilled 30, first token at 56, a stall, and the flow."""
    times = steady_times(56, 11, {4: 400})
    row = streamed(0, times, sent_ms=6) | {
        "planned_ns": 0, "ready_ns": None, "conn_start_ns": 2 * MS, "conn_tcp_ns": 4 * MS, "conn_tls_ns": 5 * MS,
        "server_queue_ns": 10 * MS, "server_prefill_ns": 30 * MS,
    }  # fmt: skip
    detail = detail_of(make([row], events=events(0, times), planned=[0.0], loop="open"))
    assert {part.name: part.mean_ms for part in detail.parts} == pytest.approx(
        {"send": 3, "connect": 3, "queue": 10, "prefill": 30, "first": 10, "stalls": 400, "stream": 180}
    )


def test_a_server_that_claims_more_than_the_client_saw_is_cut(make: Make) -> None:
    times = steady_times(50, 3)
    row = streamed(0, times) | {"server_queue_ns": 30 * MS, "server_prefill_ns": 400 * MS}
    detail = detail_of(make([row], events=events(0, times)))
    assert {part.name: part.mean_ms for part in detail.parts} == pytest.approx(
        {"queue": 30, "prefill": 20, "stream": 40}
    )


def test_the_timeline_of_a_known_run(make: Make) -> None:
    """A request a second for 100 s, TTFT 50 ms but 500 ms in the 31st; the one at 60 s fails."""
    rows, seen = [], []
    for i in range(100):
        if i == 60:
            rows.append(failed_request(i, "timeout", start_ms=i * 1000.0, end_ns=63_000 * MS))
            continue
        times = steady_times(i * 1000 + (500 if i == 30 else 50), 10)
        rows.append(streamed(i, times, sent_ms=i * 1000.0))
        seen += events(i, times)
    line = detail_of(make(rows, events=seen)).timeline
    assert line is not None and line.step_s == 2 and len(line.t_s) == 50
    ttft = line.latency["ttft_ms"]
    assert ttft.n == [2] * 30 + [1] + [2] * 19
    assert (ttft.max_ms[15], ttft.min_ms[15]) == (500, 50) and ttft.max_ms[14] == 50
    assert set(ttft.p99_ms) == {None}
    assert line.failed == [0] * 31 + [1] + [0] * 18
    assert set(line.arrivals_per_s) == {1.0} and set(line.latency["itl_ms"].p50_ms) == {20.0}
    assert line.output_tokens_per_s[0] == 10 and line.output_tokens_per_s[30] == 5
    assert line.in_flight[0] == pytest.approx(0.231, abs=1e-3)


@pytest.mark.parametrize("every_ms", [30, 1000])
def test_every_level_has_requests_in_flight(make: Make, every_ms: int) -> None:
    rows = [streamed(i, steady_times(i * every_ms + 20, 5), sent_ms=float(i * every_ms)) for i in range(50)]
    read = read_rows(make(rows, load={"concurrency": 3, "warmup_s": 0.5}))
    steps = make_steps(read, "closed")
    assert steps is not None
    fine = fine_levels(in_flight(read), steps, read, read.ok & (read.request == 20))
    assert np.isfinite(fine.low).all() and np.all(fine.low <= fine.mean) and np.all(fine.mean <= fine.high)


def test_steps_hold_every_time() -> None:
    steps = Steps(2e9, 5)
    assert steps.place(np.array([-1e9, 0.0, 1.999e9, 2e9, 9.9e9, 10e9, 99e9])).tolist() == [0, 0, 0, 1, 4, 4, 4]
    assert steps.edges.tolist() == [0, 2e9, 4e9, 6e9, 8e9, 10e9] and steps.cells[1024] == 2e9


def test_backward_stamps_are_gaps_of_0(make: Make) -> None:
    times = [50.0, 70.0, 69.0, 90.0]
    recording = make([streamed(0, times)], events=events(0, times))
    assert build_result(recording).instrument.backward_stamps == 1
    assert detail_of(recording).ecdf["itl_ms"].x_ms == pytest.approx([0, 20, 21], rel=2e-5)
