from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made import MS, events_of, ok_request

from loadcell.kinds import KIND_ANSWER, KIND_USAGE
from loadcell.metrics import build_result
from loadcell.metrics.clusters import Clusters
from loadcell.metrics.dependence import rank_of
from loadcell.metrics.interval import percentile_ranks
from loadcell.recording.read import Recording

Make = Callable[..., Recording]


def test_gaps_do_not_cross_requests(make: Make) -> None:
    rows = [ok_request(1, tokens=3), ok_request(0, tokens=2, start_ms=1000)]
    result = build_result(make(rows))
    assert (result.latency["itl_ms"].service.n, result.latency["itl_ms"].service.max) == (3, 20)


def test_percentiles_of_many_gaps_are_exact(make: Make) -> None:
    rng = np.random.default_rng(1)
    rows, events, gaps = [], [], []
    for i in range(60):
        steps = rng.integers(5 * MS, 500 * MS, 50)
        gaps.append(steps[1:])
        times = np.cumsum(steps)
        rows.append(ok_request(i, tokens=50, first_any_ns=int(times[0]), last_ns=int(times[-1]), end_ns=int(times[-1])))
        events += [
            {"request": i, "read": k, "t_ns": int(t), "lag_ns": 1, "kind": KIND_ANSWER} for k, t in enumerate(times)
        ]
    itl = build_result(make(rows, events=events)).latency["itl_ms"].service
    everything = np.sort(np.concatenate(gaps))
    assert itl.n == everything.size == 60 * 49
    for name, permille in (("p50", 500), ("p90", 900), ("p95", 950)):
        assert getattr(itl, name).value == everything[-(-itl.n * permille // 1000) - 1] / 1e6
    assert itl.mean == pytest.approx(everything.mean() / 1e6)
    assert itl.effective is not None and 1000 < itl.effective <= itl.n
    assert itl.p99_9.needs == 2995 and itl.p99.bound is None


def test_intervals_are_those_of_the_gaps_that_all_are_worth(make: Make) -> None:
    """100 requests of 101 tokens: p99 is given. Once more by hand, for the window and for the whole run."""
    rng = np.random.default_rng(2)
    rows, events, gaps, times = [], [], [], []
    for i in range(100):
        start = i * 1000 * MS
        stamps = start + np.cumsum(rng.lognormal(np.log(10 * MS), 0.3, 101)).astype(np.int64)
        gaps.append(np.diff(stamps))
        times.append(stamps[1:])
        first, last = int(stamps[0]), int(stamps[-1])
        rows.append(ok_request(i, start_ms=i * 1000, tokens=101, first_any_ns=first, last_ns=last, end_ns=last))
        events += [
            {"request": i, "read": k, "t_ns": int(t), "lag_ns": 1, "kind": KIND_ANSWER} for k, t in enumerate(stamps)
        ]
    result = build_result(make(rows, events=events), window_s=(30, 200))
    assert result.whole_run is not None
    for first_request, latency in ((30, result.latency), (0, result.whole_run.latency)):
        itl, chosen = latency["itl_ms"].service, slice(first_request, None)
        ordered = np.sort(np.concatenate(gaps[chosen]))
        clusters = Clusters(
            [int(ordered[rank_of(p, ordered.size)]) for p in (500, 990)],
            float(rows[first_request]["first_any_ns"]),
            float(rows[-1]["last_ns"]),
        )
        clusters.add(np.concatenate(gaps[chosen]), np.full(100 - first_request, 100), np.concatenate(times[chosen]))
        for permille, estimate, effective in zip((500, 990), (itl.p50, itl.p99), clusters.effective(), strict=True):
            ranks = percentile_ranks(permille, ordered.size, effective)
            assert ranks.value is not None and ranks.low is not None and ranks.high is not None
            assert estimate.effective == pytest.approx(effective, rel=1e-3)
            assert estimate.value == ordered[ranks.value - 1] / 1e6
            for end, rank in ((estimate.low, ranks.low), (estimate.high, ranks.high)):
                assert end == pytest.approx(ordered[rank - 1] / 1e6, rel=2**-15)
        assert itl.effective == itl.p50.effective


def test_an_interval_holds_its_value_where_gaps_are_alike_to_the_last_bit(make: Make) -> None:
    rows = [ok_request(i, start_ms=i, tokens=10, last_ns=(i + 50) * MS + 9 * (20 * MS + 77)) for i in range(40)]
    itl = build_result(make(rows)).latency["itl_ms"].service
    assert (itl.p90.low, itl.p90.value, itl.p90.high) == (20.000077, 20.000077, 20.000077)
    assert itl.effective == 40


def test_merged_reads_are_told_apart_by_the_lag(make: Make) -> None:
    events = events_of(ok_request(0))
    events[1] |= {"read": events[0]["read"]}  # 20 µs late: the server sent both
    events[4] |= {"read": events[3]["read"], "lag_ns": 2 * MS}
    events[3] |= {"lag_ns": 2 * MS}
    audit = build_result(make([ok_request(0)], events=events)).instrument
    assert (audit.events, audit.merged_share, audit.merged_by_client_share) == (10, 0.2, 0.1)
    assert (audit.read_lag.n, audit.read_lag.max_ms) == (8, 2.0)  # one lag a read


def test_the_same_read_number_of_two_requests_is_not_merged(make: Make) -> None:
    rows = [ok_request(i, tokens=1) for i in range(4)]
    assert build_result(make(rows)).instrument.merged_share == 0


def test_reads_without_a_kernel_stamp_have_no_lag(make: Make) -> None:
    events = [event | {"lag_ns": None} for event in events_of(ok_request(0))]
    events[4] |= {"read": events[3]["read"]}
    audit = build_result(make([ok_request(0)], events=events)).instrument
    assert (audit.read_lag.n, audit.read_lag.max_ms, audit.read_lag.p50_ms) == (0, None, None)
    assert (audit.merged_share, audit.merged_by_client_share) == (0.1, 0)


def test_a_stamp_that_runs_backward_is_counted(make: Make) -> None:
    events = events_of(ok_request(0))
    events[5]["t_ns"] = events[4]["t_ns"] - 100
    result = build_result(make([ok_request(0)], events=events))
    assert result.instrument.backward_stamps == 1
    assert result.latency["itl_ms"].service.n == 9


def test_events_without_output_do_not_count(make: Make) -> None:
    events = [*events_of(ok_request(0)), {"request": 0, "read": 20, "t_ns": 250 * MS, "lag_ns": 1, "kind": KIND_USAGE}]
    result = build_result(make([ok_request(0)], events=events))
    assert (result.latency["itl_ms"].service.max, result.instrument.events) == (20, 10)


def test_events_of_a_request_that_was_never_recorded_count_for_nothing(make: Make) -> None:
    events = [*events_of(ok_request(0)), *events_of(ok_request(7))]
    result = build_result(make([ok_request(0)], events=events, planned=8))
    assert (result.latency["itl_ms"].service.n, result.instrument.events) == (9, 10)
    assert result.throughput.output_tokens_per_s == pytest.approx(10 / 0.25)


def test_tokens_that_events_tell_are_taken_as_told(make: Make) -> None:
    row = ok_request(0, tokens=2, output_tokens=9, last_ns=150 * MS)
    events = [event | {"tokens": n} for event, n in zip(events_of(row), (8, 1), strict=True)]
    recording = make([row], events=events)
    assert build_result(recording, window_s=(0, 0.1)).throughput.output_tokens_per_s == pytest.approx(80)


def test_tokens_are_spread_evenly_where_events_do_not_tell(make: Make) -> None:
    row = ok_request(0, tokens=2, output_tokens=9, last_ns=150 * MS)
    assert build_result(make([row]), window_s=(0, 0.1)).throughput.output_tokens_per_s == pytest.approx(45)


def test_failed_requests_give_no_gaps_and_their_tokens_stand_apart(make: Make) -> None:
    cut = ok_request(1, status="failed", error_kind="cut", error="x", output_tokens=10, token_source="chunks")
    result = build_result(make([ok_request(0), cut], events=[*events_of(ok_request(0)), *events_of(cut)]))
    assert result.latency["itl_ms"].service.n == 9
    assert result.throughput.output_tokens_per_s == pytest.approx(10 / 0.25)
    assert result.throughput.failed_tokens_per_s == pytest.approx(10 / 0.25)


def test_gaps_of_requests_whose_pace_drifts_are_worth_fewer(make: Make) -> None:
    rows = [ok_request(i, start_ms=100 * i, tokens=3, last_ns=(100 * i + 60 + i) * MS) for i in range(100)]
    itl = build_result(make(rows), window_s=(0, 10)).latency["itl_ms"].service
    assert itl.n == 200 and itl.effective is not None and itl.effective < 5


def test_tokens_are_kept_by_batches_of_the_window(make: Make) -> None:
    """100 requests, one every 100 ms, of 10 tokens each: as many in every batch but for the edges of the window."""
    rows = [ok_request(i, start_ms=100 * i) for i in range(100)]
    rates = build_result(make(rows), window_s=(0, 10)).throughput
    assert rates.output_tokens_per_s is not None and rates.output_tokens_interval is not None
    assert rates.output_tokens_interval.low < rates.output_tokens_per_s < rates.output_tokens_interval.high
    assert rates.requests_interval is not None and rates.requests_per_s is not None
    assert 0 < rates.requests_interval.high - rates.requests_interval.low < 0.2 * rates.requests_per_s
