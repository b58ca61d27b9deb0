"""HTTP/2 as bytes: however they are cut, what comes of a stream is what HTTP/1.1 would have brought."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings

from loadcell.protocol import http2
from loadcell.protocol.http2 import Came, Http2

REQUEST = b"POST /v1/chat HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nX-Y: z\r\nContent-Length: %d\r\n\r\n%b"
OK = [(":status", "200"), ("content-type", "text/event-stream")]
HEAD = b"HTTP/1.1 200 \r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Pair:
    """A client and a server that hear each other."""

    def __init__(self, **settings: int) -> None:
        self.client = Http2(tls=True)
        self.server = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        told = {getattr(SettingCodes, name): value for name, value in settings.items()}
        self.server.local_settings = Settings(client=False, initial_values=told)
        self.server.initiate_connection()
        self.heard: list[Any] = []
        self.told()

    def begin(self, body: bytes = b"{}") -> int:
        stream = self.client.begin(REQUEST % (len(body), body))
        self.listen()
        return stream

    def listen(self) -> None:
        """The server hears what the client has said."""
        for event in self.server.receive_data(self.client.to_send()):
            self.heard.append(event)
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                self.server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def told(self) -> dict[int, Came]:
        """The client hears what the server has said."""
        came = self.client.receive(self.server.data_to_send())
        self.listen()
        return came


def joined(pieces: list[dict[int, Came]], stream: int) -> bytes:
    return b"".join(b"".join(came[stream].data) for came in pieces if stream in came)


def test_a_request_is_the_one_of_http_1() -> None:
    pair = Pair()
    pair.begin(b"the body")
    (asked,) = (event for event in pair.heard if isinstance(event, RequestReceived))
    assert asked.headers == [
        (":method", "POST"), (":scheme", "https"), (":authority", "a.test"), (":path", "/v1/chat"), ("x-y", "z"),
        ("content-length", "8"),
    ]  # fmt: skip
    assert [event.data for event in pair.heard if isinstance(event, DataReceived)] == [b"the body"]
    assert any(isinstance(event, StreamEnded) for event in pair.heard)


@pytest.mark.parametrize("seed", range(20))
def test_bytes_may_be_cut_anywhere(seed: int) -> None:
    draw = random.Random(seed)
    pair = Pair()
    streams = [pair.begin() for _ in range(3)]
    texts = {stream: [draw.randbytes(draw.choice((1, 9, 300))) for _ in range(5)] for stream in streams}
    pair.server.send_headers(streams[0], [(":status", "103")])
    for stream in streams:
        pair.server.send_headers(stream, OK)
    for n in range(5):
        for stream in streams:
            pad = draw.choice((None, 0, 7))
            pair.server.send_data(stream, texts[stream][n], pad_length=pad, end_stream=n == 4 and stream == streams[1])
    pair.server.send_data(streams[0], b"", end_stream=True)
    pair.server.send_headers(streams[2], [("trailer", "1")], end_stream=True)
    said, pieces = pair.server.data_to_send(), []
    while said:
        size = draw.choice((1, 2, 5, 9, 50, 1000))
        pieces.append(pair.client.receive(said[:size]))
        said = said[size:]
    for stream in streams:
        body = b"".join(b"%x\r\n%b\r\n" % (len(text), text) for text in texts[stream])
        before = b"HTTP/1.1 103 \r\n\r\n" if stream == streams[0] else b""
        assert joined(pieces, stream) == before + HEAD + body + b"0\r\n\r\n"
    assert pair.client.broken is None and not pair.client.end(), "nothing is open"


def test_the_stream_of_the_newest_bytes_is_known() -> None:
    pair = Pair()
    one, two = pair.begin(), pair.begin()
    for stream in (one, two):
        pair.server.send_headers(stream, OK)
        pair.server.send_data(stream, b"text")
    assert set(pair.told()) == {one, two} and pair.client.last == two
    pair.server.send_data(one, b"text")
    pair.server.ping(b"12345678")
    assert set(pair.told()) == {one} and pair.client.last == 0


def test_a_body_waits_for_windows_that_are_small() -> None:
    pair = Pair(INITIAL_WINDOW_SIZE=10)
    stream = pair.begin(bytes(range(256)))
    assert pair.client.unsent(stream)
    for _ in range(100):
        pair.told()
    assert not pair.client.unsent(stream)
    assert b"".join(e.data for e in pair.heard if isinstance(e, DataReceived)) == bytes(range(256))


@pytest.mark.parametrize("length", [None, 40_000 * 60])
def test_the_clients_windows_never_close(monkeypatch: pytest.MonkeyPatch, length: int | None) -> None:
    """Whether h2 sees the frames, as it does where a length was told, or not."""
    monkeypatch.setattr(http2, "_GIVE_BACK", 100_000)
    pair = Pair()
    stream, least = pair.begin(), 2**31 - 1
    pair.server.send_headers(stream, [*OK, *([("content-length", str(length))] if length else [])])
    for n in range(150):
        pair.server.send_data(stream, bytes(16_000), end_stream=n == 149)
        pair.told()
        least = min(least, pair.server.outbound_flow_control_window)
    assert least > 2**31 - 200_000
    assert pair.client.broken is None and not pair.client.end()


@pytest.mark.parametrize(("length", "kind"), [(5, "protocol"), (11, "cut"), (10, None)])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_body_is_as_long_as_its_head_says(length: int, kind: str | None, pieces: int) -> None:
    """Else that stream has failed, alone."""
    pair = Pair()
    one, other = pair.begin(), pair.begin()
    pair.server.send_headers(other, OK)
    pair.server.send_headers(one, [*OK, ("content-length", str(length))])
    for n in range(pieces):
        pair.server.send_data(one, b"0123456789"[: 10 // pieces], end_stream=n == pieces - 1)
    came = pair.told()
    failure = came[one].failure
    assert (failure and failure[0]) == kind
    assert (b"0\r\n\r\n" in came[one].data) == (kind is None)
    pair.listen()
    assert pair.client.broken is None
    pair.server.send_data(other, b"text", end_stream=True)
    assert pair.told()[other].data[-1] == b"0\r\n\r\n"


def test_a_head_alone() -> None:
    pair = Pair()
    one, two = pair.begin(), pair.begin()
    pair.server.send_headers(one, [(":status", "204")], end_stream=True)
    pair.server.send_headers(two, [(":status", "200"), ("content-length", "5")], end_stream=True)
    came = pair.told()
    assert came[one].data == [b"HTTP/1.1 204 \r\ncontent-length: 0\r\n\r\n"] and came[one].failure is None
    assert came[two].failure is not None and came[two].failure[0] == "cut"


def test_goaway_ends_what_was_not_taken_and_lets_the_rest_go_on() -> None:
    pair = Pair()
    one, two = pair.begin(), pair.begin()
    pair.server.send_headers(one, OK)
    pair.server.close_connection(last_stream_id=one, additional_data=b"bye")
    came = pair.told()
    assert came[two].failure == (
        "reset",
        "the server ended the connection before it took this request (GOAWAY NO_ERROR: bye)",
    )
    assert pair.client.away == "NO_ERROR: bye"
    frame = (4).to_bytes(3, "big") + b"\0\1" + one.to_bytes(4, "big") + b"text"
    assert pair.client.receive(frame)[one].data == [b"4\r\ntext\r\n", b"0\r\n\r\n"]
    assert not pair.client.end()


def test_a_connection_that_ends() -> None:
    pair = Pair()
    one, two = pair.begin(), pair.begin()
    pair.server.send_headers(one, OK)
    pair.told()
    assert {stream: came.failure for stream, came in pair.client.end("no route").items()} == {
        one: ("cut", "the connection was lost before the stream ended: no route"),
        two: ("reset", "the connection was lost before the reply: no route"),
    }


def test_a_stream_that_is_left_is_told_and_what_still_comes_of_it_is_nothing() -> None:
    pair = Pair()
    one, two = pair.begin(), pair.begin()
    pair.server.send_headers(one, OK)
    pair.server.send_data(one, b"text")
    late = pair.server.data_to_send()
    pair.client.leave(one)
    assert not pair.client.receive(late)
    pair.listen()
    assert any(isinstance(event, StreamReset) and event.stream_id == one for event in pair.heard)
    pair.server.send_headers(two, OK, end_stream=True)
    assert two in pair.told()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", r"speaks HTTP/1\.1 there: leave --http 2 out"),
        (b"\x15\x03\x01\x00\x02", "does not speak HTTP/2"),
        (b"\0\0\0\4\1\0\0\0\0", "does not speak HTTP/2"),
    ],
)
def test_what_is_not_http_2_is_told(said: bytes, words: str) -> None:
    client = Http2(tls=False)
    stream = client.begin(REQUEST % (0, b""))
    came = client.receive(said)
    assert client.broken is not None
    assert re.search(words, client.broken)
    assert came[stream].failure == ("protocol", client.broken)


@pytest.mark.parametrize(
    "frame",
    [
        b"\0\x40\1\0\0\0\0\0\1" + bytes(0x4001),  # longer than this client takes
        b"\0\0\1\0\x08\0\0\0\1\5",  # more padding than data
        b"\0\0\4\x08\0\0\0\0\0\0\0\0\0",  # a window opened by nothing
        b"\0\0\0\0\1\0\0\0\x63",  # data of a stream that nobody opened
    ],
)
def test_what_breaks_the_rules_ends_all_streams_and_keeps_what_came_before(frame: bytes) -> None:
    pair = Pair()
    one, two = pair.begin(), pair.begin()
    for stream in (one, two):
        pair.server.send_headers(stream, OK)
    pair.server.send_data(two, b"text", end_stream=True)
    came = pair.client.receive(pair.server.data_to_send() + frame)
    assert pair.client.broken is not None and "broke the rules" in pair.client.broken
    assert came[one].failure == ("protocol", pair.client.broken)
    assert came[two].failure is None and came[two].data[-1] == b"0\r\n\r\n"


@pytest.mark.parametrize("left", [False, True])
def test_a_server_that_floods_is_not_heard_for_ever(left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is of no stream, or of one that was given up."""
    monkeypatch.setattr(http2, "_IDLE_FRAMES_MOST", 50)
    pair = Pair()
    gone, stays = pair.begin(), pair.begin()
    for stream in (gone, stays):
        pair.server.send_headers(stream, OK)
    pair.told()
    if left:
        pair.client.leave(gone)
    for _ in range(40):
        pair.server.ping(b"12345678")
    pair.server.send_data(stays, b"data: 1\n\n")
    assert pair.client.broken is None and pair.told()[stays].data and pair.client.broken is None
    flood = b"\0\0\0\0\0" + gone.to_bytes(4, "big")  # empty frames of data
    came = pair.client.receive(60 * flood)
    assert pair.client.broken is not None and "of no reply" in pair.client.broken
    assert came[stays].failure is not None
