"""Bodies of turns that carry the server's own replies: made ahead with a gap, which takes what was said by then.

Bytes alone: of a reply its text is encoded once, and nothing of a body is decoded or encoded again. What was said
grows by pieces, in the form that it has inside the body: messages with commas between, or a text of JSON.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import msgspec

from loadcell.workload.talks import MARK

_SIZES = struct.Struct("<II")
"""Before a body with a gap: bytes before what it brings, and of that."""
_MESSAGE = b'{"role":"user","content":"%b"}' % MARK.encode()
_REPLY = b'{"role":"assistant","content":%b}'


class Gap(NamedTuple):
    """A body in three pieces: what was said goes after `head`, and before what it `brings`."""

    head: bytes
    brings: bytes
    tail: bytes


def gapped(body: bytes, *, messages: bool) -> bytes | None:
    """A body with two marks, as it is kept; None where the API does not leave them as they are, one after the other."""
    mark, comma = (_MESSAGE, b",") if messages else (MARK.encode(), b"")
    opened, closed = mark + comma, comma + mark
    if body.count(mark) != 2 or body.count(MARK.encode()) != 2 or body.count(opened) < 1:
        return None
    head, _, rest = body.partition(opened)
    brings, found, tail = rest.partition(closed)
    return _SIZES.pack(len(head), len(brings)) + head + brings + tail if found else None


def parted(kept: bytes) -> Gap:
    """A body with a gap, as `gapped` keeps it."""
    head, brings = _SIZES.unpack_from(kept)
    begin = _SIZES.size
    return Gap(kept[begin : begin + head], kept[begin + head : begin + head + brings], kept[begin + head + brings :])


class Talk(NamedTuple):
    """How what was said is written inside the bodies of an API."""

    messages: bool
    """As messages, else as one text."""

    def then(self, said: bytes, more: bytes) -> bytes:
        """What was said, and more."""
        return said + (b"," if self.messages else b"\\n") + more if said else more

    def reply(self, text: str) -> bytes:
        """A reply, as it stands in what was said."""
        try:
            encoded = msgspec.json.encode(text)
        except UnicodeEncodeError:  # half a character, which a server may send escaped
            encoded = msgspec.json.encode(text.encode(errors="replace").decode())
        return _REPLY % encoded if self.messages else encoded[1:-1]
