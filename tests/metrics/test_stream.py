"""Was the stream delivered? Replies of known reads, and what is not measurable where they were collected."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from made import MS, events_of, ok_request

from loadcell.metrics import Result, build_result
from loadcell.metrics.model import Check
from loadcell.recording.read import Recording
from loadcell.report import to_json

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
    return as_saved(build_result(make(rows, events=events, bursts=True, **more)))


def as_saved(result: Result) -> Result:
    """A result that was kept as JSON: what is withheld must be readable, too."""
    read = msgspec.json.decode(to_json(result), type=Result)
    assert msgspec.json.decode(to_json(read)) == msgspec.json.decode(to_json(result))
    return result


def test_a_stream_of_single_events_is_delivered(make: Make) -> None:
    result = result_of(make, 1)
    found = result.delivered
    assert found is not None
    assert (found.replies, found.together_share, found.at_once_share, found.bursts_per_reply) == (60, 0, 0, 40)
    assert check(result, "together").word == check(result, "at_once").word == "VALID"


@pytest.mark.parametrize("tokens", [40, 10, 2])
def test_a_reply_in_one_read_has_no_pace(make: Make, tokens: int) -> None:
    result = result_of(make, tokens, tokens=tokens, slo={"tpot_ms": 50.0, "e2e_ms": 60_000.0})
    assert check(result, "at_once").word == "SUSPECT"
    for name in ("itl_ms", "tpot_ms"):
        summary = result.latency[name].service
        assert (summary.mean, summary.max, summary.p50.value) == (None, None, None)
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
    """Three events at a time: no gap is the server's, but the pace is."""
    result = result_of(make, 3, tokens=120)
    assert check(result, "together").word == "SUSPECT" and check(result, "at_once").word == "VALID"
    assert result.latency["itl_ms"].service.p50.value is None
    assert result.latency["tpot_ms"].service.p50.value == pytest.approx(20)


@pytest.mark.parametrize("every", [20, 8, 7])
def test_few_large_collections_leave_the_mean_pace(make: Make, every: int) -> None:
    result = result_of(make, every)
    assert result.latency["tpot_ms"].service.p50.value == pytest.approx(20)
    assert result.delivered is not None
    assert (result.delivered.bursts_per_reply, result.delivered.burst_events) == (-(-40 // every), every)
    assert f"events come in bursts of {every}, {20 * every} ms apart" in check(result, "together").says or every == 7


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


def test_replies_that_were_not_to_be_streamed_are_not_blamed_for_it(make: Make) -> None:
    result = result_of(make, 10, tokens=10, endpoint={"stream": False})
    assert result.delivered is None
    assert check(result, "together").word is None and check(result, "at_once").word is None


def test_replies_of_one_token_say_nothing(make: Make) -> None:
    result = result_of(make, 1, tokens=1)
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


# --- the pace of a stream in bursts, against a known truth -----------------------------------------------------------

Times = list[tuple[float, int]]
"""When each event came, ms since the send, and how many tokens it holds."""


def by_count(sizes: Callable[[int], int]) -> Callable[[list[float]], list[int]]:
    """A collector that lets so many events through at a time; its last ones at the end of the reply."""

    def pieces(made: list[float]) -> list[int]:
        found, at = [], 0
        while at < len(made):
            found.append(min(max(1, sizes(len(found))), len(made) - at))
            at += found[-1]
        return found

    return pieces


def through(made: list[float], pieces: list[int], end_ms: Callable[[int, float], float]) -> list[tuple[int, float]]:
    """(read, time) of each event: a piece comes when `end_ms` says, of its number and the time of its last event."""
    found, at = [], 0
    for number, size in enumerate(pieces):
        at += size
        found += [(number + 1, end_ms(number, made[at - 1]))] * size
    return found


def in_bursts(make: Make, came: list[list[tuple[int, float]]], **row_fields: Any) -> Result:
    """The result of replies of one-token events (or as `row_fields` say) that came as told."""
    rows, events = [], []
    for i, reply in enumerate(came):
        start = 20_000 * i
        stamps = [round((start + ms) * MS) for _, ms in reply]
        row = ok_request(
            i, start_ms=start, tokens=len(reply), first_any_ns=stamps[0], first_answer_ns=stamps[0],
            last_ns=stamps[-1], end_ns=stamps[-1],
        )  # fmt: skip
        rows.append(row | row_fields)
        events += [
            {"request": i, "read": read, "t_ns": t, "lag_ns": 30_000, "kind": 1, "bytes": 200}
            for (read, _), t in zip(reply, stamps, strict=True)
        ]
    return as_saved(build_result(make(rows, events=events, bursts=True)))


def made_at(tokens: int, pace: float, seed: int = 0) -> list[float]:
    """Times of tokens whose gaps vary by a tenth."""
    steps = pace * np.random.default_rng(seed).normal(1, 0.1, tokens - 1)
    return [50.0, *(50 + np.cumsum(steps)).tolist()]


AS_MADE = lambda number, ms: ms  # noqa: E731
COLLECTORS: dict[str, tuple[Callable[[list[float]], list[int]], Callable[[int, float], float]]] = {
    "2": (by_count(lambda _: 2), AS_MADE),
    "3": (by_count(lambda _: 3), AS_MADE),
    "64": (by_count(lambda _: 64), AS_MADE),
    "1 to 8": (by_count(lambda n: 1 + n * 5 % 8), AS_MADE),
    "the first alone, then 16": (by_count(lambda n: 16 if n else 1), AS_MADE),
    "4 KiB": (by_count(lambda _: 4096 // 230), AS_MADE),
}


@pytest.mark.parametrize("collector", COLLECTORS)
@pytest.mark.parametrize("tokens", [256, 200])
def test_tpot_of_a_collected_stream_is_the_servers(make: Make, collector: str, tokens: int) -> None:
    pieces, when = COLLECTORS[collector]
    truth = [made_at(tokens, 5, seed) for seed in range(30)]
    result = in_bursts(make, [through(made, pieces(made), when) for made in truth])
    true = float(np.mean([(made[-1] - made[0]) / (tokens - 1) for made in truth]))
    tpot = result.latency["tpot_ms"].service
    assert tpot.n == 30 and tpot.mean == pytest.approx(true, rel=0.01)
    assert result.latency["itl_ms"].service.p50.value is None and check(result, "together").word == "SUSPECT"
    assert result.verdict.word == "SUSPECT", result.verdict.reasons


@pytest.mark.parametrize("held", [True, False])
def test_tpot_of_a_stream_that_is_let_through_every_100_ms(make: Make, held: bool) -> None:
    """Its last piece comes at the end of the reply, or is held till the next time: both say nothing of the pace."""
    truth = [made_at(60, 20, seed) for seed in range(40)]
    came = []
    for made in truth:
        ticks = [math.ceil(ms / 100) for ms in made]
        reply = [(tick, tick * 100.0) for tick in ticks]
        came.append(reply if held else [(n, min(ms, made[-1])) for n, ms in reply])
    result = in_bursts(make, came)
    true = float(np.mean([(made[-1] - made[0]) / 59 for made in truth]))
    assert result.latency["tpot_ms"].service.mean == pytest.approx(true, rel=0.01)


def test_pieces_that_come_in_reads_of_their_own_are_bursts(make: Make) -> None:
    """Sixteen writes after each other, each read alone: no read is shared, and no gap is the server's."""
    truth = [made_at(128, 5, seed) for seed in range(30)]
    came = []
    for made in truth:
        reply = through(made, by_count(lambda _: 16)(made), AS_MADE)
        came.append([(k, ms + 0.02 * (k % 16)) for k, (_, ms) in enumerate(reply)])
    result = in_bursts(make, came)
    true = float(np.mean([(made[-1] - made[0]) / 127 for made in truth]))
    assert result.latency["tpot_ms"].service.mean == pytest.approx(true, rel=0.01)
    assert result.delivered is not None and result.delivered.burst_events == 16
    assert result.latency["itl_ms"].service.p50.value is None


@pytest.mark.parametrize("first", [1, 4])
def test_tpot_of_events_of_several_tokens(make: Make, first: int) -> None:
    """Four tokens an event, which nobody tells but their size; the first event holds one (a prefill), or four."""
    rows, events = [], []
    for i in range(30):
        row = ok_request(i, start_ms=9000 * i, tokens=25, output_tokens=first + 24 * 4, first_tokens=None)
        mine = events_of(row)
        for k, one in enumerate(mine):
            one["bytes"] = 190 + 5 * (4 if k else first)
        rows.append(row)
        events += mine
    result = build_result(make(rows, events=events, bursts=True))
    assert result.latency["tpot_ms"].service.mean == pytest.approx(5, rel=0.005)
    assert result.latency["itl_ms"].service.p50.value == 20, "a gap is one between events"
    assert result.itl_by_token is not None and result.itl_by_token.p50_ms == pytest.approx(5, rel=0.02)


def test_what_the_client_may_have_merged_is_nobodys_burst(make: Make) -> None:
    """The last look without the events was long before: the client may have been away."""
    rows, events = [], []
    for i in range(60):
        row = ok_request(i, start_ms=900 * i, tokens=40)
        mine = collected(row, 4, lag_ns=10)
        for one, after in itertools.pairwise(mine):
            one["poll_ns"] = one["t_ns"] - 70 * MS if one["read"] == after["read"] else None
        rows.append(row | {"first_any_ns": mine[0]["t_ns"], "first_answer_ns": mine[0]["t_ns"]})
        events += mine
    result = build_result(make(rows, events=events, bursts=True))
    assert result.delivered is not None and not result.delivered.together_share
    assert result.latency["tpot_ms"].service.mean == pytest.approx(20), "its pace is known all the same"
