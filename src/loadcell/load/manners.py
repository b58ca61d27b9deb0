"""What the users of one worker do beside waiting: they leave at a time, or read a little at a time. By their plan.

Users who only wait cost nothing here: `at_ns` is then never.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from enum import IntEnum
from itertools import count
from time import monotonic_ns
from typing import Any

from loadcell.core import READ_BYTES, Turn, What
from loadcell.core.clock import STAMP_BYTES
from loadcell.kinds import KIND_OUTPUT
from loadcell.load.flight import Flight
from loadcell.recording.schema import MISSING

PLANNED = ("cancel_ns", "cancel_tokens", "patience_ns", "read_bytes_per_s", "read_tokens_per_s")
"""Columns of the schedule that say it."""
NEVER = 2**63 - 1
PACE_NS = 20_000_000
"""A slow reader looks so often, or as often as its rate gives it something to read, if that is more seldom."""
_PIECE_BYTES = 256
"""Who counts tokens reads no more than this at once: a token event or so."""


class Moment(IntEnum):
    """What a user does at a time."""

    CANCEL = 0
    LOSE_PATIENCE = 1
    READ = 2


class Pace:
    """How much a slow reader may have read by now. What it could have read while nothing was there is lost to it."""

    def __init__(self, bytes_per_s: float | None, tokens_per_s: float | None) -> None:
        self._bytes_per_s, self._tokens_per_s = bytes_per_s, tokens_per_s
        self._since_ns, self._had = 0, 0

    def begin(self, now: int, had: int) -> None:
        """It reads from now on; it has had so many bytes, or tokens."""
        self._since_ns, self._had = now, had

    @property
    def wait_ns(self) -> int:
        """How long it waits for the next to be read."""
        one_s = 1.0 / (self._tokens_per_s or self._bytes_per_s or 1.0)
        return max(PACE_NS, int(1e9 * one_s))

    def read(self, flight: Flight, now: int, turn: Turn) -> What | OSError | None:
        """Read what it may by now; ENDED or an error where that ends the reply, READ where something came."""
        assert flight.connection is not None
        recvmsg, tape, came = flight.connection.recvmsg, flight.tape, None
        had = self._has_had(flight)
        while (most := self._may_read(now, had)) > 0:
            try:
                data, _, _, _ = recvmsg(most, STAMP_BYTES)
            except BlockingIOError:
                self.begin(now, had)
                break
            except OSError as error:
                return error
            if not data:
                return What.ENDED
            tape.append(data, b"", monotonic_ns(), turn)  # its time is that of its reading, not of the kernel's
            flight.parse_all()
            came, had = What.READ, self._has_had(flight)
            if flight.reply.closed:
                break
        return came

    def _has_had(self, flight: Flight) -> int:
        return flight.count_output() if self._tokens_per_s else flight.reply.bytes

    def _may_read(self, now: int, had: int) -> int:
        """Bytes that may be read now."""
        passed_s = (now - self._since_ns) / 1e9
        if self._tokens_per_s:
            return _PIECE_BYTES if had - self._had < passed_s * self._tokens_per_s else 0
        assert self._bytes_per_s is not None
        return min(int(passed_s * self._bytes_per_s) - (had - self._had), READ_BYTES)


class Manners:
    """The users of one worker, by the columns of the schedule that say anything of them."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = columns
        self._moments: list[tuple[int, int, Moment, Flight]] = []
        """A heap; the second entry settles ties."""
        self._number = count()
        self._paces: dict[int, Pace] = {}
        """Of the slow readers in the air, by their requests."""
        self.at_ns = NEVER
        """When the next of them does something."""

    @property
    def read_slowly_at_all(self) -> bool:
        """Whether any client does."""
        return any(name in self._columns for name in ("read_bytes_per_s", "read_tokens_per_s"))

    def know(self, flight: Flight) -> None:
        """A request is to be sent: note on it what the worker must know before."""
        tokens = self._of("cancel_tokens", flight.request)
        flight.leave_tokens = None if tokens is None else int(tokens)
        rates = (self._of(name, flight.request) for name in ("read_bytes_per_s", "read_tokens_per_s"))
        flight.reads_slowly = any(rate is not None for rate in rates)

    def begin(self, flight: Flight) -> None:
        """A request is being sent."""
        request, sent = flight.request, flight.send_start_ns
        for column, moment in (("cancel_ns", Moment.CANCEL), ("patience_ns", Moment.LOSE_PATIENCE)):
            after_ns = self._of(column, request)
            if after_ns is not None:
                self._at(sent + int(after_ns), moment, flight)

    def read_slowly(self, flight: Flight, now: int) -> None:
        """A request has been sent whose client reads slowly: it reads by `due` alone."""
        request = flight.request
        pace = self._paces[request] = Pace(
            self._of("read_bytes_per_s", request), self._of("read_tokens_per_s", request)
        )
        pace.begin(now, 0)
        self._at(now + pace.wait_ns, Moment.READ, flight)

    def due(self, now: int) -> Iterator[tuple[Moment, Flight]]:
        """What is to be done by now, of requests that are still in the air."""
        while self._moments and self._moments[0][0] <= now:
            _, _, moment, flight = heapq.heappop(self._moments)
            if flight.end_ns == MISSING:
                yield moment, flight
            elif moment is Moment.READ:
                self._paces.pop(flight.request, None)
        self.at_ns = self._moments[0][0] if self._moments else NEVER

    def read(self, flight: Flight, now: int, turn: Turn) -> What | OSError | None:
        """Let a slow reader read what it may; as `Pace.read`."""
        pace = self._paces[flight.request]
        found = pace.read(flight, now, turn)
        self._at(now + pace.wait_ns, Moment.READ, flight)
        return found

    def _at(self, when_ns: int, moment: Moment, flight: Flight) -> None:
        heapq.heappush(self._moments, (when_ns, next(self._number), moment, flight))
        self.at_ns = self._moments[0][0]

    def _of(self, column: str, request: int) -> float | None:
        values = self._columns.get(column)
        value = None if values is None else values[request]
        return None if value is None or value != value else float(value)


def has_output(flight: Flight) -> bool:
    """Whether any output has come."""
    return any(kind & KIND_OUTPUT for kind in flight.reply.kinds)
