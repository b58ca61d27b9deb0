"""OpenAI's speech by its reference of 2025: text in, audio out, as bytes or as events (`stream_format`). vLLM-Omni,
Kokoro-FastAPI and openedai-speech speak it too."""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.kinds import KIND_ANSWER
from loadcell.protocol.dialect import Heard, Prompt, Usage, hear_each
from loadcell.protocol.models import listed_for
from loadcell.protocol.refusal import error_message
from loadcell.protocol.results import body_of, dialect_with_results
from loadcell.protocol.values import ABSENT, as_count, is_done, present, read_as

_INPUT = "input"
_USUAL = {"voice": "alloy", "response_format": "wav"}
"""Sent where nobody asks otherwise: every server wants a voice, and a WAV tells how long it lasts."""


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    audio: Any = None
    usage: Any = None
    error: msgspec.Raw = ABSENT


_EVENT = msgspec.json.Decoder(_Event)


def _body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    made = body_of(_INPUT, "", True, prefix, prompt, most, field)
    # A quote inside a JSON text is escaped: so a name with its colon is the name of a field.
    usual = [b'"%b":"%b"' % (k.encode(), v.encode()) for k, v in _USUAL.items() if b'"%b":' % k.encode() not in made]
    return b",".join([made[:-1], *usual]) + b"}"


def _hear(payload: bytes) -> Heard:
    """What an event says; its `answer` is base64 of sound. One of NOT_JSON if it is none."""
    event = read_as(_EVENT, payload)
    if present(event.error) or event.type == "error":
        return Heard(failure=("stream_error", error_message(payload)))
    if event.type == "speech.audio.delta" and isinstance(event.audio, str):
        return Heard(KIND_ANSWER, answer=event.audio)
    if event.type == "speech.audio.done":
        told = event.usage.get("input_tokens") if isinstance(event.usage, dict) else None
        return Heard(done=True, usage=None if told is None else Usage(as_count(told)))
    return Heard(known=False)


SPEECH = dialect_with_results(
    path="/audio/speech",
    paths=("/audio/speech",),
    inputs=_INPUT,
    one=True,
    audio=True,
    body=_body,
    whole=_hear,
    hear=hear_each(_hear),
    is_end=is_done,
    mark=b"speech.audio.done",
    ends="speech.audio.done",
    holds="audio",
    listed=listed_for(r"tts|speech|kokoro|voice|orpheus|bark|piper|chatterbox|(?:^|[/_-])csm-"),
)
