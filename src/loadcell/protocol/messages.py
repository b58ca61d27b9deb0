"""Anthropic's messages API by its reference of version 2023-06-01, which vLLM and llama.cpp speak too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.kinds import KIND_ANSWER, KIND_REASONING, KIND_TOOL
from loadcell.protocol.asking import begun, ended, ended_own, without_ignore_eos
from loadcell.protocol.dialect import Dialect, Form, Heard, Prompt, Usage, hear_each
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import ABSENT, as_count, is_done, mended, present, read_as

VERSION = "2023-06-01"
_OURS, _LEASED = "sk-ant-", "sk-ant-oat"
"""How keys of Anthropic begin, and those among them that stand for a person's login."""
_TOOLS = ("tool_use", "server_tool_use", "mcp_tool_use")
"""Blocks of which a model writes the name and the input."""


class _Usage(msgspec.Struct, gc=False):
    """What stands in the prompt's fields is disjoint: the prompt is their sum."""

    input_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    output_tokens: Any = None


class _Block(msgspec.Struct, gc=False):
    """A block of content at its start, or whole."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    data: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT


class _Delta(msgspec.Struct, gc=False):
    """What a block goes on with, or, in `message_delta`, what changes of the message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: Any = None


class _Message(msgspec.Struct, gc=False):
    usage: _Usage | None = None


class _Event(msgspec.Struct, gc=False):
    """An event of a stream, or a message that was not streamed."""

    type: str | None = None
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = ABSENT
    content: list[_Block] | None = None
    stop_reason: Any = None


_EVENT = msgspec.json.Decoder(_Event)
_DELTAS = frozenset(["text_delta", "thinking_delta", "input_json_delta", "signature_delta", "citations_delta"])
_EVENTS = frozenset(
    ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop", "ping", "error"]
)


def read(payload: bytes) -> Heard:
    """What an event says, or a message that was not streamed; one of NOT_JSON if it is none."""
    event = read_as(_EVENT, payload)
    if event.type == "content_block_delta" and event.delta is not None:
        return _of_delta(event.delta, payload)
    if event.type == "content_block_start" and event.content_block is not None:
        return _of_block(event.content_block)
    heard = Heard(known=event.type in _EVENTS or event.content is not None, done=event.type == "message_stop")
    if event.type == "message_start" and event.message is not None:  # of its output a guess: nothing has come yet
        heard.usage = _usage(event.message.usage, begins=True)
    elif event.type == "message_delta":
        heard.usage = _usage(event.usage)
        heard.finish = event.delta.stop_reason if event.delta is not None else None
    elif event.content is not None:
        _put_blocks(heard, event.content)
        heard.usage, heard.finish = _usage(event.usage), event.stop_reason
    if event.type == "error" or present(event.error):
        heard.failure = ("stream_error", error_message(payload))
    return heard


def _of_delta(delta: _Delta, payload: bytes) -> Heard:
    if delta.text:
        return Heard(KIND_ANSWER, delta.text)
    if delta.thinking:
        return Heard(KIND_REASONING, None, delta.thinking)
    if delta.partial_json:
        written = msgspec.json.encode({"arguments": delta.partial_json})
        return Heard(KIND_TOOL, tools=[msgspec.Raw(written)])
    if delta.type in _DELTAS:
        return Heard()
    # A kind that this version has not: its text is output of some kind.
    fields: dict[str, Any] = msgspec.json.decode(mended(payload))["delta"]
    others = {f"{delta.type}.{name}": text for name, text in fields.items() if name != "type"}
    others = {path: text for path, text in others.items() if isinstance(text, str) and text}
    return Heard(KIND_REASONING, others=others) if others else Heard()


def _of_block(block: _Block) -> Heard:
    """A block as far as it is there: text mostly comes later, the name of a tool at once."""
    if block.type in _TOOLS:
        return Heard(KIND_TOOL, tools=[msgspec.Raw(msgspec.json.encode({"name": block.name or ""}))])
    if block.type == "redacted_thinking" and block.data:  # a thought that nobody can read
        return Heard(KIND_REASONING, others={"redacted_thinking.data": block.data})
    kind = (KIND_ANSWER if block.text else 0) | (KIND_REASONING if block.thinking else 0)
    return Heard(kind, block.text, block.thinking)


def _put_blocks(heard: Heard, blocks: list[_Block]) -> None:
    """Put what a whole message holds into what is heard of it."""
    heard.answer = "".join(block.text or "" for block in blocks) or None
    heard.thought = "".join(block.thinking or "" for block in blocks) or None
    heard.kind = (KIND_ANSWER if heard.answer else 0) | (KIND_REASONING if heard.thought else 0)
    for block in blocks:
        if block.type in _TOOLS:
            written = {"name": block.name or "", "arguments": bytes(block.input or b"").decode()}
            heard.tools = [*(heard.tools or ()), msgspec.Raw(msgspec.json.encode(written))]
            heard.kind |= KIND_TOOL
        elif block.type == "redacted_thinking" and block.data:
            heard.others = {"redacted_thinking.data": block.data}
            heard.kind |= KIND_REASONING


def _usage(told: _Usage | None, *, begins: bool = False) -> Usage | None:
    if told is None:
        return None
    read_again = as_count(told.cache_read_input_tokens)
    prompt = [as_count(told.input_tokens), as_count(told.cache_creation_input_tokens), read_again]
    whole = sum(count or 0 for count in prompt)
    return Usage(whole or None, None if begins else as_count(told.output_tokens), read_again if whole else None)


# --- requests out -----------------------------------------------------------------------------------------------------


def _prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    return begun({"model": model, "stream": stream}, form, extra, {"messages"})


def _body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    if isinstance(prompt, bytes):
        return ended_own(prefix, _lifted(prompt), most, field, ("ignore_eos", "system"))
    return ended(prefix, b'"messages":[{"role":"user","content":%b}]' % msgspec.json.encode(prompt), most, field)


def _lifted(own: bytes) -> bytes:
    """A request's own fields with the messages of the system out of the talk, where this API has them."""
    if b'"system"' not in own:
        return own
    fields: dict[str, Any] = msgspec.json.decode(own, type=dict[str, msgspec.Raw])  # values stay as they are written
    each = msgspec.json.decode(fields["messages"], type=list[msgspec.Raw])
    talk = [msgspec.json.decode(one) for one in each]
    said = [one.get("content") for one in talk if one.get("role") == "system"]
    if not said:
        return own
    fields["messages"] = [raw for raw, one in zip(each, talk, strict=True) if one.get("role") != "system"]
    before = msgspec.json.decode(fields.get("system", b"null"))
    parts = [before, *said] if before else said
    if all(isinstance(part, str) for part in parts):
        fields["system"] = "\n\n".join(parts)
    else:
        texts = [[{"type": "text", "text": part}] if isinstance(part, str) else part or [] for part in parts]
        fields["system"] = [piece for text in texts for piece in text]
    return msgspec.json.encode(fields)


def _headers(key: str | None) -> dict[str, str]:
    """Anthropic refuses a key as a bearer token, vLLM looks for one alone, llama.cpp takes either: a key that is not
    Anthropic's goes both ways."""
    found = {"anthropic-version": VERSION}
    if key and not key.startswith(_LEASED):
        found["x-api-key"] = key
    if key and (key.startswith(_LEASED) or not key.startswith(_OURS)):
        found["Authorization"] = f"Bearer {key}"
    return found


MESSAGES = Dialect(
    path="/messages",
    paths=("/messages",),
    talks=True,
    form=Form(ignore_eos=True),
    prefix=_prefix,
    body=_body,
    without=without_ignore_eos,
    hear=hear_each(read),
    whole=read,
    is_end=is_done,  # vLLM writes the other API's mark too
    mark=b'"message_stop"',
    ends="message_stop",
    strict=True,
    holds="content",
    headers=_headers,
)
