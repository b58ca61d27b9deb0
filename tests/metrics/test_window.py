from __future__ import annotations

from collections.abc import Callable

import pytest
from made import MS, failed_request, ok_request

from loadcell.errors import UsageError
from loadcell.metrics import Counts, build_result
from loadcell.recording.read import Recording

Make = Callable[..., Recording]


def open_rows(*numbers: int, every_ms: int = 1000, late_ms: float = 0) -> list[dict[str, object]]:
    return [
        ok_request(i, start_ms=i * every_ms + late_ms, planned_ns=i * every_ms * MS, ready_ns=None) for i in numbers
    ]


def test_a_short_run_counts_as_a_whole(make: Make) -> None:
    result = build_result(make([ok_request(0), ok_request(1, start_ms=750)]))
    window = result.methodology.window
    assert (window.start_s, window.end_s) == (0, 1)
    assert window.reason == "from the start of the load to the end of the last request"
    assert result.throughput.requests_per_s == 2  # the last one ends on the edge and counts
    assert result.whole_run is None
    assert (result.steady.method, result.steady.stable) == ("whole", None)
    assert "2 requests of 50 needed" in result.steady.says


def test_a_window_follows_its_stragglers_and_counts_what_came_inside(make: Make) -> None:
    rows = [ok_request(0), ok_request(1, start_ms=900), ok_request(2, start_ms=1100)]
    load = {"concurrency": 1, "duration_s": 1.0}
    recording = make(rows, load=load, window_end_ns=1000 * MS, closed_for_a_time=True)
    result = build_result(recording, window_s=(0, 1))
    assert result.counts.window.ok == 2
    assert result.latency["e2e_ms"].service.n == 2
    assert result.throughput.requests_per_s == pytest.approx(1.4)  # of the second, 100 of 250 ms lie inside
    # 10 tokens of the first; of the second, sent at 900 ms, those at 950, 970 and 990 ms.
    assert result.throughput.output_tokens_per_s == 13
    assert result.throughput.input_tokens_per_s == pytest.approx(1.4 * 110)


def test_a_run_cut_short_ends_its_window(make: Make) -> None:
    load = {"rate": 1.0, "duration_s": 60.0}
    rows = open_rows(0, 1, 2)
    result = build_result(
        make(rows, loop="open", planned=[i * 1000 for i in range(60)], load=load, window_end_ns=60_000 * MS,
             state="interrupted", ended_ns=2500 * MS)
    )  # fmt: skip
    assert result.methodology.window.end_s == 2.5
    assert result.counts.window == Counts(planned=3, ok=3, failed=0, cancelled=0, unsent=0)
    assert result.counts.run.unsent == 57


def test_a_number_of_requests_may_end_the_window_before_the_duration(make: Make) -> None:
    load = {"concurrency": 1, "requests": 2, "duration_s": 60.0}
    result = build_result(make([ok_request(0), ok_request(1, start_ms=250)], load=load, window_end_ns=60_000 * MS))
    assert result.methodology.window.end_s == 0.5
    assert result.throughput.requests_per_s == 4


def test_warm_up_by_time_leaves_requests_out_by_their_anchor(make: Make) -> None:
    load = {"rate": 1.0, "warmup_s": 1.0}
    # Request 0 is sent after the warm-up but planned inside it: it stays out.
    result = build_result(make(open_rows(0, 1, 2, late_ms=1500), loop="open", planned=[0, 1000, 2000], load=load))
    assert result.counts.window.ok == 2
    assert result.methodology.window.start_s == 1


def test_warm_up_by_number_starts_with_the_first_later_request(make: Make) -> None:
    rows = [ok_request(0), ok_request(1, start_ms=500), ok_request(2, start_ms=400), ok_request(3, start_ms=600)]
    result = build_result(make(rows, load={"concurrency": 2, "warmup_requests": 2}))
    assert result.methodology.window.start_s == pytest.approx(0.4)
    assert result.counts.window.ok == 2  # request 1 is warm-up although it was sent after request 2


def test_a_window_chosen_by_hand(make: Make) -> None:
    recording = make(open_rows(0, 1, 2, 3), loop="open", planned=[0, 1000, 2000, 3000])
    result = build_result(recording, window_s=(1, 2))
    assert result.counts.window.ok == 2  # both edges are inside
    assert result.counts.run.ok == 4
    assert result.methodology.window.reason == "chosen by --window"


@pytest.mark.parametrize("window_s", [(2.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (0.0, float("nan"))])
def test_a_window_without_length_is_refused(make: Make, window_s: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="is empty"):
        build_result(make([ok_request(0)]), window_s=window_s)


def test_a_window_without_requests_is_refused_with_the_extent(make: Make) -> None:
    with pytest.raises(UsageError, match=r"70,80 holds no request: the run goes from 0 to 0\.25 s"):
        build_result(make([ok_request(0)]), window_s=(70, 80))


def test_unsent_requests_belong_to_the_window_by_their_plan(make: Make) -> None:
    rows = open_rows(0, 2)
    recording = make(rows, loop="open", planned=[0, 1000, 2000, 3000], state="broken", audits=[{"issued": 3}])
    whole = build_result(recording)
    assert whole.counts.window == Counts(planned=4, ok=2, failed=1, cancelled=0, unsent=1) == whole.counts.run
    assert whole.methodology.window.reason.endswith("the last planned request")
    early = build_result(recording, window_s=(0, 1.5)).counts.window
    assert early == Counts(planned=2, ok=1, failed=1, cancelled=0, unsent=0)  # the one at 1 s was lost


def test_a_request_that_never_connected_is_placed_by_its_user(make: Make) -> None:
    row = failed_request(0, "connect", send_start_ns=None, ready_ns=300 * MS, end_ns=900 * MS)
    recording = make([row, ok_request(1)])
    assert build_result(recording, window_s=(0.2, 0.4)).counts.window.failed == 1


def test_no_request_ended(make: Make) -> None:
    result = build_result(make([], planned=5, state="interrupted", ended_ns=0))
    assert result.counts.run == Counts(planned=5, ok=0, failed=0, cancelled=0, unsent=5)
    assert all(latency.service.n == 0 and latency.service.max is None for latency in result.latency.values())
    assert (result.throughput.requests_per_s, result.throughput.output_tokens_per_s) == (None, None)
    assert (result.concurrency.mean, result.concurrency.max, result.concurrency.series) == (None, 0, [])
    assert result.instrument.merged_share is None


def test_a_warm_up_that_ate_everything(make: Make) -> None:
    result = build_result(make([ok_request(0)], load={"concurrency": 1, "warmup_s": 30.0}, state="interrupted"))
    assert result.counts.window.ok == 0 and result.counts.run.ok == 1
    assert result.throughput.requests_per_s is None


def test_all_failed(make: Make) -> None:
    result = build_result(make([failed_request(i, "timeout", start_ms=i) for i in range(3)]))
    assert result.counts.run.failed == 3
    assert result.throughput.requests_per_s == 0  # measured: there were none
    assert result.latency["ttft_ms"].service.mean is None


# --- the window that is found ----------------------------------------------------------------------------------------


def users(count: int, rounds: int, e2e_ms: float = 250, **more: object) -> list[dict[str, object]]:
    """A closed loop in lockstep: `count` users, 10 ms apart, each with `rounds` requests."""
    starts = sorted((u * 10 + r * e2e_ms, u) for r in range(rounds) for u in range(count))
    return [ok_request(i, start_ms=start, **more) for i, (start, _) in enumerate(starts)]


def test_a_number_of_requests_ends_the_window_with_the_last_send(make: Make) -> None:
    rows = users(4, 40)
    result = build_result(make(rows, load={"concurrency": 4, "requests": 160}, effective={"ramp_s": 0.04}))
    window, state = result.methodology.window, result.steady
    assert window.end_s == pytest.approx(39 * 0.25 + 0.03)
    assert window.reason == "from one E2E after the ramp to the last send"
    # Users are still arriving for the ramp of 40 ms and the 230 ms of one E2E (to the last token).
    assert (state.method, window.start_s) == ("found", pytest.approx(0.27))
    assert (state.warmup_s, state.drain_s) == (pytest.approx(0.27), pytest.approx(0.25))
    assert state.stable is True and "4 of 4 users in flight" in state.says


def test_a_duration_ends_the_window_and_leaves_the_drain_out(make: Make) -> None:
    rows = users(4, 40)
    load = {"concurrency": 4, "duration_s": 9.8}
    result = build_result(make(rows, load=load, window_end_ns=9800 * MS, closed_for_a_time=True))
    assert result.methodology.window.end_s == 9.8
    assert result.methodology.window.reason.endswith("the end of the duration asked for")
    assert result.whole_run is not None
    assert result.whole_run.latency["e2e_ms"].service.n == 160 > result.counts.window.ok
    assert result.whole_run.throughput.requests_per_s == pytest.approx(160 / 10.03)
    assert result.whole_run.throughput.output_tokens_per_s == pytest.approx(1600 / 10.03)
    assert result.whole_run.latency["itl_ms"].service.n == 1440


def test_an_open_loop_ends_with_its_last_planned_request(make: Make) -> None:
    rows = open_rows(*range(60), every_ms=100)
    load = {"rate": 10.0, "requests": 60}
    result = build_result(make(rows, loop="open", planned=[i * 100 for i in range(60)], load=load))
    assert (result.methodology.window.start_s, result.methodology.window.end_s) == (0, 5.9)
    assert result.steady.drain_s == pytest.approx(0.25)
    assert result.counts.window.ok == 60  # all are awaited, those that end in the drain too


def test_a_single_user_never_arrives_late(make: Make) -> None:
    result = build_result(make(users(1, 60), load={"concurrency": 1, "requests": 60}))
    assert result.methodology.window.start_s == 0


def test_no_warm_up_is_looked_for_where_none_is_wanted(make: Make) -> None:
    rows = users(4, 40)
    result = build_result(make(rows, load={"concurrency": 4, "requests": 160, "warmup_s": 0.0}))
    assert (result.steady.method, result.methodology.window.start_s) == ("asked", 0)
    assert result.methodology.window.end_s == pytest.approx(9.78)


def test_long_requests_make_a_run_too_short(make: Make) -> None:
    rows = users(60, 1, last_ns=2000 * MS, end_ns=2000 * MS)
    result = build_result(make(rows, load={"concurrency": 60}))
    assert result.steady.method == "whole"
    assert "0.3 times the median E2E" in result.steady.says


def slow_start(n: int, slow: int) -> list[dict[str, object]]:
    """An open loop whose first `slow` requests have a TPOT of 30 ms, the rest of 20."""
    rows = open_rows(*range(n), every_ms=100)
    for row in rows[:slow]:
        row["last_ns"] = row["first_any_ns"] + 9 * 30 * MS
        row["end_ns"] = row["last_ns"]
    return rows


def test_a_cold_start_is_left_out_and_told(make: Make) -> None:
    planned = [i * 100 for i in range(200)]
    load = {"rate": 10.0, "duration_s": 20.0}
    result = build_result(make(slow_start(200, 30), loop="open", planned=planned, load=load, window_end_ns=20_000 * MS))
    assert result.methodology.window.start_s == 3
    assert result.counts.window.ok == 170
    assert "warm-up of 3 s: TPOT of its requests lies 50% above the rest's" in result.steady.says
    assert result.latency["tpot_ms"].service.max == 20
    assert result.whole_run is not None and result.whole_run.latency["tpot_ms"].service.max == 30


def test_lone_outliers_at_the_start_stay_in_the_tail(make: Make) -> None:
    result = build_result(
        make(slow_start(200, 2), loop="open", planned=[i * 100 for i in range(200)], load={"rate": 10.0})
    )
    assert result.methodology.window.start_s == 0
    assert result.latency["tpot_ms"].service.max == 30
