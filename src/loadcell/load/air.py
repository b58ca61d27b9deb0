"""What is told of the replies in the air to those who look on: how much has come, who is silent, first outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from loadcell.load.flight import Flight
from loadcell.load.live import SILENT_NS, Count, tell_first
from loadcell.recording.schema import MISSING

AIR_NS = 200_000_000
"""Time between two counts."""


class Air:
    """Counts for one worker."""

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells
        self._counted_ns = 0
        self.first: deque[Flight] = deque()
        """In the air, with reads that may hold the first output: parsed when nothing else is to be done."""

    def count(self, flights: Iterable[Flight], now: int) -> bool:
        """Tell how much has come, if it is time to, and mark those whose first output is to be looked for."""
        if now - self._counted_ns <= AIR_NS:
            return False
        self._counted_ns, grown, silent, longest = now, 0, 0, 0
        for flight in flights:
            reads = flight.tape.reads
            if reads > flight.air_reads:
                grown += reads - flight.air_reads
                flight.air_reads, flight.heard_ns = reads, now
            elif flight.counted and (quiet := now - (flight.heard_ns or flight.send_start_ns)) > SILENT_NS:
                silent, longest = silent + 1, max(longest, quiet)
            if flight.tape.stored and flight.counted and not (flight.first_told or flight.first_sought):
                flight.first_sought = True
                self.first.append(flight)
        self._cells[Count.AIR_READS] += grown
        self._cells[Count.SILENT], self._cells[Count.SILENT_NS] = silent, longest
        return True

    def tell_first(self, flight: Flight, t0_ns: int) -> None:
        """Count the first output of a request in the air, once it is parsed."""
        reply, flight.first_sought = flight.reply, False
        if flight.first_told or not flight.counted or not reply.streamed or flight.end_ns != MISSING:
            return
        first = reply.outputs().find(1)
        if first < 0:
            return
        planned = flight.planned_ns
        since = flight.send_start_ns if planned == MISSING else t0_ns + planned
        flight.first_told = True
        tell_first(self._cells, flight.tape.time(reply.reads[first]) - since)
