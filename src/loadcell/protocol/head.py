"""What the head of a reply tells of it, as far as anybody here wants to know."""

from __future__ import annotations

import re

import httptools

from loadcell.phrases import phrase
from loadcell.protocol.coding import CodingError, Unpacking, packed_as

MAX_HEADER_BYTES = 256 * 1024
"""Of a head, and of the trailers and chunk extensions that bring nothing of the body."""
_PLAIN = ("identity", "chunked", "")
_TEXT = (b"{", b"[", b"data", b"event", b":", b"<")
"""With one of these begins a body that is not packed, whatever its head says; codings without a mark may too."""
_WITHOUT_MARK = ("br", "deflate")
_NAME, _VALUE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"), re.compile(r"[\x20-\x7e\t]*")
FRAMING = ("content-length", "transfer-encoding")
"""Headers of a request that follow from its body."""


def can_be_sent(name: str, value: str) -> bool:
    """Whether a header is ASCII on one line, and its name a token (RFC 9110)."""
    return _NAME.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None


class Head:
    """Takes headers as httptools tells of them."""

    __slots__ = ("codings", "framed", "location", "media", "retry_after")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all: another head begins."""
        self.media = b""
        self.location = b""
        self.retry_after = b""
        self.codings: list[str] = []
        """Codings of the body, in the order in which they were applied."""
        self.framed = False
        """Whether the head says how the end of the body is known."""

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self.media = value.partition(b";")[0].strip().lower()
        elif name == b"location":
            self.location = value.strip()
        elif name == b"retry-after":
            self.retry_after = value.strip()
        elif name in (b"content-length", b"transfer-encoding", b"content-encoding"):
            self.framed = self.framed or name != b"content-encoding"
            if name != b"content-length":
                named = (coding.strip() for coding in value.decode("latin-1").lower().split(","))
                self.codings += [coding for coding in named if coding not in _PLAIN]

    def unpacking(self, start: bytes) -> Unpacking | None:
        """How to unpack the body that begins with `start`; None if it is plain. CodingError if nobody here can."""
        codings = self.codings
        if not codings and (found := packed_as(start)):
            codings = [found]
        elif start.startswith(_TEXT) and not set(codings) & set(_WITHOUT_MARK):
            codings = []  # the head says what is not so
        return Unpacking(codings) if codings else None


class Page:
    """A reply that is wanted as it is: status, head and body, unpacked."""

    def __init__(self) -> None:
        self.status = 0
        self.head = Head()
        self.body = bytearray()
        self.complete = False
        self._bare_bytes = 0
        self._pieces: list[bytes] = []
        self._unpacking: Unpacking | None = None
        self._begun = False
        self.on_header = self.head.on_header
        self.on_body = self._pieces.append
        self._http = httptools.HttpResponseParser(self)

    def on_headers_complete(self) -> None:
        self.status = self._http.get_status_code()

    def on_message_complete(self) -> None:
        self.complete = self.status >= 200

    def feed(self, data: bytes) -> None:
        """Take what came; httptools' errors, and CodingError for a body that nobody here can unpack."""
        self._http.feed_data(data)
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self._bare_bytes = 0 if piece else self._bare_bytes + len(data)
        if self._bare_bytes > MAX_HEADER_BYTES:
            raise CodingError(phrase("headers of more than {} KiB", MAX_HEADER_BYTES // 1024))
        if piece and not self._begun:
            self._begun, self._unpacking = True, self.head.unpacking(piece)
        self.body += piece if self._unpacking is None else self._unpacking.take(piece)
