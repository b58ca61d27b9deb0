"""Anthropic's messages API, the server's half, by its reference of version 2023-06-01. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from loadcell.engine.api import (
    ApiError,
    Asked,
    Message,
    Part,
    Phrases,
    Times,
    chat_tokens,
    check_model,
    check_tokens,
    content_tokens,
    decoded,
    said_in,
)
from loadcell.engine.http import LAST_CHUNK

_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error",
}  # fmt: skip
_DELTA, _START, _STOP = b"content_block_delta", b"content_block_start", b"content_block_stop"
_BEFORE = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
_AFTER = b'"}}'


class _Body(msgspec.Struct):
    model: str | None = None
    max_tokens: int | None = None
    messages: list[Message] | None = None
    system: str | list[Part] | None = None
    stream: bool | None = None


_decoder = msgspec.json.Decoder(_Body)


def messages_error(status: int, message: str, _: str, param: str | None = None) -> bytes:
    """An error as this API writes it, in a stream too."""
    kind = _KINDS.get(status, "api_error")
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def read_messages(body: bytes, headers: Mapping[str, str], model: str) -> Asked:
    """The request in `body`; ApiError if it cannot be served."""
    if "anthropic-version" not in headers:
        raise ApiError(400, "anthropic-version: header is required")
    asked = decoded(_decoder, body)
    check_model(asked.model, model)
    if any(message.role not in ("user", "assistant") for message in asked.messages or ()):
        raise ApiError(400, "messages: the role of each must be user or assistant; system is a field of its own")
    prompt_tokens = chat_tokens(asked.messages) + content_tokens(asked.system)
    if asked.max_tokens is None:
        raise ApiError(400, "max_tokens: Field required")
    check_tokens(prompt_tokens, asked.max_tokens, "max_tokens")
    said = said_in(asked.messages)
    return Asked(prompt_tokens=prompt_tokens, max_tokens=asked.max_tokens, stream=bool(asked.stream), said=said)


class MessagesVoice:
    """The words of one response (`api.Voice`)."""

    __slots__ = ("_asked", "_id", "_offset", "_phrases", "alike", "prefix", "tails")

    def __init__(self, phrases: Phrases, asked: Asked, name: str, _: int, offset: int) -> None:
        self._phrases, self._asked, self._offset = phrases, asked, offset
        self._id = msgspec.json.encode("msg_" + name)
        self.alike = True
        opening = phrases.begun(_BEFORE, _DELTA)
        self.tails = phrases.tails(_AFTER)
        self.prefix = b"%x\r\n" % (len(opening) + len(self.tails[0]) - 2) + opening

    def role(self) -> bytes:
        """The message without its content, and the begin of its one block; a sign of life, as there is one mostly."""
        message = self._message(b"[]", b"null", 1)
        block = b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
        event = self._phrases.event
        return (
            event(b'{"type":"message_start","message":' + message + b"}", b"message_start")
            + event(block, _START)
            + event(b'{"type":"ping"}', b"ping")
        )

    def tokens(self, first: int, count: int) -> bytes:
        """One event with `count` tokens."""
        text = self._phrases.text(self._offset + first, count)
        return self._phrases.event(_BEFORE + text + _AFTER, _DELTA)

    def finish(self, count: int, _: Times) -> bytes:
        """The ends of the block and of the message, with the reason and the usage."""
        phrases = self._phrases
        usage = b',"usage":{"output_tokens":%d}' % count if phrases.usage else b""
        reason = b'{"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null}%b}' % usage
        parts = [
            phrases.event(b'{"type":"content_block_stop","index":0}', _STOP),
            phrases.event(reason, b"message_delta"),
        ]
        if phrases.done:
            parts.append(phrases.event(b'{"type":"message_stop"}', b"message_stop"))
        return b"".join([*parts, LAST_CHUNK])

    def stream_error(self, message: str) -> bytes:
        """An error inside a stream, and the end of the stream."""
        return self._phrases.event(messages_error(500, message, ""), b"error") + LAST_CHUNK

    def whole(self, count: int, _: Times) -> bytes:
        """The body of a response that is not streamed."""
        text = self._phrases.text(self._offset, count)
        return self._message(b'[{"type":"text","text":"%b"}]' % text, b'"max_tokens"', count)

    def _message(self, content: bytes, reason: bytes, count: int) -> bytes:
        usage = b',"usage":{"input_tokens":%d,"output_tokens":%d}' % (self._asked.prompt_tokens, count)
        return (
            b'{"id":%b,"type":"message","role":"assistant","model":%b,"content":%b,"stop_reason":%b,"stop_sequence":null'
            b"%b}"
        ) % (self._id, self._phrases.model, content, reason, usage if self._phrases.usage else b"")
