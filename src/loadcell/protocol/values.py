"""JSON values as servers write them, well or badly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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


def is_object(data: bytes) -> bool:
    """Whether bytes are one whole JSON object."""
    try:
        return isinstance(msgspec.json.decode(data), dict)
    except NOT_JSON:
        return False


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
