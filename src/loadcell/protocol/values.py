"""JSON values as servers write them, well or badly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

NOT_JSON = (ValueError, RecursionError)
"""What decoding raises for bytes that are no JSON, no UTF-8, not of the type, or nested without end."""
ABSENT = msgspec.Raw()
"""A field that is not there. (`Raw | None` would take nothing but null.)"""
EMPTY = frozenset((b"", b"null", b"false", b"0", b'""', b"[]", b"{}"))
"""JSON of nothing, as servers write it."""
FAILED = ("error", "exception", "failed", "failure")
"""How names end that tell of an error."""
NO_TEXT = ("data", "b64_json", "url", "image_url", "encrypted_content")
"""Output whose characters are no text to be counted."""


MOST_TOKENS = 2**30
"""A count from here on is none: two of them are a number that a row takes."""
_MOST_NS = 86_400e9
T = TypeVar("T")


def is_object(data: bytes) -> bool:
    """Whether bytes are one whole JSON object."""
    try:
        return isinstance(msgspec.json.decode(data), dict)
    except NOT_JSON:
        return False


def lenient(payload: bytes) -> Any:
    """The value in bytes that may be spoilt; one of NOT_JSON else. NaN and infinities, which some servers write, count
    as null; halves of characters and bare control characters spoil a text, not the event."""
    return json.loads(payload.decode("utf-8", "replace"), parse_constant=lambda _: None, strict=False)


def mended(payload: bytes) -> bytes:
    """The same as JSON that any reader takes: halves of characters, which cannot be written, are replaced."""
    text = json.dumps(lenient(payload), ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def read_as(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    """What bytes say that may be spoilt as `mended` knows; one of NOT_JSON if nothing."""
    try:
        return decoder.decode(payload)
    except NOT_JSON:
        return decoder.decode(mended(payload))


def as_integer(value: Any) -> int | None:
    """A whole number that is written as one, as a float or as a string; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int else None


def as_count(value: Any) -> int | None:
    """A count of tokens, likewise."""
    number = value if type(value) is int else as_integer(value)
    return number if number is not None and 0 <= number < MOST_TOKENS else None


def as_ns(value: Any, unit_ns: float) -> int | None:
    """Nanoseconds of a time in such units, from 0 to a day; None for anything else."""
    return round(value * unit_ns) if type(value) in (int, float) and 0 <= value <= _MOST_NS / unit_ns else None


def is_done(payload: bytes) -> bool:
    """Whether it is the end mark [DONE], in any spelling."""
    return payload.strip(b'"[] \n').upper() == b"DONE"


def present(raw: msgspec.Raw) -> bool:
    """Whether a field is there and holds something."""
    return raw is not ABSENT and bytes(raw) not in EMPTY


def counts_as_text(path: str) -> bool:
    """Whether what stands in a field of unknown output is text, not a picture or sound."""
    return path.rpartition(".")[2] not in NO_TEXT


def tool_text(call: msgspec.Raw) -> str:
    """What a model wrote of a tool call: its name and its arguments."""
    try:
        found = msgspec.json.decode(call)
    except NOT_JSON:
        return ""
    return "".join(_named(found))


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _named(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            if isinstance(part, str):
                yield part if name in ("name", "arguments") else ""
            else:
                yield from _named(part)
