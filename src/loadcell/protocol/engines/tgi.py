"""Text Generation Inference's own /generate_stream: an event a token, and in the last of them what came of it all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.core.tape import NUMBER, TOLD, WHOLE
from loadcell.kinds import KIND_ANSWER
from loadcell.phrases import phrase
from loadcell.protocol.dialect import Dialect, Form, Heard, Prompt, Running, Told, Usage, hear_each
from loadcell.protocol.models import listed_alone
from loadcell.protocol.nested import begun_nested, ended_nested, own_nested, refused_nested
from loadcell.protocol.refusal import error_message, knows_no_field
from loadcell.protocol.values import ABSENT, as_count, present, read_as

_SETTINGS = "parameters"
_DETAILS = "details"
_SEVERAL = ("best_of", "n", "num_return_sequences")


class _Token(msgspec.Struct, gc=False):
    """What a special one says is no part of the output."""

    id: Any = None
    text: str | None = None
    special: bool | None = None


class _Details(msgspec.Struct, gc=False):
    """What is told where it is asked for; the length of the prompt since version 2.3."""

    finish_reason: Any = None
    generated_tokens: Any = None
    input_length: Any = None


class _Event(msgspec.Struct, gc=False):
    """An event of a stream, or a reply that was not streamed. `index` counts the tokens, since version 1.3."""

    index: Any = None
    token: _Token | None = None
    generated_text: str | None = None
    details: _Details | None = None
    error: msgspec.Raw = ABSENT


_EVENT = msgspec.json.Decoder(_Event)


def read(payload: bytes) -> Heard:
    """What an event of a stream says; one of NOT_JSON if it is none."""
    event = read_as(_EVENT, payload)
    token = event.token
    heard = Heard(known=token is not None or event.generated_text is not None)
    if token is not None:
        if token.text and not token.special:
            heard.kind, heard.answer = KIND_ANSWER, token.text
        heard.tokens = 1
        if type(token.id) is int:
            heard.ids = [token.id]
        if (made := as_count(event.index)) is not None:
            heard.told = Told(None, Running(output_tokens=made))
    _put_end(heard, event, payload)
    return heard


def whole(payload: bytes) -> Heard:
    """What a reply says that was not streamed; likewise."""
    event = read_as(_EVENT, payload)
    heard = Heard(KIND_ANSWER if event.generated_text else 0, event.generated_text)
    heard.known = event.generated_text is not None
    _put_end(heard, event, payload)
    return heard


def _put_end(heard: Heard, event: _Event, payload: bytes) -> None:
    """Put the counts and the reason of the last event into what is heard of it, or why there is none."""
    heard.done = event.generated_text is not None
    if (told := event.details) is not None:
        heard.usage = Usage(as_count(told.input_length), as_count(told.generated_tokens))
        heard.finish = told.finish_reason
    if present(event.error):
        heard.failure = ("stream_error", error_message(payload))


# --- requests out -----------------------------------------------------------------------------------------------------


def _prefix(_: str, __: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    asked = {_DETAILS: True} if form.usage else {}
    settings = extra.get(_SETTINGS, {})
    return begun_nested({}, _SETTINGS, form, {**extra, _SETTINGS: asked | settings}, {"inputs", "stream"})


def _body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    if not isinstance(prompt, bytes):
        return ended_nested(prefix, b'"inputs":' + msgspec.json.encode(prompt), most, field)
    own: dict[str, Any] = msgspec.json.decode(prompt, type=dict[str, msgspec.Raw])  # values stay as they are written
    return own_nested(prefix, {"inputs": own.pop("prompt"), **own}, most, field, _SETTINGS, frozenset(["inputs"]))


def _without(form: Form, said: str, _: bool) -> tuple[Form, str | None] | None:
    if form.usage and re.search(rf"\b{_DETAILS}\b", said) and knows_no_field(said):
        return form._replace(usage=False), phrase("the server refuses details: it sends no usage")
    return None


TGI = Dialect(
    path="/generate_stream",
    whole_path="/generate",
    paths=("/generate_stream", "/generate", "/v1"),
    base="",
    talks=False,
    takes_ids=False,
    form=Form(ignore_eos=False, max_tokens_field="max_new_tokens"),
    prefix=_prefix,
    nest=_SETTINGS,
    body=_body,
    without=_without,
    hear=hear_each(read),
    whole=whole,
    mark=b'"generated_text":"',
    ends="generated_text",
    strict=True,
    differs=((b"index", TOLD), (b"id", WHOLE), (b"logprob", NUMBER)),
    refused=refused_nested(_SETTINGS, _SEVERAL),
    holds="token or generated_text",
    models="/info",
    listed=listed_alone,
)
