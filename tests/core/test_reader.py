"""Readers of both forms, on real sockets: everything is read once, with its time, and what is odd is told."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from tapes import tapes

from loadcell.core import BULK_BYTES, LOOK_NS, STALL_NS, STAMP_COLUMNS, Event, Reader, Tape, What, reader
from loadcell.core.clock import HAS_KERNEL_STAMPS, enable_kernel_stamps
from loadcell.core.native import NativeReader, NativeTape, library
from loadcell.core.poller import READABLE, WRITABLE, Poller, make_poller
from loadcell.kinds import MISSING

pytestmark = pytest.mark.usefixtures("stamping")

MS = 1_000_000
Pair = tuple[socket.socket, socket.socket]


class Loop:
    """A reader with some connections: ours are read, theirs are a server's ends."""

    def __init__(self, native: bool) -> None:
        self.poller: Poller = make_poller()
        self.reader = NativeReader(self.poller) if native else Reader(self.poller)  # type: ignore[arg-type]
        self.make = NativeTape if native else Tape
        self.open: list[socket.socket] = []
        self.reader.begin(time.monotonic_ns())

    def pair(self) -> Pair:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.socket()
            enable_kernel_stamps(ours)
            ours.connect(server.getsockname())
            theirs, _ = server.accept()
        ours.setblocking(False)
        theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open += (ours, theirs)
        self.poller.add(ours.fileno(), READABLE)
        return ours, theirs

    def watched(self, *, watchful: bool = False) -> tuple[int, Tape, socket.socket]:
        ours, theirs = self.pair()
        tape = self.make()
        tape.watchful = watchful
        self.reader.watch(ours.fileno(), tape, ours.recvmsg, plain=True)
        return ours.fileno(), tape, theirs

    def turn(self, ms: float = 2000) -> list[Event]:
        """The events of the turns up to one that has any, or for so long."""
        until = time.monotonic_ns() + int(ms * MS)
        while not (events := self.reader.turn(until, wait=True)) and time.monotonic_ns() < until:
            continue
        return events


def wait_for(sock: socket.socket, size: int) -> None:
    """Until so many bytes lie there to be read."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        with suppress(BlockingIOError):
            if len(sock.recv(size, socket.MSG_PEEK)) == size:
                return


@pytest.fixture(params=[make is NativeTape for make in tapes()], ids=lambda native: "C" if native else "Python")
def loop(request: pytest.FixtureRequest) -> Iterator[Loop]:
    loop = Loop(request.param)
    yield loop
    for sock in loop.open:
        sock.close()


def test_a_token_is_read_and_not_told(loop: Loop) -> None:
    fd, tape, theirs = loop.watched()
    before = time.monotonic_ns()
    theirs.send(b"a token")
    assert loop.turn(50) == []
    after = time.monotonic_ns()
    came, lag, looked, asked, woke = tape.stamps()
    assert before - 20_000 <= came <= after
    assert 0 <= lag < after - before if HAS_KERNEL_STAMPS else lag == MISSING
    assert looked <= asked <= woke <= after
    assert tape.pieces(9) == [b"a token"]
    assert fd in (sock.fileno() for sock in loop.open)


def test_a_unix_socket_has_no_stamp_and_the_time_of_its_read(loop: Loop) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    loop.open += (ours, theirs)
    ours.setblocking(False)
    loop.poller.add(ours.fileno(), READABLE)
    tape = loop.make()
    tape.watchful = False
    loop.reader.watch(ours.fileno(), tape, ours.recvmsg, plain=True)
    for _ in range(3):
        before = time.monotonic_ns()
        theirs.send(b"a token")
        assert loop.turn(50) == []
        came, lag = tape.stamps()[-STAMP_COLUMNS:][:2]
        assert before <= came <= time.monotonic_ns()
        assert lag == MISSING
    assert (tape.reads, tape.dropped) == (3, 0)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"abc", True),
        (b"abcd", False),
        (b"0\r\n\r\n", True),
        (b"x" * (BULK_BYTES - 1), False),
        (b"x" * BULK_BYTES, True),
    ],
    ids=["short", "plain", "end", "large", "bulk"],
)
def test_what_may_be_an_end_or_is_odd_is_told(loop: Loop, data: bytes, told: bool) -> None:
    fd, tape, theirs = loop.watched()
    theirs.sendall(data)
    wait_for(loop.open[0], len(data))
    events = loop.turn(50)
    assert [(event.fd, event.what) for event in events] == [(fd, What.READ)] * told
    assert (tape.reads, tape.newest()) == (1, data)


def test_of_a_watchful_tape_each_read_is_told(loop: Loop) -> None:
    fd, tape, theirs = loop.watched(watchful=True)
    theirs.send(b"a token")
    assert loop.turn() == [Event(fd, What.READ)]
    tape.watchful = False
    theirs.send(b"another")
    assert loop.turn(50) == []
    assert tape.reads == 2


def test_the_end_and_the_loss_of_a_connection(loop: Loop) -> None:
    fd, tape, theirs = loop.watched()
    theirs.shutdown(socket.SHUT_WR)
    assert loop.turn() == [Event(fd, What.ENDED)]
    other, _, gone = loop.watched()
    loop.reader.leave(fd)
    loop.poller.remove(fd)
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.close()
    (event,) = loop.turn()
    assert (event.fd, event.what) == (other, What.LOST)
    assert isinstance(event.error, ConnectionResetError) or event.error.errno == 104  # type: ignore[union-attr]
    assert tape.reads == 0


def test_what_nobody_reads_is_told_with_its_mask(loop: Loop) -> None:
    ours, theirs = loop.pair()
    theirs.send(b"x")
    assert loop.turn() == [Event(ours.fileno(), What.READY, READABLE)]
    loop.poller.change(ours.fileno(), READABLE | WRITABLE)
    assert loop.turn() == [Event(ours.fileno(), What.READY, READABLE | WRITABLE)]


def test_one_that_can_be_written_is_told_and_read(loop: Loop) -> None:
    fd, tape, theirs = loop.watched()
    loop.poller.change(fd, READABLE | WRITABLE)
    (event,) = loop.turn()
    assert (event.what, tape.reads) == (What.WRITABLE, 0)
    theirs.send(b"a token")
    while not tape.reads:
        assert {event.what for event in loop.turn()} == {What.WRITABLE}


def test_one_that_was_left_is_not_read(loop: Loop) -> None:
    fd, tape, theirs = loop.watched()
    loop.reader.leave(fd)
    theirs.send(b"a token")
    assert [event.what for event in loop.turn()] == [What.READY]
    assert tape.reads == 0


def test_it_waits_until_a_time_and_without_waiting_not_at_all(loop: Loop) -> None:
    loop.watched()
    until = time.monotonic_ns() + 20 * MS
    while time.monotonic_ns() < until:
        assert loop.reader.turn(until, wait=True) == []
    assert loop.reader.ready == 0
    cpu = time.thread_time()
    for _ in range(100):
        assert loop.reader.turn(time.monotonic_ns() + 1000 * MS, wait=False) == []
    assert time.thread_time() - cpu < 1


def test_where_little_is_to_be_read_its_caller_is_kept_warm(loop: Loop) -> None:
    """It comes back after a long wait, though there is nothing to tell."""
    _, tape, theirs = loop.watched()
    later = threading.Timer(0.05, theirs.send, [b"a token"])
    later.start()
    began = time.monotonic()
    while not tape.reads:
        assert loop.reader.turn(time.monotonic_ns() + 60_000 * MS, wait=True) == []
    assert time.monotonic() - began < 50
    later.join()


def test_many_are_all_read(loop: Loop) -> None:
    """More than one wait tells of."""
    many = [loop.watched() for _ in range(150)]
    for number, (_, _, theirs) in enumerate(many):
        theirs.send(b"token %d" % number)
    limit = time.monotonic() + 10
    while sum(tape.reads for _, tape, _ in many) < 150 and time.monotonic() < limit:
        assert loop.reader.turn(time.monotonic_ns() + MS, wait=True) == []
    assert [tape.pieces(1) for _, tape, _ in many] == [[b"token %d" % number] for number in range(150)]


def test_a_look_that_found_nothing_bounds_what_comes(loop: Loop) -> None:
    _, tape, theirs = loop.watched()
    loop.reader.turn(0, wait=False)
    after = time.monotonic_ns()
    loop.reader.turn(0, wait=False)
    theirs.send(b"a token")
    while not tape.reads:
        loop.reader.turn(time.monotonic_ns() + MS, wait=True)
    assert tape.stamps()[2] > after - 2 * LOOK_NS


def test_a_turn_longer_than_any_before_is_noted(loop: Loop) -> None:
    if isinstance(loop.reader, NativeReader):
        _, tape, theirs = loop.watched()
        loop.reader._of.slow = 3 * MS
        theirs.send(b"a token")
        while not tape.reads:
            loop.reader.turn(time.monotonic_ns() + 60_000 * MS, wait=True)
        (note,) = [note for note in loop.reader.notes if not note.late]
        assert 3 * MS <= note.length_ns < 60_000 * MS
        assert loop.reader.busy_ns >= 3 * MS
    else:  # it returns from every turn, so its caller sees how long that was
        assert loop.reader.turn(time.monotonic_ns() + MS, wait=True) == []
        assert not [note for note in loop.reader.notes if not note.late]


@pytest.mark.parametrize(
    ("until_ms", "wait", "woke_ms", "expected"),
    [
        (50, True, 54, []),  # within what may be
        (50, True, 60, [(50, 10)]),
        (-3, True, 7, [(0, 7)]),  # what is due already does not make the wait longer
        (50, False, 8, [(0, 8)]),  # one that was not to wait at all
    ],
)
def test_a_wait_that_comes_back_late_is_noted(
    monkeypatch: pytest.MonkeyPatch, until_ms: int, wait: bool, woke_ms: int, expected: list[tuple[int, int]]
) -> None:
    assert STALL_NS == 5 * MS

    class Late:
        most = 64

        def poll(self, timeout_s: float) -> list[tuple[int, int]]:
            now[0] = woke_ms * MS
            return []

    now = [0]
    monkeypatch.setattr(reader, "clock_offset", lambda: 0)
    late: Any = Late()
    made = Reader(late)
    monkeypatch.setattr(reader, "monotonic_ns", lambda: now[0])
    monkeypatch.setattr(reader, "time_ns", lambda: now[0])
    made.turn(until_ms * MS, wait=wait)
    assert [(note.began_ns, note.length_ns) for note in made.notes] == [(a * MS, b * MS) for a, b in expected]
    assert all(note.late for note in made.notes)


def test_a_wall_clock_that_is_stepped_is_counted(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(to_ns: int) -> None:
        if isinstance(loop.reader, NativeReader):
            loop.reader._of.skew = to_ns
        else:
            monkeypatch.setattr(reader, "time_ns", lambda: real() + to_ns)
            monkeypatch.setattr(reader, "clock_offset", lambda: offset() + to_ns)

    real, offset = time.time_ns, reader.clock_offset
    for expected, skew in ((0, 0), (1, MS), (2, 0)):
        step(skew)
        loop.reader.turn(0, wait=False)
        assert loop.reader.clock_steps == expected


def test_what_is_not_plain_is_read_by_its_own_way(loop: Loop) -> None:
    """As TLS is: its bytes are not those of the socket."""
    ours, theirs = loop.pair()
    tape = loop.make()
    tape.watchful = False

    def read(size: int, notes: int) -> Any:
        data, *rest = ours.recvmsg(size, notes)
        if data == b"wait":
            raise BlockingIOError
        return data.upper(), *rest

    loop.reader.watch(ours.fileno(), tape, read, plain=False)
    for data in (b"wait", b"a token"):
        theirs.send(data)
        assert loop.turn(30) == []
    assert tape.pieces(9) == [b"A TOKEN"]
    came, lag, *_ = tape.stamps()
    assert lag != MISSING and 0 <= lag < 30 * MS and came <= time.monotonic_ns()
    loop.reader.leave(ours.fileno())


def test_where_much_comes_it_is_read_a_little_later_and_more_at_a_time(loop: Loop) -> None:
    """Its waits are apart, and the stamps are those of the kernel all the same."""
    if not (isinstance(loop.reader, NativeReader) and HAS_KERNEL_STAMPS):
        pytest.skip("only the library rests, by their stamps")
    watched = [loop.watched() for _ in range(20)]
    loop.reader.may_rest, loop.reader.tell_above_ns = True, 1000 * MS
    loop.reader._of.rests, loop.reader._of.paced = 1, 2**62  # as after such a pace, which is not told anew
    sent: list[tuple[int, int]] = []

    def send() -> None:
        for number in range(200):
            before = time.monotonic_ns()
            watched[number % 20][2].send(b"a token")
            sent.append((before, time.monotonic_ns()))
            while time.monotonic_ns() < before + 40_000:
                continue
        watched[0][2].send(b"the end\r\n\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    assert [event.fd for event in loop.turn(10_000)] == [watched[0][0]]
    sender.join()
    stamps = [tape.stamps() for _, tape, _ in watched]
    waits = sorted({wait for one in stamps for wait in zip(one[4::STAMP_COLUMNS], one[3::STAMP_COLUMNS], strict=True)})
    apart = [after - woke for (woke, asked), (after, _) in pairwise(waits) if woke - asked < MS // 2]
    # After a long wait, and one that came back late, it comes back to its caller and does not rest.
    rested = [after for before, after in pairwise(apart) if before < STALL_NS]
    assert min(rested, default=225_000) >= 225_000 and len(waits) < 150
    assert all(one[0] >= before - 20_000 and one[1] != MISSING for one, (before, _) in zip(stamps, sent, strict=False))


def test_a_reader_of_the_library_takes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no epoll, or no library, it is the one in Python."""
    from loadcell.core import make_reader, native
    from loadcell.core.poller import SelectorPoller

    assert type(make_reader(SelectorPoller())) is Reader
    if library()[0] is not None:
        assert type(make_reader(make_poller())) is NativeReader
    monkeypatch.setattr(native, "library", lambda: (None, "none"))
    assert type(make_reader(make_poller())) is Reader
