"""Was the stream delivered? Replies of known reads, and what is not measurable where they were collected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from made import MS, events_of, ok_request

from loadcell.metrics import Result, build_result
from loadcell.metrics.model import Check
from loadcell.recording.read import Recording

Make = Callable[..., Recording]
WORD = "proxy buffering"


def check(result: Result, name: str) -> Check:
    return next(check for check in result.verdict.checks if check.name == name)


def collected(row: dict[str, Any], every: int, lag_ns: int = 50_000) -> list[dict[str, Any]]:
    """The events of a reply, `every` of them in one read with the stamp of the last."""
    events = events_of(row)
    for low in range(0, len(events), every):
        part = events[low : low + every]
        for one in part:
            one.update(read=low // every + 1, t_ns=part[-1]["t_ns"], lag_ns=lag_ns)
    return events


def result_of(make: Make, every: int, n: int = 60, tokens: int = 40, lag_ns: int = 50_000, **more: Any) -> Result:
    rows = []
    events = []
    for i in range(n):
        row = ok_request(i, start_ms=900 * i, tokens=tokens)
        mine = collected(row, every, lag_ns)
        rows.append(row | {"first_any_ns": mine[0]["t_ns"], "first_answer_ns": mine[0]["t_ns"]})
        events += mine
    return build_result(make(rows, events=events, **more))


def test_a_stream_of_single_events_is_delivered(make: Make) -> None:
    result = result_of(make, 1)
    found = result.delivered
    assert found is not None
    assert (found.replies, found.together_share, found.at_once_share, found.reads_per_reply) == (60, 0, 0, 40)
    assert check(result, "together").word == check(result, "at_once").word == "VALID"


@pytest.mark.parametrize("every", [40, 20])
def test_a_reply_in_one_or_two_reads_has_no_pace(make: Make, every: int) -> None:
    result = result_of(make, every, slo={"tpot_ms": 50.0, "e2e_ms": 60_000.0})
    assert check(result, "at_once").word == "SUSPECT"
    for name in ("itl_ms", "tpot_ms"):
        summary = result.latency[name].service
        assert (summary.n > 0, summary.mean, summary.max, summary.p50.value) == (True, None, None, None)
        assert WORD in str(summary.p50.withheld) and WORD in str(summary.p99.withheld)
    assert {one.value for one in result.throughput.user_tokens_per_s.values()} == {None}
    assert result.goodput is not None
    assert result.goodput.good is None and result.goodput.attainment.value is None
    limit = result.goodput.limits["tpot_ms"]
    assert (limit.met, limit.attainment.value) == (None, None) and WORD in str(limit.note)
    assert result.goodput.limits["e2e_ms"].attainment.value == 1, "what can be judged is"
    assert result.latency["ttft_ms"].service.p50.value and result.latency["e2e_ms"].service.p50.value
    if result.whole_run:
        assert result.whole_run.latency["tpot_ms"].service.mean is None


def test_what_cannot_be_measured_leaves_the_other_budgets_judged(make: Make) -> None:
    """It was taken for a recording without bounds, "the client's own", and TTFT and E2E were not judged at all."""
    names = {found.name for found in result_of(make, 40).verdict.checks}
    assert {"ttft_budget", "e2e_budget", "rates_budget"} <= names and "budget" not in names


def test_many_small_collections_leave_the_mean_pace(make: Make) -> None:
    """Two or three events at a time: no gap is the server's, but over 40 pieces the pace is."""
    result = result_of(make, 3, tokens=120)
    assert check(result, "together").word == "SUSPECT" and check(result, "at_once").word == "VALID"
    assert result.latency["itl_ms"].service.p50.value is None
    assert result.latency["tpot_ms"].service.p50.value == pytest.approx(20, rel=0.05)


def test_few_large_collections_leave_nothing(make: Make) -> None:
    result = result_of(make, 8)
    assert result.latency["tpot_ms"].service.p50.value is None and result.delivered.reads_per_reply == 5


def test_what_the_client_merged_is_not_the_streams(make: Make) -> None:
    result = result_of(make, 3, lag_ns=2 * MS)
    assert result.delivered is not None and result.delivered.together_share == 0
    assert check(result, "together").word == "VALID" and result.latency["itl_ms"].service.p50.value is not None


def test_output_faster_than_any_server_came_at_once(make: Make) -> None:
    """A reply of 100 KB that a proxy held back takes several reads."""
    rows, events = [], []
    for i in range(60):
        row = ok_request(i, start_ms=900 * i, tokens=40)
        first = row["last_ns"] - 39 * 20_000
        rows.append(row | {"first_any_ns": first, "first_answer_ns": first})
        events += [one | {"t_ns": first + 20_000 * k} for k, one in enumerate(events_of(row))]
    result = build_result(make(rows, events=events))
    assert result.delivered is not None and result.delivered.at_once_share == 1
    assert result.latency["itl_ms"].service.p50.value is None


def test_between_a_tenth_and_half_it_is_suspect_and_shown(make: Make) -> None:
    rows = [ok_request(i, start_ms=900 * i, tokens=40) for i in range(60)]
    events = [event for i, row in enumerate(rows) for event in collected(row, 40 if i % 5 == 0 else 1)]
    result = build_result(make(rows, events=events))
    assert result.delivered is not None and result.delivered.at_once_share == pytest.approx(0.2)
    assert check(result, "at_once").word == "SUSPECT" and "(limit 10 %)" in check(result, "at_once").says
    assert result.latency["itl_ms"].service.p50.value == 20


# --- no false alarms -------------------------------------------------------------------------------------------------


def test_several_tokens_a_chunk_are_no_collection(make: Make) -> None:
    """Speculative decoding: four tokens in each event, each event in a read of its own."""
    rows = [ok_request(i, start_ms=900 * i, tokens=10, output_tokens=40, first_tokens=4) for i in range(60)]
    events = [event | {"tokens": 4} for row in rows for event in events_of(row)]
    result = build_result(make(rows, events=events))
    assert result.delivered is not None
    assert (result.delivered.together_share, result.delivered.at_once_share) == (0, 0)
    assert result.latency["itl_ms"].service.p50.value == 20


def test_short_replies_say_nothing(make: Make) -> None:
    result = result_of(make, 3, tokens=3)
    assert result.delivered is None
    assert check(result, "together").word is None and check(result, "at_once").word is None
    assert result.latency["tpot_ms"].service is not None


def test_replies_without_a_stream_say_nothing(make: Make) -> None:
    rows = [ok_request(i, start_ms=900 * i, tokens=40, first_any_ns=None, output_chunks=None) for i in range(60)]
    rows = [row | {"first_any_ns": None, "first_answer_ns": None, "output_chunks": None} for row in rows]
    assert build_result(make(rows, events=[])).delivered is None


def test_a_result_of_before_has_no_such_part(make: Make) -> None:
    told = msgspec.to_builtins(build_result(make([ok_request(0)])))
    del told["delivered"], told["change"]
    assert msgspec.convert(told, Result).delivered is None
