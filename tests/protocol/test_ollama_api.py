"""Ollama's own /api/chat and /api/generate: what their reference tells of their lines, and what is sent to them.

The reference: docs.ollama.com, "Generate a response", "Generate a chat message", "Streaming", "Usage" and "Errors", as
of October 2025, and github.com/ollama/ollama docs/api.md, as of 2025.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from spoken import LINES_HEAD, at_once, chunk, line, streamed

from loadcell.errors import UsageError
from loadcell.kinds import (
    KIND_ANSWER,
    KIND_DONE,
    KIND_EMPTY,
    KIND_ERROR,
    KIND_FINISH,
    KIND_REASONING,
    KIND_TOOL,
    KIND_USAGE,
)
from loadcell.load.target import make_target
from loadcell.protocol import Reply
from loadcell.protocol.engines.ollama import CHAT, GENERATE
from loadcell.spec import Endpoint

AT = {"model": "gemma3", "created_at": "2025-10-26T17:15:24.097767Z"}
COUNTS = {
    "total_duration": 174560334, "load_duration": 101397084, "prompt_eval_count": 11, "prompt_eval_duration": 13074791,
    "eval_count": 3, "eval_duration": 52479709,
}  # fmt: skip
both = pytest.mark.parametrize("api", ["ollama", "ollama-generate"])
CUT = ("cut", "the stream ended without done: true")


def piece(api: str, text: str = "", **more: Any) -> dict[str, Any]:
    """A line with text, or with other parts of a message."""
    if api == "ollama-generate":
        return {**AT, "response": text, "done": False, **more}
    return {**AT, "message": {"role": "assistant", "content": text, **more}, "done": False}


def end(api: str, reason: str | None = "stop", text: str = "", **counts: Any) -> dict[str, Any]:
    told = {name: value for name, value in (COUNTS | counts).items() if value is not None}
    return piece(api, text) | {"done": True} | ({"done_reason": reason} if reason else {}) | told


def stream(api: str, *values: dict[str, Any]) -> Reply:
    return streamed(CHAT if api == "ollama" else GENERATE, values, lines=True)


@both
def test_a_stream_of_text(api: str) -> None:
    reply = stream(api, piece(api, "That"), piece(api, "'"), piece(api, "s"), end(api))
    assert (reply.failure, reply.finish_reason, reply.done) == (None, "stop", True)
    assert list(reply.kinds) == [KIND_ANSWER] * 3 + [KIND_FINISH | KIND_USAGE | KIND_DONE]
    assert reply.content == ["That", "'", "s"]
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (11, 3)
    assert reply.told.times == (None, 13_074_791, 52_479_709)


@both
def test_the_last_line_may_hold_text(api: str) -> None:
    reply = stream(api, piece(api, "That"), end(api, text="!"))
    assert (reply.failure, reply.content) == (None, ["That", "!"])


@both
@pytest.mark.parametrize("told", [None, 0])
def test_a_prompt_of_which_nothing_is_told_is_missing_and_no_0(api: str, told: int | None) -> None:
    reply = stream(api, piece(api, "a"), end(api, prompt_eval_count=told, prompt_eval_duration=None))
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (None, 3)
    assert reply.told.times == (None, None, 52_479_709)


@both
def test_without_counts_nothing_is_told(api: str) -> None:
    reply = stream(api, piece(api, "a"), end(api, **dict.fromkeys(COUNTS)))
    assert (reply.failure, reply.done, set(reply.told.times)) == (None, True, {None})


@both
def test_thoughts_are_output(api: str) -> None:
    reply = stream(api, piece(api, thinking="First, "), piece(api, thinking="count."), piece(api, "2"), end(api))
    assert list(reply.kinds[:3]) == [KIND_REASONING, KIND_REASONING, KIND_ANSWER]
    assert (reply.thoughts(), reply.content) == ("First, count.", ["2"])


def test_calls_of_tools_are_output() -> None:
    calls = [{"function": {"name": "get_weather", "arguments": {"city": "Paris", "days": [1]}}}]
    reply = stream("ollama", piece("ollama", tool_calls=calls), end("ollama"))
    assert (reply.failure, reply.kinds[0]) == (None, KIND_TOOL)
    assert reply.text() == 'get_weather{"city": "Paris", "days": [1]}'


@both
def test_log_probabilities_tell_the_tokens_of_a_line(api: str) -> None:
    some = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.2}]
    reply = stream(api, piece(api, "ab") | {"logprobs": some}, end(api, eval_count=2))
    assert (reply.tokens[0], reply.token_source) == (2, "ids")


@both
@pytest.mark.parametrize(("reason", "name"), [("stop", "stop"), ("length", "length"), (None, None)])
def test_why_an_output_ends(api: str, reason: str | None, name: str | None) -> None:
    """Versions before 2024 told no reason."""
    reply = stream(api, piece(api, "a"), end(api, reason))
    assert (reply.failure, reply.finish_reason, reply.done) == (None, name, True)


@both
@pytest.mark.parametrize("reason", ["load", "unload"])
def test_a_model_that_was_only_loaded_gave_no_output(api: str, reason: str) -> None:
    reply = at_once(CHAT if api == "ollama" else GENERATE, end(api, reason))
    assert reply.failure == ("gave_up", f"the server gave its output up: finish_reason {reason}")


@both
def test_an_error_is_told_in_the_servers_words(api: str) -> None:
    error = {"error": "an error was encountered while running the model"}
    reply = stream(api, piece(api, "Yes"), error)
    assert reply.failure == ("stream_error", error["error"])
    assert reply.kinds[-1] == KIND_ERROR
    alone = stream(api, error)
    assert alone.failure == ("stream_error", error["error"])


@both
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_stream_without_its_last_line_was_cut(api: str, pieces: int) -> None:
    """A single line may be all of a reply that was not streamed: what it says itself decides."""
    assert stream(api, *[piece(api, "a")] * pieces).failure == CUT
    cut = Reply(CHAT if api == "ollama" else GENERATE)
    cut.feed([LINES_HEAD + chunk(line(piece(api, "a"))) * pieces], 0)
    cut.close(0)
    assert cut.failure == ("cut", "the connection ended before the reply did")


@both
def test_a_stream_of_one_line_is_whole(api: str) -> None:
    reply = stream(api, end(api, "length", "word", eval_count=1))
    assert (reply.failure, reply.finish_reason, reply.content) == (None, "length", ["word"])


@both
def test_a_reply_that_is_not_streamed(api: str) -> None:
    reply = at_once(CHAT if api == "ollama" else GENERATE, end(api, text="That's it."))
    assert (reply.failure, reply.finish_reason, reply.content) == (None, "stop", ["That's it."])
    assert reply.usage is not None and reply.usage.output_tokens == 3


@both
def test_a_reply_of_another_api_is_none(api: str) -> None:
    reply = at_once(CHAT if api == "ollama" else GENERATE, {"choices": [{"text": "hello"}]})
    assert reply.failure is not None and reply.failure[0] == "protocol"


@both
def test_an_empty_piece_is_no_output(api: str) -> None:
    assert stream(api, piece(api), piece(api, "a"), end(api)).kinds[0] == KIND_EMPTY


# --- requests ---------------------------------------------------------------------------------------------------------


def body(api: str, prompt: str | bytes, /, **extra: Any) -> Any:
    dialect = CHAT if api == "ollama" else GENERATE
    prefix = dialect.prefix("m", True, dialect.form, extra)
    return json.loads(dialect.body(prefix, prompt, 7, dialect.form.max_tokens_field))


@both
def test_a_text_and_its_options(api: str) -> None:
    asked = {"prompt": "hi"} if api == "ollama-generate" else {"messages": [{"role": "user", "content": "hi"}]}
    assert body(api, "hi") == {"model": "m", "stream": True, "options": {"num_predict": 7}, **asked}
    extra = {"options": {"num_ctx": 8192, "num_predict": 1}, "keep_alive": "10m", "prompt": "x", "messages": []}
    assert body(api, "hi", **extra) == {
        "model": "m", "stream": True, "keep_alive": "10m", "options": {"num_ctx": 8192, "num_predict": 7}, **asked,
    }  # fmt: skip


def test_messages_are_in_the_form_of_this_api() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0"}}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    own = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture, "Well?"]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "a cat"},
        ],
        "tools": tools, "temperature": 0.5, "stop": ["."],
    }  # fmt: skip
    found = body("ollama", json.dumps(own).encode(), options={"temperature": 0})
    made = call | {"function": {"name": "f", "arguments": {"a": 1}}}
    called = {"role": "assistant", "content": None, "tool_calls": [made]}
    assert found["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is this?\nWell?", "images": ["iVBORw0"]},
        called,
        {"role": "tool", "tool_call_id": "c", "content": "a cat"},
    ]  # fmt: skip
    assert found["tools"] == tools
    assert found["options"] == {"temperature": 0, "stop": ["."], "num_predict": 7}


def test_a_prompt_of_its_own() -> None:
    own = json.dumps({"prompt": "def f(", "suffix": ")", "seed": 4}).encode()
    assert body("ollama-generate", own) == {
        "model": "m", "stream": True, "prompt": "def f(", "suffix": ")", "options": {"seed": 4, "num_predict": 7},
    }  # fmt: skip


@both
def test_what_cannot_be_asked_is_refused(api: str) -> None:
    with pytest.raises(UsageError, match=f"the {api} API cannot be asked for every output token"):
        make_target(Endpoint(url="http://localhost", api=api, ignore_eos=True), None)
    with pytest.raises(UsageError, match="has options, which must be an object"):
        make_target(Endpoint(url="http://localhost", api=api, extra_body={"options": 3}), None)


@both
@pytest.mark.parametrize("path", ["", "/", "/api", "/api/chat", "/api/generate", "/v1"])
def test_its_base_is_the_root(api: str, path: str) -> None:
    assert make_target(Endpoint(url=f"http://h:11434{path}", api=api), None).prefix == ""


def test_its_models_are_those_that_it_has() -> None:
    told = {"models": [
        {"name": "nomic-embed-text:latest", "model": "nomic-embed-text:latest", "details": {"family": "nomic-bert"}},
        {"name": "gemma3:latest", "model": "gemma3:latest", "details": {"family": "gemma3"}},
    ]}  # fmt: skip
    assert CHAT.listed(json.dumps(told).encode()) == ["gemma3:latest", "nomic-embed-text:latest"]
