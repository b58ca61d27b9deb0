"""What a stream's token events have in common: they are alike but for their text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from loadcell.protocol.dialect import Heard
from loadcell.protocol.values import NOT_JSON

DATA = b"data: "
_LEAD = re.compile(rb"(?:event: [^\n]*\n)?data: ")
_OTHER = "another text"


class Twin(NamedTuple):
    """What stands before and after the text of a token event, from its field to the blank line that ends it.

    An event that differs from a decoded one in the characters of its content alone, none of which ends its JSON string,
    means the same. Knowing the form spares most of the JSON decoding (`core.Tape.scan`).
    """

    head: bytes
    tail: bytes
    beside: int
    """Bytes of the head that are neither data nor the name of its field: those of the event's own name."""


def learn_twin(payload: bytes, content: str, read: Callable[[bytes], Heard], lead: bytes = DATA) -> Twin | None:
    """What stands around the content of an event, as `read` tells it; None unless it is certain where that stands.

    `lead` is what the event has before its data.
    """
    if not _LEAD.fullmatch(lead):
        return None
    quoted = b'"%b"' % content.encode()
    if payload.count(quoted) != 1 or not content.isprintable():
        return None
    before, _, after = payload.partition(quoted)
    before, after = before + b'"', b'"' + after
    try:
        other = read(before + _OTHER.encode() + after)
    except NOT_JSON:
        return None
    return Twin(lead + before, after + b"\n\n", len(lead) - len(DATA)) if other.answer == _OTHER else None
