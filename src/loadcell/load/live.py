"""Shared memory: counters and outcomes, which the workers tell while they run; the signs to start, end and stop."""

from __future__ import annotations

import math
import mmap
from enum import IntEnum
from time import monotonic_ns
from typing import Any

from loadcell.recording.schema import MISSING
from loadcell.recording.write import MISSING_INT

BINS = 896
"""Bins of the latencies that a worker counts: each 2 % wider than the last, so that a middle is within 1 % of all that
its bin holds. The first takes all below 0.1 ms, the last all beyond an hour."""
_FIRST_NS = 100_000
_GROWTH = 1.02
_BINS_PER_E = 1 / math.log(_GROWTH)
_LATE_NS = 1_000_000
"""A send further from its time than this is not on time, here as in the result (`metrics.instrument.ON_TIME_NS`)."""


class Count(IntEnum):
    """Counters of one worker; its bins of latencies follow them."""

    ISSUED = 0
    OK = 1
    FAILED = 2
    CANCELLED = 3
    IN_FLIGHT = 4
    EVENTS = 5
    TOKENS = 6
    """Output tokens of ok requests."""
    TIMED = 7
    """Sends of ended requests whose lateness is the client's own: they did not wait for a new connection."""
    OFF_TIME = 8
    """Of these: more than 1 ms late or early."""
    BUSY_NS = 9
    """Time spent reading and sending, without the parsing, which gives way to both."""
    STALL_NS = 10
    """Longest time so far without a look at the sockets: no sum."""
    LEFT = 11
    """Counted requests that have begun and not ended."""
    COUNTED_OVER = 12
    """1 once this worker sends no counted request any more and all of them have ended."""
    BEYOND = 13
    """Requests beyond the end that were started: not in OK, FAILED and CANCELLED."""
    E2E_NS = 14
    """Sum of the E2E of the ok requests, from their sends."""
    READS = 15
    """Reads of the replies that ended, and brought output."""
    OK_READS = 16
    """Of these: of ok requests."""
    AIR_READS = 17
    """Reads of the requests in the air, as of a moment ago."""
    SILENT = 18
    """Of these requests: counted ones of which nothing has come for `SILENT_NS`."""
    SILENT_NS = 19
    """How long the one that is silent longest has been: no sum."""
    FIRST_LOST = 20
    """Requests whose first output was counted, and which failed or were given up after it."""
    SETTLED = 21
    """Where requests are not sent in their order: row before which all of this worker's were sent, or never will be."""
    REACHED = 22
    """Likewise: row from which on none of this worker's was sent."""
    ABANDONED = 23
    """Requests that their users gave up, as planned."""


_HEADER = 8
_COUNTS = 24
SLOTS = _COUNTS + BINS
"""Cells of one worker."""
_WORDS = 128
"""Cells for the last failure of one worker, after those of all: how often it was written (odd while it is), when, its
length in bytes, and its text."""
_TEXT = 3
SILENT_NS = 5_000_000_000
"""A request of which nothing has come for so long is told as silent."""


_STOP = 1
"""The cell of the header that is no number."""


class _Cell:
    """A number in the header of the block, as an attribute."""

    def __init__(self, place: int) -> None:
        self._place = place

    def __get__(self, live: Live, owner: type[Live]) -> int:
        return live._cells[self._place]

    def __set__(self, live: Live, value: int) -> None:
        live._cells[self._place] = value


class Live:
    """One block for all workers, on a nameless file whose descriptor they inherit. Each counter has one writer."""

    t0_ns = _Cell(0)
    """Start of the load on the monotonic clock; 0 until the parent has set it."""
    end_ns = _Cell(2)
    """End of sending since the start of the load, where it was ordered; 0 until then.

    Nothing planned at or after it is sent; in a closed loop, no user that becomes ready then sends. It is set while it
    lies ahead, and each worker reads it before it sends: so all of them agree on what was sent, however late they are.
    """
    counted_end_ns = _Cell(3)
    """End of the counted sending, where it was ordered; 0 until then. What is sent after it keeps the load on."""
    made = _Cell(4)
    """Rows whose bodies are there to be sent: all before this one."""
    feeder_cpu_ns = _Cell(5)
    """CPU time of the process that makes bodies while the load runs; 0 where there is none."""
    feeder_bytes = _Cell(6)
    """Bytes of the bodies that it has made."""
    feeder_rows = _Cell(7)
    """Bodies that it has made."""

    def __init__(self, fd: int, workers: int) -> None:
        self._map = mmap.mmap(fd, self.size(workers))
        self._cells = memoryview(self._map).cast("q")
        self.workers = workers

    @staticmethod
    def size(workers: int) -> int:
        """Bytes that the file must have."""
        return 8 * (_HEADER + (SLOTS + _WORDS) * workers)

    @property
    def stop(self) -> bool:
        """Whether the workers are to cancel what is in flight and end."""
        return bool(self._cells[_STOP])

    @stop.setter
    def stop(self, value: bool) -> None:
        self._cells[_STOP] = value

    def cells(self, worker: int) -> memoryview:
        """The counters of one worker, indexed by `Count`, and its bins."""
        start = _HEADER + SLOTS * worker
        return self._cells[start : start + SLOTS]

    def all_cells(self) -> memoryview:
        """The cells of all workers, one after the other."""
        return self._cells[_HEADER : _HEADER + SLOTS * self.workers]

    def tell_failure(self, worker: int, kind: str, words: str) -> None:
        """Tell the last failure of one worker, its words cut to what there is room for."""
        start = _HEADER + SLOTS * self.workers + _WORDS * worker
        data = f"{kind}\0{words}".encode()[: 8 * (_WORDS - _TEXT)]
        cells, at = self._cells, 8 * (start + _TEXT)
        cells[start] += 1
        cells[start + 1], cells[start + 2] = monotonic_ns(), len(data)
        self._map[at : at + len(data)] = data
        cells[start] += 1

    @property
    def failure(self) -> tuple[str, str] | None:
        """Kind and words of the last failure of all workers; None where there is none, or it is just being written."""
        first = _HEADER + SLOTS * self.workers
        starts = range(first, first + _WORDS * self.workers, _WORDS)
        start = max(starts, key=lambda start: self._cells[start + 1])
        written, at = self._cells[start], 8 * (start + _TEXT)
        data = self._map[at : at + self._cells[start + 2]]
        if not written or written % 2 or written != self._cells[start]:
            return None
        kind, _, words = data.decode("utf-8", "ignore").partition("\0")
        return kind, words

    def total(self, count: Count) -> int:
        """Sum of one counter over the workers."""
        return sum(self.cells(w)[count] for w in range(self.workers))


def tell(cells: memoryview, row: dict[str, Any], events: int, *, first_told: bool = False) -> None:
    """Count a request that ended; `row` as `flight.write_rows` wrote it. Not for the hot path: once a request.

    The latency is TTFT from the planned time (open loop) or the send (closed), as the result has it; E2E where the
    reply was no stream. `first_told`: `tell_first` has counted it already.
    """
    status, sent, planned = row["status"], row["send_start_ns"], row["planned_ns"]
    tokens = row["output_tokens"]
    told = status == "ok" and tokens != MISSING_INT
    if told or row["first_any_ns"] != MISSING:  # else it brought no token, as an error does, or does not say how many
        cells[Count.READS] += row["reads"]
    if told:
        cells[Count.TOKENS] += tokens
        cells[Count.OK_READS] += row["reads"]
    if not row["counted"]:
        return
    cells[_STATUS[status]] += 1
    cells[Count.EVENTS] += events
    if sent != MISSING and row["conn_start_ns"] == MISSING:
        due = row["ready_ns"] if planned == MISSING else planned
        cells[Count.TIMED] += 1
        cells[Count.OFF_TIME] += abs(sent - due) > _LATE_NS
    if status not in ("ok", "abandoned"):
        cells[Count.FIRST_LOST] += first_told
        return
    if status == "abandoned":  # what came of it came as of any
        if row["first_any_ns"] != MISSING and not first_told:
            tell_first(cells, row["first_any_ns"] - (sent if planned == MISSING else planned))
        return
    cells[Count.E2E_NS] += row["last_ns"] - sent
    if not first_told:
        came = row["first_any_ns"]
        tell_first(cells, (row["last_ns"] if came == MISSING else came) - (sent if planned == MISSING else planned))


def tell_first(cells: memoryview, latency_ns: int) -> None:
    """Count the TTFT of a counted request."""
    cells[_COUNTS + bin_of(latency_ns)] += 1


_STATUS = {
    "ok": Count.OK, "failed": Count.FAILED, "cancelled": Count.CANCELLED,
    "abandoned": Count.ABANDONED,
}  # fmt: skip


def bin_of(latency_ns: int) -> int:
    """The bin that counts a latency."""
    if latency_ns < _FIRST_NS:
        return 0
    return min(1 + int(math.log(latency_ns / _FIRST_NS) * _BINS_PER_E), BINS - 1)


def middle_ms(number: int) -> float:
    """The latency in ms that stands for all in a bin: the geometric middle of its edges."""
    return float(_FIRST_NS * _GROWTH ** (number - 0.5) / 1e6)


def outcomes_of(fd: int, rows: int) -> mmap.mmap:
    """One byte a request (`steer.Outcome`) on a nameless file of that many bytes. Each byte has one writer."""
    return mmap.mmap(fd, rows)
