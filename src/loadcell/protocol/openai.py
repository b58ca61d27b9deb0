"""The OpenAI-compatible APIs, chat and completions: request bodies out, events in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from loadcell.spec import Api

PATHS: dict[Api, str] = {"chat": "/chat/completions", "completions": "/completions"}
Prompt = str | bytes
"""A text; or the fields of a body that are a request's own, its prompt among them, as a JSON object."""
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
"""A token count that a server may claim; anything else is not a usage block."""


NOT_JSON = (ValueError, RecursionError)
"""What decoding raises for bytes that are no JSON, no UTF-8, not of the type, or nested without end."""


def is_object(data: bytes) -> bool:
    """Whether bytes are one whole JSON object."""
    try:
        return isinstance(msgspec.json.decode(data), dict)
    except NOT_JSON:
        return False


_IGNORE_EOS = b'"ignore_eos":'


def body_prefix(
    *, model: str, stream: bool, ignore_eos: bool, extra: Mapping[str, Any], max_tokens_field: str, usage: bool
) -> bytes:
    """The JSON object of a body up to its per-request fields, without the closing brace."""
    fields: dict[str, Any] = {"model": model, "stream": stream}
    if stream and usage:
        fields["stream_options"] = {"include_usage": True}
    if ignore_eos:
        fields["ignore_eos"] = True
    # Fields that differ by request stand after these; JSON readers take the last of equal keys, so drop them here.
    own = {"messages", "prompt", max_tokens_field}
    fields |= {key: value for key, value in extra.items() if key not in own}
    return msgspec.json.encode(fields)[:-1]


def body(api: Api, prefix: bytes, prompt: Prompt, max_tokens: int, max_tokens_field: str = "max_tokens") -> bytes:
    """One request body. A text becomes one user message in the chat API; fields of its own pass as they are."""
    if isinstance(prompt, bytes):
        asked = prompt[1:-1]
        if _IGNORE_EOS in asked and _IGNORE_EOS in prefix:  # an object must not say the same twice
            prefix = _without_ignore_eos(prefix, asked)
    elif api == "completions":
        asked = b'"prompt":' + msgspec.json.encode(prompt)
    else:
        asked = b'"messages":[{"role":"user","content":' + msgspec.json.encode(prompt) + b"}]"
    return b'%b,"%b":%d,%b}' % (prefix, max_tokens_field.encode(), max_tokens, asked)


def _without_ignore_eos(prefix: bytes, own: bytes) -> bytes:
    """The prefix without the one of its fields that a request may have too, where it has."""
    if "ignore_eos" not in msgspec.json.decode(b"{%b}" % own):
        return prefix
    fields = msgspec.json.decode(prefix + b"}")
    del fields["ignore_eos"]
    return msgspec.json.encode(fields)[:-1]


# --- events ----------------------------------------------------------------------------------------------------------


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None


class Usage(msgspec.Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


ABSENT = msgspec.Raw()
"""A field that is not there. (`Raw | None` would take nothing but null.)"""


class Delta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What a choice brought. A field that is not known is looked at (odd.py): its text may be output."""

    role: msgspec.Raw = ABSENT
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    thinking: str | None = None
    # Servers write these empty; what holds something is looked at.
    audio: None = None
    annotations: list[None] | None = None
    name: None = None
    reasoning_details: list[None] | None = None


class Choice(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One output of a reply, or its next piece; likewise."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    logprobs: msgspec.Raw = ABSENT
    finish_reason: str | dict[str, Any] | None = None
    token_ids: list[int] | None = None
    # Of no use here, and no output.
    stop_reason: msgspec.Raw = ABSENT
    matched_stop: msgspec.Raw = ABSENT
    native_finish_reason: msgspec.Raw = ABSENT
    content_filter_results: msgspec.Raw = ABSENT
    prompt_logprobs: msgspec.Raw = ABSENT
    prompt_token_ids: msgspec.Raw = ABSENT


class Event(msgspec.Struct, gc=False):
    """One event of a stream, or a whole reply that was not streamed. `timings` are llama.cpp's, `metrics` vLLM's."""

    # In the order in which servers write them, which is decoded fastest.
    object: str | None = None
    choices: list[Choice] | None = None
    usage: Usage | None = None
    timings: msgspec.Raw = ABSENT
    metrics: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _ChatLogprobs(msgspec.Struct):
    content: list[msgspec.Raw] | None = None
    tokens: list[msgspec.Raw] | None = None


EMPTY = frozenset((b"", b"null", b"false", b"0", b'""', b"[]", b"{}"))
"""JSON of nothing, as servers write it."""


def present(raw: msgspec.Raw) -> bool:
    """Whether a field is there and holds something."""
    return bytes(raw) not in EMPTY


def logprob_tokens(raw: msgspec.Raw) -> int | None:
    """Tokens that a logprobs block lists (chat: content, completions: tokens); None if there is no such list."""
    try:
        block = msgspec.json.decode(raw, type=_ChatLogprobs)
    except NOT_JSON:
        return None
    listed = block.content if block.content is not None else block.tokens
    return None if listed is None else len(listed)
