"""Triton's generate extension: every object of its reference, and what is sent to it.

The references: triton-inference-server/server, docs/protocol (extension_generate and extension_model_repository), and
vllm_backend, docs/additional_outputs.md, as of 2025; TensorRT-LLM's outputs as its models of 2024 give them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from spoken import HEAD, LAST, SPOKEN, at_once, chunk, event, streamed

from loadcell.kinds import KIND_ANSWER, KIND_EMPTY, KIND_ERROR, KIND_FINISH, KIND_USAGE
from loadcell.protocol import Reply, count, evidence
from loadcell.protocol.counts import Text
from loadcell.protocol.triton import TRITON, listed


def output(text: Any, **more: Any) -> dict[str, Any]:
    return {"model_name": "ensemble", "model_version": "1", "text_output": text, **more}


def test_a_stream_says_its_text_and_ends_with_its_body() -> None:
    logs = {"cum_log_probs": 0.0, "output_log_probs": [0.0, 0.0], "context_logits": 0.0, "generation_logits": 0.0}
    reply = streamed(TRITON, [output(" Hi", **logs), output(" there", **logs), output("")])
    assert (reply.failure, reply.finish_reason, reply.done) == (None, None, True)
    assert list(reply.kinds) == [KIND_ANSWER, KIND_ANSWER, KIND_EMPTY]
    assert ("".join(reply.content), reply.usage) == (" Hi there", None)
    assert count(evidence(reply, None)[0], Text(2, 2))[:1] == (2,)


@pytest.mark.parametrize("ends", [b"", b"0\r\n", b"0\r\n\r"])
def test_without_the_end_of_its_body_it_was_cut(ends: bytes) -> None:
    reply = Reply(TRITON)
    reply.feed([HEAD + b"".join(map(chunk, SPOKEN["triton"].stream(["a", "b"]))) + ends], 0)
    assert reply.patience_ns is None, "no silence ends it"
    reply.close(0)
    assert reply.failure == ("cut", "the connection ended before the reply did")


def test_a_body_whose_end_nothing_tells_is_no_success() -> None:
    reply = Reply(TRITON)
    reply.feed([b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + event(output("a"))], 0)
    reply.close(0)
    assert reply.failure == ("cut", "nothing tells a whole reply from a cut one: its head names no length")


def test_a_stream_of_a_known_length_ends_there() -> None:
    body = event(output("a")) + event(output("b"))
    reply = Reply(TRITON)
    reply.feed(
        [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body), body], 0
    )
    assert (reply.failure, reply.complete, "".join(reply.content)) == (None, True, "ab")


def test_tokens_and_the_reason_are_heard_where_they_were_asked_for() -> None:
    told = {"finish_reason": None, "num_input_tokens": 9}
    reply = streamed(
        TRITON,
        [
            output(" Hi", num_output_tokens=2, **told),
            output(" there", num_output_tokens=1, **told),
            output("", **told | {"finish_reason": "length"}, num_output_tokens=0),
        ],
    )
    assert (reply.tokens[:2], reply.token_source, reply.finish_reason) == ([2, 1], "ids", "length")
    assert list(reply.kinds) == [*[KIND_ANSWER | KIND_USAGE] * 2, KIND_FINISH | KIND_USAGE]
    assert reply.usage is not None and reply.usage.prompt_tokens == 9


def test_a_failure_in_a_stream_is_told_in_the_servers_words() -> None:
    reply = Reply(TRITON)
    reply.feed([HEAD + chunk(event(output("a"))) + chunk(event({"error": "Encountered error for requestId 5"}))], 0)
    assert reply.failure == ("stream_error", "Encountered error for requestId 5")
    assert reply.kinds[-1] == KIND_ERROR


def test_a_request_that_is_refused_is_told_in_the_servers_words() -> None:
    said = json.dumps({"error": "Request for unknown model: 'x' is not found"}).encode()
    reply = Reply(TRITON)
    reply.feed([b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)], 0)
    assert reply.failure == ("http_400", "Request for unknown model: 'x' is not found")


def test_a_reply_that_is_not_streamed() -> None:
    reply = at_once(TRITON, output("Hi there", num_input_tokens=9, num_output_tokens=3, finish_reason="stop"))
    assert (reply.failure, reply.content, reply.finish_reason) == (None, ["Hi there"], "stop")
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (9, 3)
    reply = at_once(TRITON, output(["first", "second"]))
    assert (reply.failure, reply.content, reply.usage) == (None, ["first"], None)


@pytest.mark.parametrize("value", [{"choices": []}, {"model_name": "m", "outputs": []}])
def test_a_reply_of_another_api_is_none(value: dict[str, Any]) -> None:
    reply = at_once(TRITON, value)
    assert reply.failure is not None and reply.failure[1].startswith("the reply has no text_output: ")


def test_a_reply_cut_inside_its_chunks_has_no_success_anywhere() -> None:
    """With its reason, too: what tells of a whole body is its end alone."""
    data = SPOKEN["triton, vLLM's"].reply(["one", "two"])
    assert data.endswith(LAST)
    for place in range(len(data)):
        reply = Reply(TRITON)
        reply.feed([data[:place]], 0)
        reply.close(0)
        assert reply.failure is not None, data[:place]


# --- models -----------------------------------------------------------------------------------------------------------


def index(*names: str, state: str = "READY") -> bytes:
    return json.dumps([{"name": name, "version": "1", "state": state, "reason": ""} for name in names]).encode()


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (
            index("preprocessing", "tensorrt_llm", "postprocessing", "tensorrt_llm_bls", "ensemble"),
            ["ensemble", "tensorrt_llm_bls", "preprocessing", "tensorrt_llm", "postprocessing"],
        ),
        (index("vllm_model", "vllm_model"), ["vllm_model"]),
        (index("a", state="UNAVAILABLE"), []),
        (b'[{"name": "a"}]', ["a"]),
        (b'{"error": "no"}', None),
        (b"<html>", None),
    ],
)
def test_models_are_those_that_are_ready(page: bytes, names: list[str] | None) -> None:
    assert listed(page) == names


# --- requests ---------------------------------------------------------------------------------------------------------


def body(prompt: str | bytes, stream: bool = True, **extra: Any) -> Any:
    prefix = TRITON.prefix("m", stream, TRITON.form, extra)
    return json.loads(TRITON.body(prefix, prompt, 7, TRITON.form.max_tokens_field))


def test_a_text_is_the_input_and_is_not_to_be_said_again() -> None:
    assert body('say "hi"', temperature=0, max_tokens=3, text_input="x") == {
        "stream": True, "exclude_input_in_output": True, "ignore_eos": True, "temperature": 0, "max_tokens": 7,
        "text_input": 'say "hi"',
    }  # fmt: skip
    assert body("x", exclude_input_in_output=False)["exclude_input_in_output"] is False


def test_the_prompt_of_a_file_is_the_input_and_its_other_keys_are_sent() -> None:
    found = body(b'{"prompt":"hello","bad_words":["no"],"ignore_eos":false}', stream=False)
    assert (found["text_input"], found["bad_words"], found["ignore_eos"]) == ("hello", ["no"], False)
    assert "prompt" not in found and found["stream"] is False
