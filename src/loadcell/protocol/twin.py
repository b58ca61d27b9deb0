"""A short way to read a stream's token events: they are alike but for their text."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from loadcell.protocol.dialect import Heard
from loadcell.protocol.values import NOT_JSON

_STRINGS = msgspec.json.Decoder(list[str])
_CONTROL = re.compile(rb"[\x00-\x1f]")
_OTHER = "another text"


class Twin:
    """The form of a stream's token events, which are alike but for their text.

    An event that differs from a decoded one in the characters of its content alone, none of which ends or escapes a
    JSON string, means the same. Knowing the form spares most of the JSON decoding.
    """

    def __init__(self, before: bytes, after: bytes) -> None:
        self._head, self._tail = b"data: " + before, after + b"\n\n"
        self._between = self._tail + self._head
        self._frame = len(self._between)

    def texts(self, pieces: list[bytes]) -> tuple[str, int]:
        """The contents, in one string, of the leading pieces that are one event of this form each, and their number.

        All or none: the pieces up to the last one that ends like the form, or ("", 0).
        """
        count = len(pieces)
        while count and not pieces[count - 1].endswith(self._tail):
            count -= 1
        whole = b"".join(pieces[:count])
        if not whole.startswith(self._head):
            return "", 0
        parts = whole[len(self._head) : -len(self._tail)].split(self._between)
        frame = self._frame
        if not all(parts) or [len(p) + frame for p in parts] != [len(p) for p in pieces[:count]]:
            return "", 0
        text = b"".join(parts)
        if _CONTROL.search(text):  # may not stand in a JSON string
            return "", 0
        try:
            if b'"' not in text and b"\\" not in text:
                return text.decode(), count
            # Escapes: each part must be a JSON string of its own. One that ends in a backslash could swallow its end.
            strings = _STRINGS.decode(b'["%b"]' % b'","'.join(parts))
        except NOT_JSON:
            return "", 0
        whole_parts = len(strings) == count and not any(p.endswith(b"\\") for p in parts)
        return ("".join(strings), count) if whole_parts else ("", 0)


def learn_twin(payload: bytes, content: str, read: Callable[[bytes], Heard]) -> Twin | None:
    """What stands around the content of an event, as `read` tells it; None unless it is certain where that stands."""
    quoted = b'"%b"' % content.encode()
    if payload.count(quoted) != 1 or not content.isprintable():
        return None
    before, _, after = payload.partition(quoted)
    before, after = before + b'"', b'"' + after
    try:
        other = read(before + _OTHER.encode() + after)
    except NOT_JSON:
        return None
    return Twin(before, after) if other.answer == _OTHER else None
