"""A prompt of a file that is cut to be shorter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from loadcell.workload.tokenizer import Tokenizer


def clipped(own: bytes, excess: int, tokenizer: Tokenizer) -> bytes | None:
    """A request's own fields with the longest of its texts cut at its end, by `excess` tokens; None where that has not
    as many."""
    fields: dict[str, Any] = msgspec.json.decode(own)
    holder, key = max(_texts(fields), key=lambda place: len(place[0][place[1]]), default=(None, ""))
    if holder is None:
        return None
    text = holder[key]
    found = tokenizer.backend.encode(text, add_special_tokens=False)
    left = len(found.ids) - excess
    if left < 1:
        return None
    holder[key] = text[: found.offsets[left - 1][1]]
    return msgspec.json.encode(fields)


def _texts(fields: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Where each text of a prompt stands: the object or list that holds it, and its place there."""
    if isinstance(fields.get("prompt"), str):
        yield fields, "prompt"
    for name in ("messages", "input"):
        for message in fields.get(name) or () if isinstance(fields.get(name), list) else ():
            content = message.get("content") if isinstance(message, dict) else None
            if isinstance(content, str):
                yield message, "content"
            for part in content if isinstance(content, list) else ():
                if isinstance(part, dict) and isinstance(part.get("text"), str):
                    yield part, "text"
