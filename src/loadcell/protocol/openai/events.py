"""Events of their streams as they are typed: what every server that keeps to the API sends."""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.protocol.dialect import Count
from loadcell.protocol.values import ABSENT, NOT_JSON


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None


class Usage(msgspec.Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


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


def logprob_tokens(raw: msgspec.Raw) -> int | None:
    """Tokens that a logprobs block lists (chat: content, completions: tokens); None if there is no such list."""
    try:
        block = msgspec.json.decode(raw, type=_ChatLogprobs)
    except NOT_JSON:
        return None
    listed = block.content if block.content is not None else block.tokens
    return None if listed is None else len(listed)
