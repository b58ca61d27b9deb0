"""One client connection: bytes in with their kernel stamps, bytes out without ever blocking, plain or TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from loadcell.engine.http import MAX_BODY, MAX_HEAD, Head
from loadcell.engine.poller import READ, WRITE, Poller

SO_TIMESTAMPNS = 35
"""Linux: each recvmsg brings the kernel's receive time, two native int64 (s, ns) of CLOCK_REALTIME. Python's socket
module has no name for it."""
_READ_SIZE = 65536
_MAX_BUFFERED = MAX_HEAD + MAX_BODY
_MAX_IGNORED = 4 * MAX_BODY
_stamp = struct.Struct("=qq")

E = TypeVar("E")


def stamp_arrivals(listener: socket.socket) -> None:
    """Have the kernel stamp what arrives on the sockets that `listener` will accept, where it can."""
    if sys.platform == "linux":
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def _port_of(sock: socket.socket) -> int | None:
    try:
        peer = sock.getpeername()
    except OSError:  # it has gone already
        return None
    return peer[1] if isinstance(peer, tuple) else None


class Connection(Generic[E]):
    """The engine's end of a connection. `E` is what the server keeps of the request in progress.

    `send` takes bytes and returns how many it took: at first the socket's own send, for the price of one call;
    while there is a backlog, and over TLS, a method that takes everything. `write` deals with short sends too.
    """

    __slots__ = (
        "_backlog", "_ignored", "_incoming", "_mask", "_outgoing", "_poller", "_reads", "_received", "_shaken",
        "_taken", "_tls", "buffer", "closing", "exchange", "fd", "head", "peer", "pieces", "send", "sock",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, poller: Poller, tls: ssl.SSLContext | None) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = _port_of(sock)
        """Port of the client; None where there is none."""
        self.buffer = bytearray()
        """Request bytes not yet taken."""
        self.head: Head | None = None
        """The head of a request whose body is not all there yet."""
        self.exchange: E | None = None
        self.pieces: Iterator[bytes] | None = None
        """The rest of a long response, made as the client reads it."""
        self.closing = False
        """Input is ignored, and the connection closed once the output is out and the client has seen it."""
        self._ignored = 0
        self._poller = poller
        self._mask = READ
        self._backlog = bytearray()
        self._reads: deque[tuple[int, int]] = deque()
        self._received = 0
        self._taken = 0
        self._shaken = tls is None
        self._tls: ssl.SSLObject | None = None
        self.send: Callable[[bytes], int] = sock.send
        if tls:
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_side=True)
            self.send = self._send_tls
        poller.register(sock, READ)

    # --- in ---------------------------------------------------------------------------------------------------------

    def receive(self) -> bool:
        """Read once into `buffer`; False at the end of the input. OSError if the connection is broken."""
        try:
            data, ancillary, _, _ = self.sock.recvmsg(_READ_SIZE, 64)
        except (BlockingIOError, InterruptedError):
            return True
        arrival = _arrival_ns(ancillary)
        if not data:
            return False
        if self.closing:
            self._ignored += len(data)
            return self._ignored < _MAX_IGNORED
        if self._tls:
            data, more = self._decrypt(data, self._tls)
        else:
            more = True
        if data:
            self.buffer += data
            self._received += len(data)
            self._reads.append((self._received, arrival))
            self._want()
        return more

    def took(self, count: int) -> None:
        """`count` bytes have left the front of `buffer`."""
        self._taken += count
        while self._reads[0][0] < self._taken:
            self._reads.popleft()
        self._want()

    def arrival_ns(self) -> int:
        """Receive time of the read that brought the last byte taken."""
        return self._reads[0][1]

    def _decrypt(self, data: bytes, tls: ssl.SSLObject) -> tuple[bytes, bool]:
        """Plain bytes, and whether more may come."""
        self._incoming.write(data)
        plain = []
        more = True
        try:
            if not self._shaken:
                tls.do_handshake()
                self._shaken = True
            while piece := tls.read(_READ_SIZE):
                plain.append(piece)
            more = False
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            more = False
        if self._outgoing.pending:
            self._push(self._outgoing.read())
        return b"".join(plain), more

    # --- out --------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send `data` now or as soon as the client takes it. OSError if the connection is broken."""
        try:
            sent = self.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        if sent < len(data):
            self.hold(data[sent:])

    def hold(self, rest: bytes) -> None:
        """Keep what a send did not take, and everything after it, until the client takes it."""
        self._backlog += rest
        if not self._tls:
            self.send = self._send_later
        self._want()

    def flush(self) -> bool:
        """Send some of what waits; True if nothing waits any more. One piece a call, so that tokens are not held up."""
        if self._backlog:
            try:
                del self._backlog[: self.sock.send(self._backlog)]
            except (BlockingIOError, InterruptedError):
                return False
            if self._backlog:
                return False
        if not self._tls:
            self.send = self.sock.send
        piece = next(self.pieces, None) if self.pieces is not None else None
        if piece is None:
            self.pieces = None
        else:
            self.write(piece)
        self._want()
        return piece is None

    def _send_later(self, data: bytes) -> int:
        self._backlog += data
        return len(data)

    def _send_tls(self, data: bytes) -> int:
        assert self._tls
        self._tls.write(data)
        self._push(self._outgoing.read())
        return len(data)

    def _push(self, raw: bytes) -> None:
        """Send bytes as they are, behind those that wait."""
        sent = 0
        if not self._backlog:
            try:
                sent = self.sock.send(raw)
            except (BlockingIOError, InterruptedError):
                sent = 0
        if sent < len(raw):
            self.hold(raw[sent:])

    # --- state ------------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """No response is in progress, so the next request may be answered."""
        return self.exchange is None and self.pieces is None and not self.closing

    def finish_output(self) -> None:
        """Nothing more will be sent: tell the client, so that it can read all of it before the socket is closed."""
        if self._tls:
            with contextlib.suppress(ssl.SSLError):  # the client's own close_notify is still to come, or never will
                self._tls.unwrap()
            self._push(self._outgoing.read())
        if not self._backlog:
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._poller.unregister(self.sock)
        self.sock.close()
        self.exchange = self.pieces = None
        del self.send  # a bound method of its own: a cycle that only the garbage collector, which is off, would find

    def play_deaf(self) -> None:
        """It is closed, and what is still written to it goes nowhere."""
        self.buffer.clear()
        self._backlog.clear()
        self.send = len

    def _want(self) -> None:
        """Tell the poller what is wanted: input unless a client has far too much of it waiting, output if any waits."""
        mask = (READ if len(self.buffer) <= _MAX_BUFFERED or self.closing else 0) | (
            WRITE if self._backlog or self.pieces else 0
        )
        if mask != self._mask:
            self._mask = mask
            self._poller.modify(self.sock, mask)


def _arrival_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The kernel's stamp on the monotonic clock, by the age it has now; now, if there is none that makes sense."""
    monotonic, real = time.monotonic_ns(), time.time_ns()
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) == _stamp.size:
            seconds, nanoseconds = _stamp.unpack(data)
            age: int = real - (seconds * 1_000_000_000 + nanoseconds)
            if 0 <= age < 60_000_000_000:  # else the wall clock was stepped in between
                return monotonic - age
    return monotonic
