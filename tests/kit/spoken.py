"""The same stream in every API: what the tests of replies say in each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from loadcell.protocol import Dialect, Reply
from loadcell.protocol.messages import MESSAGES
from loadcell.protocol.openai.dialect import CHAT, COMPLETIONS
from loadcell.protocol.openai.responses import RESPONSES

Value = dict[str, Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: Any, eol: bytes = b"\n", ascii_only: bool = True) -> bytes:
    """An event; one that says its type is named after it."""
    name = f"event: {value['type']}".encode() + eol if isinstance(value, dict) and "type" in value else b""
    return name + b"data: " + json.dumps(value, ensure_ascii=ascii_only).encode() + 2 * eol


def streamed(dialect: Dialect, values: Iterable[Value]) -> Reply:
    """A reply of these events, each read by itself."""
    reply = Reply(dialect)
    for number, read in enumerate([HEAD, *(chunk(event(value)) for value in values), LAST]):
        reply.feed([read], number)
    assert reply.closed
    return reply


def at_once(dialect: Dialect, value: Value) -> Reply:
    """A reply that is not streamed."""
    data = json.dumps(value).encode()
    reply = Reply(dialect)
    reply.feed([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)], 0)
    return reply


@dataclass(frozen=True)
class Spoken:
    """An API as a server speaks it."""

    dialect: Dialect
    token: Callable[[str], Value]
    thought: Callable[[str], Value]
    error: Value
    end: tuple[Value, ...]
    """What follows the last token: reason, seven output tokens by its usage."""
    begin: tuple[Value, ...] = ()
    mark: bytes = b""
    """And an end mark that is no JSON."""
    finish: str = "stop"
    fields: str = ""
    """Names of its fields, for events of any JSON."""
    more: tuple[Value, ...] = field(default=())
    """Events that hold something odd among tokens and end nothing."""
    numbered: bool = False
    """Whether each event has its number."""

    def stream(self, texts: list[str], eol: bytes = b"\n", ascii_only: bool = True) -> list[bytes]:
        """The events of a whole stream."""
        tokens = [self.token(text) for text in texts]
        values = [*self.begin, *tokens, *self.end]
        if self.numbered:
            values = [value | {"sequence_number": number} for number, value in enumerate(values)]
        events = [event(value, eol, ascii_only) for value in values]
        return [*events, *([self.mark + 2 * eol] if self.mark else [])]

    def reply(self, texts: list[str]) -> bytes:
        """The same as a reply."""
        return HEAD + b"".join(map(chunk, self.stream(texts))) + LAST


def _chat(finish: str | None = None, **delta: Any) -> Value:
    return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _text(text: str, finish: str | None = None) -> Value:
    return {"id": "x", "choices": [{"index": 0, "text": text, "finish_reason": finish}]}


def _delta(kind: str, **delta: Any) -> Value:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **delta}}


def _response(kind: str, **fields: Any) -> Value:
    return {"type": f"response.{kind}", "response": {"id": "resp_1", "object": "response"} | fields}


def _part(kind: str, **fields: Any) -> Value:
    return {"type": f"response.{kind}", "item_id": "msg_1", "output_index": 0, "content_index": 0} | fields


_USAGE = {"choices": [], "usage": {"completion_tokens": 7}}
_OPENAI = """choices delta message content text usage completion_tokens timings predicted_n error logprobs token_ids
tool_calls finish_reason object"""
SPOKEN = {
    "chat": Spoken(
        CHAT,
        lambda text: _chat(content=text),
        lambda text: _chat(reasoning=text),
        {"error": "broken"},
        (_chat("stop"), _USAGE),
        mark=b"data: [DONE]",
        fields=_OPENAI,
        more=(_chat(content="word") | {"usage": {"completion_tokens": 3}}, _chat("stop")),
    ),
    "completions": Spoken(
        COMPLETIONS,
        _text,
        lambda text: _chat(reasoning=text),
        {"error": "broken"},
        (_text("", "stop"), _USAGE),
        mark=b"data: [DONE]",
        fields=_OPENAI,
        more=(_text("word") | {"usage": {"completion_tokens": 3}}, _text("", "stop")),
    ),
    "messages": Spoken(
        MESSAGES,
        lambda text: _delta("text_delta", text=text),
        lambda text: _delta("thinking_delta", thinking=text),
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        (
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
            {"type": "message_stop"},
        ),
        (
            {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
        ),
        finish="end_turn",
        fields="type delta content_block message usage output_tokens input_tokens error content stop_reason text "
        "thinking partial_json",
        more=(
            {"type": "ping"},
            _delta("signature_delta", signature="x"),
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        ),
    ),
    "responses": Spoken(
        RESPONSES,
        lambda text: _part("output_text.delta", delta=text),
        lambda text: _part("reasoning_text.delta", delta=text),
        {"type": "error", "code": "server_error", "message": "The server had an error", "param": None},
        (
            _part("output_text.done", text="all of it"),
            _part("content_part.done", part={"type": "output_text", "text": "all of it"}),
            {"type": "response.output_item.done", "output_index": 0, "item": {"id": "msg_1", "type": "message"}},
            _response("completed", status="completed", usage={"input_tokens": 9, "output_tokens": 7}),
        ),
        (
            _response("created", status="in_progress", usage=None),
            _response("in_progress", status="in_progress", usage=None),
            {"type": "response.output_item.added", "output_index": 0, "item": {"id": "msg_1", "type": "message"}},
            _part("content_part.added", part={"type": "output_text", "text": ""}),
        ),
        finish="completed",
        fields="type delta response item usage output_tokens input_tokens error output status incomplete_details "
        "reason logprobs content text timings",
        more=(
            _part("output_text.delta", delta="word", logprobs=[{"token": "word", "logprob": -0.1}]),
            {"type": "response.mcp_call.failed", "item_id": "mcp_1", "output_index": 1},
            {"type": "response.queued", "response": {}},
        ),
    ),
}  # fmt: skip
SPOKEN["responses, numbered"] = replace(SPOKEN["responses"], numbered=True)
