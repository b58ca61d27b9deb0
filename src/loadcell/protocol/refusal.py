"""What a server says where it refuses a request or fails: its own words, in whatever form it writes them."""

from __future__ import annotations

import html
import re
from typing import Any

import msgspec

_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MOST = 500
"""Characters that are kept."""
_WHERE_WORDS_ARE = (
    "error", "message", "detail", "errors", "msg", "error_message", "error_description", "description", "reason",
    "title", "fault", "faultstring",
)  # fmt: skip
_DEPTH = 8
_TITLE = re.compile(r"<(title|h1)\b[^>]*>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)


def error_message(payload: bytes) -> str:
    """What a server's error body says, in one line of at most 500 characters; what it says nothing in is shown whole.

    JSON of any of the common forms, the title of an HTML page, or plain text.
    """
    text = payload.decode("utf-8", "replace")
    try:
        found: Any = msgspec.json.decode(payload)
    except _NOT_JSON:
        text = _of_page(text) if text.lstrip()[:1] == "<" else text
    else:
        text = _words(found, _DEPTH) or text
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _MOST else line[: _MOST - 1] + "…"


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
