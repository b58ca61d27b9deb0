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


def test_by_default_the_window_is_the_run(make: Make) -> None:
    result = build_result(make([ok_request(0), ok_request(1, start_ms=750)]))
    window = result.methodology.window
    assert (window.start_s, window.end_s) == (0, 1)
    assert window.reason == "from the start of the load to the end of the last request"
    assert result.throughput.requests_per_s == 2  # the last one ends on the edge and counts


def test_a_duration_ends_the_window_and_stragglers_are_followed(make: Make) -> None:
    rows = [ok_request(0), ok_request(1, start_ms=900), ok_request(2, start_ms=1100)]
    result = build_result(
        make(rows, load={"concurrency": 1, "duration_s": 1.0}, window_end_ns=1000 * MS, closed_for_a_time=True)
    )
    assert result.methodology.window.end_s == 1
    assert result.counts.window.ok == 2
    assert result.latency["e2e_ms"].service.n == 2
    assert result.throughput.requests_per_s == 1  # the second ends after the window
    # 10 tokens of the first; of the second, sent at 900 ms, those at 950, 970 and 990 ms.
    assert result.throughput.output_tokens_per_s == 13
    assert result.throughput.input_tokens_per_s == 220


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
