"""Our client as LoadGen's system under test: one thread that sends what LoadGen issues, and tells it what came.

LoadGen stamps a completion when it is told of it, so that every microsecond here is added to its latencies. A reply is
therefore parsed as it comes, and LoadGen told before anything else is done; how late that was is kept in the rows.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic_ns

from loadcell.core import READ_BYTES
from loadcell.core.clock import STAMP_BYTES, clock_offset, stamps
from loadcell.core.poller import READABLE, WRITABLE, make_poller
from loadcell.kinds import KIND_OUTPUT
from loadcell.load.audit import Audit
from loadcell.load.pool import OPENING_MOST, Handlers, Pool
from loadcell.load.wire import Connection
from loadcell.mlperf.wheel.model import ROW, Ended, Job, Message
from loadcell.mlperf.wheel.replies import IdReply, count_tokens, token_ids
from loadcell.protocol import Dialect, dialect_of
from loadcell.recording.schema import MISSING
from loadcell.workload import Tokenizer

TICK_S, TICK_NS = 0.05, 50_000_000
_TELL_NS = 250_000_000
GIVE_UP_AFTER = 100
"""So many failures in a row end the run: LoadGen takes them for replies, and would flood a server that refuses."""

First = Callable[[int, "array[int]"], None]
"""Tell LoadGen of a first token: id of the query sample, the token's id if it is known."""
Done = Callable[[int, "array[int]", int], None]
"""Tell LoadGen of a completion: id of the query sample, token ids of the reply, number of its tokens."""
Tell = Callable[[Message], None]


class Flight:
    """A query sample from its issue to LoadGen being told that it is done. Times are monotonic."""

    __slots__ = (
        "connection", "failure", "first_ns", "id", "issued_ns", "query", "reads", "reply", "row", "sample", "seen",
        "sent_ns", "stamp", "told_first_ns",
    )  # fmt: skip

    def __init__(self, dialect: Dialect, row: int, query: int, id: int, sample: int, issued_ns: int) -> None:
        self.row, self.query, self.id, self.sample, self.issued_ns = row, query, id, sample, issued_ns
        self.connection: Connection | None = None
        self.sent_ns = self.first_ns = self.told_first_ns = MISSING
        self.reply = IdReply(dialect)
        self.reads = 0
        self.seen = 0
        """Events that were looked at for the first token."""
        self.stamp = (b"", 0, 0)
        """Of the newest read: raw kernel stamp, monotonic ns after it, offset of the clocks."""
        self.failure: tuple[str, str] | None = None

    def received_ns(self) -> int:
        """When the newest read came."""
        raw, mono, offset = self.stamp
        return stamps([raw], [mono], [offset], self.sent_ns)[0][0] if mono else MISSING


class Client:
    """`prepare`, then `run` in a thread of its own, while LoadGen calls `issue` from its own threads."""

    def __init__(self, job: Job, tokenizer: Tokenizer | None, first: First, done: Done, tell: Tell) -> None:
        self.job, self.tokenizer = job, tokenizer
        self.first, self.done, self.tell = first, done, tell
        self.poller = make_poller()
        self.handlers: Handlers = {}
        self.pool = Pool(job, self.poller, self.handlers, Audit(0, None), self._serve, self._no_connection)
        self.flights: dict[int, Flight] = {}
        self.waiting: deque[Flight] = deque()
        self.inbox: deque[tuple[int, list[tuple[int, int]]]] = deque()
        self.stopping = False
        self.rows = array("q")
        self.counts = Message()
        self.failures: Counter[str] = Counter()
        self.errors: dict[str, str] = {}
        self.token_sources: Counter[str] = Counter()
        self.id_sources: Counter[str] = Counter()
        self._in_a_row = 0
        self._queries = 0
        self._offset = clock_offset()
        self._parent = os.getppid()
        self._t0_ns = self._told_ns = 0
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        os.set_blocking(self._wake_in, False)
        self.poller.add(self._wake_out, READABLE)
        self.handlers[self._wake_out] = lambda _: self._woken()
        self.dialect = dialect_of(job.api)
        self._head = job.target.post_head(stream=job.stream)
        size = os.fstat(job.bodies_fd).st_size
        room = 8 * (job.samples + 1)
        self._places = array("q", os.pread(job.bodies_fd, room, size - room))

    def prepare(self) -> str | None:
        """Open the connections. Returns what went wrong if not one could be opened."""
        return self.pool.fill(self.job.pool, lambda: False)

    def issue(self, samples: Sequence[tuple[int, int]]) -> None:
        """LoadGen issues a query: (id, sample) of each of its samples. Called in LoadGen's threads."""
        self.inbox.append((monotonic_ns(), list(samples)))
        self._wake()

    def stop(self) -> None:
        """LoadGen has ended: leave the loop."""
        self.stopping = True
        self._wake()

    def ended(self) -> Ended:
        """What the rows do not say, after the run."""
        return Ended(
            failures=dict(self.failures),
            errors=self.errors,
            token_sources=dict(self.token_sources),
            id_sources=dict(self.id_sources),
        )

    def run(self) -> None:
        """Send, read and tell, until `stop`."""
        self._t0_ns = monotonic_ns()
        next_tick, flights, poll = 0, self.flights, self.poller.poll
        while not self.stopping:
            for fd, mask in poll(TICK_S):
                flight = flights.get(fd)
                if flight is None:
                    handler = self.handlers.get(fd)
                    if handler is not None:
                        handler(mask)
                elif mask & WRITABLE and not self._send_more(flight):
                    continue
                elif mask != WRITABLE:
                    self._read(flight)
            now = monotonic_ns()
            if now >= next_tick:
                next_tick = now + TICK_NS
                self._tick(now)

    # --- sending ---

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # it is awake
            os.write(self._wake_in, b"\0")

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_out, 65536)
        while self.inbox:
            issued_ns, samples = self.inbox.popleft()
            for id, sample in samples:
                row = len(self.rows) // len(ROW)
                self.rows.extend((self._queries, sample, issued_ns, *[MISSING] * 5, 0, 0))
                self.waiting.append(Flight(self.dialect, row, self._queries, id, sample, issued_ns))
            self._queries += 1
        self._serve()

    def _serve(self) -> None:
        """Send what waits, first come first served, as far as the cap and the connections allow."""
        while self.waiting and (self.job.cap is None or len(self.flights) < self.job.cap):
            connection = self.pool.take()
            if connection is None:
                room = OPENING_MOST if self.job.cap is None else self.job.cap - len(self.flights)
                while len(self.pool.opening) < min(len(self.waiting), OPENING_MOST, room):
                    self.pool.open()
                return
            self._send(self.waiting.popleft(), connection)

    def _send(self, flight: Flight, connection: Connection) -> None:
        start, stop = self._places[flight.sample], self._places[flight.sample + 1]
        body = os.pread(self.job.bodies_fd, stop - start, start)
        head = b"%bContent-Length: %d\r\nX-Request-Id: %b-%d\r\n\r\n" % (
            self._head, len(body), self.job.run_id.encode(), flight.row,
        )  # fmt: skip
        flight.connection = connection
        connection.served += 1
        self.handlers.pop(connection.fd, None)
        self.flights[connection.fd] = flight
        self.counts.issued += 1
        flight.sent_ns = monotonic_ns()
        try:
            if not connection.send(head + body):
                self.poller.change(connection.fd, READABLE | WRITABLE)
        except OSError as error:
            self._lost(flight, error)

    def _send_more(self, flight: Flight) -> bool:
        """Send what is left of a request; False if its connection broke."""
        assert flight.connection is not None
        try:
            if flight.connection.flush():
                self.poller.change(flight.connection.fd, READABLE)
        except OSError as error:
            self._lost(flight, error)
            return False
        return True

    # --- reading ---

    def _read(self, flight: Flight) -> None:
        assert flight.connection is not None
        try:
            data, notes, _, _ = flight.connection.recvmsg(READ_BYTES, STAMP_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(flight, error)
            return
        reply = flight.reply
        if not data:
            reply.close(max(flight.reads - 1, 0))
            self._land(flight, reuse=False)
            return
        flight.stamp = (notes[0][2] if notes else b"", monotonic_ns(), self._offset)
        reply.feed([data], flight.reads)
        flight.reads += 1
        if flight.first_ns == MISSING and self._has_output(flight):
            flight.first_ns = flight.received_ns()
            if self.job.tell_first and not reply.closed:
                self._tell_first(flight)
        if reply.closed:
            self._land(flight, reuse=reply.keep_alive)

    def _has_output(self, flight: Flight) -> bool:
        kinds = flight.reply.kinds
        found = flight.reply.streamed and any(kind & KIND_OUTPUT for kind in kinds[flight.seen :])
        flight.seen = len(kinds)
        return found

    def _tell_first(self, flight: Flight) -> None:
        ids = array("i")
        if self.job.keep:
            ids = token_ids(flight.reply, self.tokenizer)[0][:1]
        flight.told_first_ns = monotonic_ns()
        self.first(flight.id, ids)

    def _lost(self, flight: Flight, error: OSError) -> None:
        if not flight.reply.bytes:
            flight.failure = ("reset", f"the connection was lost before the reply: {error.strerror or error}")
        flight.reply.close(max(flight.reads - 1, 0))
        self._land(flight, reuse=False)

    # --- the end of a reply ---

    def _land(self, flight: Flight, *, reuse: bool) -> None:
        """The reply is over, however it ended: tell LoadGen, then free its connection."""
        connection = flight.connection
        failure = flight.failure or flight.reply.failure
        if failure and failure[0] == "empty" and self.job.keep:
            failure = None  # for accuracy, a model that says nothing has answered
        received_ns = monotonic_ns() if failure else flight.received_ns()
        tokens, ids = 0, array("i")
        if failure is None:
            tokens, source = count_tokens(flight.reply, self.tokenizer)
            self.token_sources[source] += 1
            if self.job.keep:
                ids, whose = token_ids(flight.reply, self.tokenizer)
                self.id_sources[whose] += 1
        if self.job.tell_first and flight.told_first_ns == MISSING:  # LoadGen wants one of every sample
            self._tell_first(flight)
        told_ns = monotonic_ns()
        self.done(flight.id, ids, tokens)
        self._note(flight, failure, received_ns, told_ns, tokens)
        if connection is not None:
            del self.flights[connection.fd]
            if reuse and self.job.reuse:
                self.pool.rest(connection, monotonic_ns())
            else:
                self.pool.drop(connection)
            self._serve()

    def _note(
        self, flight: Flight, failure: tuple[str, str] | None, received_ns: int, told_ns: int, tokens: int
    ) -> None:
        base = flight.row * len(ROW)
        ends = (flight.first_ns, flight.told_first_ns, received_ns, told_ns, tokens, int(failure is None))
        self.rows[base + 3 : base + len(ROW)] = array("q", (flight.sent_ns, *ends))
        self.counts.done += 1
        self.counts.tokens += tokens
        if failure is None:
            self._in_a_row = 0
            return
        kind, words = failure
        self.counts.failed += 1
        self.failures[kind] += 1
        self.errors.setdefault(kind, words)
        self._in_a_row += 1
        if self._in_a_row >= GIVE_UP_AFTER:
            self.tell(Message(gave_up=f"{self._in_a_row} requests in a row failed; the last: {kind}, {words}"))
            os._exit(1)  # LoadGen cannot be asked to end

    def _no_connection(self, why: str) -> None:
        """A connection could not be opened: the sample that waited longest for one has failed."""
        if self.waiting:
            flight = self.waiting.popleft()
            flight.failure = ("connect", f"no connection: {why}")
            self.counts.issued += 1
            self._land(flight, reuse=False)

    # --- a few times a second ---

    def _tick(self, now: int) -> None:
        if os.getppid() != self._parent:
            os._exit(1)
        self._offset = clock_offset()
        limit_ns = int(self.job.timeout_s * 1e9)
        for flight in list(self.flights.values()):
            if now - flight.sent_ns > limit_ns:
                flight.failure = ("timeout", f"not complete after {self.job.timeout_s:g} s")
                flight.reply.close(max(flight.reads - 1, 0))
                self._land(flight, reuse=False)
            elif (patience_ns := flight.reply.patience_ns) is not None and now - flight.stamp[1] > patience_ns:
                flight.reply.give_up(flight.reads - 1)
                self._land(flight, reuse=False)
        self.pool.end_late(now)
        self._serve()
        if now - self._told_ns >= _TELL_NS:
            self._told_ns = now
            self.counts.in_flight = len(self.flights)
            self.counts.elapsed_s = (now - self._t0_ns) / 1e9
            self.tell(self.counts)
