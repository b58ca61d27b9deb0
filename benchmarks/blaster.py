"""A source that is faster than any client: prepared events, written to many sockets, as fast as asked.

One process, plain sockets, no timing of its own to speak of: whatever is due of a reply goes out in one send.

`python blaster.py RATE OUTPUT_TOKENS` prints its port and answers every POST with a stream of so many tokens, at so
many a second, until it is ended.
"""

from __future__ import annotations

import os
import re
import select
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from time import perf_counter

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class _Stream:
    sock: socket.socket
    received: bytes = b""
    start_s: float = 0.0
    sent: int = 0


def prepared(tokens: int) -> tuple[bytes, list[int]]:
    """A whole reply, and the bytes of it that are due after each of its tokens."""
    event = b'{"id":"b","object":"chat.completion.chunk","model":"blaster","choices":[{"index":0,"delta":%b,%b}]%b}'
    word = _chunk(event % (b'{"content":" word"}', b'"finish_reason":null', b""))
    usage = b',"usage":{"prompt_tokens":32,"completion_tokens":%d,"total_tokens":%d}' % (tokens, tokens + 32)
    last = _chunk(event % (b"{}", b'"finish_reason":"length"', usage)) + _chunk(b"[DONE]") + b"0\r\n\r\n"
    sizes = [len(word)] * (tokens - 1) + [len(word + last)]
    return _HEAD + word * tokens + last, list(accumulate(sizes, initial=len(_HEAD)))[1:]


def _chunk(data: bytes) -> bytes:
    framed = b"data: %b\n\n" % data
    return b"%x\r\n%b\r\n" % (len(framed), framed)


def blast(listener: socket.socket, rate: float, tokens: int) -> None:
    """Serve for ever."""
    reply, due = prepared(tokens)
    view, epoll = memoryview(reply), select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    streams: dict[int, _Stream] = {}
    active: dict[int, _Stream] = {}
    while True:
        for fd, _ in epoll.poll(0 if active else 1):
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                streams[sock.fileno()] = _Stream(sock)
                epoll.register(sock.fileno(), select.EPOLLIN)
            elif _asked(streams[fd]):
                active[fd] = streams[fd]
            elif streams[fd].sock.fileno() < 0:
                active.pop(fd, None)
                del streams[fd]
        now_s = perf_counter()
        for fd, stream in list(active.items()):
            end = due[min(int((now_s - stream.start_s) * rate), tokens - 1)]
            if end > stream.sent:
                with suppress(BlockingIOError, ConnectionError):  # a reader that cannot follow, or that has gone
                    stream.sent += stream.sock.send(view[stream.sent : end])
            if stream.sent == len(reply):
                del active[fd]


def _asked(stream: _Stream) -> bool:
    """Read; whether a whole POST is there. Closes the socket where the client did."""
    try:
        data = stream.sock.recv(65536)
    except ConnectionError:
        data = b""
    if not data:
        stream.sock.close()
        return False
    stream.received += data
    head, mark, body = stream.received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if not mark or len(body) < (int(length[1]) if length else 0):
        return False
    post = stream.received.startswith(b"POST")
    stream.received, stream.start_s, stream.sent = b"", perf_counter(), 0
    if not post:
        stream.sock.send(_NOT_FOUND)
    return post


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        print(listener.getsockname()[1], flush=True)
        blast(listener, float(sys.argv[1]), int(sys.argv[2]))
