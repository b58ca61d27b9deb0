"""Replies of the images API: what is an image in them, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadcell.protocol import Reply, dialect_of

IMAGES = dialect_of("images")


def reply_of(data: list[dict[str, Any]]) -> Reply:
    body = json.dumps({"created": 1, "data": data}).encode()
    reply = Reply(IMAGES, (1, len(data)))
    reply.feed(
        [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body], 0
    )
    assert reply.closed
    return reply


@pytest.mark.parametrize("one", [{"b64_json": "iVBOR"}, {"url": "http://x/y.png"}, {"b64_json": None, "url": "/y.png"}])
def test_an_image_is_a_text_in_either_field(one: dict[str, Any]) -> None:
    assert reply_of([one, one]).failure is None


@pytest.mark.parametrize("told", [True, 5, 0.0, {"error": "x"}, ["iVBOR"], "", " ", None])
@pytest.mark.parametrize("field", ["b64_json", "url"])
def test_what_is_no_text_or_blank_is_no_image(field: str, told: Any) -> None:
    failure = reply_of([{"b64_json": "iVBOR"}, {field: told}]).failure
    assert failure == ("results", "result 1 of the reply has no image")
