from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import MS, events_of, failed_request, ok_request

from loadcell.metrics import GLOSSARY, Result, build_result
from loadcell.metrics.latency import tpot_ns
from loadcell.metrics.rows import read_rows
from loadcell.recording.read import Recording

Make = Callable[..., Recording]


def means(result: Result) -> dict[str, float | None]:
    return {name: latency.service.mean for name, latency in result.latency.items()}


def test_the_golden_request(make: Make) -> None:
    """10 one-token events at 50, 70 ... 230 ms, end at 250 ms."""
    result = build_result(make([ok_request(0)]))
    expected = {"ttft_ms": 50, "ttfa_ms": 50, "itl_ms": 20, "tpot_ms": 20, "ntpot_ms": 23, "e2e_ms": 230}
    assert means(result) == pytest.approx(expected)
    assert result.latency["itl_ms"].service.n == 9
    assert result.latency["ttft_ms"].response is None  # a closed loop has no planned times


def test_response_and_service_time_stand_side_by_side(make: Make) -> None:
    rows = [ok_request(i, start_ms=100 * i + 40, planned_ns=100 * i * MS, ready_ns=None) for i in range(3)]
    result = build_result(make(rows, loop="open", planned=[0, 100, 200]))
    for name, more in (("ttft_ms", 40), ("e2e_ms", 40), ("ntpot_ms", 4), ("ttfa_ms", 40)):
        latency = result.latency[name]
        assert latency.response is not None
        assert latency.response.mean == pytest.approx((latency.service.mean or 0) + more)
    assert result.latency["tpot_ms"].response is None
    assert result.instrument.send_lateness.max_ms == 40


def test_one_token_has_ttft_and_e2e_but_no_pace(make: Make) -> None:
    result = build_result(make([ok_request(0, tokens=1)]))
    assert means(result) == {
        "ttft_ms": 50, "ttfa_ms": 50, "itl_ms": None, "tpot_ms": None, "ntpot_ms": 50, "e2e_ms": 50,
    }  # fmt: skip
    assert result.throughput.user_tokens_per_s["p50"].value is None


def test_a_reply_not_streamed_has_e2e_only(make: Make) -> None:
    row = ok_request(0, first_any_ns=None, first_answer_ns=None, first_tokens=None, output_chunks=1, last_ns=230 * MS)
    result = build_result(make([row], events=[{"request": 0, "read": 1, "t_ns": 230 * MS, "kind": 1}]))
    assert means(result) == {
        "ttft_ms": None, "ttfa_ms": None, "itl_ms": None, "tpot_ms": None, "ntpot_ms": 23, "e2e_ms": 230,
    }  # fmt: skip
    assert any("not streamed" in note for note in result.notes)
    assert result.throughput.output_tokens_per_s == pytest.approx(10 / 0.25)


def test_reasoning_before_the_answer_parts_ttfa_from_ttft(make: Make) -> None:
    result = build_result(make([ok_request(0, first_answer_ns=150 * MS)]))
    assert (means(result)["ttft_ms"], means(result)["ttfa_ms"]) == (50, 150)


def test_an_answer_that_never_came_has_no_ttfa(make: Make) -> None:
    assert means(build_result(make([ok_request(0, first_answer_ns=None)])))["ttfa_ms"] is None


def test_tokens_of_the_first_chunk_count_for_tpot(make: Make) -> None:
    """5 events of 4 tokens, 20 ms apart: 80 ms for the 16 tokens after the first event."""
    row = ok_request(0, tokens=5, output_tokens=20, first_tokens=4)
    assert means(build_result(make([row])))["tpot_ms"] == 5


def test_unknown_tokens_of_the_first_chunk_are_one_and_noted(make: Make) -> None:
    result = build_result(make([ok_request(0, tokens=5, output_tokens=21, first_tokens=None)]))
    assert means(result)["tpot_ms"] == 4
    assert any("first chunk" in note for note in result.notes)


def test_all_tokens_in_one_chunk_have_no_tpot_rather_than_zero(make: Make) -> None:
    row = ok_request(0, tokens=1, output_tokens=20, first_tokens=None)
    assert means(build_result(make([row])))["tpot_ms"] is None


def test_unknown_token_counts_are_not_zero(make: Make) -> None:
    result = build_result(make([ok_request(0, output_tokens=None)]))
    assert (means(result)["tpot_ms"], means(result)["ntpot_ms"]) == (None, None)
    assert means(result)["e2e_ms"] == 230


def test_failures_are_in_no_distribution(make: Make) -> None:
    cut = ok_request(1, status="failed", error_kind="cut", error="cut", first_any_ns=1 * MS)
    result = build_result(make([ok_request(0), cut, failed_request(2, "timeout")], events=events_of(ok_request(0))))
    assert {latency.service.n for name, latency in result.latency.items() if name != "itl_ms"} == {1}
    assert result.latency["itl_ms"].service.n == 9


@given(
    st.integers(0, 10**12), st.integers(0, 10**10), st.integers(0, 10**11), st.integers(2, 10**5), st.integers(1, 10)
)
def test_e2e_is_ttft_plus_tpot_times_the_later_tokens(send: int, wait: int, pace: int, n: int, first: int) -> None:
    """To the nanosecond, with TPOT as the rational that its formula is."""
    first_any, last = send + wait, send + wait + pace
    later = n - min(first, n)
    assert (last - first_any) == (last - send) - (first_any - send)
    if later:
        tpot = Fraction(last - first_any, later)
        assert (first_any - send) + later * tpot == last - send


def test_the_identity_holds_for_every_recorded_request(make: Make) -> None:
    rng = np.random.default_rng(3)
    rows = [
        ok_request(i, start_ms=float(rng.uniform(0, 1e6)), tokens=int(rng.integers(2, 300)), first_tokens=None)
        for i in range(50)
    ]
    for row in rows:
        row["last_ns"] += int(rng.integers(0, 999_999))
    columns = read_rows(make(rows, events=[]))
    ttft, e2e = columns.first_any - columns.send_start, columns.last - columns.send_start
    assert np.array_equal(e2e - ttft, columns.last - columns.first_any)
    assert np.array_equal(np.rint(ttft + tpot_ns(columns) * columns.later_tokens), e2e)


def test_user_rate_percentiles_are_from_the_slow_end(make: Make) -> None:
    paces = np.random.default_rng(5).permutation(40)
    rows = [ok_request(i, tokens=2, last_ns=(60 + 10 * int(pace)) * MS) for i, pace in enumerate(paces)]
    result = build_result(make(rows))
    tpot, rate = result.latency["tpot_ms"].service, result.throughput.user_tokens_per_s
    assert tpot.p90.value == 360 and rate["p90"].value == pytest.approx(1000 / 360)
    low, high = rate["p90"].low, rate["p90"].high
    assert low is not None and high is not None and tpot.p90.high is not None
    assert low == pytest.approx(1000 / tpot.p90.high) and low < rate["p90"].value < high
    assert rate["p99"].value is None and rate["p99"].needs == 100


def test_dependence_is_sought_in_the_order_of_the_sends(make: Make) -> None:
    """TTFT alternates by request number, but the requests were sent slow ones first."""
    rows = [
        ok_request(i, start_ms=i // 2 + 1000 * (i % 2), first_any_ns=round((i // 2 + 1000 * (i % 2) + ttft) * MS))
        for i, ttft in enumerate([20.0, 10.0] * 100)
    ]
    summary = build_result(make(rows, events=[]), window_s=(0, 2)).latency["ttft_ms"].service
    assert summary.n == 200 and summary.effective is not None and summary.effective < 5


def test_every_latency_is_in_the_glossary() -> None:
    assert {"ttft", "ttfa", "itl", "tpot", "ntpot", "e2e"} <= set(GLOSSARY)
    assert all(name == metric.name and metric.formula and metric.blind for name, metric in GLOSSARY.items())
