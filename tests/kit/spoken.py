"""The same stream in every API: what the tests of replies say in each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loadcell.protocol import Dialect
from loadcell.protocol.messages import MESSAGES
from loadcell.protocol.openai.dialect import CHAT, COMPLETIONS

Value = dict[str, Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: Any, eol: bytes = b"\n", ascii_only: bool = True) -> bytes:
    """An event; one that says its type is named after it."""
    name = f"event: {value['type']}".encode() + eol if isinstance(value, dict) and "type" in value else b""
    return name + b"data: " + json.dumps(value, ensure_ascii=ascii_only).encode() + 2 * eol


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

    def stream(self, texts: list[str], eol: bytes = b"\n", ascii_only: bool = True) -> list[bytes]:
        """The events of a whole stream."""
        tokens = [self.token(text) for text in texts]
        events = [event(value, eol, ascii_only) for value in (*self.begin, *tokens, *self.end)]
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
}  # fmt: skip
