"""OpenAI's responses API, the server's half, by its reference of 2025. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.engine.api import (
    DEFAULT_MAX_TOKENS,
    ApiError,
    Asked,
    Part,
    Phrases,
    Times,
    check_model,
    check_tokens,
    content_tokens,
    decoded,
    texts_of,
)
from loadcell.engine.http import LAST_CHUNK


class _Item(msgspec.Struct):
    """A message, or the call of a tool, or what came of one."""

    content: str | list[Part] | None = None
    arguments: str = ""
    output: str | list[Part] | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    input: str | list[_Item] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    stream: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None


_decoder = msgspec.json.Decoder(_Body)


def read_responses(body: bytes, _: Mapping[str, str], model: str) -> Asked:
    """The request in `body`; ApiError if it cannot be served."""
    asked = decoded(_decoder, body)
    check_model(asked.model, model)
    for name in ("background", "previous_response_id", "conversation"):
        if getattr(asked, name):
            raise ApiError(400, f"{name}: nothing is kept here.", param=name)
    if not asked.input:
        raise ApiError(400, "input: a text or a list of items is required.", param="input")
    items = [_Item(asked.input)] if isinstance(asked.input, str) else asked.input
    texts = [text for item in items for text in (item.content, item.arguments, item.output)]
    prompt_tokens = sum(map(content_tokens, [*texts, asked.instructions]))
    most = DEFAULT_MAX_TOKENS if asked.max_output_tokens is None else asked.max_output_tokens
    check_tokens(prompt_tokens, most, "max_output_tokens")
    known = texts_of(asked.instructions, *texts)
    return Asked(prompt_tokens=prompt_tokens, max_tokens=most, stream=bool(asked.stream), texts=known)


class ResponsesVoice:
    """The words of one response (`api.Voice`). Each event has its number, so that no two tokens are alike."""

    __slots__ = ("_asked", "_created_s", "_item", "_number", "_offset", "_phrases", "_place", "_response", "alike")

    tails: list[bytes] = []
    prefix = b""

    def __init__(self, phrases: Phrases, asked: Asked, name: str, created_s: int, offset: int) -> None:
        self._phrases, self._asked, self._created_s, self._offset = phrases, asked, created_s, offset
        self._response, self._item = msgspec.json.encode("resp_" + name), msgspec.json.encode("msg_" + name)
        self._place = b'"item_id":%b,"output_index":0,"content_index":0' % self._item
        self._number = 0
        self.alike = False

    def role(self) -> bytes:
        """The response without its output, and the begins of its one message and of that message's one part."""
        created = b'"response":' + self._whole(b"in_progress", b"[]", None)
        return (
            self._event(b"response.created", created)
            + self._event(b"response.in_progress", created)
            + self._event(
                b"response.output_item.added", b'"output_index":0,"item":' + self._message(b"in_progress", b"[]")
            )
            + self._event(b"response.content_part.added", self._place + b',"part":' + _part(b""))
        )

    def tokens(self, first: int, count: int) -> bytes:
        """One event with `count` tokens."""
        text = self._phrases.text(self._offset + first, count)
        return self._event(b"response.output_text.delta", b'%b,"delta":"%b","logprobs":[]' % (self._place, text))

    def finish(self, count: int, _: Times) -> bytes:
        """The ends of the part and of the message, and of the response, with its usage."""
        text = self._phrases.text(self._offset, count)
        message = self._message(b"incomplete", b"[%b]" % _part(text))
        parts = [
            self._event(b"response.output_text.done", b'%b,"text":"%b","logprobs":[]' % (self._place, text)),
            self._event(b"response.content_part.done", self._place + b',"part":' + _part(text)),
            self._event(b"response.output_item.done", b'"output_index":0,"item":' + message),
        ]
        if self._phrases.done:
            whole = self._whole(b"incomplete", b"[%b]" % message, count)
            parts.append(self._event(b"response.incomplete", b'"response":' + whole))
        return b"".join([*parts, LAST_CHUNK])

    def stream_error(self, message: str) -> bytes:
        """An error inside a stream, and the end of the stream."""
        told = b'"code":"server_error","message":%b,"param":null' % msgspec.json.encode(message)
        return self._event(b"error", told) + LAST_CHUNK

    def whole(self, count: int, _: Times) -> bytes:
        """The body of a response that is not streamed."""
        message = self._message(b"incomplete", b"[%b]" % _part(self._phrases.text(self._offset, count)))
        return self._whole(b"incomplete", b"[%b]" % message, count)

    def _event(self, kind: bytes, fields: bytes) -> bytes:
        data = b'{"type":"%b",%b,"sequence_number":%d}' % (kind, fields, self._number)
        self._number += 1
        return self._phrases.event(data, kind)

    def _message(self, status: bytes, content: bytes) -> bytes:
        told = (self._item, status, content)
        return b'{"id":%b,"type":"message","status":"%b","role":"assistant","content":%b}' % told

    def _whole(self, status: bytes, output: bytes, count: int | None) -> bytes:
        """The response; `count` None while it goes on."""
        why = b'{"reason":"max_output_tokens"}' if count is not None else b"null"
        head = b'{"id":%b,"object":"response","created_at":%d,"status":"%b","background":false,"error":null,' % (
            self._response,
            self._created_s,
            status,
        )
        return head + b'"incomplete_details":%b,"max_output_tokens":%d,"model":%b,"output":%b,"usage":%b}' % (
            why,
            self._asked.max_tokens,
            self._phrases.model,
            output,
            b"null" if count is None or not self._phrases.usage else self._usage(count),
        )

    def _usage(self, count: int) -> bytes:
        prompt = self._asked.prompt_tokens
        return (
            b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,'
            b'"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d}'
        ) % (prompt, self._asked.cached or 0, count, prompt + count)


def _part(text: bytes) -> bytes:
    return b'{"type":"output_text","text":"%b","annotations":[],"logprobs":[]}' % text
