"""HTTP/1.1, the server's half: request heads from bytes, responses to bytes. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

MAX_HEAD = 32 * 1024
MAX_BODY = 16 * 1024 * 1024
LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]+) HTTP/(\d\.\d)")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")


class HttpError(Exception):
    """A request that cannot be understood; the connection ends with the reply."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Head(NamedTuple):
    method: str
    path: str
    """Without the query."""
    headers: dict[str, str]
    """By lower-case name; repeated fields joined by a comma."""
    length: int
    """Bytes of the body."""
    keep_alive: bool


def take_head(buffer: bytearray) -> tuple[Head, int] | None:
    """Take one request head off the front of `buffer`: the head and its bytes; None if it is not all there yet.

    HttpError 400 on junk, 411 on a body without Content-Length, 413 and 431 on oversize, 505 on another version.
    """
    start = len(buffer) - len(buffer.lstrip(b"\r\n"))  # RFC 9112 2.2: ignore empty lines before the request line
    if start < len(buffer) and not chr(buffer[start]).isalpha():
        raise HttpError(400, "This is not an HTTP request.")
    end = buffer.find(b"\r\n\r\n", start, start + MAX_HEAD)
    if end < 0:
        if len(buffer) - start >= MAX_HEAD:
            raise HttpError(431, f"The request head is longer than {MAX_HEAD} bytes.")
        if start > MAX_HEAD:
            raise HttpError(400, "This is not an HTTP request.")
        return None
    first, *lines = buffer[start:end].decode("latin-1").split("\r\n")
    del buffer[: end + 4]
    match = _REQUEST_LINE.fullmatch(first)
    if not match:
        raise HttpError(400, "The request line cannot be read.")
    if match[3] != "1.1":
        raise HttpError(505, "This server speaks HTTP/1.1.")
    headers = _fields(lines)
    head = Head(
        method=match[1],
        path=match[2].partition("?")[0],
        headers=headers,
        length=_length(headers),
        keep_alive="close" not in headers.get("connection", "").lower(),
    )
    return head, end + 4


def _fields(lines: Iterable[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if not match or "\0" in line or "\r" in line or "\n" in line:
            raise HttpError(400, "A header field cannot be read.")
        name = match[1].lower()
        headers[name] = f"{headers[name]}, {match[2]}" if name in headers else match[2]
    return headers


def _length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise HttpError(411, "Send the body with a Content-Length; chunked requests are not taken.")
    text = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]+", text):
        raise HttpError(400, "The Content-Length is not a number.")
    if len(text) > 15 or int(text) > MAX_BODY:
        raise HttpError(413, f"The body is longer than {MAX_BODY} bytes.")
    return int(text)


def response_head(status: int, content_type: str, length: int | None, *, close: bool = False, extra: str = "") -> bytes:
    """Status line and headers; `length` None means chunked. `extra` holds whole lines, each ended by CRLF."""
    body = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    end = "connection: close\r\n" if close else ""
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nserver: loadcell-engine\r\n"
        f"content-type: {content_type}\r\n{body}\r\n{extra}{end}\r\n"
    ).encode("latin-1")


def response(
    status: int, body: bytes, content_type: str = "application/json", *, close: bool = False, extra: str = ""
) -> bytes:
    """A whole response."""
    return response_head(status, content_type, len(body), close=close, extra=extra) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; `data` is not empty (that would end the body)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
