"""What the workers tell in shared memory while they run, and the figures that the parent makes of it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.load.live import BINS, Count, Live, bin_of, middle_ms, tell
from loadcell.load.progress import Meter, quantile_ms
from loadcell.recording.schema import MISSING
from loadcell.recording.write import MISSING_INT

MS, S = 1_000_000, 1_000_000_000


@contextmanager
def block(workers: int) -> Iterator[Live]:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(Live.size(workers)))
        file.flush()
        yield Live(file.fileno(), workers)


def test_counters_of_several_workers() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(Live.size(3)))
        file.flush()
        parent, child = Live(file.fileno(), 3), Live(file.fileno(), 3)
        assert (parent.t0_ns, parent.stop, parent.total(Count.OK)) == (0, False, 0)
        for worker in range(3):
            cells = child.cells(worker)
            for count in Count:
                cells[count] = 100 * worker + count
        for count in Count:
            assert parent.total(count) == 300 + 3 * count
        assert Meter(parent, None).counts() == [300 + 3 * count for count in Count]
        parent.t0_ns = 2**62
        parent.stop = True
        assert (child.t0_ns, child.stop) == (2**62, True)
        assert parent.total(Count.OK) == 300 + 3 * Count.OK


def row(**fields: object) -> dict[str, object]:
    return {
        "status": "ok", "planned_ns": MISSING, "ready_ns": 0, "send_start_ns": 0, "conn_start_ns": MISSING,
        "first_any_ns": 50 * MS, "last_ns": 90 * MS, "output_tokens": 10, "reads": 10,
        "counted": True,
    } | fields  # fmt: skip


@given(st.integers(MS // 10, 3600 * S))
def test_a_bin_stands_for_its_latencies_within_one_percent(latency_ns: int) -> None:
    assert middle_ms(bin_of(latency_ns)) == pytest.approx(latency_ns / MS, rel=0.0101)


@given(st.integers(0, 10**18))
def test_every_latency_has_a_bin(latency_ns: int) -> None:
    assert 0 <= bin_of(latency_ns) < BINS
    assert bin_of(latency_ns) <= bin_of(latency_ns + 1)


@given(
    st.lists(st.integers(MS // 10, 3600 * S), min_size=1, max_size=300),
    st.sampled_from([0.5, 0.99]),
    st.integers(1, 3),
)
def test_percentiles_are_those_of_the_latencies_within_one_percent(
    latencies: list[int], share: float, workers: int
) -> None:
    with block(workers) as live:
        for number, latency_ns in enumerate(latencies):
            tell(live.cells(number % workers), row(first_any_ns=latency_ns), 10)
        _, whole = Meter(live, None).figures(S)
    assert whole is not None and whole.ended == len(latencies)
    exact_ms = sorted(latencies)[math.ceil(share * len(latencies)) - 1] / MS
    found = whole.p50_ms if share == 0.5 else whole.p99_ms
    assert found == pytest.approx(exact_ms, rel=0.0101)


def test_of_no_latency_there_is_no_percentile() -> None:
    assert quantile_ms(np.zeros(BINS, np.int64), 0.5) is None


def test_what_a_request_tells() -> None:
    with block(1) as live:
        cells = live.cells(0)
        tell(cells, row(planned_ns=10 * MS, send_start_ns=12 * MS), 12)  # late; TTFT from the plan: 40 ms
        tell(cells, row(send_start_ns=10 * MS, ready_ns=10 * MS), 12)  # TTFT from the send: 40 ms
        tell(cells, row(first_any_ns=MISSING, last_ns=40 * MS, output_tokens=MISSING_INT), 1)  # no stream: E2E
        tell(cells, row(status="failed", conn_start_ns=1, ready_ns=-5 * MS), 3)  # its lateness is the connection's
        tell(cells, row(status="cancelled", send_start_ns=MISSING), 0)
        assert [cells[c] for c in (Count.OK, Count.FAILED, Count.CANCELLED)] == [3, 1, 1]
        assert [cells[c] for c in (Count.EVENTS, Count.TOKENS)] == [28, 20]
        assert [cells[c] for c in (Count.TIMED, Count.OFF_TIME)] == [3, 1]
        _, whole = Meter(live, None).figures(S)
    assert whole is not None and whole.ended == 3
    assert whole.p50_ms == whole.p99_ms == pytest.approx(40, rel=0.0101)


def test_recent_figures_forget_what_is_past() -> None:
    """First 20 s of 10 requests a second at 100 ms, then 20 s of 20 a second at 900 ms; the plan asks for 10 and 30."""
    planned = np.sort(np.concatenate([np.arange(0, 20 * S, S // 10), np.arange(20 * S, 40 * S, S // 30)]))
    with block(2) as live:
        meter = Meter(live, planned)
        meter.figures(0)
        for second in range(40):
            slow = second >= 20
            for number in range(20 if slow else 10):
                cells = live.cells(number % 2)
                tell(cells, row(first_any_ns=(900 if slow else 100) * MS, output_tokens=5, reads=7), 5)
                cells[Count.ISSUED] += 1
            live.cells(1)[Count.BUSY_NS] += 3 * S // 10
            recent, whole = meter.figures((second + 1) * S)
        assert recent is not None and whole is not None
        assert (recent.span_s, recent.ended, whole.span_s, whole.ended) == (10, 200, 40, 600)
        assert recent.p50_ms == pytest.approx(900, rel=0.0101)
        assert (recent.sent_per_s, recent.tokens_per_s, recent.ended_per_s) == (20, 100, 20)
        assert recent.due_per_s == pytest.approx(30, abs=0.2)
        assert whole.due_per_s == pytest.approx(20, abs=0.2)
        assert whole.p50_ms == pytest.approx(900, rel=0.0101) and whole.tokens_per_s == 75
        assert recent.busy_share == pytest.approx(0.3), "the busiest worker, not their mean"
        assert meter.figures(40 * S + 1) == (recent, whole), "no new ones within a quarter of a second"


def test_recent_is_longer_where_few_requests_end() -> None:
    with block(1) as live:
        meter, spans = Meter(live, None), []
        for second in range(1, 200):
            tell(live.cells(0), row(), 1)
            if second <= 100:
                tell(live.cells(0), row(), 1)
            recent, _ = meter.figures(second * S)
            assert recent is not None
            spans.append((recent.span_s, recent.ended))
    assert spans[4] == (5, 10)
    assert spans[30] == (31, 62)
    assert spans[99] == (50, 100), "as long as it takes to see a hundred"
    assert spans[-1] == (60, 60), "but a minute at most"


def test_recent_tokens_are_of_the_last_ten_seconds_however_few_requests_ended() -> None:
    """A request every 2 s, 10 reads a second in the air for 20 s, then 30 a second: 2 tokens a read."""
    with block(1) as live:
        meter, cells = Meter(live, None), live.cells(0)
        for second in range(40):
            cells[Count.AIR_READS] += 30 if second >= 20 else 10
            if second % 2:
                cells[Count.AIR_READS] -= 20
                tell(cells, row(reads=20, output_tokens=40), 20)
            recent, whole = meter.figures((second + 1) * S)
    assert recent is not None and whole is not None
    assert (recent.span_s, recent.ended) == (40, 20)
    assert (recent.tokens_per_s, whole.tokens_per_s) == (60, 40)


@pytest.mark.parametrize(
    "of",
    [{"status": "failed"}, {"status": "ok"}],
    ids=["errors", "whole replies that do not say how many tokens they hold"],
)
def test_replies_that_tell_no_tokens_are_no_tokens_a_second(of: dict[str, object]) -> None:
    """Forty errors a second were shown as "40 tok/s"."""
    with block(1) as live:
        meter = Meter(live, None)
        for second in range(10):
            for _ in range(40):
                tell(live.cells(0), row(**of, first_any_ns=MISSING, output_tokens=MISSING_INT, reads=1), 0)
            recent, whole = meter.figures((second + 1) * S)
    assert recent is not None and whole is not None
    assert recent.tokens_per_s is None and whole.tokens_per_s is None


def test_errors_beside_replies_add_no_tokens() -> None:
    with block(1) as live:
        meter, cells = Meter(live, None), live.cells(0)
        meter.figures(0)
        for _ in range(90):
            tell(cells, row(status="failed", first_any_ns=MISSING, output_tokens=MISSING_INT, reads=1), 0)
        for _ in range(10):
            tell(cells, row(), 10)
        _, whole = meter.figures(10 * S)
    assert whole is not None and whole.tokens_per_s == 10


def test_an_interval_without_an_end_has_no_figures() -> None:
    with block(1) as live:
        _, whole = Meter(live, None).figures(S)
    assert whole is not None
    assert (whole.p50_ms, whole.p99_ms, whole.tokens_per_s, whole.due_per_s) == (None, None, None, None)
    assert whole.ended_per_s == 0
