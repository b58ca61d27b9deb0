"""What a server says where it refuses a request or fails: its own words, in whatever form it writes them."""

from __future__ import annotations

import html
import re
from typing import Any

import msgspec

from loadcell.phrases import phrase
from loadcell.protocol.head import Head
from loadcell.protocol.values import NOT_JSON

_NO_FIELD = re.compile(
    r"un(?:known|recogni[sz]ed|expected|supported|permitted)|not\s+(?:supported|permitted|allowed|recogni[sz]ed|known)"
    r"|extra\s+(?:inputs|fields)|extra_forbidden|no\s+such",
    re.IGNORECASE,
)
"""Words of a server that does not know a field."""
_MOST = 500
"""Characters that are kept."""
_WHERE_WORDS_ARE = (
    "error", "message", "detail", "errors", "msg", "error_message", "error_msg", "error_description", "err_msg",
    "errmsg", "err", "description", "reason", "response", "title", "fault", "faultstring",
)  # fmt: skip
_DEPTH = 8
_TLS_RECORD = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]", re.DOTALL)
_HTTP2_SETTINGS = re.compile(rb"\x00.{2}\x04[\x00\x01]\x00{4}", re.DOTALL)
_PAGE_BYTES = 64 * 1024
"""Of a page, where its title stands."""
_MOST_ODD = 0.3
"""Share of characters that are none, from which on bytes are no text."""
_PAGE = re.compile(rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<(title|h1)\b[^>]*>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)


def error_message(payload: bytes) -> str:
    """What a server's error body says, in one line of at most 500 characters; what it says nothing in is shown whole.

    JSON of any of the common forms, the title of an HTML page, or plain text; of what is none of these, its size.
    """
    text = payload.removeprefix(b"data:").decode("utf-8", "replace")
    try:
        found: Any = msgspec.json.decode(text)
    except NOT_JSON:
        odd = sum(not (c.isprintable() or c.isspace()) or c == "\N{REPLACEMENT CHARACTER}" for c in text)
        if odd > _MOST_ODD * len(text):
            return phrase("{:,} bytes that are no text", len(payload))
        text = _of_page(text) if text.lstrip()[:1] == "<" else text
    else:
        text = _words(found, _DEPTH) or text
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _MOST else line[: _MOST - 1] + "…"


def is_html(payload: bytes) -> bool:
    """Whether a body is a page for a browser."""
    return _PAGE.match(payload) is not None


def refused(status: int, head: Head, payload: bytes) -> str:
    """Why a reply with a status other than 2xx is a failure."""
    said = error_message(payload) or phrase("an empty body")
    if head.location and 300 <= status < 400:
        return phrase("it redirects to {}, which is not followed", error_message(head.location))
    after = error_message(head.retry_after)
    return phrase("{} (Retry-After: {})", said, after) if after else said


def knows_no_field(said: str) -> bool:
    """Whether a refusal is one of a field."""
    return _NO_FIELD.search(said) is not None


def no_http(start: bytes, error: object) -> str:
    """Why what came first is no HTTP/1.1 reply: what speaks there instead, where its first bytes tell."""
    if _TLS_RECORD.match(start):
        return phrase("the server speaks TLS there: write https://")
    if _HTTP2_SETTINGS.match(start) or start.startswith(b"HTTP/2"):
        return phrase(
            "the server speaks HTTP/2 alone there: give --http 2, or the port of its HTTP/1.1 API (is it gRPC?)"
        )
    if not start.startswith(b"HTTP/") and (said := error_message(start.split(b"\n", 1)[0][:80])):
        return phrase("the server speaks another protocol there ({}): check the URL's scheme and port", said)
    return phrase("not an HTTP/1.1 reply ({}): check the URL's scheme and port", error)


def no_json(payload: bytes) -> str:
    """Why a reply that should be JSON is none."""
    if not payload:
        return phrase("the reply is empty")
    said = error_message(payload[:_PAGE_BYTES] if is_html(payload) else payload[:200])
    if is_html(payload):
        return phrase('the reply is an HTML page, "{}"', said)
    if payload.lstrip().startswith(b"["):
        return phrase("the reply is JSON, but no object: {}", said)
    return phrase("the reply is not JSON: {}", said)


def _of_page(text: str) -> str:
    title = next((words for _, words in _TITLE.findall(text) if words.strip()), None)
    return html.unescape(_TAGS.sub(" ", text if title is None else title))


def _words(value: Any, depth: int) -> str:
    """The words in a JSON value, with the name of the field that they are about; "" where it holds none."""
    if isinstance(value, str):
        return value.strip()
    if not depth:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(one, depth - 1) for one in value)))
    if not isinstance(value, dict):
        return ""
    said = next(filter(None, (_words(value.get(key), depth - 1) for key in _WHERE_WORDS_ARE)), "")
    about = value.get("loc") or value.get("param")  # FastAPI's and OpenAI's name of the field
    name = ".".join(map(str, about)) if isinstance(about, list) else about
    return f"{name}: {said}" if said and isinstance(name, str) and name not in said else said
