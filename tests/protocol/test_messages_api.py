"""Anthropic's messages API: every event and block of its reference, version 2023-06-01, and what is sent to it.

The reference: docs.anthropic.com, "Messages" and "Streaming messages", as of API version 2023-06-01 in November 2025.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from spoken import HEAD, LAST, SPOKEN, at_once, chunk, event, streamed

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
from loadcell.protocol import Reply
from loadcell.protocol.messages import MESSAGES

MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
    "stop_sequence": None, "usage": {"input_tokens": 25, "output_tokens": 1},
}  # fmt: skip
TEXT = {"type": "text", "text": ""}
STOP = {"type": "message_stop"}


def start(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": MESSAGE | {"usage": MESSAGE["usage"] | usage}}


def block(**fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": fields}


def delta(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **fields}}


def end(reason: Any = "end_turn", **usage: Any) -> dict[str, Any]:
    return {
        "type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": 15, **usage},
    }  # fmt: skip


def stream(*values: dict[str, Any]) -> Reply:
    return streamed(MESSAGES, values)


def whole(**fields: Any) -> Reply:
    return at_once(MESSAGES, MESSAGE | fields)


def kinds(reply: Reply) -> list[int]:
    return list(reply.kinds)


def test_a_stream_of_text() -> None:
    reply = stream(
        start(), block(**TEXT), {"type": "ping"}, delta("text_delta", text="Hello"), delta("text_delta", text="!"),
        {"type": "content_block_stop", "index": 0}, end(), STOP,
    )  # fmt: skip
    assert reply.failure is None
    assert kinds(reply) == [
        KIND_USAGE, KIND_EMPTY, KIND_EMPTY, KIND_ANSWER, KIND_ANSWER, KIND_EMPTY, KIND_FINISH | KIND_USAGE, KIND_DONE,
    ]  # fmt: skip
    assert "".join(reply.content) == "Hello!"
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.output_tokens, reply.usage.cached_tokens) == (25, 15, None)


def test_thoughts_are_output_and_their_signature_is_none() -> None:
    reply = stream(
        start(), block(type="thinking", thinking="", signature=""), delta("thinking_delta", thinking="I need to"),
        delta("signature_delta", signature="EqQBCgIYAhIM"), {"type": "content_block_stop", "index": 0},
        block(type="redacted_thinking", data="EmwKAhgBEgy3va3pzix"), block(**TEXT), delta("text_delta", text="27"),
        end(), STOP,
    )  # fmt: skip
    assert kinds(reply)[1:8] == [
        KIND_EMPTY, KIND_REASONING, KIND_EMPTY, KIND_EMPTY, KIND_REASONING, KIND_EMPTY, KIND_ANSWER,
    ]  # fmt: skip
    assert (reply.thoughts(), reply.content) == ("I need to", ["27"]), "what nobody can read is no text"


def test_the_name_and_the_input_of_a_tool_are_output() -> None:
    reply = stream(
        start(), block(type="tool_use", id="toolu_1", name="get_weather", input={}),
        delta("input_json_delta", partial_json=""), delta("input_json_delta", partial_json='{"location":'),
        delta("input_json_delta", partial_json=' "SF"}'),
        {"type": "content_block_stop", "index": 0}, end("tool_use"), STOP,
    )  # fmt: skip
    assert kinds(reply)[1:6] == [KIND_TOOL, KIND_EMPTY, KIND_TOOL, KIND_TOOL, KIND_EMPTY]
    assert reply.text() == 'get_weather{"location": "SF"}'
    assert (reply.failure, reply.finish_reason) == (None, "tool_use")


def test_what_a_tool_of_the_server_found_and_whom_a_text_cites_is_no_output() -> None:
    reply = stream(
        start(), block(type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        block(type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"type": "web_search_result"}]),
        delta("citations_delta", citation={"type": "web_search_result_location", "cited_text": "so"}),
        delta("text_delta", text="Sunny"), end(), STOP,
    )  # fmt: skip
    assert kinds(reply)[1:5] == [KIND_TOOL, KIND_EMPTY, KIND_EMPTY, KIND_ANSWER]


def test_text_in_a_delta_that_this_version_has_not_is_output_of_some_kind() -> None:
    reply = stream(start(), delta("song_delta", lyrics="la la"), delta("text_delta", text="x"), end(), STOP)
    assert kinds(reply)[1] == KIND_REASONING and reply.others == {"song_delta.lyrics": [(1, "la la")]}


def test_an_event_that_this_version_has_not_is_passed_over() -> None:
    reply = stream(start(), {"type": "block_mood", "mood": "fine"}, delta("text_delta", text="x"), end(), STOP)
    assert (reply.failure, kinds(reply)[1]) == (None, KIND_EMPTY)


@pytest.mark.parametrize(
    ("told", "later", "expected"),
    [
        ({}, {}, (25, None)),
        ({"cache_read_input_tokens": 100, "cache_creation_input_tokens": 3}, {}, (128, 100)),
        ({"input_tokens": 0, "cache_read_input_tokens": 31}, {}, (31, 31)),
        ({}, {"input_tokens": 26, "cache_read_input_tokens": 4}, (30, 4)),
        ({}, {"input_tokens": 0}, (25, None)),
        ({"cache_read_input_tokens": "junk", "input_tokens": 25.0}, {}, (25, None)),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 0}, "service_tier": "standard"}, {}, (25, None)),
    ],
)
def test_the_prompt_is_what_was_read_and_what_came_from_the_cache(
    told: dict[str, Any], later: dict[str, Any], expected: tuple[int, int | None]
) -> None:
    usage = stream(start(**told), delta("text_delta", text="x"), end(**later), STOP).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.cached_tokens) == expected
    assert usage.output_tokens == 15


def test_the_output_that_a_message_begins_with_is_no_count_of_it() -> None:
    reply = Reply(MESSAGES)
    reply.feed([HEAD + chunk(event(start())) + chunk(event(delta("text_delta", text="x"))) + LAST], 0)
    assert reply.failure == ("cut", "the stream ended without message_stop")
    assert reply.usage is not None and reply.usage.output_tokens is None


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("end_turn", "end_turn"),
        ("max_tokens", "max_tokens"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "tool_use"),
        ("pause_turn", "pause_turn"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "model_context_window_exceeded"),
    ],
)
def test_why_an_output_ends(reason: str, name: str) -> None:
    reply = stream(start(), delta("text_delta", text="x"), end(reason), STOP)
    assert (reply.failure, reply.finish_reason) == (None, name)
    reply = whole(content=[{"type": "text", "text": "x"}], stop_reason=reason)
    assert (reply.failure, reply.finish_reason) == (None, name)


def test_a_reason_that_is_none_of_a_whole_output_is_a_failure() -> None:
    reply = stream(start(), delta("text_delta", text="x"), end("engine_crashed"), STOP)
    assert reply.failure == ("gave_up", "the server gave its output up: finish_reason engine_crashed")


@pytest.mark.parametrize("named", [True, False])
def test_an_error_is_told_in_the_servers_words(named: bool) -> None:
    error = event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    reply = Reply(MESSAGES)
    begin = chunk(event(start())) + chunk(event(delta("text_delta", text="x")))
    reply.feed([HEAD + begin + chunk(error if named else error.partition(b"\n")[2])], 0)
    assert reply.failure == ("stream_error", "Overloaded")
    assert kinds(reply)[-1] == KIND_ERROR


def test_a_message_that_is_not_streamed() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "four words of text", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"location": "SF"}},
    ]
    reply = whole(content=blocks, stop_reason="tool_use", usage={"input_tokens": 2, "output_tokens": 9})
    assert reply.failure is None
    assert kinds(reply) == [KIND_ANSWER | KIND_REASONING | KIND_TOOL | KIND_FINISH | KIND_USAGE]
    assert (reply.thoughts(), reply.content) == ("hm", ["four words of text"])
    assert reply.text().startswith('hmget_weather{"location"')
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (2, 9)


def test_a_whole_reply_of_another_api_is_none() -> None:
    reply = Reply(MESSAGES)
    text = b'{"choices": [{"message": {"content": "hello"}}]}'
    reply.feed([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)], 0)
    assert reply.failure is not None and reply.failure[1].startswith("the reply has no content: ")


def test_the_mark_of_the_other_api_after_the_end_does_no_harm() -> None:
    """vLLM writes it."""
    reply = Reply(MESSAGES)
    reply.feed([HEAD + b"".join(map(chunk, [*SPOKEN["messages"].stream(["x"]), b"data: [DONE]\n\n"])) + LAST], 0)
    assert (reply.failure, reply.done) == (None, True)


def test_half_a_character_spoils_a_text_and_no_reply() -> None:
    values = [start(), delta("text_delta", text="x\ud83d"), delta("text_delta", text="y"), end(), STOP]
    assert "".join(stream(*values).content) == "x\N{REPLACEMENT CHARACTER}y"


# --- requests ---------------------------------------------------------------------------------------------------------


def body(prompt: str | bytes, **extra: Any) -> Any:
    prefix = MESSAGES.prefix("m", True, MESSAGES.form, extra)
    return json.loads(MESSAGES.body(prefix, prompt, 7, MESSAGES.form.max_tokens_field), object_pairs_hook=once)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "an object says nothing twice"
    return dict(pairs)


def test_a_text_is_one_message() -> None:
    assert body('say "hi"', temperature=0, max_tokens=3, messages=[]) == {
        "model": "m", "stream": True, "ignore_eos": True, "temperature": 0, "max_tokens": 7,
        "messages": [{"role": "user", "content": 'say "hi"'}],
    }  # fmt: skip


def test_messages_of_the_system_are_a_field_of_their_own() -> None:
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}, {"role": "user", "content": "?"}]
    asked = {"messages": [{"role": "system", "content": "Be brief."}, *talk], "top_k": 4, "ignore_eos": False}
    found = body(json.dumps(asked).encode(), system="Be long.")
    assert (found["system"], found["messages"]) == ("Be brief.", talk)
    assert (found["top_k"], found["ignore_eos"]) == (4, False)


def test_parts_and_texts_of_the_system_are_joined() -> None:
    parts = [{"type": "text", "text": "Be kind."}]
    asked = [{"role": "system", "content": "Be brief."}, {"role": "system", "content": parts}]
    found = body(json.dumps({"messages": [*asked, {"role": "user", "content": 'the "system"'}]}).encode())
    assert found["system"] == [{"type": "text", "text": "Be brief."}, *parts]


def test_a_system_of_a_body_is_sent_as_it_is() -> None:
    asked = {"system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]}
    assert body(json.dumps(asked).encode()) == asked | {
        "model": "m", "stream": True, "ignore_eos": True, "max_tokens": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        (None, {}),
        ("local", {"x-api-key": "local", "Authorization": "Bearer local"}),
        ("sk-ant-api03-x", {"x-api-key": "sk-ant-api03-x"}),
        ("sk-ant-oat01-x", {"Authorization": "Bearer sk-ant-oat01-x"}),
    ],
)
def test_a_key_goes_as_its_server_wants_it(key: str | None, sent: dict[str, str]) -> None:
    assert MESSAGES.headers(key) == {"anthropic-version": "2023-06-01"} | sent


def test_ignore_eos_is_left_out_where_it_is_refused() -> None:
    said = "ignore_eos: Extra inputs are not permitted"
    changed = MESSAGES.without(MESSAGES.form, said, False)
    assert changed is not None and changed[0].ignore_eos is False
    assert MESSAGES.without(MESSAGES.form, said, True) is None
    assert MESSAGES.without(MESSAGES.form, "max_tokens: Field required", False) is None
