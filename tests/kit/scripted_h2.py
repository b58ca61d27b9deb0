"""A server of HTTP/2 that does exactly as a script says: asyncio and the library h2, over TLS or by prior knowledge.

A script is a function from a request to its steps: bytes are a frame of data, a number is a pause in seconds, a
`Head` is one of headers (without one, the head of an event stream comes by itself), `END` ends the stream early,
`RESET` resets it, `GOAWAY` announces the end of the connection, `CLOSE` ends that, `HANG` leaves the stream silent.
After the last step the stream ends.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from known import Output
from scripted import CLOSE, HANG, MODEL, RESET, Received, Script, json_reply

END, GOAWAY = "end", "goaway"


class Head(list[tuple[str, str]]):
    """Headers, `:status` first."""


SSE = Head([(":status", "200"), ("content-type", "text/event-stream")])


@dataclass
class Scripted:
    """A running server and what it has seen."""

    port: int
    tls: bool
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    most_streams: int = 0
    """Streams of a connection at a time, at most."""
    broken: list[str] = field(default_factory=list)
    """How clients broke the rules of HTTP/2."""
    resets: int = 0
    """Streams that the client gave up."""

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def load(self) -> list[Received]:
        """The requests of the load itself, as they came."""
        return [request for request in self.received if request.number >= 0]


def parted(steps: Iterable[object]) -> list[object]:
    """Steps of `scripted` without the framing of HTTP/1.1: `Output` stays such."""
    found: list[object] = []
    for step in steps:
        if not isinstance(step, bytes):
            found.append(step)
        elif step.startswith(b"HTTP/1.1 "):
            head, _, body = step.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
            kept = [(name, value) for name, value in fields if name not in ("transfer-encoding", "connection")]
            found += [Head([(":status", first.split(" ")[1]), *kept]), *([body] if body else [])]
        elif step != b"0\r\n\r\n":
            body = step.partition(b"\r\n")[2][:-2]
            found.append(Output(body) if isinstance(step, Output) else body)
    return found


class _Talk:
    """One connection."""

    def __init__(self, server: Scripted, script: Script, streams: int, window: int, cork_s: float) -> None:
        self.server, self.script, self.cork_s = server, script, cork_s
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        told = {SettingCodes.MAX_CONCURRENT_STREAMS: streams, SettingCodes.INITIAL_WINDOW_SIZE: window}
        self.h2.local_settings = Settings(client=False, initial_values=told)
        self.requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.number = 0
        self.corked = b""

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.server.connections += 1
        self.number = self.server.connections
        self.h2.initiate_connection()
        uncorking = asyncio.create_task(self.uncork()) if self.cork_s else None
        try:
            self.push()
            while data := await reader.read(65536):
                self.hear(data)
                self.push()
        except ProtocolError as error:
            self.server.broken.append(repr(error))
        except OSError:
            return
        finally:
            for task in [*self.tasks.values(), *([uncorking] if uncorking else [])]:
                task.cancel()
            writer.close()

    def push(self) -> None:
        data = self.h2.data_to_send()
        if self.cork_s:
            self.corked += data
        elif data:
            self.writer.write(data)

    async def uncork(self) -> None:
        """Hand over what came up meanwhile in one piece."""
        while True:
            await asyncio.sleep(self.cork_s)
            data, self.corked = self.corked, b""
            self.writer.write(data)

    def hear(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                headers = {str(name): str(value) for name, value in event.headers}
                self.requests[event.stream_id] = (headers, bytearray())
            elif isinstance(event, DataReceived):
                self.requests[event.stream_id][1].extend(event.data)
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.begin(event.stream_id)
            elif isinstance(event, StreamReset):
                self.server.resets += 1
                if event.stream_id in self.tasks:
                    self.tasks.pop(event.stream_id).cancel()

    def begin(self, stream: int) -> None:
        headers, body = self.requests.pop(stream)
        headers["host"] = headers[":authority"]
        place = headers.get("x-request-id", "").rpartition("-")[2]
        number = int(place) if place.isdigit() else -1
        request = Received(self.number, headers[":method"], headers[":path"], headers, bytes(body), number)
        self.server.received.append(request)
        self.tasks[stream] = asyncio.create_task(self.answer(stream, request))
        self.server.most_streams = max(self.server.most_streams, len(self.tasks))

    async def answer(self, stream: int, request: Received) -> None:
        with suppress(ProtocolError, OSError):
            began = False
            for step in self.script(request):
                if isinstance(step, float):
                    await asyncio.sleep(step)
                    continue
                if not began and step not in (RESET, GOAWAY, CLOSE, HANG):
                    began = True
                    self.h2.send_headers(stream, step if isinstance(step, Head) else SSE)
                if isinstance(step, bytes):
                    for at in range(0, len(step), 16384):
                        self.h2.send_data(stream, step[at : at + 16384])
                elif step == RESET:
                    self.h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
                elif step == GOAWAY:  # h2's own would end this side, too
                    last = stream.to_bytes(4, "big") + (0).to_bytes(4, "big") + b"bye"
                    self.writer.write(len(last).to_bytes(3, "big") + b"\7\0\0\0\0\0" + last)
                elif step == CLOSE:
                    self.push()
                    self.writer.close()
                elif step == HANG:
                    await asyncio.sleep(3600)
                if not isinstance(step, Head):
                    self.push()
                if step in (RESET, CLOSE, END):
                    break
            else:
                step = END
            self.tasks.pop(stream, None)
            if step == END:
                self.h2.end_stream(stream)
                self.push()


@contextmanager
def serve_h2(
    script: Script,
    *,
    probe: Script | None = None,
    context: ssl.SSLContext | None = None,
    streams: int = 100,
    window: int = 65535,
    cork_s: float = 0.0,
) -> Iterator[Scripted]:
    """Serve `script` to the load and `probe` (else the same) to what comes before it.

    `streams`: MAX_CONCURRENT_STREAMS; `window`: of each request's body; `cork_s`: frames are handed over in one piece,
    that often. A `context` is given the ALPN protocol h2.
    """
    if context is not None:
        context.set_alpn_protocols(["h2"])
    server = Scripted(0, context is not None)
    loop = asyncio.new_event_loop()
    lists = json_reply({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def chosen(request: Received) -> Iterable[object]:
        if request.method == "GET":
            return parted([lists])
        return (script if request.number >= 0 else probe or script)(request)

    def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> asyncio.Future[None]:
        return asyncio.ensure_future(_Talk(server, chosen, streams, window, cork_s).run(reader, writer))  # type: ignore[arg-type]

    async def begin() -> asyncio.Server:
        return await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)

    listening = loop.run_until_complete(begin())
    server.port = listening.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:

        async def end() -> None:
            listening.close()
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
