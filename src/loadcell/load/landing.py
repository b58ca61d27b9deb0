"""Replies that have ended: parsed slice by slice when there is time, then written as rows."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable

from loadcell.load.audit import Audit
from loadcell.load.call import Call
from loadcell.load.flight import Flight
from loadcell.load.job import Job, Slice
from loadcell.load.live import Count, Live, outcomes_of, tell
from loadcell.load.outcome import outcome
from loadcell.load.rows import Ledger, write_rows
from loadcell.load.spool import Bodies
from loadcell.phrases import phrase
from loadcell.recording.schema import MISSING
from loadcell.spec import Slo


class Book:
    """Where what has ended is written, and told to the parent, who looks on: of one worker."""

    def __init__(self, job: Slice, live: Live, ledger: Ledger) -> None:
        self._job, self._live, self._ledger = job, live, ledger
        self._count = live.cells(job.worker)
        self._outcomes = outcomes_of(job.outcomes_fd, job.rows)

    def enter(self, flight: Flight | Call, body: str | None, stamps: array[int], *, first_told: bool = False) -> None:
        """A request is over and its reply was heard; `body` and `stamps` as `write_rows` takes them."""
        row = write_rows(flight, self._ledger, body, stamps)
        judged = row
        if self._job.users is None and row["planned_ns"] == MISSING:  # it waited for others: it was due when ready
            judged = row | {"planned_ns": row["ready_ns"]}
        slo = Slo() if flight.reads_slowly else self._job.slos[flight.kind]
        self._outcomes[flight.request] = outcome(judged, slo)
        tell(self._count, judged, len(flight.reply.kinds), first_told=first_told)
        if row["status"] == "failed" and row["counted"]:
            self._live.tell_failure(self._job.worker, row["error_kind"], row["error"])


class Landing:
    """Those of one worker."""

    def __init__(self, job: Job, live: Live, ledger: Ledger, audit: Audit, bodies: Bodies) -> None:
        self._job, self._audit, self._bodies = job, audit, bodies
        self._count = live.cells(job.worker)
        self._book = Book(job, live, ledger)
        self.flights: deque[Flight] = deque()
        self.unparsed = 0
        """Reads of theirs that are to be parsed."""
        self.bytes = 0
        """Of memory that they take, about; each is weighed once: thousands may wait."""
        self._weights: deque[int] = deque()
        self.settled: Callable[[Flight], None] = lambda _: None
        """Called for each once it is parsed."""

    def add(self, flight: Flight) -> None:
        """A reply has ended."""
        self.flights.append(flight)
        self._count[Count.AIR_READS] += flight.tape.reads - flight.air_reads  # until it is parsed, and its tokens told
        flight.air_reads = flight.tape.reads
        self.unparsed += flight.tape.stored
        self._weights.append(flight.weight())
        self.bytes += self._weights[-1]

    def parse(self, flight: Flight) -> None:
        """All of one of them, now: something waits for it. Its rows are made in its turn."""
        stored = flight.tape.stored
        flight.parse_all()
        self.unparsed -= stored - flight.tape.stored
        self._close(flight)

    @staticmethod
    def _close(flight: Flight) -> None:
        if not flight.reply.closed:
            if not (flight.cancelled or flight.gave_up or flight.failure):
                flight.failure = ("protocol", phrase("what looked like the end of the reply was not its end"))
            flight.close()

    def parse_some(self) -> None:
        """One slice of the oldest, and its rows when it is whole."""
        flight = self.flights[0]
        stored = flight.tape.stored
        whole = flight.parse()
        self.unparsed -= stored - flight.tape.stored
        if not whole:
            return
        self.flights.popleft()
        self.bytes -= self._weights.popleft()
        reply = flight.reply
        self._close(flight)
        if flight.connection is not None:
            reply.tails.update(flight.connection.mixed)
        self.settled(flight)
        body = None
        if self._job.keep_text:
            body = (flight.body or self._bodies.read(flight.request)).decode(errors="replace")
        stamps = flight.tape.stamps()
        self._audit.landed(flight, stamps)
        self._count[Count.AIR_READS] -= flight.air_reads
        self._book.enter(flight, body, stamps, first_told=flight.first_told)
        flight.tape.close()


def plain_stream(data: bytes, flight: Flight) -> bool:
    """Whether the first read shows a plain chunked body on a connection that stays: then its end is easy to see.

    Notes how long the server keeps idle connections.
    """
    head, blank, _ = data.partition(b"\r\n\r\n")
    head = head.lower()
    keep = head.find(b"keep-alive: timeout=")
    if keep >= 0 and flight.connection is not None:
        digits = head[keep + 20 : keep + 30].split(b"\r", 1)[0].split(b",", 1)[0]
        flight.connection.keep_s = float(digits) if digits.isdigit() else None
    return (
        bool(blank)
        and head.startswith(b"http/1.1 2")
        and b"transfer-encoding: chunked" in head
        and b"content-encoding:" not in head
        and b"connection: close" not in head
    )
