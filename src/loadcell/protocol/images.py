"""OpenAI's image generation by its reference of 2025: a prompt in, `n` images in one reply, as base64 or URLs.
vLLM-Omni, SGLang, LocalAI and others speak it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.phrases import phrase
from loadcell.protocol.dialect import Heard, Usage
from loadcell.protocol.models import listed_for
from loadcell.protocol.results import dialect_with_results, lacks, misshapen, refused_fields, results_of
from loadcell.protocol.values import ABSENT, as_count, read_as

_PROMPT = "prompt"


class _Image(msgspec.Struct, gc=False):
    b64_json: msgspec.Raw = ABSENT
    """Not looked into: whether it is a picture is not known."""
    url: msgspec.Raw = ABSENT
    """Not fetched."""


class _Claimed(msgspec.Struct, gc=False):
    input_tokens: Any = None


class _Reply(msgspec.Struct, gc=False):
    data: list[_Image] | None = None
    usage: _Claimed | None = None
    error: msgspec.Raw = ABSENT


_REPLY = msgspec.json.Decoder(_Reply)


def whole(payload: bytes) -> Heard:
    """What a reply says; one of NOT_JSON if it is none."""
    try:
        reply = read_as(_REPLY, payload)
    except msgspec.ValidationError as error:
        return misshapen(payload, error)
    images = reply.data or []
    usage = None if reply.usage is None else Usage(as_count(reply.usage.input_tokens))
    heard = results_of(payload, [None] * len(images), usage, reply.error)
    heard.known = reply.data is not None or heard.failure is not None
    empty = next((place for place, one in enumerate(images) if not (_is_told(one.b64_json) or _is_told(one.url))), None)
    return heard if empty is None or heard.failure is not None else lacks(empty, "image")


def _is_told(raw: msgspec.Raw) -> bool:
    """Whether a field holds a text that is not blank."""
    return bytes(raw).startswith(b'"') and bytes(raw)[1:-1].strip() != b""


def _refused(extra: Mapping[str, Any]) -> str | None:
    asked = extra.get("n", 1)
    if type(asked) is not int or asked < 1:
        return phrase("asks for {} images (n): write a whole number from 1 on", asked)
    if extra.get("stream") or extra.get("partial_images"):
        return phrase("asks for partial images: a job is measured whole, leave stream and partial_images out")
    return refused_fields({_PROMPT}, extra)


IMAGES = dialect_with_results(
    path="/images/generations",
    paths=("/images/generations",),
    inputs=_PROMPT,
    one=True,
    each="n",
    whole=whole,
    holds="data",
    refused=_refused,
    listed=listed_for(r"image|diffusion|dall-e|flux|sdxl|(?:^|[/_-])sd3"),
)
