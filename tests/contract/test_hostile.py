"""Servers that mean no good: each costs one failed request, whatever they send, and memory stays bounded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_runs import Ran, run_once
from scripted import (
    CLOSE,
    DONE,
    HANG,
    LAST_CHUNK,
    SSE_HEAD,
    Received,
    Step,
    chunked,
    clean,
    delta,
    event,
    serve,
    stream,
    token,
    usage_event,
    whole,
)

TIMEOUT_S = 2.0
MIB = b"x" * (1 << 20)
END = event(delta(finish="stop")) + event(usage_event(2)) + DONE
BODY = event(token()) + event(token()) + END
"""All events of a reply of two tokens."""
SSE = b"Content-Type: text/event-stream\r\n\r\n"
ZIPPED = gzip.compress(BODY)
REPLY = SSE_HEAD % b"" + chunked(BODY) + LAST_CHUNK


def endless_headers() -> Iterator[Step]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(100_000):
        yield b"X-Header-%d: %b\r\n" % (number, b"y" * 100)


def huge_event() -> Iterator[Step]:
    yield SSE_HEAD % b"" + chunked(event(token()))
    yield b'%x\r\ndata: {"choices":[{"delta":{"content":"' % (400 << 20)
    for _ in range(300):
        yield MIB


def huge_body() -> Iterator[Step]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400000000\r\n\r\n"
    for _ in range(300):
        yield MIB


def huge_error() -> Iterator[Step]:
    yield b"HTTP/1.1 500 Broken\r\nContent-Type: text/plain\r\nContent-Length: 400000000\r\n\r\n"
    for _ in range(300):
        yield MIB


def endless_stream() -> Iterator[Step]:
    """Slow and for ever: only the timeout ends it."""
    yield SSE_HEAD % b""
    while True:
        yield 0.02
        yield chunked(event(token()))


def endless_flood() -> Iterator[Step]:
    """Fast and for ever."""
    yield SSE_HEAD % b""
    batch = chunked(event(token()) * 2000)
    while True:
        yield batch


def endless_comments() -> Iterator[Step]:
    yield SSE_HEAD % b""
    batch = chunked(b": ping\n\n" * 5000)
    while True:
        yield batch


def slowly(*pieces: bytes) -> list[Step]:
    return [step for piece in pieces for step in (0.003, piece)]


def sized(length: bytes) -> list[Step]:
    return [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %b\r\n\r\n%b" % (length, BODY)]


def steps(*made: Step) -> Callable[[], list[Step]]:
    return lambda: list(made)


JUNK = bytes(range(256)) * 64
HOSTILE: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "endless headers": (endless_headers, {"too_large"}),
    "event of hundreds of MB": (huge_event, {"too_large"}),
    "body of hundreds of MB": (huge_body, {"too_large"}),
    "error body of hundreds of MB": (huge_error, {"too_large", "http_500"}),
    "headers, then silence": (steps(SSE_HEAD % b"", HANG), {"timeout"}),
    "silence": (steps(HANG), {"timeout"}),
    "half a status line": (steps(b"HTTP/1.", HANG), {"timeout"}),
    "content-length that is no number": (lambda: sized(b"many"), {"protocol"}),
    "content-length below zero": (lambda: sized(b"-5"), {"protocol"}),
    "content-length beyond any number": (lambda: sized(b"9" * 30), {"protocol"}),
    "content-length too short": (lambda: sized(b"%d" % (len(BODY) - 50)), {"protocol"}),
    "two different content-lengths": (
        steps(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello" + BODY),
        {"protocol"},
    ),
    "length and chunks at once": (
        steps(SSE_HEAD % b"Content-Length: 10\r\n" + chunked(BODY) + LAST_CHUNK),
        {"protocol"},
    ),
    "chunk size that is no number": (steps(SSE_HEAD % b"" + b"zz\r\n" + BODY), {"protocol"}),
    "junk": (steps(JUNK, HANG), {"protocol"}),
    "junk inside the stream": (steps(SSE_HEAD % b"" + chunked(event(token())) + JUNK, HANG), {"protocol"}),
    "another protocol": (steps(b"SSH-2.0-OpenSSH_9.6\r\n", HANG), {"protocol"}),
    "an upgrade nobody asked for": (
        steps(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", HANG),
        {"protocol"},
    ),
    "two replies at once": (steps(REPLY + REPLY), {"protocol"}),
    "junk after the end": (steps(REPLY + b"one more thing"), {"protocol"}),
    "a line feed after the end of a JSON reply": (steps(whole() + b"}}"), {"protocol"}),
    "an event nobody ended": (
        steps(SSE_HEAD % b"" + chunked(event(token()) + b'data: {"cho') + LAST_CHUNK),
        {"invalid_json", "cut"},
    ),
    "deep nesting": (steps(*stream(b"data: " + b'{"choices":' * 5000 + b"\n\n", END)), {"invalid_json"}),
    "a redirect": (
        steps(b"HTTP/1.1 307 Away\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"),
        {"http_307"},
    ),
    "slow stream without end": (endless_stream, {"timeout"}),
    "flood without end": (endless_flood, {"too_large", "timeout"}),
    "comments without end": (endless_comments, {"too_large", "timeout"}),
}
HARMLESS: dict[str, list[Step]] = {
    "100 continue first": [b"HTTP/1.1 100 Continue\r\n\r\n", 0.01, REPLY],
    "100 and 103 in the same read": [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + REPLY
    ],
    "trailers": [SSE_HEAD % b"Trailer: X-Sum\r\n" + chunked(BODY) + b"0\r\nX-Sum: 7\r\nX-More: 8\r\n\r\n"],
    "trailers over reads": [SSE_HEAD % b"" + chunked(BODY), 0.005, b"0\r\nX-Su", 0.005, b"m: 7\r\n\r", 0.005, b"\n"],
    "chunk extensions": [SSE_HEAD % b"" + b"%x;name=value\r\n%b\r\n" % (len(BODY), BODY) + LAST_CHUNK],
    "bytes that are not UTF-8": [
        *stream(*[b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n'] * 2, event(delta(finish="stop")), DONE)
    ],
    "one byte at a time": [bytes([byte]) for byte in REPLY],
    "end over two reads": [SSE_HEAD % b"" + chunked(BODY) + b"0\r\n", 0.005, b"\r\n"],
    "end over five reads": [SSE_HEAD % b"" + chunked(BODY), *slowly(b"0", b"\r", b"\n", b"\r", b"\n")],
    "HTTP/1.0 until the connection closes": [b"HTTP/1.0 200 OK\r\n" + SSE, BODY, CLOSE],
    "HTTP/1.1 until the connection closes": [b"HTTP/1.1 200 OK\r\n" + SSE, BODY, CLOSE],
    "a stream with a content-length": [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(BODY) + SSE,
        0.005,
        BODY[:100],
        0.005,
        BODY[100:],
    ],
    "headers in odd case": [
        b"HTTP/1.1 200 OK\r\ncontent-TYPE: Text/Event-Stream; charset=utf-8\r\nTRANSFER-encoding: Chunked\r\n\r\n",
        chunked(BODY) + LAST_CHUNK,
    ],
    "no reason phrase": [REPLY.replace(b" OK", b"")],
    "reply in JSON though a stream was asked": [whole(2)],
    "compressed, though not asked": [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n" % len(ZIPPED) + SSE + ZIPPED
    ],
    "everything after the end mark is late": [SSE_HEAD % b"" + chunked(BODY), HANG],
}


def run_pairs(folder: Path, scripts: list[Callable[[], Any]], **fields: Any) -> tuple[Ran, list[Received]]:
    """One run of one user in which every script is followed by a good reply."""

    def script(request: Received) -> Any:
        return clean() if request.number % 2 else scripts[request.number // 2]()

    with serve(script) as server:
        ran = run_once(server.url, folder, **fields, requests=2 * len(scripts), timeout_s=TIMEOUT_S)
        return ran, server.load


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("hostile") / "run"
    return run_pairs(folder, [script for script, _ in HOSTILE.values()], concurrency=8)[0]


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("harmless") / "run"
    return run_pairs(folder, [lambda steps=steps: steps for steps in HARMLESS.values()], concurrency=4)[0]  # type: ignore[misc]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_reply_is_one_failure_of_its_kind(hostile: Ran, name: str) -> None:
    row = hostile.rows[2 * list(HOSTILE).index(name)]
    assert (row["status"], row["error_kind"] in HOSTILE[name][1]) == ("failed", True), (row["error_kind"], row["error"])
    assert len(row["error"]) < 700
    assert row["end_ns"] - row["send_start_ns"] < (TIMEOUT_S + 15) * 1e9


def test_the_next_request_is_not_harmed(hostile: Ran) -> None:
    assert [row["error"] for row in hostile.rows[1::2]] == [None] * len(HOSTILE)
    assert [row["output_tokens"] for row in hostile.rows[1::2]] == [4] * len(HOSTILE)
    assert hostile.result.counts.run.failed == len(HOSTILE)


def test_hostile_servers_cannot_fill_the_memory(hostile: Ran) -> None:
    audit = json.loads((hostile.folder / "audit-0.json").read_bytes())
    assert audit["memory_peak_bytes"] < 400e6
    assert audit["died"] is None


@pytest.mark.parametrize("name", HARMLESS)
def test_unusual_reply_is_understood(harmless: Ran, name: str) -> None:
    row = harmless.rows[2 * list(HARMLESS).index(name)]
    assert (row["status"], row["output_tokens"]) == ("ok", 2), row["error"]
    assert row["http_status"] == 200


def test_replies_after_an_unusual_one_are_understood_too(harmless: Ran) -> None:
    assert harmless.statuses[1::2] == ["ok"] * len(HARMLESS)


def test_bytes_that_come_after_the_end_are_not_taken_for_a_reply(tmp_path: Path) -> None:
    """A second reply that nobody asked for, sent when its connection is idle."""

    def script(request: Received) -> list[Step]:
        return [REPLY, 0.05, REPLY] if request.number == 0 else clean()

    with serve(script) as server:
        ran = run_once(server.url, tmp_path / "run", rate=5.0, arrivals="constant", requests=3, concurrency=1)
    assert ran.statuses == ["ok"] * 3
    assert [row["output_tokens"] for row in ran.rows] == [2, 4, 4]
