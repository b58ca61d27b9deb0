"""HTTP/2 for a worker: streams that share connections, with the faces of connections of their own.

A worker asks a `StreamPool` where it would ask a `Pool`, and gets a `Stream` where it would get a `Connection`; what
comes is put into the tapes of its flights as HTTP/1.1 would have brought it. Every read has one time, that of the bytes
that came last: where it brought bytes of several streams, those of all but the last may have come earlier, back to
the look before (`Stream.mixed`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Sized
from itertools import count
from time import monotonic_ns
from typing import Any

from loadcell.core import BULK_BYTES, READ_BYTES, Event, Look, Reader, Sealed, Tape, Turn, What, is_odd
from loadcell.core.clock import STAMP_BYTES
from loadcell.core.poller import READABLE, WRITABLE, Poller
from loadcell.core.reader import ReadOnce
from loadcell.load.pool import OPENING_MOST, SPARE, Pool
from loadcell.load.target import host_of
from loadcell.load.wire import Broken, ConnectError, Connection, describe
from loadcell.phrases import phrase
from loadcell.protocol.http2 import Came, Http2

_FDS = count(-1, -1)
"""Of the streams of all pools."""
_UNTIMED: Turn = (0, 0, 0, 0)
"""Of what comes before there is any stream."""


class Stream:
    """A request and its reply on a shared connection. Its descriptor is a number below 0, which no socket has."""

    plain, sealed = True, None

    def __init__(self, shared: Shared, fd: int) -> None:
        of = shared.of
        self.shared, self.fd, self.recvmsg = shared, fd, of.recvmsg
        self.number, self.address = of.number, of.address
        self.start_ns, self.tcp_ns, self.tls_ns = of.start_ns, of.tcp_ns, of.tls_ns
        self.served, of.served = of.served, of.served + 1
        self.keep_s: float | None = None
        self.id = 0
        """Its number on the connection, once it was begun."""
        self.tape: Tape | None = None
        self.mixed: set[int] = set()
        """Reads that brought bytes of other streams after its own."""

    def send(self, request: bytes) -> bool:
        """Begin it; False if some of the request is left for later."""
        self.id = self.shared.http2.begin(request)
        self.shared.streams[self.id] = self
        return self.flush()

    def flush(self) -> bool:
        """Send what may be sent; True when all is out."""
        shared = self.shared
        shared.unsent.discard(self)
        if shared.push() and not shared.http2.unsent(self.id):
            return True
        shared.unsent.add(self)
        return False


class Shared:
    """A connection that carries streams."""

    def __init__(self, of: Connection, poller: Poller, *, tls: bool) -> None:
        self.of, self.http2, self._poller = of, Http2(tls=tls), poller
        self.streams: dict[int, Stream] = {}
        self.held = 0
        """Streams that were handed out and not given back."""
        self.unsent: set[Stream] = set()
        """Those of which the request is not all out."""
        self.over = False
        self.mixed = 0
        """Reads that brought bytes of more than one stream."""
        self._wants = WRITABLE
        self._bulk = False
        self._look: Look = (0, 0, 0)

    @property
    def room(self) -> int:
        """How many more streams it takes now."""
        return 0 if self.over or self.http2.away else max(0, (self.http2.streams_most or 0) - self.held)

    def push(self) -> bool:
        """Give to the kernel what is to be sent; True when it took all. A loss is told by the next read."""
        data = self.http2.to_send()
        if not data and self._wants == READABLE:
            return True
        try:
            out = self.of.send(data)
        except OSError:
            return False
        wants = READABLE if out and not self._sent() else READABLE | WRITABLE
        if wants != self._wants:
            self._wants = wants
            self._poller.change(self.of.fd, wants)
        return out

    def receive(self, turn: Turn) -> list[Event]:
        """Read once, into the tapes of the streams; what is to be seen to of these."""
        try:
            data, notes, _, _ = self.of.recvmsg(READ_BYTES, STAMP_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            self.over = True
            return self._told(self.http2.end(describe(error)), b"", 0, turn)
        read_ns = monotonic_ns()
        came = self.http2.receive(data) if data else self.http2.end()
        self.push()
        self.over = not data or self.http2.broken is not None
        if self._bulk:  # what follows it may have come as early as it
            turn = (turn[0], *self._look)
        self._look, self._bulk = turn[1:], len(data) >= BULK_BYTES
        return self._told(came, notes[0][2] if notes else b"", read_ns, turn)

    def send_more(self) -> list[Event]:
        """There is room in the socket."""
        self.push()
        return self._sent()

    def _sent(self) -> list[Event]:
        return [Event(stream.fd, What.WRITABLE) for stream in self.unsent if not self.http2.unsent(stream.id)]

    def _told(self, came: dict[int, Came], stamp: bytes, read_ns: int, turn: Turn) -> list[Event]:
        events = self._sent()
        self.mixed += len(came) > 1 and read_ns > 0
        for number, what in came.items():
            stream = self.streams.get(number)
            if stream is None or (tape := stream.tape) is None:
                continue
            if data := b"".join(what.data):
                tape.append(data, stamp, read_ns, turn)
                if number != self.http2.last:
                    stream.mixed.add(tape.reads - 1)
                if what.failure is None and is_odd(data, tape):
                    events.append(Event(stream.fd, What.READ))
            if what.failure is not None:
                events.append(Event(stream.fd, What.LOST, error=Broken(*what.failure)))
        return events


class StreamPool(Pool):
    """As `Pool`, of streams, which a worker takes for connections: as many share one as the server allows, then another
    is opened. With several addresses the connection with the fewest streams takes the next.

    `idle` are the open connections, whatever they carry.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.shared: dict[int, Shared] = {}
        """The open connections by their descriptors."""
        self.streams: dict[int, Stream] = {}
        self._each = 1
        """Streams of a connection, as the newest said."""

    def fill(self, wanted: int, stop: Callable[[], bool]) -> str | None:
        """Open so many connections that `wanted` streams fit; as of `Pool`."""
        error = super().fill(1, stop)
        if error or not self.idle:
            return error
        self._audit.connections_before -= len(self.idle)  # it counts all of them below
        least = min(wanted, len(self._job.addresses)) if self._spread else 1
        return super().fill(max(least, math.ceil(wanted / self._each)), stop)

    def take(self) -> Stream | None:  # type: ignore[override]
        """A new stream, if a connection has room for one."""
        free = [one for one in self.shared.values() if one.room]
        if not free:
            return None
        shared = min(free, key=lambda one: one.held) if self._spread else free[0]
        stream = Stream(shared, next(_FDS))
        self.streams[stream.fd] = stream
        shared.held += 1
        return stream

    def rest(self, stream: Stream, now: int) -> None:  # type: ignore[override]
        """A stream is over."""
        self.drop(stream)

    def drop(self, stream: Stream) -> bool:  # type: ignore[override]
        """Give a stream back, in whatever state it is; its connection stays."""
        del self.streams[stream.fd]
        shared = stream.shared
        shared.held -= 1
        shared.unsent.discard(stream)
        if shared.streams.pop(stream.id, None) and not shared.over:
            shared.http2.leave(stream.id)
            shared.push()
        self.see_to(shared)
        return False

    def see_to(self, shared: Shared) -> None:
        """Part with a connection that is over, or that the server ends once its streams are."""
        ends = shared.over or (shared.http2.away is not None and not shared.held)
        if ends and self.shared.pop(shared.of.fd, None) is not None:
            self._audit.closed_by_server += 1
            self._audit.mixed_reads += shared.mixed
            self.idle.remove(shared.of)
            self._part(shared.of)

    def want(self, waiting: Sized) -> None:
        """Open connections for requests that wait."""
        while len(self.opening) < min(math.ceil(len(waiting) / self._each), OPENING_MOST):
            self.open()

    def spare(self) -> None:
        """Keep a few streams at hand."""
        if sum(one.room for one in self.shared.values()) + self._each * len(self.opening) < SPARE:
            self.open()

    def sends(self, stream: Stream, *, more: bool) -> None:  # type: ignore[override]
        """The connection sees to that."""

    def close(self) -> None:
        """Close every connection."""
        self._audit.mixed_reads += sum(one.mixed for one in self.shared.values())
        super().close()

    def _connected(self, connection: Connection) -> None:
        if connection.alpn not in (None, "h2"):
            raise ConnectError(no_alpn(connection.alpn))
        shared = Shared(connection, self._poller, tls=self._job.target.tls)
        self._handlers[connection.fd] = lambda _: self._greeted(shared)
        shared.push()

    def _greeted(self, shared: Shared) -> None:
        """It spoke before a stream was opened, which it does first of all."""
        shared.receive(_UNTIMED)
        connection, most = shared.of, shared.http2.streams_most
        if shared.over or most == 0:
            self._part(connection)
            self._failed(shared.http2.broken or phrase("the server allows no streams"), None, connection.address)
        elif most is not None:
            self._each = most
            del self.opening[connection.fd]
            self.shared[connection.fd] = shared
            self.idle.append(connection)
            self._handlers[connection.fd] = lambda _: self._heard_before(shared)
            self._audit.opened(host_of(connection.address))
            self._on_ready()

    def _heard_before(self, shared: Shared) -> None:
        """It spoke before the load began."""
        shared.receive(_UNTIMED)
        self.see_to(shared)


class StreamReader(Reader):
    """As `Reader`, of the streams of pools."""

    def __init__(self, poller: Poller, pools: Sequence[StreamPool]) -> None:
        super().__init__(poller)
        self._pools = pools

    def watch(self, fd: int, tape: Tape, read: ReadOnce, *, plain: bool, sealed: Sealed | None = None) -> None:
        self._give(fd, tape)

    def leave(self, fd: int) -> None:
        self._give(fd, None)

    def _give(self, fd: int, tape: Tape | None) -> None:
        next(pool.streams[fd] for pool in self._pools if fd in pool.streams).tape = tape

    def _served(self, ready: Iterable[tuple[int, int]], turn: Turn) -> list[Event]:
        events: list[Event] = []
        others: list[tuple[int, int]] = []
        for fd, mask in ready:
            pool = next((pool for pool in self._pools if fd in pool.shared), None)
            if pool is None:
                others.append((fd, mask))
                continue
            shared = pool.shared[fd]
            if mask & WRITABLE:
                events += shared.send_more()
            if mask != WRITABLE:
                events += shared.receive(turn)
                pool.see_to(shared)
        return events + super()._served(others, turn)


def no_alpn(chosen: str) -> str:
    """Why a server that does not agree to HTTP/2 is not asked."""
    return phrase(
        "the server did not agree to HTTP/2 by ALPN (it chose {}): switch it on there, or leave --http 2 out",
        chosen or phrase("nothing"),
    )
