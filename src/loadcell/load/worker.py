"""The hot path: one process, one event loop, no work per chunk but a read, a clock and an append.

While anything is readable, reads are only stored. A reply is parsed when it is complete and nothing is readable. The
loop is told its slice of the schedule before the clock starts and shares nothing while it runs but a few counters.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from time import monotonic_ns

from loadcell.core import BULK_BYTES, Event, Note, What
from loadcell.core.clock import Timer
from loadcell.core.poller import READABLE, make_poller
from loadcell.load.air import Air
from loadcell.load.audit import Audit
from loadcell.load.course import Course
from loadcell.load.due import Due
from loadcell.load.flight import Flight
from loadcell.load.job import Job
from loadcell.load.landing import Landing, plain_stream
from loadcell.load.lanes import Lane, Lanes
from loadcell.load.live import Count, Live
from loadcell.load.looks import Looks
from loadcell.load.manners import Manners, Moment, has_output
from loadcell.load.pool import Handlers
from loadcell.load.room import Room
from loadcell.load.rows import Ledger
from loadcell.load.splice import Talk
from loadcell.load.spool import Bodies
from loadcell.load.tail import Tail
from loadcell.load.talking import Talking
from loadcell.load.target import Target
from loadcell.load.wire import Broken, Connection, describe
from loadcell.phrases import phrase
from loadcell.protocol import dialect_of
from loadcell.recording.schema import MISSING
from loadcell.recording.write import MISSING_INT
from loadcell.sessions import sticky_header

TICK_NS = 50_000_000
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
TOGETHER, TOGETHER_NS = 12, 100_000_000
"""So many landed replies, or what has waited for so long, are parsed one after the other: code that has just run is
fast, and between reads of the kernel it is not."""
FLUSH_ROWS = 250_000
FLUSH_NS = 5_000_000_000
GUARD_NS = 300_000
"""No parsing is begun this close to a planned send."""
_UNENDED = ("cut", "reset")
"""Kinds of failure of a reply that did not come to its end."""


class Worker:
    """The event loop of one worker. `prepare`, then `run`."""

    def __init__(
        self,
        job: Job,
        live: Live,
        ledger: Ledger,
        looks: Looks,
        schedule: dict[str, array[int]],
        audit: Audit,
        course: Course | None = None,
        manners: Manners | None = None,
    ) -> None:
        self.job, self.live, self.ledger, self.looks, self.audit = job, live, ledger, looks, audit
        self.count = live.cells(job.worker)
        self.bodies = Bodies(job.segments, job.places_fd, job.rows, live)
        self.tail = Tail(job, live)
        self.schedule, self.manners = schedule, manners
        self.poller = make_poller()
        self.timer = Timer()
        self.dialect = dialect_of(job.api)
        self.air = Air(self.count)
        self.t0 = 0
        self.parent = os.getppid()

        self.flights: dict[int, Flight] = {}
        self.handlers: Handlers = {}
        slow = manners is not None and manners.read_slowly_at_all
        self.lanes = Lanes(job, self.poller, self.handlers, audit, self._serve_waiting, self._no_connection, slow=slow)
        self.reader = self.lanes.reader(self.poller)
        self.landed = Landing(job, live, ledger, audit, self.bodies)
        self.talking: Talking | None = None
        if course is not None:
            talk = Talk(job.messages) if job.gaps else None
            name = sticky_header(job.sticky)
            header = (
                b"" if name is None else b"%b: %b-%%d\r\n" % (name.replace("%", "%%").encode(), job.run_id.encode())
            )
            self.talking = Talking(course, talk, header, self.landed.parse, self._failed_late)
            self.landed.settled = self.talking.settled
        pauses = schedule["delay_ns"] if job.pauses else None
        self.due = Due(
            job,
            live,
            self.tail,
            schedule["planned_ns"],
            self.timer,
            audit,
            self._request,
            pauses,
            course,
            self.talking.settle if self.talking else lambda _: None,
            self._over,
        )
        self.holds = job.sticky == "connection"
        self.long: deque[Flight] = deque()
        self.room = Room(job.memory_bytes)
        self.in_flight = 0
        self.last_flush_ns = 0
        if self.timer.fd is not None:
            self.poller.add(self.timer.fd, READABLE)
            self.handlers[self.timer.fd] = lambda _: self._timer_fired()

    def prepare(self) -> str | None:
        """Open the connections. Returns what went wrong if not one could be opened."""
        return self.lanes.fill(lambda: self.live.stop)

    def run(self, t0_ns: int) -> None:
        """Send, receive, parse and record until everything has landed, or until told to stop."""
        self.t0 = self.last_flush_ns = t0_ns
        self.due.begin(t0_ns)
        next_tick = t0_ns
        self.looks.begin()
        audit, due, long, first, landing, reader, manners = (
            self.audit, self.due, self.long, self.air.first, self.landed, self.reader, self.manners,
        )  # fmt: skip
        landed, unparsed_most = landing.flights, UNPARSED_READS // self.job.workers
        reader.begin(t0_ns)
        busy, told = 0, 0
        now = parse_from = monotonic_ns()
        while True:
            # Wait only if there is nothing to do; a planned send ends the wait through the timer.
            if not (landed or first):
                parse_from = now + TOGETHER_NS
            elif len(landed) >= TOGETHER or not self.flights:
                parse_from = min(parse_from, now)
            parsing = bool(long or now >= parse_from) and (not due.at_ns or due.at_ns - now > GUARD_NS)
            until = min(next_tick, due.at_ns) if due.at_ns else next_tick
            if manners is not None:
                until = min(until, manners.at_ns)
            reader.may_rest = not self.lanes.opening
            for event in reader.turn(until, wait=not parsing):
                self._see_to(event)
            for note in reader.notes:
                self._noted(note)
            now = monotonic_ns()
            if due.at_ns and now >= due.at_ns:
                due.send(now)
                now = monotonic_ns()
            if manners is not None and now >= manners.at_ns:
                self._behave(manners, now)
                now = monotonic_ns()
            if now >= next_tick:
                next_tick = now + TICK_NS
                own = now - reader.woke_ns
                audit.clock_steps = reader.clock_steps
                audit.busy(busy + own + reader.busy_ns - told, now)
                busy, told = -own, reader.busy_ns  # what this turn has told already
                if self._tick(now):
                    return
                now = monotonic_ns()
            busy += now - reader.woke_ns
            if (parsing and not reader.ready) or landing.unparsed > unparsed_most:
                self._parse_some()
                now = monotonic_ns()
            if now - reader.woke_ns > reader.tell_above_ns:
                reader.tell_above_ns = audit.turn(reader.woke_ns, now - reader.woke_ns)

    def _see_to(self, event: Event) -> None:
        """What the reader leaves to its caller."""
        flight = self.flights.get(event.fd)
        if flight is None:
            handler = self.handlers.get(event.fd)
            if handler is not None and event.what is What.READY:
                handler(event.mask)
        elif event.what is What.WRITABLE:
            self._send_more(flight)
        elif event.error is not None:
            self._lost(flight, event.error)
        elif event.what is not What.READY:
            self._look(flight, ended=event.what is What.ENDED)

    def _noted(self, note: Note) -> None:
        """A time without a look at the sockets: the process was stopped, or had no core, or had much to read."""
        if note.late:
            self.audit.stall(note.began_ns, note.length_ns)
        else:
            self.reader.tell_above_ns = self.audit.turn(note.began_ns, note.length_ns)

    def _timer_fired(self) -> None:
        self.timer.clear()
        if self.due.starved_ns:
            self._feed()

    def _feed(self) -> None:
        """Go on with what waited for its body, if that has been made."""
        now = monotonic_ns()
        first = self.lanes.first(())
        if first is not None and not self.bodies.ready(first.waiting[0].request):
            self.due.arm()
            return
        self.audit.body_wait_ns += now - self.due.starved_ns
        self.due.starved_ns = 0
        self._serve_waiting()

    def _request(self, request: int, planned_ns: int, ready_ns: int) -> None:
        columns = self.schedule
        lengths = columns["input_tokens"][request], columns["output_tokens"][request]
        inputs = columns["inputs"][request]
        wanted = None if inputs == MISSING_INT else (inputs, columns["results"][request])
        kind = columns["class"][request]
        flight = Flight(self.dialect, request, planned_ns, ready_ns, *lengths, wanted, kind)
        if self.manners is not None:
            self.manners.know(flight)
        lane = self.lanes.lane(flight)
        flight.counted = self.tail.counts(ready_ns if planned_ns == MISSING else planned_ns)
        if flight.counted:
            self.tail.begun()
        self.audit.late_bodies += not self.bodies.ready(request)
        lane.waiting.append(flight)
        self._serve_waiting()
        if self.job.users is None:
            lane.pool.spare()

    def _serve_waiting(self) -> None:
        """Send what waits, first come first served, as far as the cap and the connections allow."""
        without: list[Lane] = []  # no connection of theirs is free
        while (self.job.cap is None or self.in_flight < self.job.cap) and (lane := self.lanes.first(without)):
            if not self.bodies.ready(lane.waiting[0].request):
                if not self.due.starved_ns:
                    self.due.starved_ns = monotonic_ns()
                    self.due.arm()
                return
            connection = self._take(lane)
            if connection is None:
                lane.pool.want(lane.waiting)
                without.append(lane)
            else:
                self._send(lane.waiting.popleft(), connection)

    def _take(self, lane: Lane) -> Connection | None:
        """A connection for what waits first."""
        if self.holds and self.talking is not None:
            held = lane.pool.held(self.talking.session_of(lane.waiting[0].request))
            if held is not None:
                return held
        return lane.pool.take()

    def _send(self, flight: Flight, connection: Connection) -> None:
        request = flight.request
        body, beside = self.bodies.read(request), b""
        if self.talking is not None:
            body, beside = self.talking.body(request, body), self.talking.header(request)
            flight.body = body if self.job.keep_text and self.job.gaps else None
        signs = self.lanes.signs[flight.kind]
        signature = b"" if signs is None else self._sign(signs, body)
        head = b"%b%b%bContent-Length: %d\r\nX-Request-Id: %b-%d\r\n\r\n" % (
            self.lanes.heads[flight.kind], signature, beside, len(body), self.job.run_id.encode(), request,
        )  # fmt: skip
        flight.connection = connection
        flight.fresh = connection.served == 0 and connection.start_ns >= self.t0
        flight.bytes_sent = len(head) + len(body)
        flight.reply.asked(body)
        connection.served += 1
        self.in_flight += 1
        self.count[Count.ISSUED] += 1
        self.count[Count.BEYOND] += not flight.counted
        self.count[Count.IN_FLIGHT] = self.in_flight
        self.handlers.pop(connection.fd, None)
        self.flights[connection.fd] = flight
        sealed = connection.sealed if flight.leave_tokens is None else None  # else each token is seen as it comes
        self.reader.watch(connection.fd, flight.tape, connection.recvmsg, plain=connection.plain, sealed=sealed)
        flight.send_start_ns = monotonic_ns()
        if self.manners is not None:
            self.manners.begin(flight)
        flight.tape.begin(flight.send_start_ns)
        try:
            out = connection.send(head + body)
        except OSError as error:
            self._lost(flight, error)
            return
        if out:
            flight.send_end_ns = monotonic_ns()
            if flight.reads_slowly:
                self._slow_down(flight)
        else:
            flight.begun_ns = monotonic_ns()
            self.lanes.lane(flight).pool.sends(connection, more=True)

    def _sign(self, signs: Target, body: bytes) -> bytes:
        began_ns = monotonic_ns()
        lines = signs.signature("POST", "", body)
        self.audit.signing_ns += monotonic_ns() - began_ns
        return lines

    def _send_more(self, flight: Flight) -> None:
        assert flight.connection is not None
        try:
            if flight.connection.flush():
                flight.send_end_ns = monotonic_ns()
                self.lanes.lane(flight).pool.sends(flight.connection, more=False)
                if flight.reads_slowly:
                    self._slow_down(flight)
        except OSError as error:
            self._lost(flight, error)

    # --- the end of a reply ---

    def _look(self, flight: Flight, *, ended: bool) -> None:
        """Decide what an unusual read means; most of these are the first or the last of their reply."""
        tape, reply = flight.tape, flight.reply
        if ended:
            flight.parse_all()
            flight.close()
            self._land(flight, reuse=False)
            return
        data = tape.newest()
        if tape.watchful and tape.reads == 1:
            tape.watchful = self.lanes.lane(flight).left_open or not plain_stream(data, flight) or flight.watched
        if not tape.watchful and len(data) < BULK_BYTES:
            if data[-4:] != b"\r\n\r\n" and len(data) > 3:
                return
            mark = self.dialect.mark
            if mark and data.endswith(b"0\r\n\r\n") and (mark in data or mark in tape.newest(2)):
                self._land(flight, reuse=True)
                return
        flight.parse_all()
        if self.lanes.lane(flight).left_open and reply.done:
            flight.give_up()
        if reply.closed:
            self._land(flight, reuse=reply.keep_alive)
        elif flight.leave_tokens is not None and not reply.ended and flight.count_output() >= flight.leave_tokens:
            self._abandon(flight, "tokens")

    def _lost(self, flight: Flight, error: OSError) -> None:
        """The connection broke."""
        flight.parse_all()
        flight.close()
        known = flight.reply.failure
        if isinstance(error, Broken):
            kind = error.failure[0] if known is None else known[0]
            if (kind in _UNENDED) != (known is None):  # else its end was told before, or what is known says more
                flight.failure = error.failure
        elif not flight.reply.bytes:
            flight.failure = ("reset", phrase("the connection was lost before the reply: {}", describe(error)))
        self._land(flight, reuse=False)

    def _land(self, flight: Flight, *, reuse: bool, known_ns: int | None = None) -> None:
        """The flight is over: free its connection, let its user go on, leave the parsing for later.

        `known_ns` is when that was known, where its server did not say so: its user could not go on before.
        """
        connection, lane = flight.connection, self.lanes.lane(flight)
        assert connection is not None
        now = monotonic_ns()
        heard = flight.tape.last_ns()
        given_up = flight.cancelled or flight.gave_up is not None
        flight.end_ns = now if flight.failure or given_up or heard == MISSING else heard
        if flight.reads_slowly and flight.send_end_ns != MISSING:
            self.poller.add(connection.fd, READABLE)  # as its pool knows it
        self.flights.pop(connection.fd, None)
        self.reader.leave(connection.fd)
        self.in_flight -= 1
        self.count[Count.IN_FLIGHT] = self.in_flight
        if flight.counted:
            self.tail.ended()
        if reuse and lane.reuse and flight.send_end_ns != MISSING and not self.live.stop:
            if self.holds and self.talking is not None:
                lane.pool.hold(self.talking.session_of(flight.request), connection, now)
            else:
                lane.pool.rest(connection, now)
        elif lane.pool.drop(connection) and not (given_up or flight.reads_slowly or self.live.stop):
            self.audit.not_kept(failed=bool(flight.failure or flight.reply.failure))
        self.landed.add(flight)
        if self.talking is not None:
            self.talking.landed(flight)
        if not flight.cancelled:
            self.due.go_on(flight, now, known_ns, alone=not self.in_flight and not self.lanes.waits)
        self._serve_waiting()

    def _no_connection(self, lane: Lane, why: str) -> None:
        """A connection could not be opened: the request that waited longest for one has failed."""
        if not lane.waiting:
            return
        flight = lane.waiting.popleft()
        flight.failure = ("connect", phrase("no connection: {}", why))
        flight.end_ns = monotonic_ns()
        self.count[Count.ISSUED] += 1
        self.count[Count.BEYOND] += not flight.counted
        if flight.counted:
            self.tail.ended()
        self.landed.add(flight)
        self.due.go_on(flight, flight.end_ns, None, alone=not self.in_flight and not self.lanes.waits)

    # --- sessions ---

    def _over(self, session: int) -> None:
        """Nothing of a session is ready or in the air any more."""
        if self.talking is not None:
            self.talking.over(session)
        if self.holds:
            for lane in self.lanes:
                lane.pool.release(session)

    def _failed_late(self, flight: Flight) -> None:
        """What looked like a good end was none."""
        self.due.failed_late(flight, monotonic_ns())
        self._serve_waiting()

    # --- users who do not just wait ---

    def _behave(self, manners: Manners, now: int) -> None:
        """What is due of users: to leave a request, or to read a little of it."""
        for moment, flight in manners.due(now):
            if moment is Moment.READ:
                turn = (self.reader.offset, now, now, now)
                found = manners.read(flight, now, turn)
                if isinstance(found, OSError):
                    self._lost(flight, found)
                elif found is not None:
                    self._look(flight, ended=found is What.ENDED)
                continue
            flight.parse_all()
            if flight.reply.closed:
                self._land(flight, reuse=flight.reply.keep_alive)
            elif moment is Moment.CANCEL:
                self._abandon(flight, "time")
            elif not has_output(flight):
                self._abandon(flight, "patience")

    def _abandon(self, flight: Flight, why: str) -> None:
        """Its user gives it up, as planned: the connection is closed, or its stream reset."""
        flight.gave_up = why
        flight.close()
        self._land(flight, reuse=False)

    def _slow_down(self, flight: Flight) -> None:
        """A request of a slow reader is out: nobody reads its connection but by its pace."""
        assert self.manners is not None and flight.connection is not None
        self.reader.leave(flight.connection.fd)
        self.poller.remove(flight.connection.fd)
        self.manners.read_slowly(flight, monotonic_ns())

    # --- when there is time ---

    def _tick(self, now: int) -> bool:
        """What is done a few times a second; True when the run is over."""
        self.looks.sample()
        self.count[Count.BUSY_NS], self.count[Count.STALL_NS] = self.audit.busy_ns, self.audit.stalled_ns
        self.due.past_end()
        if self.job.sessions or self.job.pauses:
            waiting = (flight.request for flight in self.lanes.waiting())
            self.count[Count.SETTLED], self.count[Count.REACHED] = self.due.reach(waiting)
        if self.live.stop or os.getppid() != self.parent:
            self._cancel()
        elif self.tail.is_last(now - self.t0, self.due.at_ns - self.t0 if self.due.at_ns else None):
            self._give_up_beyond()
        if self.air.count(self.flights.values(), now):
            self._walk(now)
            self._make_room()
        self.lanes.end_late(now)
        if self.due.starved_ns:
            self._feed()
        self._serve_waiting()
        writer = self.ledger.writer
        if len(writer.chunks) > FLUSH_ROWS or now - self.last_flush_ns > FLUSH_NS:
            self.last_flush_ns = now
            writer.flush()
            if writer.error:
                self.live.stop = True
        return not (self.flights or self.lanes.waits or self.landed.flights or self.due.at_ns)

    def _walk(self, now: int) -> None:
        """See to those in the air that took too long, stored much, or fell silent."""
        timeout = int(self.job.timeout_s * 1e9)
        for fd, flight in list(self.flights.items()):
            if now - flight.send_start_ns > timeout:
                self._time_out(flight)
            elif (stored := flight.tape.stored) > STORED_READS_MOST:
                flight.parse_all()
                if flight.reply.closed:
                    self._land(flight, reuse=flight.reply.keep_alive)
            elif not stored:
                self._wait_no_longer(flight, now)
            elif now - flight.tape.heard_ns() > TICK_NS and (event := self.reader.overdue(fd)):
                self._see_to(event)  # the end of a reply in a TLS record as long as a token's
            elif not flight.sought and (
                stored > STORED_READS
                or now - flight.tape.heard_ns() > QUIET_NS
                or now - max(flight.sought_ns, flight.send_start_ns) > UNREAD_NS
            ):
                flight.sought, flight.sought_ns = True, now
                self.long.append(flight)

    def _make_room(self) -> None:
        """End the largest replies while all of them together take more memory than they may."""
        if not self.room.is_tight():
            return
        for flight, weight, held in self.room.too_much(self.flights.values()):
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
            flight.close()
            self._land(flight, reuse=False)
        limit = monotonic_ns() + TICK_NS
        while self.landed.flights and self.room.is_full(self.landed.bytes) and monotonic_ns() < limit:
            self._parse_some()

    def _wait_no_longer(self, flight: Flight, now: int) -> None:
        """End a reply that is known to be over, though its server leaves it open."""
        heard = flight.tape.last_ns()
        if heard == MISSING or now - heard < TICK_NS:
            return
        patience_ns = flight.reply.patience_ns
        if patience_ns is not None and now - heard > patience_ns:
            flight.give_up()
            self._land(flight, reuse=False, known_ns=now)

    def _time_out(self, flight: Flight) -> None:
        flight.parse_all()
        reply = flight.reply
        if reply.patience_ns is not None:
            flight.give_up()
        elif not reply.failure:
            came = phrase("after {} events", len(reply.kinds)) if reply.kinds else phrase("without any output")
            flight.failure = ("timeout", phrase("not complete after {:g} s, {}", self.job.timeout_s, came))
        flight.close()
        self._land(flight, reuse=False)

    def _cancel(self) -> None:
        """Stop: nothing more is sent, what is in the air is given up and recorded as cancelled.

        After an ordered end of sending that is all that was planned before it, sent or not, so that the accounts close.
        """
        if self.live.end_ns:
            self.due.send(monotonic_ns())
            for flight in self.lanes.waiting():
                flight.cancelled = True
                flight.end_ns = monotonic_ns()
                self.count[Count.ISSUED] += 1
                self.landed.add(flight)
        self.lanes.clear()
        self.due.end()
        for flight in list(self.flights.values()):
            flight.cancelled = True
            self._land(flight, reuse=False)

    def _give_up_beyond(self) -> None:
        """Every counted reply has ended: what keeps the load on is not needed any more."""
        self.tail.over = True
        self.lanes.clear()
        self.due.none()
        for flight in list(self.flights.values()):
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
