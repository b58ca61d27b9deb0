"""SGLang's own /generate: what its reference tells of its events, and what is sent to it.

The reference: docs.sglang.io, "SGLang Native APIs" and "Sampling Parameters", as of March 2026; what of an event they
leave out, as `python/sglang/srt/managers/tokenizer_manager.py` of that year writes it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoken import HEAD, LAST, SPOKEN, at_once, chunk, event, streamed

from loadcell.errors import UsageError
from loadcell.kinds import KIND_ANSWER, KIND_DONE, KIND_EMPTY, KIND_ERROR, KIND_FINISH, KIND_USAGE
from loadcell.load.target import make_target
from loadcell.mlperf.wheel.replies import IdReply
from loadcell.protocol import Reply
from loadcell.protocol.dialect import Drafted
from loadcell.protocol.engines.sglang import SGLANG
from loadcell.spec import Endpoint

DONE = b"data: [DONE]\n\n"
LENGTH = {"type": "length", "length": 4}
ABORT = {"type": "abort", "message": "The scheduler ran out of memory.", "status_code": 500, "err_type": None}
PIECES = ["Paris", " is", " a", " city"]


def made(text: str | None, ids: list[int] | None, tokens: int, why: Any = None, **meta: Any) -> dict[str, Any]:
    """An event; without ids as versions before 2025 wrote it."""
    found: dict[str, Any] = {} if text is None else {"text": text}
    found |= {} if ids is None else {"output_ids": ids}
    return found | {"meta_info": {
        "id": "f3", "finish_reason": why, "prompt_tokens": 6, "weight_version": "default", "num_retractions": 0,
        "reasoning_tokens": 0, "completion_tokens": tokens, "cached_tokens": 2, **meta,
    }}  # fmt: skip


def so_far(*, ids: bool = True, text: bool = True, **last: Any) -> list[dict[str, Any]]:
    """A stream of events that hold all so far."""
    return [
        made("".join(PIECES[: n + 1]) if text else None, list(range(n + 1)) if ids else None, n + 1,
             LENGTH if n == 3 else None, **(last if n == 3 else {}))
        for n in range(4)
    ]  # fmt: skip


def pieces(*, ids: bool = True) -> list[dict[str, Any]]:
    """The same of a server that sends what is new alone (--incremental-streaming-output)."""
    return [
        made(PIECES[n], [n] if ids else None, n + 1, LENGTH if n == 3 else None) for n in range(4)
    ]  # fmt: skip


def stream(*values: dict[str, Any], mark: bytes = DONE) -> Reply:
    return streamed(SGLANG, values, mark)


@pytest.mark.parametrize("values", [so_far(), so_far(ids=False), pieces(), pieces(ids=False)])
def test_the_text_counts_once_however_it_is_sent(values: list[dict[str, Any]]) -> None:
    reply = stream(*values)
    assert (reply.failure, reply.finish_reason, reply.done) == (None, "length", True)
    assert reply.content == PIECES
    assert (reply.tokens[:4], reply.token_source) == ([1, 1, 1, 1], "stream")
    one = KIND_ANSWER | KIND_USAGE
    assert list(reply.kinds) == [one, one, one, one | KIND_FINISH, KIND_DONE]
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.output_tokens, reply.usage.cached_tokens) == (6, 4, 2)


def test_an_event_that_brings_no_text_brings_no_output_and_its_tokens_come_with_the_next() -> None:
    """Half a character is kept back."""
    reply = stream(made("a", [1], 1), made("a", [1, 2], 2), made("a\u00e9", [1, 2, 3], 3, LENGTH))
    assert list(reply.kinds[:2]) == [KIND_ANSWER | KIND_USAGE, KIND_USAGE]
    assert (reply.content, [reply.tokens[0], reply.tokens[2]]) == (["a", "\u00e9"], [1, 2])


def test_several_tokens_of_an_event_are_told() -> None:
    """Speculative decoding, or --stream-interval."""
    reply = stream(made("a b c", [1, 2, 3], 3), made("a b c d e", [1, 2, 3, 4, 5], 5, LENGTH))
    assert (reply.tokens[:2], reply.content) == ([3, 2], ["a b c", " d e"])


def test_what_was_guessed_is_told_with_the_last_event() -> None:
    """Speculative decoding, as SGLang 0.5.9 tells of it."""
    told = {"spec_verify_ct": 2, "spec_accept_token_num": 3, "spec_draft_token_num": 6, "spec_accept_rate": 0.5}
    assert stream(*so_far(**told)).told.drafted == Drafted(2, 6, 3)
    assert stream(*so_far()).told.drafted == Drafted()


def test_a_word_that_stops_the_output_is_taken_back() -> None:
    reply = stream(made("a ST", [1, 2], 2), made("a ", [1, 2, 3], 3, {"type": "stop", "matched": "STOP"}))
    assert (reply.failure, reply.finish_reason, reply.content) == (None, "stop", ["a ST"])


def test_ids_alone_are_output_too() -> None:
    """Of a server without a tokenizer (--skip-tokenizer-init)."""
    reply = stream(*so_far(text=False))
    assert reply.failure is None and reply.content == []
    assert [kind & KIND_ANSWER for kind in reply.kinds[:4]] == [KIND_ANSWER] * 4
    assert reply.tokens[:4] == [1, 1, 1, 1]


@pytest.mark.parametrize("values", [so_far(), pieces(), so_far(text=False)])
def test_each_id_is_kept_once(values: list[dict[str, Any]]) -> None:
    reply = IdReply(SGLANG)
    reply.feed([HEAD + b"".join(chunk(event(value)) for value in values) + chunk(DONE) + LAST], 0)
    assert list(reply.ids) == [0, 1, 2, 3]


@given(st.lists(st.text(max_size=4), min_size=1, max_size=12), st.booleans(), st.booleans())
def test_all_text_so_far_and_its_pieces_say_the_same(texts: list[str], ids: bool, at_a_time: bool) -> None:
    """Pieces without ids may look like all text so far; no server of today sends them."""
    n = len(texts)
    all_of_it = [
        made("".join(texts[: i + 1]), list(range(i + 1)) if ids else None, i + 1, LENGTH if i == n - 1 else None)
        for i in range(n)
    ]
    parts = [made(texts[i], [i], i + 1, LENGTH if i == n - 1 else None) for i in range(n)]
    replies = []
    for values in (all_of_it, parts):
        data = b"".join(chunk(event(value)) for value in values) + chunk(DONE) + LAST
        reply = Reply(SGLANG)
        reply.feed([HEAD, data] if at_a_time else [HEAD + data], 0)
        replies.append(reply)
    one, other = replies
    assert "".join(one.content) == "".join(other.content) == "".join(texts)
    assert [kind & KIND_ANSWER for kind in one.kinds] == [kind & KIND_ANSWER for kind in other.kinds]
    assert one.failure == other.failure and (one.failure is None) == any(texts)


def test_of_several_outputs_the_first_is_measured() -> None:
    """A row of a file may ask for them."""
    values = [value | {"index": index} for value in so_far() for index in (1, 0)]
    reply = stream(*values)
    assert (reply.failure, reply.content, reply.indexes) == (None, PIECES, {1})


def test_a_server_that_counts_its_times_is_heard() -> None:
    times = {
        "queue_time": 0.0125, "forward_entry_time": 1_772_000_000.5, "prefill_finished_time": 1_772_000_000.75,
        "decode_throughput": 30.0, "e2e_latency": 0.4,
    }  # fmt: skip
    told = stream(*so_far(**times)).told.times
    assert (told.queue_ns, told.prefill_ns, told.decode_ns) == (12_500_000, 250_000_000, 100_000_000)
    bad = {"queue_time": 10**400, "forward_entry_time": "soon", "prefill_finished_time": 1.0, "decode_throughput": 0}
    assert set(stream(*so_far(**bad)).told.times) == {None}


def test_an_output_that_was_given_up_has_failed() -> None:
    reply = stream(so_far()[0], made("Paris", [0], 1, ABORT))
    assert reply.failure == (
        "gave_up", "the server gave its output up: finish_reason abort: The scheduler ran out of memory.",
    )  # fmt: skip


def test_an_error_is_told_in_the_servers_words_though_the_end_mark_follows() -> None:
    words = "Input length (9000 tokens) exceeds the maximum allowed length (8192 tokens)."
    reply = stream({"error": {"message": words}})
    assert reply.failure == ("stream_error", words)
    assert list(reply.kinds) == [KIND_ERROR]


def test_a_stream_without_its_mark_was_cut() -> None:
    assert stream(*so_far(), mark=b"").failure == ("cut", "the stream ended without [DONE]")
    without = Reply(SGLANG)
    without.feed([HEAD + b"".join(map(chunk, SPOKEN["sglang"].stream(["a", "b"])[:-1]))], 0)
    without.close(0)
    assert without.failure == ("cut", "the connection ended before the reply did")


def test_a_reply_that_is_not_streamed() -> None:
    reply = at_once(SGLANG, made("Paris is", [1, 2], 2, {"type": "stop", "matched": 7}, e2e_latency=0.2))
    assert (reply.failure, reply.finish_reason, reply.content) == (None, "stop", ["Paris is"])
    assert list(reply.kinds) == [KIND_ANSWER | KIND_FINISH | KIND_USAGE]
    assert reply.usage is not None and reply.usage.output_tokens == 2


def test_a_reply_of_another_api_is_none() -> None:
    reply = at_once(SGLANG, {"choices": [{"text": "hello"}]})
    assert reply.failure is not None and reply.failure[1].startswith("the reply has no text or output_ids: ")


@pytest.mark.parametrize("value", [{"meta_info": None}, {"text": None}, {}, {"text": "", "output_ids": []}])
def test_an_event_with_nothing_in_it_is_passed_over(value: dict[str, Any]) -> None:
    reply = stream(value, *so_far())
    assert (reply.failure, reply.kinds[0], reply.content) == (None, KIND_EMPTY, PIECES)


# --- requests ---------------------------------------------------------------------------------------------------------


def body(prompt: str | bytes, form: Any = SGLANG.form, stream: bool = True, **extra: Any) -> Any:
    text = SGLANG.body(SGLANG.prefix("m", stream, form, extra), prompt, 7, form.max_tokens_field)
    pairs: list[str] = []
    found = json.loads(text, object_pairs_hook=lambda items: pairs.extend(k for k, _ in items) or dict(items))
    assert len(pairs) == len(set(pairs)), "nothing stands twice"
    return found


def test_a_text_is_the_input_and_its_settings_stand_together() -> None:
    assert body('say "hi"') == {
        "stream": True, "text": 'say "hi"', "sampling_params": {"ignore_eos": True, "max_new_tokens": 7},
    }  # fmt: skip
    bare = SGLANG.form._replace(ignore_eos=False)
    assert body("hi", bare, stream=False) == {"stream": False, "text": "hi", "sampling_params": {"max_new_tokens": 7}}


def test_further_fields_go_where_they_are_written() -> None:
    extra = {"sampling_params": {"temperature": 0, "max_new_tokens": 99}, "lora_path": "a", "text": "x", "stream": True}
    assert body("hi", **extra) == {
        "stream": True, "lora_path": "a", "text": "hi",
        "sampling_params": {"ignore_eos": True, "temperature": 0, "max_new_tokens": 7},
    }  # fmt: skip


@pytest.mark.parametrize(("prompt", "name"), [("hi", "text"), ([1, 2], "input_ids")])
def test_a_request_has_settings_of_its_own(prompt: Any, name: str) -> None:
    own = {"prompt": prompt, "temperature": 0.5, "ignore_eos": False, "top_k": 3, "return_logprob": True}
    assert body(json.dumps(own).encode(), sampling_params={"temperature": 0}) == {
        name: prompt, "return_logprob": True, "stream": True,
        "sampling_params": {"temperature": 0, "ignore_eos": False, "top_k": 3, "max_new_tokens": 7},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"sampling_params": {"n": 2}}, r"asks for several outputs \(sampling_params\.n: 2\)"),
        ({"sampling_params": [1]}, "has sampling_params, which must be an object"),
    ],
)
def test_what_no_load_can_have_is_refused(extra: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=r"endpoint\.extra_body " + words):
        make_target(Endpoint(url="http://localhost", api="sglang", extra_body=extra), None)
    make_target(Endpoint(url="http://localhost", api="sglang", extra_body={"sampling_params": {"n": 1}}), None)


@pytest.mark.parametrize("url", ["http://h:30000", "http://h:30000/", "http://h:30000/v1", "http://h:30000/generate"])
def test_its_base_is_the_root(url: str) -> None:
    assert make_target(Endpoint(url=url, api="sglang"), None).prefix == ""
