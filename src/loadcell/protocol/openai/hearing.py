"""OpenAI's transcriptions and translations by its reference of 2026-11, and vLLM's form of their streams (0.13): a
multipart form with one file of audio out; text in, whole or in events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from loadcell.errors import UsageError
from loadcell.kinds import KIND_ANSWER
from loadcell.media import Attachment
from loadcell.phrases import phrase
from loadcell.protocol.dialect import Dialect, Form, Heard, Prompt, Usage, not_heard
from loadcell.protocol.models import listed_for
from loadcell.protocol.openai.hear import hear as hear_chat
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import ABSENT, NOT_JSON, as_count, is_done, present, read_as

BOUNDARY = b"loadcell-b4f0c7d2a98e4f7fb6c31d0e5a7c9182"
"""Between the parts of a form: no file holds it by chance."""
_OWN = b'"transcript.text.'
_USAGE = "stream_include_usage"
_FORMATS = ("json", "verbose_json", "diarized_json")
_MODELS = r"whisper|transcri|\basr\b|parakeet|canary|voxtral|speech|audio"


class _Usage(msgspec.Struct, gc=False):
    """OpenAI's counts, or vLLM's; a usage in seconds tells none."""

    input_tokens: Any = None
    output_tokens: Any = None
    prompt_tokens: Any = None
    completion_tokens: Any = None


class _Event(msgspec.Struct, gc=False):
    """An event of OpenAI's streams, or a transcript that was not streamed."""

    type: str | None = None
    delta: str | None = None
    text: str | None = None
    logprobs: Any = None
    usage: _Usage | None = None
    error: msgspec.Raw = ABSENT


_EVENT = msgspec.json.Decoder(_Event)


def hear(payloads: list[bytes], index: int | None) -> Iterator[Heard]:
    """What each event says, in whichever form."""
    if not any(_OWN in payload for payload in payloads):
        yield from hear_chat(payloads, index)
        return
    for payload in payloads:
        heard = _own(payload, index) or next(hear_chat([payload], index))
        index = heard.index = heard.index if heard.index is not None else index
        yield heard


def _own(payload: bytes, index: int | None) -> Heard | None:
    """What an event of OpenAI's form says, None of any other; `index` is 0 once a delta came."""
    try:
        event = read_as(_EVENT, payload) if _OWN in payload else _Event()
    except NOT_JSON as error:
        return not_heard(payload, error)
    kind = event.type or ""
    if not kind.startswith("transcript.text."):
        return None
    if present(event.error):
        return Heard(failure=("stream_error", error_message(payload)))
    if kind.endswith(".delta"):
        tokens = len(event.logprobs) if isinstance(event.logprobs, list) and event.delta else 0
        return Heard(KIND_ANSWER if event.delta else 0, event.delta or None, index=0, tokens=tokens or None)
    if kind.endswith(".done"):  # it says all again; where no delta came it is the answer, of silence an empty one
        new = event.text is not None and index is None
        return Heard(KIND_ANSWER if new else 0, event.text if new else None, usage=_used(event.usage), done=True)
    return Heard()  # a segment, which says again what deltas said


def whole(payload: bytes) -> Heard:
    """What a transcript says that was not streamed; that of silence is an empty text."""
    event = read_as(_EVENT, payload)
    heard = Heard(usage=_used(event.usage), known=event.text is not None, done=True)
    if event.text is not None:
        heard.kind, heard.answer = KIND_ANSWER, event.text
    if present(event.error):
        heard.failure = ("stream_error", error_message(payload))
    return heard


def _used(told: _Usage | None) -> Usage | None:
    if told is None:
        return None
    prompt, output = as_count(told.input_tokens), as_count(told.output_tokens)
    prompt = as_count(told.prompt_tokens) if prompt is None else prompt
    output = as_count(told.completion_tokens) if output is None else output
    return None if prompt is None and output is None else Usage(prompt, output)


# --- requests out -----------------------------------------------------------------------------------------------------


def _prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    fields: dict[str, Any] = ({"model": model} if model else {}) | {"response_format": "json"}
    if stream:
        fields |= {"stream": True} | ({_USAGE: True} if form.usage else {})
    return b"".join(_field(name, one) for name, value in {**fields, **extra}.items() for one in _each(value))


def _each(value: Any) -> list[Any]:
    return [one for one in (value if isinstance(value, list) else [value]) if one is not None]


def _field(name: str, value: Any) -> bytes:
    """A field of the form; what is no text is written as JSON has it."""
    said = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
    if BOUNDARY in said or re.search(r'["\r\n]', name):
        raise UsageError(f"endpoint.extra_body: {name!r} cannot be sent as a field of a form: leave it out")
    return b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (BOUNDARY, name.encode(), said)


def _body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    """The form with its file; UsageError for a file that no form of this boundary can hold."""
    assert isinstance(prompt, Attachment)
    if BOUNDARY in prompt.data:
        raise UsageError("a file of audio holds the boundary of the form that it is sent in: leave it out")
    head = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="audio.%b"\r\nContent-Type: %b\r\n\r\n' % (
        BOUNDARY,
        prompt.form.encode(),
        prompt.mime.encode(),
    )
    return b"%b%b%b\r\n--%b--\r\n" % (prefix, head, prompt.data, BOUNDARY)


def _without(form: Form, said: str, _: bool) -> tuple[Form, str | None] | None:
    if _USAGE in said and form.usage:
        return form._replace(usage=False), phrase("the server refuses stream_include_usage: it sends no usage")
    return None


def _refused(extra: Mapping[str, Any]) -> str | None:
    asked = extra.get("response_format", "json")
    if "file" in extra:
        return phrase("holds {}: --audio-seconds and --audio-dir say what is sent", "file")
    if asked is None or asked in _FORMATS:
        return None
    return phrase("asks for response_format {}: what can be read is {}", asked, ", ".join(_FORMATS))


_dialect = partial(
    Dialect,
    paths=("/audio/transcriptions", "/audio/translations"),
    talks=False,
    takes_ids=False,
    form=Form(ignore_eos=False),
    content_type=f"multipart/form-data; boundary={BOUNDARY.decode()}",
    prefix=_prefix,
    body=_body,
    without=_without,
    hear=hear,
    whole=whole,
    is_end=is_done,
    ends="transcript.text.done or [DONE]",
    strict=True,  # of long audio vLLM tells a reason after each of its pieces
    holds="text",
    refused=_refused,
    listed=listed_for(_MODELS),
)
TRANSCRIPTIONS = _dialect(path="/audio/transcriptions")
TRANSLATIONS = _dialect(path="/audio/translations")
