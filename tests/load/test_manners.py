"""Users who do not just wait, without any socket: when they are to do what, and how much a slow reader may read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loadcell.core import What
from loadcell.kinds import MISSING
from loadcell.load.flight import Flight
from loadcell.load.manners import NEVER, PACE_NS, Manners, Moment, Pace
from loadcell.protocol import dialect_of

S = 1_000_000_000


def flight_of(request: int, sent_ns: int = 0) -> Flight:
    flight = Flight(dialect_of("chat"), request, MISSING, 0, 8, 8)
    flight.send_start_ns = sent_ns
    return flight


def columns(**given: list[float]) -> dict[str, Any]:
    return {name: np.array(values) for name, values in given.items()}


def test_users_leave_in_the_order_of_their_times_and_those_that_have_ended_do_not() -> None:
    nan = float("nan")
    manners = Manners(columns(cancel_ns=[2 * S, nan, 1 * S], patience_ns=[3 * S, 3 * S, 3 * S]))
    flights = [flight_of(request, sent_ns=100) for request in range(3)]
    assert manners.at_ns == NEVER
    for flight in flights:
        manners.begin(flight)
    assert manners.at_ns == S + 100
    assert list(manners.due(S)) == []
    assert list(manners.due(S + 100)) == [(Moment.CANCEL, flights[2])]
    flights[0].end_ns = flights[2].end_ns = 5
    assert list(manners.due(10 * S)) == [(Moment.LOSE_PATIENCE, flights[1])]
    assert manners.at_ns == NEVER


def test_what_must_be_known_before_a_request_is_sent() -> None:
    nan = float("nan")
    manners = Manners(columns(cancel_tokens=[nan, 20.0], read_bytes_per_s=[100.0, nan]))
    first, second = flight_of(0), flight_of(1)
    for flight in (first, second):
        manners.know(flight)
    assert (first.leave_tokens, first.reads_slowly) == (None, True)
    assert (second.leave_tokens, second.reads_slowly) == (20, False)
    assert first.watched and second.watched and not flight_of(2).watched
    assert manners.read_slowly_at_all and not Manners(columns(cancel_ns=[1.0])).read_slowly_at_all


class Socket:
    """Holds so many bytes, then nothing, or an end."""

    def __init__(self, held: int, ends: bool = False) -> None:
        self.held, self.ends, self.asked = held, ends, list[int]()

    def recvmsg(self, size: int, _: int) -> tuple[bytes, list[Any], int, None]:
        self.asked.append(size)
        if not self.held and not self.ends:
            raise BlockingIOError
        taken = min(size, self.held)
        self.held -= taken
        return b"x" * taken, [], 0, None


def reading(socket: Socket) -> Flight:
    """A flight whose reply is nothing but a number of bytes."""
    flight = flight_of(0)
    flight.connection = SimpleNamespace(recvmsg=socket.recvmsg)  # type: ignore[assignment]
    reply = SimpleNamespace(bytes=0, closed=False)
    reply.take = lambda tape, _: setattr(reply, "bytes", reply.bytes + tape.drop())
    flight.reply = reply  # type: ignore[assignment]
    return flight


@pytest.mark.parametrize("every_ns", [PACE_NS, 5 * PACE_NS, S])
def test_a_slow_reader_reads_its_rate_however_often_it_looks(every_ns: int) -> None:
    socket, pace = Socket(1_000_000), Pace(1000.0, None)
    flight = reading(socket)
    pace.begin(0, 0)
    for now in range(every_ns, 10 * S + 1, every_ns):
        assert pace.read(flight, now, (0, now, now, now)) is What.READ
        assert now * 1000 // S - 1 <= flight.reply.bytes <= now * 1000 // S
    flight.tape.close()


def test_it_does_not_catch_up_on_what_was_not_there() -> None:
    socket, pace = Socket(0), Pace(1000.0, None)
    flight = reading(socket)
    pace.begin(0, 0)
    assert pace.read(flight, 5 * S, (0, 0, 0, 0)) is None
    socket.held = 10_000
    assert pace.read(flight, 5 * S + S // 10, (0, 0, 0, 0)) is What.READ
    assert flight.reply.bytes == 100
    flight.tape.close()


def test_an_end_is_seen_and_an_error_is_told() -> None:
    pace = Pace(1000.0, None)
    pace.begin(0, 0)
    assert pace.read(reading(Socket(0, ends=True)), S, (0, 0, 0, 0)) is What.ENDED

    def broken(*_: int) -> Any:
        raise ConnectionResetError

    flight = reading(Socket(1))
    flight.connection = SimpleNamespace(recvmsg=broken)  # type: ignore[assignment]
    assert isinstance(pace.read(flight, S, (0, 0, 0, 0)), ConnectionResetError)
    assert Pace(None, 4.0).wait_ns == S // 4 and Pace(1e6, None).wait_ns == PACE_NS
