"""Speech and images, the server's half, by OpenAI's reference of 2025. Pure functions.

A request takes a slot as one of embeddings does, and then its whole reply is sent: silence as long as its words take to
say, or as many images of one pixel as were asked for.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Mapping

import msgspec

from loadcell.engine.api import ApiError, Asked, Phrases, Pooled, check_model, check_tokens, decoded
from loadcell.engine.pooling import Answer

HERTZ, BLOCK, SECONDS_A_WORD = 8000, 2, 0.25
"""Of the WAV: samples a second, bytes each, and how long a word takes to say."""
MOST_IMAGES = 10
_PIXEL = b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\2\0\1H\xaf\xa4q"
    b"\0\0\0\0IEND\xaeB`\x82"
).decode()


class _Speech(msgspec.Struct):
    model: str | None = None
    input: str | None = None
    response_format: str | None = None
    stream_format: str | None = None


class _Images(msgspec.Struct):
    model: str | None = None
    prompt: str | None = None
    n: int | None = None
    stream: bool | None = None


_speech, _images = msgspec.json.Decoder(_Speech), msgspec.json.Decoder(_Images)


def read_speech(body: bytes, _: Mapping[str, str], model: str) -> Asked:
    """The request in `body`; ApiError if it cannot be served."""
    asked = decoded(_speech, body)
    check_model(asked.model, model)
    if asked.response_format != "wav":
        raise ApiError(400, "response_format: this server makes wav alone.", param="response_format")
    if asked.stream_format not in (None, "audio"):
        raise ApiError(400, "stream_format: this server sends audio alone.", param="stream_format")
    return _asked(asked.input, "input", 1)


def read_images(body: bytes, _: Mapping[str, str], model: str) -> Asked:
    """Likewise."""
    asked = decoded(_images, body)
    check_model(asked.model, model)
    images = 1 if asked.n is None else asked.n
    if not 1 <= images <= MOST_IMAGES:
        raise ApiError(400, f"n must be from 1 to {MOST_IMAGES}, got {images}.", param="n")
    if asked.stream:
        raise ApiError(400, "stream: partial images are not made here.", param="stream")
    return _asked(asked.prompt, "prompt", images)


def _asked(text: str | None, field: str, results: int) -> Asked:
    words = len((text or "").split())
    if not words:
        raise ApiError(400, f"{field}: a text is required.", param=field)
    check_tokens(words, 1, field)
    return Asked(prompt_tokens=words, max_tokens=1, stream=False, pooled=Pooled(1, results))


def speak(_: Phrases, asked: Asked, __: str, ___: int, ____: int) -> Answer:
    """A WAV of silence."""
    sound = bytes(round(asked.prompt_tokens * SECONDS_A_WORD * HERTZ) * BLOCK)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, HERTZ, HERTZ * BLOCK, BLOCK, 8 * BLOCK)
    whole = b"RIFF%bWAVE%bdata%b" % (struct.pack("<I", 36 + len(sound)), form, struct.pack("<I", len(sound))) + sound
    return lambda *_: whole


def paint(_: Phrases, asked: Asked, __: str, created: int, ___: int) -> Answer:
    """Images of one pixel, as base64."""
    images = asked.pooled.results if asked.pooled else 0
    return lambda *_: msgspec.json.encode({"created": created, "data": [{"b64_json": _PIXEL}] * images})
