"""The hot path: one process, one event loop, no work per chunk but a read, a clock and an append.

While anything is readable, reads are only stored. A reply is parsed when it is complete and nothing is readable. The
loop is told its slice of the schedule before the clock starts and shares nothing while it runs but a few counters.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Callable
from time import monotonic_ns, time_ns
from typing import Any

from loadcell.load.air import Air
from loadcell.load.audit import STALL_NS, Audit
from loadcell.load.clock import OFFSET_SLACK_NS, STAMP_BYTES, Message, Timer, clock_offset
from loadcell.load.due import Due
from loadcell.load.flight import FIELDS, Flight, Ledger
from loadcell.load.job import Job
from loadcell.load.landing import Landing, plain_stream
from loadcell.load.live import Count, Live
from loadcell.load.looks import LOOK_NS
from loadcell.load.poller import READABLE, WRITABLE, make_poller
from loadcell.load.pool import OPENING_MOST, Handlers, Pool
from loadcell.load.room import Room
from loadcell.load.spool import Bodies
from loadcell.load.tail import Tail
from loadcell.load.wire import READ_BYTES, Connection, describe
from loadcell.phrases import phrase
from loadcell.protocol import dialect_of
from loadcell.recording.schema import MISSING

TICK_S = 0.05
TICK_NS = 50_000_000
BULK_BYTES = READ_BYTES // 2
"""A read this large is parsed at once: it is no token stream, and storing such reads would not be bounded."""
STORED_READS = 256
"""A stream with more stored reads is parsed as it goes, when nothing else is to be done."""
STORED_READS_MOST = 4096
"""A stream with more stored reads is parsed whatever else is to be done: memory must stay bounded."""
QUIET_NS = 250_000_000
"""A stream that pauses for this long is parsed meanwhile: its end, or an error, may have come in an odd form."""
UNREAD_NS = 2_000_000_000
"""And one that does not pause, every so often: what has failed may go on speaking."""
UNPARSED_READS = 600_000
"""With more reads than this in landed replies (about 300 MB, all workers together), parsing comes before reading."""
FLUSH_ROWS = 250_000
FLUSH_NS = 5_000_000_000
GUARD_NS = 300_000
"""No parsing is begun this close to a planned send."""
SPARE = 2
"""Idle connections that are kept at hand in an open loop."""

Entry = tuple[Callable[[int, int], Message], Callable[[Any], None], Flight]
"""What the loop needs for a readable socket: how to read, where to put it, whose it is."""


class Worker:
    """The event loop of one worker. `prepare`, then `run`."""

    def __init__(self, job: Job, live: Live, ledger: Ledger, schedule: dict[str, array[int]], audit: Audit) -> None:
        self.job, self.live, self.ledger, self.audit = job, live, ledger, audit
        self.count = live.cells(job.worker)
        self.bodies = Bodies(job.segments, job.places_fd, job.rows, live)
        self.tail = Tail(job, live)
        self.schedule = schedule
        self.poller = make_poller()
        self.timer = Timer()
        self.dialect = dialect_of(job.api)
        self.head = job.target.post_head(self.dialect.path, stream=job.stream)
        self.due = Due(job, live, self.tail, schedule["planned_ns"], self.timer, audit, self._request)
        self.air = Air(self.count)
        self.t0 = 0
        self.parent = os.getppid()

        self.flights: dict[int, Entry] = {}
        self.handlers: Handlers = {}
        self.pool = Pool(job, self.poller, self.handlers, audit, self._serve_waiting, self._no_connection, job.worker)
        self.waiting: deque[Flight] = deque()
        self.landed = Landing(job, live, ledger, audit, self.bodies)
        self.long: deque[Flight] = deque()
        self.room = Room(job.memory_bytes)
        self.in_flight = 0
        self.last_flush_ns = 0
        if self.timer.fd is not None:
            self.poller.add(self.timer.fd, READABLE)
            self.handlers[self.timer.fd] = lambda _: self._timer_fired()

    def prepare(self) -> str | None:
        """Open the connections. Returns what went wrong if not one could be opened."""
        return self.pool.fill(self.job.pool, lambda: self.live.stop)

    def run(self, t0_ns: int) -> None:
        """Send, receive, parse and record until everything has landed, or until told to stop."""
        self.t0 = self.last_flush_ns = t0_ns
        self.due.begin(t0_ns)
        next_tick = t0_ns
        self.ledger.looks.begin()
        flights, poll, mono, real, audit = self.flights, self.poller.poll, monotonic_ns, time_ns, self.audit
        due, long, first, landing = self.due, self.long, self.air.first, self.landed
        landed, unparsed_most = landing.flights, UNPARSED_READS // self.job.workers
        size, notes, bulk, end, slack = READ_BYTES, STAMP_BYTES, BULK_BYTES, b"\r\n\r\n", OFFSET_SLACK_NS
        tell_above, busy = 0, 0
        looked, all_told = t0_ns, self.poller.most
        now = mono()
        offset = clock_offset()
        while True:
            # Wait only if there is nothing to do; a planned send ends the wait through the timer.
            parsing = (landed or long or first) and (not due.at_ns or due.at_ns - now > GUARD_NS)
            ready = poll(0 if parsing else self._patience())
            woke = mono()
            if woke - now > STALL_NS:
                self._waited(now, woke, parsing=bool(parsing))
            if not -slack < real() - woke - offset < slack:
                offset = self._new_offset(offset)
            turn = (offset, looked, now, woke)
            for fd, mask in ready:
                entry = flights.get(fd)
                if entry is None:
                    handler = self.handlers.get(fd)
                    if handler is not None:
                        handler(mask)
                    continue
                recvmsg, append, flight = entry
                if mask & WRITABLE:
                    self._send_more(flight)
                    if mask == WRITABLE:
                        continue
                try:
                    data, ancillary, _, _ = recvmsg(size, notes)
                except BlockingIOError:
                    continue
                except OSError as error:
                    self._lost(flight, error)
                    continue
                append(data)
                append(ancillary[0][2] if ancillary else b"")
                append(mono())
                append(turn)
                # A token is a few hundred bytes; the end of a reply, or anything odd, is looked at.
                if not 3 < len(data) < bulk or data[-4:] == end or flight.slow:
                    self._look(flight, data)
            if len(ready) < all_told:  # what was not told was not there: what the next poll tells came later than this
                looked = woke - LOOK_NS if woke - now > LOOK_NS else now
            now = mono()
            if due.at_ns and now >= due.at_ns:
                due.send(now)
                now = mono()
            if now >= next_tick:
                next_tick = now + TICK_NS
                audit.busy(busy + now - woke, now)
                busy = woke - now  # what this turn has told already
                if self._tick(now):
                    return
                now = mono()
            busy += now - woke
            if (parsing and not ready) or landing.unparsed > unparsed_most:
                self._parse_some()
                now = mono()
            if now - woke > tell_above:
                tell_above = audit.turn(woke, now - woke)

    def _waited(self, began: int, woke: int, *, parsing: bool) -> None:
        """Note a poll that came back later than it should have: the process was stopped, or had no core."""
        wake_by = began if parsing else began + TICK_NS
        if not parsing and self.due.at_ns:
            wake_by = max(began, min(wake_by, self.due.at_ns))
        self.audit.stall(wake_by, woke - wake_by)

    def _new_offset(self, offset: int) -> int:
        """Offset of the wall clock after two readings that disagree with the old one."""
        found = clock_offset()
        if abs(found - offset) <= OFFSET_SLACK_NS:
            return offset
        self.audit.clock_steps += 1
        return found

    def _patience(self) -> float:
        """Seconds to wait at most; without a timer descriptor, until the next planned thing."""
        if self.timer.fd is not None or not self.due.at_ns:
            return TICK_S
        return min(TICK_S, max(0.0, (self.due.at_ns - monotonic_ns()) / 1e9))

    def _timer_fired(self) -> None:
        self.timer.clear()
        if self.due.starved_ns:
            self._feed()

    def _feed(self) -> None:
        """Go on with what waited for its body, if that has been made."""
        now = monotonic_ns()
        if self.waiting and not self.bodies.ready(self.waiting[0].request):
            self.due.arm()
            return
        self.audit.body_wait_ns += now - self.due.starved_ns
        self.due.starved_ns = 0
        self._serve_waiting()

    def _request(self, planned_ns: int, ready_ns: int) -> None:
        request, columns = self.due.take(), self.schedule
        lengths = columns["input_tokens"][request], columns["output_tokens"][request]
        flight = Flight(self.dialect, request, planned_ns, ready_ns, *lengths)
        flight.counted = self.tail.counts(ready_ns if planned_ns == MISSING else planned_ns)
        if flight.counted:
            self.tail.begun()
        self.audit.late_bodies += not self.bodies.ready(request)
        self.waiting.append(flight)
        self._serve_waiting()
        if self.job.users is None and len(self.pool.idle) + len(self.pool.opening) < SPARE:
            self.pool.open()

    def _serve_waiting(self) -> None:
        """Send what waits, first come first served, as far as the cap and the connections allow."""
        while self.waiting and (self.job.cap is None or self.in_flight < self.job.cap):
            if not self.bodies.ready(self.waiting[0].request):
                if not self.due.starved_ns:
                    self.due.starved_ns = monotonic_ns()
                    self.due.arm()
                return
            connection = self.pool.take()
            if connection is None:
                while len(self.pool.opening) < min(len(self.waiting), OPENING_MOST):
                    self.pool.open()
                return
            self._send(self.waiting.popleft(), connection)

    def _send(self, flight: Flight, connection: Connection) -> None:
        request = flight.request
        body = self.bodies.read(request)
        head = b"%bContent-Length: %d\r\nX-Request-Id: %b-%d\r\n\r\n" % (
            self.head, len(body), self.job.run_id.encode(), request,
        )  # fmt: skip
        flight.connection = connection
        flight.fresh = connection.served == 0 and connection.start_ns >= self.t0
        flight.bytes_sent = len(head) + len(body)
        connection.served += 1
        self.in_flight += 1
        self.count[Count.ISSUED] += 1
        self.count[Count.BEYOND] += not flight.counted
        self.count[Count.IN_FLIGHT] = self.in_flight
        self.handlers.pop(connection.fd, None)
        self.flights[connection.fd] = (connection.recvmsg, flight.reads.append, flight)
        flight.send_start_ns = monotonic_ns()
        try:
            out = connection.send(head + body)
        except OSError as error:
            self._lost(flight, error)
            return
        if out:
            flight.send_end_ns = monotonic_ns()
        else:
            self.poller.change(connection.fd, READABLE | WRITABLE)

    def _send_more(self, flight: Flight) -> None:
        assert flight.connection is not None
        try:
            if flight.connection.flush():
                flight.send_end_ns = monotonic_ns()
                self.poller.change(flight.connection.fd, READABLE)
        except OSError as error:
            self._lost(flight, error)

    # --- the end of a reply ---

    def _look(self, flight: Flight, data: bytes) -> None:
        """Decide what an unusual read means; most of these are the first or the last of their reply."""
        reads, reply = flight.reads, flight.reply
        if not data:
            del reads[-FIELDS:]  # the end of the connection is no read of the reply, and carries no stamp
            flight.parse_all()
            reply.close(max(len(flight.times) - 1, 0))
            self._land(flight, reuse=False)
            return
        if flight.slow and len(reads) == FIELDS and not reply.bytes:
            flight.slow = self.job.left_open or not plain_stream(data, flight)
        if not flight.slow and len(data) < BULK_BYTES:
            if data[-4:] != b"\r\n\r\n" and len(data) > 3:
                return
            before, mark = reads[-2 * FIELDS] if len(reads) > FIELDS else b"", self.dialect.mark
            if data.endswith(b"0\r\n\r\n") and mark and (mark in data or mark in before):
                self._land(flight, reuse=True)
                return
        flight.parse_all()
        if self.job.left_open and reply.done:
            reply.give_up(len(flight.times) - 1)
        if reply.closed:
            self._land(flight, reuse=reply.keep_alive)

    def _lost(self, flight: Flight, error: OSError) -> None:
        """The connection broke."""
        flight.parse_all()
        flight.reply.close(max(len(flight.times) - 1, 0))
        if not flight.reply.bytes:
            flight.failure = ("reset", phrase("the connection was lost before the reply: {}", describe(error)))
        self._land(flight, reuse=False)

    def _land(self, flight: Flight, *, reuse: bool, known_ns: int | None = None) -> None:
        """The flight is over: free its connection, let its user go on, leave the parsing for later.

        `known_ns` is when that was known, where its server did not say so: its user could not go on before.
        """
        connection = flight.connection
        assert connection is not None
        now = monotonic_ns()
        heard = flight.last_read_ns()
        flight.end_ns = now if flight.failure or flight.cancelled or heard == MISSING else heard
        self.flights.pop(connection.fd, None)
        self.in_flight -= 1
        self.count[Count.IN_FLIGHT] = self.in_flight
        if flight.counted:
            self.tail.ended()
        if reuse and self.job.reuse and flight.send_end_ns != MISSING and not self.live.stop:
            self.pool.rest(connection, now)
        else:
            self.pool.drop(connection)
            if not flight.cancelled and not self.live.stop:
                self.audit.not_kept(failed=bool(flight.failure or flight.reply.failure))
        self.landed.add(flight)
        if self.job.users is not None and not flight.cancelled:
            self.due.go_on(flight, now, known_ns, alone=not self.in_flight and not self.waiting)
        self._serve_waiting()

    def _no_connection(self, why: str) -> None:
        """A connection could not be opened: the request that waited longest for one has failed."""
        if not self.waiting:
            return
        flight = self.waiting.popleft()
        flight.failure = ("connect", phrase("no connection: {}", why))
        flight.end_ns = monotonic_ns()
        self.count[Count.ISSUED] += 1
        self.count[Count.BEYOND] += not flight.counted
        if flight.counted:
            self.tail.ended()
        self.landed.add(flight)
        if self.job.users is not None:
            self.due.go_on(flight, flight.end_ns, None, alone=not self.in_flight and not self.waiting)

    # --- when there is time ---

    def _tick(self, now: int) -> bool:
        """What is done a few times a second; True when the run is over."""
        self.ledger.looks.sample()
        self.count[Count.BUSY_NS], self.count[Count.STALL_NS] = self.audit.busy_ns, self.audit.stalled_ns
        self.due.past_end()
        if self.live.stop or os.getppid() != self.parent:
            self._cancel()
        elif self.tail.is_last(now - self.t0, self.due.at_ns - self.t0 if self.due.at_ns else None):
            self._give_up_beyond()
        timeout = int(self.job.timeout_s * 1e9)
        for _, _, flight in list(self.flights.values()):
            if now - flight.send_start_ns > timeout:
                self._time_out(flight)
            elif flight.stored > STORED_READS_MOST:
                flight.parse_all()
                if flight.reply.closed:
                    self._land(flight, reuse=flight.reply.keep_alive)
            elif not flight.reads:
                self._wait_no_longer(flight, now)
            elif not flight.sought and (
                flight.stored > STORED_READS
                or now - flight.reads[-2] > QUIET_NS
                or now - max(flight.sought_ns, flight.send_start_ns) > UNREAD_NS
            ):
                flight.sought, flight.sought_ns = True, now
                self.long.append(flight)
        if self.air.count((flight for _, _, flight in self.flights.values()), now):
            self._make_room()
        self.pool.end_late(now)
        if self.due.starved_ns:
            self._feed()
        self._serve_waiting()
        writer = self.ledger.writer
        if len(writer.chunks) > FLUSH_ROWS or now - self.last_flush_ns > FLUSH_NS:
            self.last_flush_ns = now
            writer.flush()
            if writer.error:
                self.live.stop = True
        return not (self.flights or self.waiting or self.landed.flights or self.due.at_ns)

    def _make_room(self) -> None:
        """End the largest replies while all of them together take more memory than they may."""
        if not self.room.is_tight():
            return
        flights = [flight for _, _, flight in self.flights.values()]
        for flight, weight, held in self.room.too_much(flights):
            flight.forget()
            flight.failure = (
                "too_large",
                phrase(
                    "its reply took {} MiB, the most of those in the air, which took {} MiB: a load "
                    "process has {} MiB for replies, half of it for these (--memory)",
                    weight >> 20,
                    held >> 20,
                    self.room.most_bytes >> 20,
                ),
            )
            flight.reply.close(max(len(flight.times) - 1, 0))
            self._land(flight, reuse=False)
        limit = monotonic_ns() + TICK_NS
        while self.landed.flights and self.room.is_full(self.landed.bytes) and monotonic_ns() < limit:
            self._parse_some()

    def _wait_no_longer(self, flight: Flight, now: int) -> None:
        """End a reply that is known to be over, though its server leaves it open."""
        if not flight.times or now - flight.times[-1] < TICK_NS:
            return
        patience_ns = flight.reply.patience_ns
        if patience_ns is not None and now - flight.times[-1] > patience_ns:
            flight.reply.give_up(len(flight.times) - 1)
            self._land(flight, reuse=False, known_ns=now)

    def _time_out(self, flight: Flight) -> None:
        flight.parse_all()
        reply = flight.reply
        if reply.patience_ns is not None:
            reply.give_up(max(len(flight.times) - 1, 0))
        elif not reply.failure:
            came = phrase("after {} events", len(reply.kinds)) if reply.kinds else phrase("without any output")
            flight.failure = ("timeout", phrase("not complete after {:g} s, {}", self.job.timeout_s, came))
        reply.close(max(len(flight.times) - 1, 0))
        self._land(flight, reuse=False)

    def _cancel(self) -> None:
        """Stop: nothing more is sent, what is in the air is given up and recorded as cancelled.

        After an ordered end of sending that is all that was planned before it, sent or not, so that the accounts close.
        """
        if self.live.end_ns:
            self.due.send(monotonic_ns())
            for flight in self.waiting:
                flight.cancelled = True
                flight.end_ns = monotonic_ns()
                self.count[Count.ISSUED] += 1
                self.landed.add(flight)
        self.waiting.clear()
        self.due.end()
        for _, _, flight in list(self.flights.values()):
            flight.cancelled = True
            self._land(flight, reuse=False)

    def _give_up_beyond(self) -> None:
        """Every counted reply has ended: what keeps the load on is not needed any more."""
        self.tail.over = True
        self.waiting.clear()
        self.due.none()
        for _, _, flight in list(self.flights.values()):
            flight.cancelled = True
            self._land(flight, reuse=False)

    def _parse_some(self) -> None:
        """One slice of the oldest landed reply; else of one still in the air."""
        if self.landed.flights:
            self.landed.parse_some()
            return
        waiting = self.air.first or self.long
        flight = waiting[0]
        if flight.parse() or waiting is self.air.first:
            waiting.popleft()
            if waiting is self.long:
                flight.sought = False
        self.air.tell_first(flight, self.t0)
        if flight.reply.closed and flight.end_ns == MISSING:
            self._land(flight, reuse=flight.reply.keep_alive)
