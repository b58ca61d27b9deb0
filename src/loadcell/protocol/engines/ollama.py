"""Ollama's own /api/chat and /api/generate: lines of JSON, of which the last has the counts and the times."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from loadcell.core.tape import MOMENT
from loadcell.kinds import KIND_ANSWER, KIND_REASONING, KIND_TOOL
from loadcell.phrases import phrase
from loadcell.protocol.dialect import Dialect, Form, Heard, Prompt, ServerTimes, Told, Usage, hear_each
from loadcell.protocol.nested import begun_nested, ended_nested, own_nested, refused_nested
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import ABSENT, NOT_JSON, as_count, as_ns, present, read_as

_SETTINGS = "options"
_BESIDE = frozenset(
    [
        "messages", "prompt", "tools", "format", "think", "keep_alive", "logprobs", "top_logprobs", "suffix", "system",
        "template", "raw", "images", "context", "truncate", "shift",
    ]
)  # fmt: skip
"""Fields of a request that are no options."""


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: msgspec.Raw = ABSENT


class _Call(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(msgspec.Struct, gc=False):
    """A line of a stream, or a reply that was not streamed; counts and times, in ns, stand in the last line."""

    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: Any = None
    logprobs: list[msgspec.Raw] | None = None
    prompt_eval_count: Any = None
    prompt_eval_duration: Any = None
    eval_count: Any = None
    eval_duration: Any = None
    error: msgspec.Raw = ABSENT


_LINE = msgspec.json.Decoder(_Line)


def read(payload: bytes) -> Heard:
    """What a line says; one of NOT_JSON if it is none."""
    line = read_as(_LINE, payload)
    message = line.message or _Message()
    answer, thought = message.content or line.response, message.thinking or line.thinking
    kind = (KIND_ANSWER if answer else 0) | (KIND_REASONING if thought else 0)
    heard = Heard(kind, answer, thought, known=line.done is not None)
    if message.tool_calls:
        heard.tools = [_written(call.function or _Function()) for call in message.tool_calls]
        heard.kind |= KIND_TOOL
    if line.logprobs:
        heard.tokens = len(line.logprobs)
    if line.done:
        heard.done, heard.finish = True, line.done_reason
        # Of a prompt that its cache held the server tells nothing: that is no 0.
        heard.usage = Usage(as_count(line.prompt_eval_count) or None, as_count(line.eval_count))
        times = ServerTimes(None, as_ns(line.prompt_eval_duration, 1), as_ns(line.eval_duration, 1))
        heard.told = None if times == ServerTimes() else Told(times)
    if present(line.error):
        heard.failure = ("stream_error", error_message(payload))
    return heard


def whole(payload: bytes) -> Heard:
    """What a reply says that was not streamed, or that was a single line; likewise."""
    heard = read(payload)
    if heard.known and not heard.done and heard.failure is None:
        heard.failure = ("cut", phrase("the stream ended without {}", _ENDS))
    return heard


def _written(function: _Function) -> msgspec.Raw:
    """What a model wrote of a tool's call."""
    written = {"name": function.name or "", "arguments": bytes(function.arguments).decode()}
    return msgspec.Raw(msgspec.json.encode(written))


# --- requests out -----------------------------------------------------------------------------------------------------


def _prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    return begun_nested({"model": model, "stream": stream}, _SETTINGS, form, extra, {"messages", "prompt"})


def _chat_body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    if not isinstance(prompt, bytes):
        asked = b'"messages":[{"role":"user","content":%b}]' % msgspec.json.encode(prompt)
        return ended_nested(prefix, asked, most, field)
    own: dict[str, Any] = msgspec.json.decode(prompt, type=dict[str, msgspec.Raw])  # values stay as they are written
    own["messages"] = [_message(message) for message in msgspec.json.decode(own["messages"])]
    return own_nested(prefix, own, most, field, _SETTINGS, _BESIDE)


def _generate_body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    if not isinstance(prompt, bytes):
        return ended_nested(prefix, b'"prompt":' + msgspec.json.encode(prompt), most, field)
    return own_nested(prefix, msgspec.json.decode(prompt, type=dict[str, msgspec.Raw]), most, field, _SETTINGS, _BESIDE)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as this API has it: its content one text, its pictures beside it, the arguments of calls as objects."""
    found = dict(message)
    if isinstance(content := message.get("content"), list):
        texts = [part if isinstance(part, str) else part.get("text") for part in content]
        urls = [url["url"] for part in content if isinstance(part, dict) and (url := part.get("image_url"))]
        found["content"] = "\n".join(text for text in texts if isinstance(text, str))
        if urls:
            found["images"] = [url.rpartition(";base64,")[2] for url in urls]
    if calls := message.get("tool_calls"):
        found["tool_calls"] = [{**call, "function": _with_object(call.get("function") or {})} for call in calls]
    return found


def _with_object(function: dict[str, Any]) -> dict[str, Any]:
    try:
        return {**function, "arguments": msgspec.json.decode(function["arguments"])}
    except (KeyError, TypeError, *NOT_JSON):
        return function


_ENDS = "done: true"
_dialect = partial(
    Dialect,
    paths=("/api/chat", "/api/generate", "/api", "/v1"),
    base="",
    form=Form(ignore_eos=False, max_tokens_field="num_predict"),
    prefix=_prefix,
    nest=_SETTINGS,
    hear=hear_each(read),
    whole=whole,
    mark=b'"done":true',
    ends=_ENDS,
    strict=True,
    differs=((b"created_at", MOMENT),),
    refused=refused_nested(_SETTINGS),
    models="/api/tags",
)
CHAT = _dialect(path="/api/chat", talks=True, body=_chat_body, holds="message")
GENERATE = _dialect(path="/api/generate", talks=False, takes_ids=False, body=_generate_body, holds="response")
