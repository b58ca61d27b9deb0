"""What a stream's token events have in common: they are alike but for their text."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from loadcell.protocol.cutting import DATA
from loadcell.protocol.dialect import Heard
from loadcell.protocol.values import NOT_JSON

_LEAD = re.compile(rb"(?:event: [^\n]*\n)?data: ")
_OTHER = "another text"


class Twin(NamedTuple):
    """What stands before and after the text of a token event, from its name or field to the blank line that ends it.

    An event that differs from a decoded one in the characters of its content alone, none of which ends its JSON string,
    and in its own number, which stands here as a NUL, means the same. Knowing the form spares most of the JSON decoding
    (`core.Tape.scan`).
    """

    head: bytes
    tail: bytes
    beside: int
    """Bytes of the head that are neither data nor the name of its field: those of the event's own name."""


def learn_twin(
    payload: bytes, content: str, read: Callable[[bytes], Heard], lead: bytes = DATA, number: bytes = b""
) -> Twin | None:
    """What stands around the content of an event, as `read` tells it; None unless it is certain where that stands.

    `lead` is what the event has before its data, `number` the field by which the API numbers its events.
    """
    if not _LEAD.fullmatch(lead) or b"\0" in lead + payload:
        return None
    quoted = b'"%b"' % content.encode()
    if payload.count(quoted) != 1 or not content.isprintable():
        return None
    before, _, after = payload.partition(quoted)
    before, after = before + b'"', b'"' + after
    if number:
        before, after = (_numbered(number).sub(rb"\1\0", side, count=1) for side in (before, after))
    try:
        other = read((before + _OTHER.encode() + after).replace(b"\0", b"1234567890"))
    except NOT_JSON:
        return None
    return Twin(lead + before, after + b"\n\n", len(lead) - len(DATA)) if other.answer == _OTHER else None


@cache
def _numbered(field: bytes) -> re.Pattern[bytes]:
    """The field and its number."""
    return re.compile(rb'("%b": ?)(?:0|[1-9][0-9]{0,9})(?=[,}])' % re.escape(field))
