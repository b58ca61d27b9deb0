"""What a server tells of its own times: taken where it can be, missing where not, and never the end of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reply import DONE, FINISH, HEAD, LAST, chunk, event, parse, said, token

from loadcell.protocol import Reply
from loadcell.protocol.dialect import Drafted, ServerTimes

NOTHING = ServerTimes(None, None, None)
MS = 1_000_000
METRICS = {"queue_time_ms": 12.5, "time_to_first_token_ms": 85.25, "generation_time_ms": 1240.5, "mean_itl_ms": 9.1}
TIMINGS = {"prompt_n": 34, "prompt_ms": 150.5, "predicted_n": 2, "predicted_ms": 20.0, "cache_n": 12}


def streamed(*events: bytes) -> Reply:
    return parse([HEAD + b"".join(chunk(e) for e in (*events, DONE)) + LAST])


def last(**fields: Any) -> bytes:
    """The event after the last token, which holds the usage."""
    return event({"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 2}, **fields})


def of_stream(**fields: Any) -> Reply:
    return streamed(event(token("a")), event(token("b")), event(FINISH), last(**fields))


def whole(payload: bytes) -> Reply:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return parse([head % len(payload) + payload])


def test_vllm_tells_queue_prefill_and_decode() -> None:
    reply = of_stream(metrics=METRICS)
    assert reply.failure is None
    assert reply.told.times == (12.5 * MS, 85.25 * MS, 1240.5 * MS)


def test_llama_tells_prefill_and_decode() -> None:
    reply = of_stream(timings=TIMINGS)
    assert reply.told.times == (None, 150.5 * MS, 20 * MS)
    assert reply.told.cached_tokens == 12


def test_a_server_that_tells_both_ways_is_taken_by_the_one_with_the_queue() -> None:
    assert of_stream(timings=TIMINGS, metrics=METRICS).told.times.queue_ns == 12.5 * MS


def test_vllm_tells_what_it_guessed() -> None:
    """As vLLM 0.32 does with --per-request-spec-decode-metrics summary, with its times and without."""
    told = {
        "mean_acceptance_length": 4.0, "draft_acceptance_rate": 0.5, "acceptance_histogram": [0, 0, 0, 6],
        "num_spec_steps": 6, "num_accepted_draft_tokens": 9, "num_draft_tokens": 18, "num_spec_tokens": 3,
    }  # fmt: skip
    assert of_stream(metrics={"speculative_decoding": told}).told.drafted == Drafted(6, 18, 9)
    reply = of_stream(metrics=METRICS | {"speculative_decoding": told})
    assert (reply.told.drafted, reply.told.times.queue_ns) == (Drafted(6, 18, 9), 12.5 * MS)


def test_llama_tells_what_it_guessed() -> None:
    assert of_stream(timings=TIMINGS | {"draft_n": 12, "draft_n_accepted": 7}).told.drafted == Drafted(None, 12, 7)


@pytest.mark.parametrize("told", [None, [], "many", {}, {"num_draft_tokens": -1, "num_spec_steps": 1.5}])
def test_guesses_that_cannot_be_are_as_if_not_told(told: Any) -> None:
    reply = of_stream(metrics=METRICS | {"speculative_decoding": told})
    assert (reply.failure, reply.told.drafted) == (None, Drafted())
    reply = of_stream(timings=TIMINGS | {"draft_n": told})
    assert (reply.failure, reply.told.drafted) == (None, Drafted())


def test_nothing_is_told_by_a_plain_stream() -> None:
    reply = of_stream()
    assert (reply.told.times, reply.told.cached_tokens) == (NOTHING, None)


@pytest.mark.parametrize("fields", [{"metrics": METRICS}, {"timings": TIMINGS}])
def test_a_reply_that_is_not_streamed_tells_too(fields: dict[str, Any]) -> None:
    choice = {"message": {"content": "a b"}, "finish_reason": "stop"}
    reply = whole(json.dumps({"choices": [choice], **fields}).encode())
    assert reply.failure is None
    assert reply.told.times.prefill_ns in (85.25 * MS, 150.5 * MS)
    assert reply.tokens == [None]


def test_timings_in_every_event_count_tokens_and_the_last_holds() -> None:
    events = [event(token("ab"[i]) | {"timings": TIMINGS | {"predicted_n": i + 1, "predicted_ms": i}}) for i in (0, 1)]
    final = event(FINISH | {"timings": TIMINGS | {"predicted_ms": 7, "prompt_ms": 151}})
    reply = streamed(*events, final)
    assert reply.tokens[:2] == [1, 1] and reply.token_source == "stream"
    assert reply.told.times == (None, 151 * MS, 7 * MS)


def test_the_short_way_takes_the_tokens_and_the_last_event_tells() -> None:
    """Token events that are alike are not decoded each; what comes after them still is."""
    reads = [HEAD, *(chunk(event(token(f"w{i}"))) for i in range(40)), chunk(event(FINISH) + last(metrics=METRICS))]
    one_by_one, at_once = parse([*reads, chunk(DONE) + LAST]), parse([*reads, chunk(DONE) + LAST], batch=99)
    assert said(one_by_one) == said(at_once)
    assert one_by_one.told.times == at_once.told.times == (12.5 * MS, 85.25 * MS, 1240.5 * MS)


@pytest.mark.parametrize(
    "bad", [-1, -0.001, 1e30, 10**40, 10**400, "12", True, None, [], {}, float("nan"), float("inf"), -float("inf")]
)
def test_times_that_cannot_be_are_missing_and_fail_nothing(bad: Any) -> None:
    reply = of_stream(metrics=METRICS | {"queue_time_ms": bad})
    assert (reply.failure, reply.finish_reason) == (None, "stop")
    assert reply.told.times == (None, 85.25 * MS, 1240.5 * MS)
    assert reply.usage and reply.usage.output_tokens == 2
    reply = of_stream(timings=TIMINGS | {"prompt_ms": bad, "cache_n": bad})
    assert (reply.failure, reply.told.times, reply.told.cached_tokens) == (None, (None, None, 20 * MS), None)


@pytest.mark.parametrize("block", [None, 5, "text", [1, 2], [], True, {}, {"other": 1}])
@pytest.mark.parametrize("name", ["metrics", "timings"])
def test_a_block_of_another_kind_tells_nothing(name: str, block: Any) -> None:
    reply = of_stream(**{name: block})
    assert (reply.failure, reply.told.times) == (None, NOTHING)


def test_a_number_beyond_floats_fails_nothing() -> None:
    raw = last(metrics=METRICS).replace(b"12.5", b"1e999")
    reply = streamed(event(token("a")), event(FINISH), raw)
    assert reply.failure is None and reply.told.times.queue_ns is None


def test_a_running_count_that_cannot_be_is_no_count() -> None:
    reply = streamed(event(token("a") | {"timings": {"predicted_n": -5}}), event(FINISH))
    assert (reply.failure, reply.tokens[0], reply.token_source) == (None, None, None)


def test_nan_is_taken_out_of_the_json_and_not_out_of_the_text() -> None:
    text = 'NaN, \\ and "Infinity" -Infinity'
    reply = streamed(event(token(text) | {"score": float("nan"), "other": -float("inf")}), event(FINISH))
    assert reply.failure is None
    assert "".join(reply.content) == text


def test_junk_with_nan_in_it_is_still_junk() -> None:
    reply = streamed(event(token("a")), b'data: {"a": NaN, "b": "unended\n\n', event(FINISH))
    assert reply.failure and reply.failure[0] == "invalid_json"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*METRICS, *TIMINGS]), inner),
    max_leaves=8,
)


@given(json_values, json_values)
def test_no_block_can_fail_a_request(metrics: Any, timings: Any) -> None:
    reply = of_stream(metrics=metrics, timings=timings)
    assert reply.failure is None
    for value in (*reply.told.times, reply.told.cached_tokens):
        assert value is None or (type(value) is int and 0 <= value <= 86_400_000 * MS)
