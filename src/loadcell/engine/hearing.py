"""Transcriptions and translations, the server's half, as vLLM streams them. Pure functions.

Nothing is heard: a second of audio is 50 tokens of prompt and three words of output.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from loadcell.engine.api import ApiError, Asked, OpenAIVoice, Shape, Times, check_model, check_tokens

_PROMPT_A_S, _WORDS_A_S = 50, 3
_BOUNDARY = re.compile(r'multipart/form-data\b.*\bboundary="?([^";]+)', re.IGNORECASE)
_NAME = re.compile(rb'content-disposition:.*?\bname="([^"]*)"', re.IGNORECASE)


def _shape(kind: str) -> Shape:
    return Shape(
        f"{kind[:4]}-",
        f"{kind}.chunk",
        kind,
        b'[{"delta":{"content":"',
        b'"},"finish_reason":null,"stop_reason":null}]',
        b'[{"delta":{"content":""},"finish_reason":"stop","stop_reason":null}]',
    )


class HearingVoice(OpenAIVoice):
    """Of what was heard."""

    __slots__ = ()
    shape = _shape("transcription")

    def whole(self, count: int, times: Times) -> bytes:
        """The transcript in one piece."""
        seconds = math.ceil(self._asked.prompt_tokens / _PROMPT_A_S)
        return b'{"text":"%b","usage":{"type":"duration","seconds":%d}}' % (self._text(0, count), seconds)


class TranslatingVoice(HearingVoice):
    """The same of a translation."""

    __slots__ = ()
    shape = _shape("translation")


def read_heard(body: bytes, headers: Mapping[str, str], model: str) -> Asked:
    """The request in a form; ApiError if it cannot be served."""
    fields = _fields(body, headers.get("content-type", ""))
    check_model(fields["model"].decode("utf-8", "replace") if "model" in fields else None, model)
    if not fields.get("file"):
        raise ApiError(400, "file: a file of audio is required.", param="file")
    seconds = _seconds(fields["file"])
    prompt, words = math.ceil(_PROMPT_A_S * seconds), max(1, round(_WORDS_A_S * seconds))
    check_tokens(prompt, words, "file")
    return Asked(
        prompt_tokens=prompt,
        max_tokens=words,
        stream=fields.get("stream") == b"true",
        usage=fields.get("stream_include_usage") == b"true",
    )


def _fields(body: bytes, content_type: str) -> dict[str, bytes]:
    """The parts of a form by name."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise ApiError(400, "The body must be multipart/form-data with a boundary.")
    fields = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + found[1].encode())[1:]:
        head, blank, data = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if blank and name is not None:
            fields[name[1].decode("utf-8", "replace")] = data
    return fields


def _seconds(file: bytes) -> float:
    """The length of a WAV file; ApiError for any other."""
    rate = int.from_bytes(file[28:32], "little")
    if file[:4] != b"RIFF" or file[8:12] != b"WAVE" or not rate:
        raise ApiError(400, "file: only WAV is heard here.", param="file")
    return max(0, len(file) - 44) / rate
