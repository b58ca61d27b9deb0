"""llama.cpp's own /completion: pieces of text with the ids of their tokens, and counts and times in the last event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.core.tape import TOLD, WHOLE
from loadcell.kinds import KIND_ANSWER
from loadcell.protocol.asking import begun, without_ignore_eos
from loadcell.protocol.dialect import Dialect, Form, Heard, Running, Told, Usage, hear_each
from loadcell.protocol.nested import several
from loadcell.protocol.openai.dialect import completions_body
from loadcell.protocol.openai.told import timings_of
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import ABSENT, as_count, is_done, present, read_as


class _Event(msgspec.Struct, gc=False):
    """An event of a stream, or a reply that was not streamed. Both counts go along; `tokens_cached`, which holds the
    output too, tells nothing of the prompt: `timings` do. The `stopped_…` are of versions before 2025."""

    index: int | None = None
    content: str | None = None
    tokens: list[int] | None = None
    stop: bool | None = None
    tokens_predicted: Any = None
    tokens_evaluated: Any = None
    stop_type: Any = None
    stopped_limit: bool | None = None
    stopped_word: bool | None = None
    stopped_eos: bool | None = None
    timings: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_EVENT = msgspec.json.Decoder(_Event)


def read(payload: bytes) -> Heard:
    """What an event says, or a reply that was not streamed; one of NOT_JSON if it is none."""
    event = read_as(_EVENT, payload)
    if event.index:
        return Heard(beside=(event.index,))
    heard = Heard(KIND_ANSWER if event.content else 0, event.content, known=event.content is not None)
    if event.tokens:
        heard.ids, heard.tokens = event.tokens, len(event.tokens)
    made = as_count(event.tokens_predicted)
    running = timings_of(event.timings)
    if made is not None and (running is None or running.output_tokens is None):
        running = (running or Running())._replace(output_tokens=made)
    if running is not None:
        heard.told = Told(None, running)
    if event.stop:
        heard.done, heard.finish = True, event.stop_type or _old_reason(event)
        heard.usage = Usage(as_count(event.tokens_evaluated), made)
    if present(event.error):
        heard.failure = ("stream_error", error_message(payload))
    return heard


def _old_reason(event: _Event) -> str | None:
    flags = {"limit": event.stopped_limit, "word": event.stopped_word, "eos": event.stopped_eos}
    return next((reason for reason, holds in flags.items() if holds), None)


def _prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    return begun({"model": model, "stream": stream}, form, extra, {"prompt"})


LLAMACPP = Dialect(
    path="/completion",
    paths=("/completion", "/v1"),
    base="",
    talks=False,
    form=Form(ignore_eos=True, max_tokens_field="n_predict"),
    prefix=_prefix,
    body=completions_body,
    without=without_ignore_eos,
    hear=hear_each(read),
    whole=read,
    is_end=is_done,
    mark=b'"stop":true',
    ends="stop: true",
    strict=True,
    differs=((b"tokens_predicted", TOLD), (b"tokens", WHOLE)),
    refused=lambda extra: several(extra, ("n_cmpl",)),
    holds="content",
    models="/v1/models",
)
