"""Lines of a stream that the API does not foresee: no output is lost with them, and no failure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_reply import DONE, FINISH, HEAD, LAST, chunk, event, parse, token

from loadcell.kinds import KIND_OUTPUT
from loadcell.protocol import Reply

WORD = json.dumps(token("word ")).encode()


def read(*pieces: bytes, head: bytes = HEAD) -> Reply:
    return parse([head, *map(chunk, pieces), LAST], 3)


def outputs(reply: Reply) -> list[int]:
    """The reads that brought output."""
    return [number for number, kind in zip(reply.reads, reply.kinds, strict=True) if kind & KIND_OUTPUT]


@pytest.mark.parametrize("before", [b"data:  ", b"data:\t", b"Data: ", b"DATA:", b"data : ", b" data: ", b"\tdata:"])
def test_data_however_it_is_spaced(before: bytes) -> None:
    reply = read(*[before + WORD + b"\n\n"] * 6, event(FINISH), DONE)
    assert (reply.failure, "".join(reply.content)) == (None, "word " * 6)
    assert outputs(reply) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "line",
    [
        b"data: null", b'data: ""', b"data: []", b"data: {}", b"data: ping", b'data: "ping"', b"data: [PING]",
        b"data: keep-alive", b"event: ping\ndata: ping", b"event: heartbeat\ndata: 12:01:07", b"event: open\ndata: hi",
        b'data: {"note": "a\tb"}',
    ],
)  # fmt: skip
def test_signs_of_life_are_no_output_and_no_failure(line: bytes) -> None:
    life = line + b"\n\n"
    reply = read(life, event(token("word ")), life, event(token("word ")), event(FINISH), DONE)
    assert (reply.failure, "".join(reply.content)) == (None, "word word ")
    assert outputs(reply) == [2, 4]


@pytest.mark.parametrize("mark", [b"data: DONE", b"data: [done]", b'data: "[DONE]"', b"data:[DONE] ", b"Data: [DONE]"])
def test_the_end_mark_in_any_spelling(mark: bytes) -> None:
    reply = read(event(token("word ")), mark + b"\n\n")
    assert (reply.failure, reply.done) == (None, True)


@pytest.mark.parametrize(
    "line",
    [
        b"error: no memory", b'error: {"message": "no memory"}', b"event: Error\ndata: no memory",
        b"event:exception\ndata: no memory", b'event: response.failed\ndata: {"message": "no memory"}',
        b"data: no memory\nevent: stream_error",
    ],
)  # fmt: skip
def test_errors_by_the_name_of_their_line(line: bytes) -> None:
    assert read(event(token("word ")), line + b"\n\n", DONE).failure == ("stream_error", "no memory")


CUT = "the stream ended without a finish reason and without [DONE]"


@pytest.mark.parametrize(
    ("last", "failure"),
    [
        (b"Internal Server Error", ("cut", f"{CUT}; its last words: Internal Server Error")),
        (b"<html><title>502 Bad Gateway</title></html>\n", ("html", 'the reply is an HTML page, "502 Bad Gateway"')),
        (b": bye\n\n", ("cut", CUT)),
        (b"id: 7\n\n", ("cut", CUT)),
    ],
)
def test_the_last_words_of_a_stream_that_nobody_ended(last: bytes, failure: tuple[str, str]) -> None:
    assert read(event(token("word ")), last).failure == failure


def test_a_login_page_under_the_type_of_a_stream() -> None:
    assert read(b"<!doctype html>\n<title>Login</title>").failure == ("html", 'the reply is an HTML page, "Login"')


@pytest.mark.parametrize("text", [b"w\xff ", b"w\t", b"w\x00 "])
def test_bytes_that_json_does_not_allow_in_a_text(text: bytes) -> None:
    reply = read(*[event(token("TEXT")).replace(b"TEXT", text)] * 3, event(FINISH), DONE)
    assert reply.failure is None
    assert outputs(reply) == [1, 2, 3]


@pytest.mark.parametrize("named", ["gzip", "zstd", "utf-8", "none", "binary", "aws-chunked"])
def test_a_head_that_says_packed_and_a_body_that_is_not(named: str) -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: %b\r\n\r\n" % named.encode())
    reply = read(event(token("word ")), event(FINISH), DONE, head=head)
    assert (reply.failure, outputs(reply)) == (None, [1])


def test_an_array_is_named_as_one() -> None:
    whole: list[Any] = [{"choices": [{"message": {"content": "word"}}]}]
    reply = read(json.dumps(whole).encode(), head=HEAD.replace(b"text/event-stream", b"application/json"))
    assert reply.failure is not None
    assert reply.failure[1].startswith('the reply is JSON, but no object: [{"choices"')


def test_a_stream_of_another_api_is_named_as_one() -> None:
    """And not as one that broke off, for which a crash would be looked for."""
    event_of = {"message": {"role": "assistant", "content": "word "}, "done": False}
    reply = read(*[json.dumps(event_of).encode() + b"\n"] * 3, json.dumps({"done": True}).encode() + b"\n")
    assert reply.failure == ("protocol", 'the reply has no choices: {"done": true}')
