"""The body of a reply cut into its events, by what it holds: servers name its type as they like."""

from __future__ import annotations

from loadcell.phrases import phrase
from loadcell.protocol.values import is_object

MAX_EVENT_BYTES = 16 * 1024 * 1024
DATA = b"data: "
"""What stands before the data of an event, as almost all servers write it."""
_MARKS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""With one of these begins an event stream."""
_LONGEST_MARK = max(map(len, _MARKS))
_SSE = b"text/event-stream"
_LEAD = b"\xef\xbb\xbf\x1e\r\n\t "
"""What may stand before the first event: a byte order mark, a record separator, white space."""


class TooLarge(Exception):
    """More bytes without an end than any event has."""


class Cutter:
    """Takes body bytes and cuts them into events; `between` ends one, and is known once the body shows its form.

    Events end in a blank line (server-sent events) or in a line feed (JSON lines). Neither: one whole document.
    """

    def __init__(self, media: bytes, *, ok: bool, most: int = MAX_EVENT_BYTES) -> None:
        self.parts: list[tuple[int, bytes]] = []
        """Events with the number of the read that ended them, for the caller to take."""
        self.tails: set[int] = set()
        """Reads that brought something after the end of their last event: its bytes came no later than theirs."""
        self.rest: list[bytes] = []
        self.between = b""
        """Empty for a whole document, and as long as the form is not known."""
        self.streamed = ok and media == _SSE
        """Whether the body is a stream, as far as it is known: the only line of JSON may be a whole document too."""
        self.rest_bytes = 0
        self._half_end = False
        self._media, self._most = media, most
        self._open = ok
        """Whether the form is still to be found out. What refuses a request is a document, whatever it looks like."""
        self._line_read: int | None = None
        """Read that ended the first line, until it is known whether that line is an event."""

    def take(self, number: int, data: bytes) -> None:
        """Body bytes of one read: cut out whole events, keep the rest. TooLarge if there is no end to it."""
        if self._open and not self.between:
            data = self._begin(number, data)
        if not self.between:
            self._keep(data)
            return
        if self.rest:
            if b"\n" not in data and b"\r" not in data:  # no event ends here: join the pieces once, when one does
                self._keep(data)
                return
            self.rest.append(data)
            data = b"".join(self.rest)
            self.drop()
        held = b""
        if self._half_end and data.startswith(b"\n"):
            data = data[1:]
        self._half_end = data.endswith(b"\r\r")  # a blank line, to which a line feed may still belong
        if b"\r" in data:
            if data.endswith(b"\r") and not self._half_end:  # its line feed may come with the next read
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        parts = data.split(self.between)
        tail = parts.pop()
        if tail and parts:
            self.tails.add(number)
        self._keep(tail + held)
        self._add(number, parts)
        if self._line_read is not None and parts:
            self.parts[0], self._line_read = (self._line_read, parts[0]), None

    def is_document(self) -> bool:
        """Whether what came is one whole JSON document, though its end was not announced."""
        if self.streamed or self.between:
            return not self.streamed and bool(self.parts) and not self.rest
        return bool(self.rest) and self.rest[-1].rstrip().endswith(b"}") and is_object(b"".join(self.rest))

    def drop(self) -> None:
        """Forget what is no whole event."""
        self.rest.clear()
        self.rest_bytes = 0

    def end(self, number: int) -> bytes:
        """The body is over: what is left is its last event, or, returned, all of a whole document."""
        rest = b"".join(self.rest).strip()
        self.drop()
        if rest and (self.between or self.streamed):
            self._add(number, [rest])
            rest = b""
        return rest if self.streamed else b"".join(part for _, part in self.parts).strip() or rest

    def _add(self, number: int, parts: list[bytes]) -> None:
        for part in parts:
            self.parts.append((number, part))
        if not self.streamed:
            self.streamed = sum(bool(part.strip()) for _, part in self.parts) > 1

    def _keep(self, data: bytes) -> None:
        if data:
            self.rest.append(data)
            self.rest_bytes += len(data)
            if self.rest_bytes > self._most:
                raise TooLarge(phrase("an event of more than {} MiB", self._most >> 20))

    def _begin(self, number: int, data: bytes) -> bytes:
        """Find out the form, if it shows by now; returns what is to be cut."""
        if self.rest_bytes > _LONGEST_MARK and not _ends_line(data):
            return data  # the first line is still on its way
        self.rest.append(data)
        data = b"".join(self.rest).lstrip(_LEAD)
        self.drop()
        line, end, after = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").partition(b"\n")
        if data.startswith(b"{"):
            self.streamed = False
            if end:
                self._open, self.between = False, b"\n" if is_object(line) else b""
        elif data.startswith(_MARKS):
            self.streamed = True
            if end and not (data.startswith(b"data:") and is_object(line[5:])):
                self.between = b"\n\n"
            elif end and b"data:".startswith(after[:5]) and len(after) < 5:  # the next line tells what this one was
                self._line_read = number if self._line_read is None else self._line_read
            elif end:
                self.between = b"\n" if after.startswith(b"data:") else b"\n\n"
        elif data and not any(mark.startswith(data) for mark in _MARKS):
            self._open, self.between = False, b"\n\n" if self._media == _SSE else b""
        if self.between != b"\n" and self.between:
            self._line_read = None
        return data


def _ends_line(data: bytes) -> bool:
    return b"\n" in data or b"\r" in data


def fields(raw: bytes) -> tuple[bytes, str]:
    """The data of an event in any legal form, and its name (WHATWG, server-sent events).

    Fields are taken in any case, with spaces around their names: a line that is skipped is output lost.
    """
    name, _, value = raw.partition(b"\n")
    if name.startswith(b"event: ") and value.startswith(DATA) and b"\n" not in value:  # as most servers name them
        return value[len(DATA) :], name[7:].strip().lower().decode("utf-8", "replace")
    data: list[bytes] = []
    event = ""
    for line in raw.lstrip(b"\xef\xbb\xbf\x1e\n").split(b"\n"):
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.strip().lower().decode("utf-8", "replace")
        elif name == b"error":  # no legal field either
            event = "error"
            data.append(value)
        elif line.startswith(b"{"):  # no legal field: a server that writes its error as a bare line
            data.append(line)
    return b"\n".join(data), event
