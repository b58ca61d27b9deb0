"""A worker's connections: opened step by step by its loop, kept while idle, handed out last in first out."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence, Sized
from itertools import count
from time import monotonic_ns
from typing import Protocol

from loadcell.core.poller import READABLE, WRITABLE, Poller
from loadcell.load.audit import Audit
from loadcell.load.host import descriptor_limit
from loadcell.load.target import Address, Target, host_of
from loadcell.load.wire import ConnectError, Connection
from loadcell.phrases import phrase

OPENING_MOST = 32
"""Connections that are opened at a time: a burst of them is itself a load."""
SPARE = 2
"""Idle connections that are kept at hand in an open loop."""
_STEP_S = 0.05
_FILES = 10
"""Descriptors that are left to files, which the recording needs: connections never take the last ones."""

Handlers = dict[int, Callable[[int], None]]
"""What to do when a descriptor that carries no reply is ready, by descriptor."""


class Way(Protocol):
    """How to reach the endpoint: the part of a job that connections need."""

    @property
    def target(self) -> Target: ...
    @property
    def addresses(self) -> Sequence[Address]: ...
    @property
    def connect_timeout_s(self) -> float: ...


class Pool:
    """Idle and opening connections. `on_ready` is called when one has opened, `on_failed` when one could not.

    Connections go to the addresses in turn, from that of number `turn` on; `numbers` are what they are called. With
    several addresses, the connection that is idle longest is handed out, so that requests go round too.
    """

    def __init__(
        self,
        job: Way,
        poller: Poller,
        handlers: Handlers,
        audit: Audit,
        on_ready: Callable[[], None],
        on_failed: Callable[[str], None],
        turn: int = 0,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.idle: list[Connection] = []
        self.opening: dict[int, Connection] = {}
        self._held: dict[int, Connection] = {}
        """By session."""
        self.receive_bytes: int | None = None
        """What the kernel is to buffer of what comes on each; None: what it likes."""
        self.error: str | None = None
        """Why the last one could not be opened."""
        self._job, self._poller, self._handlers, self._audit = job, poller, handlers, audit
        self._on_ready, self._on_failed = on_ready, on_failed
        self._context = job.target.tls_context() if job.target.tls else None
        self._limit_ns = int(job.connect_timeout_s * 1e9)
        self._turn, self._numbers = count(turn), numbers or count(1)
        self._spread = len(job.addresses) > 1
        self._fd_most = descriptor_limit() - _FILES

    def fill(self, wanted: int, stop: Callable[[], bool]) -> str | None:
        """Open `wanted` connections before the clock starts. Returns what went wrong if not one could be opened."""
        limit = monotonic_ns() + self._limit_ns
        failures = self._audit.connect_failures
        while monotonic_ns() < limit and not stop():
            missing = wanted - len(self.idle) - (self._audit.connect_failures - failures)
            while len(self.opening) < min(missing, OPENING_MOST):
                if not self.open():
                    missing -= 1
            if not self.opening:
                break
            for fd, mask in self._poller.poll(_STEP_S):
                self._handlers[fd](mask)
        for connection in list(self.opening.values()):
            self._part(connection)
        self._audit.connections_before += len(self.idle)
        if self.idle or not wanted or stop():
            return None
        return self.error or phrase("no connection was opened in {:g} s", self._job.connect_timeout_s)

    def take(self) -> Connection | None:
        """The connection that came free last, if the server has not closed it and is not about to."""
        while self.idle:
            connection = self.idle.pop(0 if self._spread else -1)
            if self._good(connection):
                return connection
        return None

    def _good(self, connection: Connection) -> bool:
        """Whether an idle connection can be used; one that cannot is closed."""
        age_s = (monotonic_ns() - connection.idle_since_ns) / 1e9
        expired = connection.keep_s is not None and age_s > connection.keep_s - 1
        if not expired and not connection.is_stale():
            return True
        self._audit.idle_closed += 1
        self.drop(connection)
        return False

    def hold(self, session: int, connection: Connection, now: int) -> None:
        """Keep a connection for what a session sends next; a second one of it is for any."""
        if session in self._held:
            self.rest(connection, now)
            return
        connection.idle_since_ns = now
        self._held[session] = connection
        self._handlers[connection.fd] = lambda _: self._heard_held(session)

    def held(self, session: int) -> Connection | None:
        """The connection that was kept for a session, if there is one and the server has not closed it."""
        connection = self._held.pop(session, None)
        return connection if connection is not None and self._good(connection) else None

    def release(self, session: int) -> None:
        """A session is over: its connection is for any request."""
        connection = self._held.pop(session, None)
        if connection is not None:
            self.rest(connection, connection.idle_since_ns)

    def _heard_held(self, session: int) -> None:
        connection = self._held[session]
        if connection.is_stale():
            del self._held[session]
            self._audit.idle_closed += 1
            self.drop(connection)

    def rest(self, connection: Connection, now: int) -> None:
        """Keep a connection for the next request."""
        connection.idle_since_ns = now
        self.idle.append(connection)
        self._handlers[connection.fd] = lambda _: self._heard_idle(connection)

    def drop(self, connection: Connection) -> bool:
        """Close a connection in whatever state it is; True: with what it carried, it is gone."""
        self._part(connection)
        return True

    def want(self, waiting: Sized) -> None:
        """Open connections for requests that wait."""
        while len(self.opening) < min(len(waiting), OPENING_MOST):
            self.open()

    def spare(self) -> None:
        """Keep a few connections at hand."""
        if len(self.idle) + len(self.opening) < SPARE:
            self.open()

    def sends(self, connection: Connection, *, more: bool) -> None:
        """Tell when there is room for what is left of a request; with `more` false not any longer."""
        self._poller.change(connection.fd, READABLE | WRITABLE if more else READABLE)

    def _part(self, connection: Connection) -> None:
        self._handlers.pop(connection.fd, None)
        self.opening.pop(connection.fd, None)
        self._poller.remove(connection.fd)
        self._audit.parted(connection.min_rtt_ns())
        connection.close()

    def open(self) -> bool:
        """Begin to open a connection; False if that failed at once."""
        address = self._job.addresses[next(self._turn) % len(self._job.addresses)]
        try:
            connection = Connection(next(self._numbers), self._job.target, address, self._context, self.receive_bytes)
        except ConnectError as error:
            self._failed(str(error), error.code, address)
            return False
        if connection.fd >= self._fd_most:
            connection.close()
            self._failed(os.strerror(errno.EMFILE), errno.EMFILE, address)
            return False
        self.opening[connection.fd] = connection
        self._handlers[connection.fd] = lambda _: self._advance(connection)
        self._poller.add(connection.fd, WRITABLE)
        return True

    def end_late(self, now: int) -> None:
        """Give up the connections that take too long to open."""
        for connection in list(self.opening.values()):
            if now - connection.start_ns > self._limit_ns:
                self._part(connection)
                self._failed(phrase("not open after {:g} s", self._job.connect_timeout_s), None, connection.address)

    def close(self) -> None:
        """Close every connection that carries no reply."""
        for connection in [*self.idle, *self._held.values(), *self.opening.values()]:
            self._part(connection)

    def _advance(self, connection: Connection) -> None:
        try:
            interest = connection.advance()
            if interest is None:
                self._connected(connection)
            else:
                self._poller.change(connection.fd, interest)
        except ConnectError as error:
            self._part(connection)
            self._failed(str(error), error.code, connection.address)

    def _connected(self, connection: Connection) -> None:
        """It is open; ConnectError if it is of no use."""
        del self.opening[connection.fd]
        self._audit.opened(host_of(connection.address))
        self._poller.change(connection.fd, READABLE)
        self.rest(connection, monotonic_ns())
        self._on_ready()

    def _failed(self, why: str, code: int | None, address: Address) -> None:
        self.error = why = phrase("{}: {}", host_of(address), why) if self._spread else why
        self._audit.no_connection(code)
        self._on_failed(why)

    def _heard_idle(self, connection: Connection) -> None:
        """An idle connection spoke: it was closed, or holds session tickets."""
        if connection.is_stale():
            self._audit.idle_closed += 1
            self.idle.remove(connection)
            self.drop(connection)
