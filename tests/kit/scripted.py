"""A server that does exactly as a script says: threads, plain sockets, a port of its own on the loopback.

A script is a function from a request to its steps: bytes are sent, a number is a pause in seconds, and `CLOSE`,
`RESET` and `HANG` end the connection or leave it silent. After the last step the connection waits for its next request.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

CLOSE, RESET, HANG = "close", "reset", "hang"
Step = bytes | float | str
MODEL = "scripted-model"


@dataclass
class Received:
    """A request as it came. `number` is its place in the load's schedule, -1 outside the load (probe, model list)."""

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    number: int

    def json(self) -> Any:
        return json.loads(self.body)


Script = Callable[[Received], Iterable[Step]]


@dataclass
class Scripted:
    """A running server and what it has seen."""

    port: int
    host: str
    tls: bool = False
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    idle_closed: int = 0

    @property
    def url(self) -> str:
        if self.host.startswith("/"):
            return f"http+unix://{quote(self.host, safe='')}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def load(self) -> list[Received]:
        """The requests of the load itself, as they came."""
        return [request for request in self.received if request.number >= 0]

    @property
    def probes(self) -> list[Received]:
        return [request for request in self.received if request.number < 0 and request.method == "POST"]


# --- replies ---------------------------------------------------------------------------------------------------------

JSON_HEAD = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n%b\r\n"
LAST_CHUNK = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def json_reply(value: Any, status: int = 200, headers: bytes = b"") -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return JSON_HEAD % (status, b"Status", len(text), headers) + text


def event(value: Any, eol: bytes = b"\n", before: bytes = b"data: ") -> bytes:
    return before + json.dumps(value, ensure_ascii=False).encode() + eol + eol


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chat chunk."""
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "model": MODEL, "choices": [choice]}


def token(text: str = "word ") -> dict[str, Any]:
    return delta(content=text)


def usage(tokens: int, prompt: int = 7) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}


def usage_event(tokens: int) -> dict[str, Any]:
    return {"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": usage(tokens)}


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream(*pieces: bytes | float | str, headers: bytes = b"") -> list[Step]:
    """Steps of a whole event stream: each piece of bytes is one chunk; pauses and ends stand between them."""
    steps: list[Step] = [SSE_HEAD % headers]
    steps += [chunked(piece) if isinstance(piece, bytes) else piece for piece in pieces]
    return steps if steps[-1] in (CLOSE, RESET, HANG) else [*steps, LAST_CHUNK]


def clean(tokens: int = 4, ttft_s: float = 0.01, gap_s: float = 0.002, text: str = "word ") -> list[Step]:
    """A stream as it should be."""
    return stream(*clean_pieces(tokens, ttft_s, gap_s, text))


def clean_pieces(tokens: int = 4, ttft_s: float = 0.01, gap_s: float = 0.002, text: str = "word ") -> list[Step]:
    """Its pieces: tokens with exact gaps, finish reason, usage, end mark."""
    words: list[Step] = [ttft_s]
    for number in range(tokens):
        words += [gap_s, event(token(text))] if number else [event(token(text))]
    return [*words, event(delta(finish="stop")), event(usage_event(tokens)), DONE]


def whole(tokens: int = 4, text: str = "four words of text", api: str = "chat") -> bytes:
    """A reply that is not streamed."""
    said = {"message": {"role": "assistant", "content": text}} if api == "chat" else {"text": text}
    return json_reply({"choices": [{"index": 0, **said, "finish_reason": "stop"}], "usage": usage(tokens)})


def ok(_: Received) -> list[Step]:
    return clean()


# --- the server ------------------------------------------------------------------------------------------------------


@contextmanager
def serve(
    script: Script = ok,
    *,
    probe: Script = ok,
    models: Script | None = None,
    host: str = "127.0.0.1",
    context: ssl.SSLContext | None = None,
    idle_s: float | None = None,
) -> Iterator[Scripted]:
    """Serve `script` to the load and `probe` to the request before it; ends all its threads with the block.

    `host` may be the path of a unix socket; `idle_s` closes connections that are idle for so long.
    """
    listener = listening(host)
    local = listener.family == socket.AF_UNIX
    server = Scripted(0 if local else listener.getsockname()[1], host, context is not None)
    sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []
    lists = models or (lambda _: [json_reply({"object": "list", "data": [{"id": MODEL, "object": "model"}]})])

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            server.connections += 1
            if not local:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.append(sock)
            threads.append(threading.Thread(target=talk, args=(sock, server.connections), daemon=True))
            threads[-1].start()

    def talk(sock: socket.socket, number: int) -> None:
        with suppress(OSError, ValueError):  # the client, or the end of the test, closed it
            if context:
                sock.settimeout(10)
                sock = context.wrap_socket(sock, server_side=True)
                sockets.append(sock)
                sock.settimeout(None)
            while request := receive(sock, number):
                server.received.append(request)
                chosen = lists if request.method == "GET" else script if request.number >= 0 else probe
                for step in chosen(request):
                    if not take(sock, step):
                        return
        with suppress(OSError):
            sock.close()

    def receive(sock: socket.socket, number: int) -> Received | None:
        sock.settimeout(idle_s)
        try:
            request = read_request(sock, number)
        except TimeoutError:
            server.idle_closed += 1
            return None
        sock.settimeout(None)
        return request

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(10)
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        for sock in sockets:
            sock.close()


def listening(host: str) -> socket.socket:
    """A socket that listens on a port of a host, or at a path."""
    if not host.startswith("/"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, 0), family=family, backlog=256)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(host)
    listener.listen(256)
    return listener


def take(sock: socket.socket, step: Step) -> bool:
    """Do one step; False if it ended the connection."""
    if isinstance(step, bytes):
        sock.sendall(step)
    elif isinstance(step, float):
        time.sleep(step)
    elif step == HANG:
        while sock.recv(65536):
            pass
        return False
    else:
        if step == RESET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            sock.shutdown(socket.SHUT_WR)
        sock.close()
        return False
    return True


def read_request(sock: socket.socket, connection: int) -> Received | None:
    """The next request of a connection; None if the client closed it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return None
        data += piece
        if not data[:1].isalpha():  # somebody speaks TLS
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        piece = sock.recv(65536)
        if not piece:
            return None
        body += piece
    place = headers.get("x-request-id", "").rpartition("-")[2]
    return Received(connection, method, path, headers, body, int(place) if place.isdigit() else -1)
