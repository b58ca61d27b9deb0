"""One HTTP/2 connection as bytes: requests go in as HTTP/1.1 writes them, and what comes of each stream is told so too.

So whatever reads HTTP/1.1 reads this: no clock, no socket, no API. The library h2 keeps the states, the windows and the
compression of headers. Frames of data, which come by the thousand, are cut out here without it (it takes 30 µs for
each), and so is GOAWAY, after which it would hear no more of the streams that still run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Any

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.protocol.refusal import error_message

if TYPE_CHECKING:
    from h2.connection import H2Connection

_FRAME = Struct(">BHBBI")
"""Length in two parts, type, flags, stream (RFC 9113, 4.1)."""
_DATA, _HEADERS, _SETTINGS, _GOAWAY, _WINDOW_UPDATE = 0, 1, 4, 7, 8
_END_STREAM, _PADDED = 1, 8
_FRAME_MOST = 1 << 14
_WINDOW = 2**31 - 1
_IDLE_FRAMES_MOST = 10_000
"""A server that sends more of them, to streams that were given up or to none, keeps its client from its work."""
"""The widest there is: a server never waits for this client to let it go on."""
_GIVE_BACK = 1 << 30
"""Bytes of a connection after which its window is opened as wide again."""
_OF_CONNECTION = (b"connection", b"host", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
_LAST_CHUNK = b"0\r\n\r\n"
Failure = tuple[str, str]
"""Kind and words, as of a request."""


class _NoHttp2(Exception):
    """What came is not HTTP/2, or breaks its rules."""


@dataclass(slots=True)
class Came:
    """What came of a stream."""

    data: list[bytes] = field(default_factory=list)
    failure: Failure | None = None
    """Why no more comes, where that is not the stream's end."""


@dataclass(slots=True)
class _Stream:
    length: int | None = None
    """Of its body, as its head says."""
    got: int = 0
    answered: bool = False
    """Whether its head has come."""


def need_http2() -> None:
    """UsageError where the library is not installed."""
    try:
        import h2.connection  # noqa: F401
    except ImportError:
        raise UsageError("--http 2 needs the library h2: pip install 'loadcell[http2]'") from None


class Http2:
    """The client's side of a connection. What is to be sent after any call is in `to_send`."""

    def __init__(self, *, tls: bool) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.settings import SettingCodes, Settings

        self._h2: H2Connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        wide = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW}
        self._h2.local_settings = Settings(client=True, initial_values=wide)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW - 65535)
        self._scheme = b"https" if tls else b"http"
        self.streams_most: int | None = None
        """Streams that the server takes at a time; None until it has spoken."""
        self.away: str | None = None
        """What it said when it announced the end of the connection: it takes no new streams."""
        self.broken: str | None = None
        """Why the connection is of no more use, in words: what came is not HTTP/2, or breaks its rules."""
        self.last = 0
        """The stream of which the newest bytes came; 0 where they were of none, or of a frame that is not whole."""
        self._open: dict[int, _Stream] = {}
        self._bodies: dict[int, bytes] = {}
        """What is left to be sent, by stream."""
        self._rest = b""
        self._own = self._seen = 0
        """Bytes of data since the windows were opened: those that h2 did not see, and those that it saw."""
        self._out = b""
        self._idle_frames = 0
        """Since the last data of an open stream."""

    def begin(self, request: bytes) -> int:
        """Open a stream for a request; returns its number."""
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, path, _ = first.split(b" ")
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        host = dict(fields).get(b"host", b"")
        about = [(b":method", method), (b":scheme", self._scheme), (b":authority", host), (b":path", path)]
        stream = self._h2.get_next_available_stream_id()
        kept = [(name, value) for name, value in fields if name not in _OF_CONNECTION]
        self._h2.send_headers(stream, about + kept, end_stream=not body)
        self._open[stream] = _Stream()
        if body:
            self._bodies[stream] = body
            self._send_bodies()
        return stream

    def unsent(self, stream: int) -> bool:
        """Whether a part of its request waits for the server to open its windows."""
        return stream in self._bodies

    def leave(self, stream: int) -> None:
        """Its reply is not waited for any more: unless it is over, the server is told."""
        if self._open.pop(stream, None) or self._bodies.pop(stream, None):
            self._bodies.pop(stream, None)
            self._reset(stream)

    def to_send(self) -> bytes:
        """What is to be sent since the last call."""
        out, self._out = self._out + self._h2.data_to_send(), b""
        return out

    def receive(self, data: bytes) -> dict[int, Came]:
        """What bytes that were read bring, by stream."""
        came: dict[int, Came] = {}
        try:
            self._frames(self._rest + data if self._rest else data, came)
        except _NoHttp2 as error:
            self.broken = str(error)
            for number in list(self._open):
                self._fail(number, ("protocol", self.broken), came)
        if self._own > _GIVE_BACK:
            self._out += (
                self._h2.data_to_send() + _FRAME.pack(0, 4, _WINDOW_UPDATE, 0, 0) + self._own.to_bytes(4, "big")
            )
            self._own = 0
        if self._seen > _GIVE_BACK:
            self._h2.increment_flow_control_window(self._seen)
            self._seen = 0
        return came

    def end(self, why: str | None = None) -> dict[int, Came]:
        """The connection is over: what that means to the streams which were not. `why`: how it was lost."""
        if self.away is not None:
            early = late = phrase("the server ended the connection (GOAWAY {})", self.away)
        elif why is None:
            early = phrase("the server closed the connection without a reply")
            late = phrase("the connection ended before the stream did")
        else:
            early = phrase("the connection was lost before the reply: {}", why)
            late = phrase("the connection was lost before the stream ended: {}", why)
        if self.streams_most is None:
            self.broken = (
                early
                if why
                else phrase(
                    "the server hung up at the first bytes of HTTP/2: leave --http 2 out if it speaks HTTP/1.1 alone"
                )
            )
        came = {n: Came([], ("cut", late) if one.answered else ("reset", early)) for n, one in self._open.items()}
        self._open.clear()
        return came

    # --- frames ---

    def _frames(self, data: bytes, came: dict[int, Came]) -> None:
        if self.streams_most is None and not _begins(data):
            raise _NoHttp2(_spoken(data))
        at = 0
        while len(data) - at >= _FRAME.size:
            high, low, kind, flags, stream = _FRAME.unpack_from(data, at)
            length, stream = high << 16 | low, stream & _WINDOW
            if length > _FRAME_MOST:
                raise _NoHttp2(phrase("the server broke the rules of HTTP/2: {}", f"a frame of {length:,} bytes"))
            end = at + _FRAME.size + length
            if end > len(data):
                break
            self._frame(kind, flags, stream, data[at:end], came)
            self.last = stream if kind in (_DATA, _HEADERS) and stream in came else 0
            at = end
        self._rest = data[at:]
        if self._rest:
            self.last = 0

    def _frame(self, kind: int, flags: int, number: int, frame: bytes, came: dict[int, Came]) -> None:
        stream = self._open.get(number)
        says = stream is not None and len(frame) > _FRAME.size
        self._idle_frames = 0 if says else self._idle_frames + 1
        if self._idle_frames > _IDLE_FRAMES_MOST:
            raise _NoHttp2(phrase("the server sent {:,} frames in a row that are of no reply", _IDLE_FRAMES_MOST))
        if kind == _DATA and stream is not None and stream.answered:
            self._data(flags, number, stream, frame, came)
        elif kind == _GOAWAY:
            self._goaway(frame, came)
        else:
            self._hand_over(frame, came)

    def _data(self, flags: int, number: int, stream: _Stream, frame: bytes, came: dict[int, Came]) -> None:
        body = frame[_FRAME.size :]
        if flags & _PADDED:
            if not body or body[0] >= len(body):
                raise _NoHttp2(phrase("the server broke the rules of HTTP/2: {}", "more padding than data"))
            body = body[1 : len(body) - body[0]]
        stream.got += len(body)
        if body:
            came.setdefault(number, Came()).data.append(b"%x\r\n%b\r\n" % (len(body), body))
        if stream.length is not None and (stream.got > stream.length or (flags & _END_STREAM and self._short(stream))):
            self._own += len(frame) - _FRAME.size
            self._mismatch(number, stream, came)
        elif stream.length is not None:  # it counts, too, and must count the same
            self._seen += len(frame) - _FRAME.size
            self._hand_over(frame, came)
        else:
            self._own += len(frame) - _FRAME.size
            if flags & _END_STREAM:
                self._hand_over(_FRAME.pack(0, 0, _DATA, _END_STREAM, number), came)

    def _goaway(self, frame: bytes, came: dict[int, Came]) -> None:
        last, code = (int.from_bytes(frame[at : at + 4], "big") for at in (_FRAME.size, _FRAME.size + 4))
        said = error_message(frame[_FRAME.size + 8 :])
        self.away = f"{_name(code)}: {said}" if said else _name(code)
        words = phrase("the server ended the connection before it took this request (GOAWAY {})", self.away)
        for number in [number for number in self._open if number > last & _WINDOW]:
            self._fail(number, ("reset", words), came)

    def _hand_over(self, frame: bytes, came: dict[int, Came]) -> None:
        """What h2 makes of a frame."""
        from h2 import events
        from h2.exceptions import ProtocolError

        try:
            told = self._h2.receive_data(frame)
        except ProtocolError as error:
            raise _NoHttp2(phrase("the server broke the rules of HTTP/2: {}", str(error))) from None
        for event in told:
            number: Any = getattr(event, "stream_id", 0)
            stream = self._open.get(number)
            if isinstance(event, events.RemoteSettingsChanged):
                self.streams_most = self._h2.remote_settings.max_concurrent_streams
                self._send_bodies()
            elif isinstance(event, events.WindowUpdated):
                self._send_bodies()
            elif isinstance(event, events.StreamReset):
                self._bodies.pop(number, None)
                words = phrase("the server reset the stream ({})", _name(int(event.error_code or 0)))
                if stream is not None:
                    self._fail(number, ("cut" if stream.answered else "reset", words), came)
            elif stream is None:
                continue
            elif isinstance(event, events.InformationalResponseReceived):
                came.setdefault(number, Came()).data.append(_head(event.headers or [], b""))
            elif isinstance(event, events.ResponseReceived):
                stream.answered = True
                self._head(number, stream, event.headers or [], came, ended=event.stream_ended is not None)
            elif isinstance(event, events.StreamEnded):  # by a frame of data, or by trailers
                self._end(number, stream, came)

    def _head(self, number: int, stream: _Stream, headers: list[Any], came: dict[int, Came], *, ended: bool) -> None:
        length = next((value for name, value in headers if name == b"content-length"), None)
        stream.length = int(length) if length is not None else None  # h2 has seen that it is a number
        framing = b"content-length: 0\r\n" if ended else b"transfer-encoding: chunked\r\n"
        came.setdefault(number, Came()).data.append(_head(headers, framing))
        if ended and self._short(stream):
            self._mismatch(number, stream, came)
        elif ended:
            del self._open[number]

    def _end(self, number: int, stream: _Stream, came: dict[int, Came]) -> None:
        if self._short(stream):
            self._mismatch(number, stream, came)
        else:
            came.setdefault(number, Came()).data.append(_LAST_CHUNK)
            del self._open[number]

    def _short(self, stream: _Stream) -> bool:
        return stream.length is not None and stream.got < stream.length

    def _mismatch(self, number: int, stream: _Stream, came: dict[int, Came]) -> None:
        words = phrase("the stream had {:,} bytes, and {:,} by its content-length", stream.got, stream.length or 0)
        self._fail(number, ("cut" if self._short(stream) else "protocol", words), came)
        self._reset(number)

    def _fail(self, number: int, failure: Failure, came: dict[int, Came]) -> None:
        self._open.pop(number, None)
        self._bodies.pop(number, None)
        came.setdefault(number, Came()).failure = failure

    def _reset(self, stream: int) -> None:
        from h2.errors import ErrorCodes
        from h2.exceptions import StreamClosedError

        try:
            self._h2.reset_stream(stream, ErrorCodes.CANCEL)
        except StreamClosedError:
            return  # by the server: it needs not be told

    def _send_bodies(self) -> None:
        """Send of what waits as much as the server's windows allow."""
        for stream, body in list(self._bodies.items()):
            at = 0
            while at < len(body):
                room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
                if room <= 0:
                    break
                self._h2.send_data(stream, body[at : at + room], end_stream=at + room >= len(body))
                at += room
            if at < len(body):
                self._bodies[stream] = body[at:]
            else:
                del self._bodies[stream]


def _begins(data: bytes) -> bool:
    """Whether a server's first bytes may be those of HTTP/2: a frame of settings, which acknowledges none."""
    return data[:1] in (b"\0", b"") and (len(data) < _FRAME.size or (data[3] == _SETTINGS and not data[4] & 1))


def _spoken(start: bytes) -> str:
    if start.startswith(b"HTTP/1."):
        return phrase("the server speaks HTTP/1.1 there: leave --http 2 out")
    return phrase(
        "the server does not speak HTTP/2 there ({}): check the URL, or leave --http 2 out", error_message(start)
    )


def _head(headers: list[Any], framing: bytes) -> bytes:
    """A head as HTTP/1.1 writes it; `framing` is what says how the end of its body is known."""
    status = next((value for name, value in headers if name == b":status"), b"0")
    fields = [b"%b: %b\r\n" % (name, value) for name, value in headers
              if name[:1] != b":" and name != b"content-length" and name not in _OF_CONNECTION]  # fmt: skip
    return b"HTTP/1.1 %b \r\n%b%b\r\n" % (status, b"".join(fields), framing)


def _name(code: int) -> str:
    """The name of an error code."""
    from h2.errors import ErrorCodes

    return ErrorCodes(code).name if code in ErrorCodes._value2member_map_ else f"error {code:#x}"
