"""OpenAI's responses API: every event and item of its reference, and what is sent to it.

The reference: platform.openai.com, "Responses" and "Streaming events" of the API reference, as of November 2025.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from spoken import HEAD, LAST, SPOKEN, at_once, chunk, event, streamed

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
from loadcell.protocol import Reply, count, evidence
from loadcell.protocol.counts import Text
from loadcell.protocol.openai.responses import RESPONSES
from loadcell.spec import Endpoint

RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "background": False, "error": None,
    "incomplete_details": None, "instructions": None, "max_output_tokens": None, "model": "m", "output": [],
    "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
    "store": True, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_p": 1.0, "truncation": "disabled", "usage": None, "user": None, "metadata": {},
}  # fmt: skip
USAGE = {
    "input_tokens": 36, "input_tokens_details": {"cached_tokens": 30}, "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 40}, "total_tokens": 123,
}  # fmt: skip
TEXT = {"type": "output_text", "text": "Hi there", "annotations": [], "logprobs": []}
MESSAGE = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [TEXT]}


def of(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def part(kind: str, **fields: Any) -> dict[str, Any]:
    return of(kind, item_id="msg_1", output_index=0, content_index=0, **fields)


def text(piece: str = "Hi", **fields: Any) -> dict[str, Any]:
    return part("output_text.delta", delta=piece, **fields)


def end(kind: str = "completed", **fields: Any) -> dict[str, Any]:
    return of(kind, response=RESPONSE | {"status": kind, "output": [MESSAGE], "usage": USAGE} | fields)


BEGIN = [of("created", response=RESPONSE), of("in_progress", response=RESPONSE)]


def stream(*values: dict[str, Any]) -> Reply:
    return streamed(RESPONSES, [value | {"sequence_number": number} for number, value in enumerate(values)])


def whole(**fields: Any) -> Reply:
    return at_once(RESPONSES, RESPONSE | fields)


def test_a_stream_of_text_says_its_output_once() -> None:
    reply = stream(
        of("queued", response=RESPONSE), *BEGIN,
        of("output_item.added", output_index=0, item=MESSAGE | {"content": []}),
        part("content_part.added", part=TEXT | {"text": ""}), text(), text(" there", obfuscation="xyz"),
        part("output_text.annotation.added", annotation={"type": "url_citation"}, annotation_index=0),
        part("output_text.done", text="Hi there"), part("content_part.done", part=TEXT),
        of("output_item.done", output_index=0, item=MESSAGE), end(),
    )  # fmt: skip
    assert reply.failure is None
    assert list(reply.kinds) == [
        *[KIND_EMPTY] * 5, KIND_ANSWER, KIND_ANSWER, *[KIND_EMPTY] * 4, KIND_FINISH | KIND_USAGE | KIND_DONE,
    ]  # fmt: skip
    assert "".join(reply.content) == "Hi there"
    usage = reply.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (36, 87, 30, 40)


@pytest.mark.parametrize(
    ("value", "kind", "answer", "thought"),
    [
        (part("refusal.delta", delta="No."), KIND_ANSWER, "No.", ""),
        (part("reasoning_text.delta", delta="Hm."), KIND_REASONING, "", "Hm."),
        (part("reasoning_summary_text.delta", delta="**So**", summary_index=0), KIND_REASONING, "", ""),
        (part("refusal.done", refusal="No."), KIND_EMPTY, "", ""),
        (part("reasoning_text.done", text="Hm."), KIND_EMPTY, "", ""),
        (part("reasoning_summary_text.done", text="**So**"), KIND_EMPTY, "", ""),
        (part("reasoning_summary_part.added", part={"type": "summary_text", "text": ""}), KIND_EMPTY, "", ""),
        (part("reasoning_summary_part.done", part={"type": "summary_text", "text": "x"}), KIND_EMPTY, "", ""),
        (text(""), KIND_EMPTY, "", ""),
        (of("output_item.added", item={"type": "reasoning", "summary": [], "content": []}), KIND_EMPTY, "", ""),
        *(
            (of(f"{call}_call.{step}", item_id="x", output_index=0), KIND_EMPTY, "", "")
            for call, steps in {
                "web_search": ("in_progress", "searching", "completed"),
                "file_search": ("in_progress", "searching", "completed"),
                "code_interpreter": ("in_progress", "interpreting", "completed"),
                "image_generation": ("in_progress", "generating", "partial_image", "completed"),
                "mcp": ("in_progress", "completed", "failed"),
            }.items()
            for step in steps
        ),
        (of("mcp_list_tools.failed", item_id="x"), KIND_EMPTY, "", ""),
        (of("a_new_thing", item_id="x"), KIND_EMPTY, "", ""),
    ],
)  # fmt: skip
def test_what_an_event_is(value: dict[str, Any], kind: int, answer: str, thought: str) -> None:
    reply = stream(*BEGIN, value, text("Hi"), end())
    assert reply.failure is None
    assert reply.kinds[2] == kind
    assert ("".join(reply.content), reply.thoughts()) == (answer + "Hi", thought)


def test_the_name_and_the_arguments_of_a_function_are_output() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather", "arguments": ""}
    arguments = [of("function_call_arguments.delta", item_id="fc_1", output_index=0, delta=d) for d in ('{"a"', ": 1}")]
    done = of("function_call_arguments.done", item_id="fc_1", output_index=0, arguments='{"a": 1}')
    reply = stream(*BEGIN, of("output_item.added", output_index=0, item=call), *arguments, done, end())
    assert list(reply.kinds[2:6]) == [KIND_TOOL, KIND_TOOL, KIND_TOOL, KIND_EMPTY]
    assert reply.text() == 'get_weather{"a": 1}'


def test_a_delta_that_this_reference_has_not_is_output_of_some_kind_and_sound_is_no_text() -> None:
    reply = stream(*BEGIN, of("song.delta", delta="la"), of("audio.delta", delta="UklGRg=="), text(), end())
    assert list(reply.kinds[2:4]) == [KIND_REASONING] * 2
    assert reply.thoughts() == "la"


def test_log_probabilities_tell_the_tokens_of_an_event() -> None:
    reply = stream(*BEGIN, text(logprobs=[{"token": "H"}, {"token": "i"}]), text(logprobs=[{"token": "x"}]), end())
    assert (reply.tokens[2:4], reply.token_source) == ([2, 1], "ids")


def test_a_summary_is_none_of_the_reasoning_tokens_that_usage_counts() -> None:
    """They were made before the first output."""
    summaries = [part("reasoning_summary_text.delta", delta="**So** ", summary_index=0)] * 3
    reply = stream(*BEGIN, *summaries, *[text(" word")] * 40, end())
    told, _ = evidence(reply, None)
    found = count(told, Text(47, 47))
    assert (found.tokens, found.before, found.source) == (87, 40, "usage")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (end(), "completed"),
        (end("incomplete", incomplete_details={"reason": "max_output_tokens"}), "max_output_tokens"),
        (end("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (end(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "max_output_tokens"),
    ],
)
def test_why_an_output_ends(value: dict[str, Any], name: str) -> None:
    reply = stream(*BEGIN, text(), value)
    assert (reply.failure, reply.finish_reason, reply.done) == (None, name, True)
    reply = whole(**value["response"])
    assert (reply.failure, reply.finish_reason) == (None, name)


def test_a_response_that_was_cancelled_was_given_up() -> None:
    reply = stream(*BEGIN, text(), end("cancelled"))
    assert reply.failure == ("gave_up", "the server gave its output up: finish_reason cancelled")


FAILED = of("failed", response=RESPONSE | {
    "status": "failed", "error": {"code": "server_error", "message": "The model failed to answer."},
})  # fmt: skip
ERROR = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("value", "words"), [(FAILED, "The model failed to answer."), (ERROR, "Slow down.")])
def test_a_failure_is_told_in_the_servers_words(named: bool, value: dict[str, Any], words: str) -> None:
    said = event(value)
    reply = Reply(RESPONSES)
    begin = b"".join(chunk(event(one)) for one in [*BEGIN, text()])
    reply.feed([HEAD + begin + chunk(said if named else said.partition(b"\n")[2])], 0)
    assert reply.failure == ("stream_error", words)
    assert reply.kinds[-1] == KIND_ERROR


def test_a_response_that_failed_whole_is_told_in_the_servers_words() -> None:
    reply = whole(**FAILED["response"])
    assert reply.failure == ("stream_error", "The model failed to answer.")


def test_a_response_that_is_not_streamed() -> None:
    output = [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": None},
        MESSAGE,
        {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"a": 1}'},
    ]
    reply = whole(status="completed", output=output, usage=USAGE)
    assert reply.failure is None
    assert list(reply.kinds) == [
        KIND_ANSWER | KIND_REASONING | KIND_TOOL | KIND_FINISH | KIND_USAGE
    ]  # fmt: skip
    assert (reply.thoughts(), reply.content) == ("hm", ["Hi there"])
    assert reply.text() == 'hmget_weather{"a": 1}Hi there'


def test_a_response_in_the_background_is_no_output() -> None:
    assert whole(status="queued", background=True).failure is not None


def test_a_whole_reply_of_another_api_is_none() -> None:
    reply = Reply(RESPONSES)
    data = b'{"choices": [{"message": {"content": "hello"}}]}'
    reply.feed([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)], 0)
    assert reply.failure is not None and reply.failure[1].startswith("the reply has no output: ")


def test_times_of_llama_cpp_are_told() -> None:
    timings = {"cache_n": 31, "prompt_n": 1, "prompt_ms": 21.7, "predicted_n": 6, "predicted_ms": 103.7}
    reply = stream(*BEGIN, text(), end() | {"timings": timings})
    assert (reply.told.times.prefill_ns, reply.told.times.decode_ns) == (21_700_000, 103_700_000)


def test_a_stream_without_its_end_was_cut() -> None:
    reply = Reply(RESPONSES)
    reply.feed([HEAD + b"".join(map(chunk, SPOKEN["responses"].stream(["x"])[:-1])) + LAST], 0)
    assert reply.failure == ("cut", "the stream ended without response.completed or response.incomplete")


# --- requests ---------------------------------------------------------------------------------------------------------


def body(prompt: str | bytes, **extra: Any) -> Any:
    prefix = RESPONSES.prefix("m", True, RESPONSES.form, extra)
    return json.loads(RESPONSES.body(prefix, prompt, 7, RESPONSES.form.max_tokens_field))


def test_a_text_is_the_input() -> None:
    assert body('say "hi"', temperature=0, max_output_tokens=3, input="x") == {
        "model": "m", "stream": True, "ignore_eos": True, "temperature": 0, "max_output_tokens": 7, "input": 'say "hi"',
    }  # fmt: skip


def test_messages_and_tools_of_a_chat_become_items() -> None:
    function = {"name": "f", "parameters": {"type": "object"}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,x"}}
    asked = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture, "?"]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
            {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
            {"role": "user", "content": "And now?"},
        ],
        "tools": [{"type": "function", "function": function}, {"type": "web_search"}],
    }  # fmt: skip
    found = body(json.dumps(asked).encode())
    assert found["input"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "data:image/png;base64,x"},
            {"type": "input_text", "text": "?"},
        ]},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "a cat"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "A cat."}]},
        {"role": "user", "content": "And now?"},
    ]  # fmt: skip
    assert found["tools"] == [{"type": "function", **function}, {"type": "web_search"}]
    assert "messages" not in found


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"background": True}, r"asks for background: true"),
        ({"previous_response_id": "resp_1"}, r"names a conversation that the server keeps \(previous_response_id\)"),
        ({"conversation": {"id": "conv_1"}}, r"names a conversation that the server keeps \(conversation\)"),
    ],
)
def test_what_is_made_or_kept_elsewhere_is_refused(extra: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=r"endpoint\.extra_body " + words):
        make_target(Endpoint(url="http://localhost/v1", api="responses", extra_body=extra), None)
    make_target(Endpoint(url="http://localhost/v1", api="chat", extra_body=extra), None)


def test_what_only_says_that_nothing_is_kept_passes() -> None:
    extra = {"background": False, "previous_response_id": None, "store": False}
    make_target(Endpoint(url="http://localhost/v1", api="responses", extra_body=extra), None)
