"""llama.cpp's own /completion: what its reference tells of its events, and what is sent to it.

The reference: github.com/ggml-org/llama.cpp, tools/server/README.md, "POST /completion", as of October 2026.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from spoken import HEAD, LAST, at_once, chunk, event, streamed

from loadcell.errors import UsageError
from loadcell.kinds import KIND_ANSWER, KIND_DONE, KIND_EMPTY, KIND_ERROR, KIND_FINISH, KIND_USAGE
from loadcell.load.target import make_target
from loadcell.mlperf.wheel.replies import IdReply
from loadcell.protocol import Reply
from loadcell.protocol.engines.llamacpp import LLAMACPP
from loadcell.spec import Endpoint

TIMINGS = {
    "cache_n": 12, "prompt_n": 1, "prompt_ms": 30.25, "prompt_per_second": 33.0, "predicted_n": 3,
    "predicted_ms": 42.5, "predicted_per_second": 70.6,
}  # fmt: skip


def piece(text: str, made: int, tokens: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "index": 0, "content": text, "tokens": [made] if tokens is None else tokens, "stop": False, "id_slot": -1,
        "tokens_predicted": made, "tokens_evaluated": 13, **more,
    }  # fmt: skip


def end(why: str | None = "limit", made: int = 3, **more: Any) -> dict[str, Any]:
    """The last event; without `stop_type` as versions before 2025 wrote it."""
    return {
        "index": 0, "content": "", "tokens": [], "id_slot": 0, "stop": True, "model": "m", "tokens_predicted": made,
        "tokens_evaluated": 13, "generation_settings": {"n_predict": 3, "stop": []}, "prompt": "Say",
        "truncated": False, "has_new_line": False, "stopping_word": "", "tokens_cached": 15, "timings": TIMINGS,
        **({} if why is None else {"stop_type": why}), **more,
    }  # fmt: skip


def stream(*values: dict[str, Any]) -> Reply:
    return streamed(LLAMACPP, values)


def test_a_stream() -> None:
    reply = stream(piece("Paris", 1), piece(" is", 2), piece(" big", 3), end())
    assert (reply.failure, reply.finish_reason, reply.done) == (None, "limit", True)
    assert list(reply.kinds) == [KIND_ANSWER] * 3 + [KIND_FINISH | KIND_USAGE | KIND_DONE]
    assert (reply.content, reply.tokens[:3], reply.token_source) == (["Paris", " is", " big"], [1, 1, 1], "stream")
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (13, 3)
    assert reply.told.times == (None, 30_250_000, 42_500_000)
    assert reply.told.cached_tokens == 12, "tokens_cached holds the output too"


def test_timings_of_each_token_are_taken_too() -> None:
    values = [piece("a", n, timings=TIMINGS | {"predicted_n": n, "predicted_ms": 10.0 * n}) for n in (1, 3)]
    reply = stream(*values)
    assert reply.tokens[:2] == [1, 2]
    assert reply.told.times == (None, 30_250_000, 30_000_000)


def test_timings_without_a_count_leave_the_other() -> None:
    reply = stream(piece("a", 1, timings={"prompt_ms": 2.0}), piece("b", 3, timings={"prompt_ms": 2.0}), end())
    assert reply.tokens[:2] == [1, 2]


def test_half_a_character_is_no_output() -> None:
    reply = stream(piece("a", 1), piece("", 2), piece("\u00e9", 3), end())
    assert (reply.kinds[1], [reply.tokens[0], reply.tokens[2]]) == (KIND_EMPTY, [1, 2])


def test_the_progress_of_a_prompt_is_no_output() -> None:
    progress = {"total": 13, "cache": 0, "processed": 8, "time_ms": 20}
    reply = stream(piece("", 0, [], prompt_progress=progress), piece("a", 1), end(made=1))
    assert (reply.failure, reply.kinds[0], reply.content) == (None, KIND_EMPTY, ["a"])


def test_of_several_outputs_the_first_is_measured() -> None:
    values = [piece("a", 1, index=1), piece("b", 1), end(), end("eos", index=1)]
    reply = stream(*values)
    assert (reply.failure, reply.content, reply.finish_reason, reply.indexes) == (None, ["b"], "limit", {1})


def test_ids_are_kept() -> None:
    reply = IdReply(LLAMACPP)
    values = [piece("a", 1, [7]), piece("bc", 3, [8, 9]), end()]
    reply.feed([HEAD + b"".join(chunk(event(value)) for value in values) + LAST], 0)
    assert (list(reply.ids), reply.tokens[:2]) == ([7, 8, 9], [1, 2])


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (end("limit"), "limit"), (end("eos"), "eos"), (end("word", stopping_word="."), "word"),
        (end(None, stopped_eos=False, stopped_word=False, stopped_limit=True), "limit"),
        (end(None, stopped_eos=True, stopped_word=False, stopped_limit=False), "eos"),
        (end("none"), None),
    ],
)  # fmt: skip
def test_why_an_output_ends(last: dict[str, Any], reason: str | None) -> None:
    reply = stream(piece("a", 1), last)
    assert (reply.failure, reply.finish_reason, reply.done) == (None, reason, True)


ERROR = {"code": 500, "message": "context shift is disabled", "type": "server_error"}


@pytest.mark.parametrize(
    "data", [event({"error": ERROR}), b"error: " + json.dumps(ERROR).encode() + b"\n\n"], ids=["data", "error"]
)
def test_an_error_is_told_in_the_servers_words(data: bytes) -> None:
    """Under its own name as versions before 2025 wrote it."""
    reply = Reply(LLAMACPP)
    reply.feed([HEAD + chunk(event(piece("a", 1))) + chunk(data)], 0)
    assert reply.failure == ("stream_error", "context shift is disabled")
    assert reply.kinds[-1] == KIND_ERROR


def test_a_stream_without_its_last_event_was_cut() -> None:
    assert stream(piece("a", 1), piece("b", 2)).failure == ("cut", "the stream ended without stop: true")


def test_a_reply_that_is_not_streamed() -> None:
    reply = at_once(LLAMACPP, end("eos", content="Paris is big"))
    assert (reply.failure, reply.finish_reason, reply.content) == (None, "eos", ["Paris is big"])
    assert reply.usage is not None and reply.usage.output_tokens == 3
    assert (reply.told.times.prefill_ns, reply.told.cached_tokens) == (30_250_000, 12)


def test_a_reply_of_another_api_is_none() -> None:
    reply = at_once(LLAMACPP, {"choices": [{"text": "hello"}]})
    assert reply.failure is not None and reply.failure[1].startswith("the reply has no content: ")


def body(prompt: str | bytes, /, **extra: Any) -> Any:
    prefix = LLAMACPP.prefix("m", True, LLAMACPP.form, extra)
    return json.loads(LLAMACPP.body(prefix, prompt, 7, LLAMACPP.form.max_tokens_field))


def test_a_request() -> None:
    asked = {"model": "m", "stream": True, "ignore_eos": True, "n_predict": 7}
    assert body("hi", temperature=0, n_predict=3, prompt="x") == asked | {"temperature": 0, "prompt": "hi"}
    own = json.dumps({"prompt": [1, 2], "cache_prompt": False, "ignore_eos": False}, separators=(",", ":")).encode()
    assert body(own) == asked | {"prompt": [1, 2], "cache_prompt": False, "ignore_eos": False}


def test_several_outputs_are_refused() -> None:
    with pytest.raises(UsageError, match=r"asks for several outputs \(n_cmpl: 2\)"):
        make_target(Endpoint(url="http://localhost", api="llamacpp", extra_body={"n_cmpl": 2}), None)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/completion"])
def test_its_base_is_the_root(path: str) -> None:
    assert make_target(Endpoint(url=f"http://h:8080{path}", api="llamacpp"), None).prefix == ""
