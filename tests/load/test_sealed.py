"""TLS as the core reads it, sealed in C and at once in Python: the same reads and events come of the same records."""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trustme
from tapes import tapes

from loadcell.core import BULK_BYTES, STAMP_COLUMNS, Event, Reader, Tape, What, make_records
from loadcell.core.clock import HAS_KERNEL_STAMPS
from loadcell.core.native import NativeReader, NativeTape, library
from loadcell.core.poller import READABLE, make_poller
from loadcell.load import wire
from loadcell.load.wire import Connection

pytestmark = pytest.mark.usefixtures("processes")

MS = 1_000_000
END = b"0\r\n\r\n"
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
COMPILED = pytest.mark.skipif(library()[0] is None, reason="there is one form here")


def token(text: bytes = b"word ") -> bytes:
    """An event as servers send it: one chunk, a few hundred bytes at most."""
    event = b'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"%b"}}]}\n\n' % text
    return b"%x\r\n%b\r\n" % (len(event), event)


@contextmanager
def descriptor_of_few_reads() -> Iterator[None]:
    """The next that is opened is one with twenty reads before the first that is told for its number alone."""
    spare = [os.open(os.devnull, os.O_RDONLY)]
    while spare[-1] % 32 > 8:
        spare.append(os.open(os.devnull, os.O_RDONLY))
    os.close(spare.pop())
    yield
    for descriptor in spare:
        os.close(descriptor)


@dataclass
class Server:
    """Its end of a TCP connection, with TLS in memory: what is sealed, and what is sent, is for the test to say."""

    sock: socket.socket
    tls: ssl.SSLObject
    into: ssl.MemoryBIO
    out: ssl.MemoryBIO

    def shake_hands(self) -> bool:
        """A step; whether it is done. The session tickets of TLS 1.3 are sent with the last."""
        try:
            self.into.write(self.sock.recv(65536))
        except BlockingIOError:
            return False
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self.sock.sendall(self.out.read())
        return True

    def seal(self, *records: bytes) -> bytes:
        for data in records:
            self.tls.write(data)
        return self.out.read()

    def send(self, *records: bytes) -> None:
        self.sock.sendall(self.seal(*records))

    def close_notify(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.out.read()


class Loop:
    """A reader of one form with one connection."""

    def __init__(self, native: bool, version: ssl.TLSVersion, contexts: Contexts) -> None:
        self.poller = make_poller()
        self.reader = NativeReader(self.poller) if native else Reader(self.poller)  # type: ignore[arg-type]
        self.native, self.make = native, NativeTape if native else Tape
        self.reader.begin(time.monotonic_ns())
        contexts.client.minimum_version = contexts.client.maximum_version = version
        target = cast(Any, SimpleNamespace(tunnel=False, server_name="127.0.0.1"))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = (socket.AF_INET, listener.getsockname())
            with descriptor_of_few_reads():
                self.connection = Connection(1, target, address, contexts.client)
            sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = Server(sock, contexts.server.wrap_bio(into, out, server_side=True), into, out)
        ours = theirs = False
        limit = time.monotonic() + 10
        while not (ours and theirs):
            ours = ours or self.connection.advance() is None
            theirs = theirs or self.server.shake_hands()
            assert time.monotonic() < limit
        sock.setblocking(True)
        self.poller.add(self.connection.fd, READABLE)
        self.tape = self.watch()

    def watch(self) -> Tape:
        """A new flight on the connection."""
        connection, tape = self.connection, self.make()
        tape.begin(time.monotonic_ns())
        self.reader.watch(
            connection.fd, tape, connection.recvmsg, plain=connection.plain, sealed=connection.sealed
        )  # fmt: skip
        self.tape = tape
        return tape

    def leave(self) -> None:
        self.reader.leave(self.connection.fd)

    def give(self, *records: bytes) -> list[What]:
        """What is told of a read that brings these."""
        return self.give_sealed(self.server.seal(*records))

    def give_sealed(self, data: bytes) -> list[What]:
        self.server.sock.sendall(data)
        return self.read()

    def read(self) -> list[What]:
        """What is told of what has been sent, which is one read."""
        assert select.select([self.connection.fd], [], [], 10)[0]
        return [event.what for event in self.reader.turn(time.monotonic_ns() + 10_000 * MS, wait=False)]

    def taught(self) -> None:
        """Past the first reads of a reply: the length of a token is known."""
        assert self.give(b"HTTP/1.1 200 OK\r\n\r\n" + token()) == [What.READ]
        self.tape.watchful = False
        for _ in range(2):
            assert self.give(token()) == []
        self.tape.newest()

    @property
    def unopened(self) -> int:
        """Reads that wait sealed."""
        of = getattr(self.tape, "_of", None)
        return of.reads - of.opened if of else 0


@dataclass
class Contexts:
    client: ssl.SSLContext
    server: ssl.SSLContext


@pytest.fixture(scope="module")
def contexts(stamping: None) -> Contexts:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return Contexts(client, server)


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    found: ssl.TLSVersion = request.param
    return found


@pytest.fixture(params=[make is NativeTape for make in tapes()], ids=lambda native: "C" if native else "Python")
def loop(request: pytest.FixtureRequest, contexts: Contexts, version: ssl.TLSVersion) -> Iterator[Loop]:
    loop = Loop(request.param, version, contexts)
    yield loop
    loop.leave()
    loop.connection.close()
    loop.server.sock.close()


def test_tokens_are_not_told_and_have_their_times(loop: Loop) -> None:
    loop.taught()
    sent = []
    for number in range(5):
        sent.append(time.monotonic_ns())
        assert loop.give(token(b"%05d" % number)) == []
    assert loop.unopened == (5 if loop.native else 0)
    assert loop.tape.pieces(99)[-5:] == [token(b"%05d" % number) for number in range(5)]
    stamps = loop.tape.stamps()[-5 * STAMP_COLUMNS :]
    for number, at in enumerate(sent):
        came, lag, looked, asked, woke = stamps[number * STAMP_COLUMNS : (number + 1) * STAMP_COLUMNS]
        assert at - 20_000 < came < [*sent, time.monotonic_ns()][number + 1]
        assert lag >= 0 or not HAS_KERNEL_STAMPS
        assert looked <= asked <= woke and at <= asked


def test_the_end_of_a_reply_is_told_at_once(loop: Loop) -> None:
    loop.taught()
    assert loop.give(token(), token()) == loop.give(token()) == []
    assert loop.give(b"e\r\ndata: [DONE]\n\n\r\n" + END) == [What.READ]
    assert loop.tape.newest().endswith(END) and loop.unopened == 0


def test_a_read_that_completes_several_records_is_one(loop: Loop) -> None:
    loop.taught()
    reads = loop.tape.reads
    assert loop.give(token(b"one"), token(b"two"), token(b"three")) == []
    assert loop.tape.newest() == token(b"one") + token(b"two") + token(b"three")
    assert loop.tape.reads == reads + 1


def test_not_too_many_wait_to_be_opened(loop: Loop) -> None:
    loop.taught()
    most = 0
    for _ in range(80):
        assert loop.give(token()) == []
        most = max(most, loop.unopened)
    assert most == (31 if loop.native else 0)


def test_records_may_be_parted_anywhere(loop: Loop) -> None:
    """The read that brings the last byte of a record is the one that brought it; one that completes none is none."""
    loop.taught()
    loop.tape.pieces(99)
    one, two = token(b"one"), token(b"two")
    for cut in range(1, 2 * len(one)):
        sealed = loop.server.seal(one)
        begins, sealed = len(sealed), sealed + loop.server.seal(two)
        reads = loop.tape.reads
        assert loop.give_sealed(sealed[:cut]) == loop.give_sealed(sealed[cut:]) == []
        expected = [one + two] if cut < begins else [one, two]
        assert loop.tape.pieces(99) == expected
        assert loop.tape.reads == reads + len(expected)
    assert loop.give(END) == [What.READ]


def test_large_records_come_in_many_reads(loop: Loop) -> None:
    loop.taught()
    loop.tape.pieces(99)
    sealed, told = loop.server.seal(b"x" * 16_000), []
    for begin in range(0, len(sealed), 1000):
        told += loop.give_sealed(sealed[begin : begin + 1000])
    assert told == [] and loop.tape.pieces(99) == [b"x" * 16_000]


def test_a_connection_that_ends(loop: Loop) -> None:
    """With notice or without, in the middle of a record or not; what came before is there."""
    loop.taught()
    assert loop.give(token(b"last")) == []
    loop.server.sock.sendall(loop.server.seal(token())[:50])
    assert loop.read() == []
    loop.server.sock.shutdown(socket.SHUT_WR)
    assert loop.read() == [What.ENDED]
    assert loop.tape.newest() == token(b"last")


def test_a_notice_of_the_end_is_one(loop: Loop) -> None:
    loop.taught()
    assert loop.give(token(b"last")) == []
    assert loop.give_sealed(loop.server.close_notify()) == [What.ENDED]
    assert loop.tape.newest() == token(b"last")


def test_what_is_no_record_loses_the_connection(loop: Loop) -> None:
    """A fatal alert in the clear, and a record that was changed on its way."""
    loop.taught()
    sealed = bytearray(loop.server.seal(END))
    sealed[-1] ^= 1
    assert loop.give_sealed(bytes(sealed)) == [What.LOST]
    assert loop.give_sealed(b"\x15\x03\x03\x00\x02\x02\x28") != []


def test_a_changed_record_of_a_usual_length_is_noticed(loop: Loop) -> None:
    loop.taught()
    sealed = bytearray(loop.server.seal(token()))
    sealed[-1] ^= 1
    assert loop.give_sealed(bytes(sealed)) == ([] if loop.native else [What.LOST])
    if loop.native:
        assert told(loop.reader.overdue(loop.connection.fd)) is What.LOST


def test_a_reset_loses_the_connection(loop: Loop) -> None:
    loop.taught()
    assert loop.give(token(b"last")) == []
    loop.server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    loop.server.sock.close()
    assert loop.read() == [What.LOST]
    assert loop.tape.newest() == token(b"last")


def test_the_next_reply_goes_on_in_the_middle_of_a_record(loop: Loop) -> None:
    """Nothing of it is lost, and the lengths that are known stay so."""
    loop.taught()
    begun = loop.server.seal(token(b"next "))
    assert loop.give_sealed(begun[:20]) == []
    first, reads = loop.tape, loop.tape.reads
    loop.leave()
    assert first.reads == reads - loop.native
    tape = loop.watch()
    assert loop.give_sealed(begun[20:]) == [What.READ]
    tape.watchful = False
    assert loop.give(token()) == [] and loop.unopened == loop.native
    assert loop.give(END) == [What.READ]
    assert tape.pieces(9) == [token(b"next "), token(), END]


def test_what_comes_between_two_replies_is_known(loop: Loop) -> None:
    """Read by the connection itself, and its record parted."""
    loop.taught()
    loop.leave()
    begun = loop.server.seal(token(b"next "))
    loop.server.sock.sendall(begun[:20])
    assert select.select([loop.connection.fd], [], [], 10)[0]
    assert not loop.connection.is_stale()
    tape = loop.watch()
    tape.watchful = False
    assert loop.give_sealed(begun[20:] + loop.server.seal(END)) == [What.READ]
    assert tape.pieces(9) == [token(b"next ") + END]


def test_an_end_as_long_as_a_token_is_overdue(loop: Loop) -> None:
    """Who finds the stream silent asks; from then on nothing of the connection is left sealed."""
    loop.taught()
    end = END[:-2] + b"x: " + b"x" * (len(token()) - len(END) - 5) + b"\r\n\r\n"
    assert len(end) == len(token())
    fd = loop.connection.fd
    assert loop.reader.overdue(fd) is None
    assert loop.give(token()) == []
    assert loop.reader.overdue(fd) is None and loop.unopened == 0
    if not loop.native:
        assert loop.give(end) == [What.READ]
        return
    assert loop.give(end) == []
    assert told(loop.reader.overdue(fd)) is What.READ
    for _ in range(3):
        assert loop.give(token()) == [] and loop.unopened == 0
    assert loop.give(end) == [What.READ]


@COMPILED
@pytest.mark.parametrize("records", [
    pytest.param((token() + token(),), id="two"), pytest.param((token()[:-2],), id="a part"),
    pytest.param((token()[:50], token()[50:]), id="in two records"),
    pytest.param((b": " + b"x" * 100 + b"\n\n",), id="no chunk"),
    pytest.param((b"e\r\ndata: [DONE]\n\n\r\n",), id="short"),
])  # fmt: skip
def test_only_whole_events_tell_how_long_events_are(contexts: Contexts, records: tuple[bytes, ...]) -> None:
    """The end of a reply may be as long as anything else."""
    loop = Loop(True, ssl.TLSVersion.TLSv1_3, contexts)
    loop.tape.watchful = False
    for _ in range(3):
        assert loop.give(*records) == [] and loop.unopened == 0
    assert loop.give(records[-1]) == [] and loop.unopened == 0
    assert loop.give(token()) == [] and loop.unopened == 0
    assert loop.give(token()) == [] and loop.unopened == 1
    loop.leave()
    loop.connection.close()
    loop.server.sock.close()


def odd_by_hand(reads: list[bytes], usual: range) -> list[bool]:
    """Of each read whether it holds a byte of an odd record past its header, or completes such a header."""
    stream, found, at, spans = b"".join(reads), [], 0, []
    while at + 5 <= len(stream):
        length = int.from_bytes(stream[at + 3 : at + 5])
        if stream[at] != 23 or length not in usual:
            spans.append((at + 4, at + 5 + length))
        at += 5 + length
    end = 0
    for data in reads:
        begin, end = end, end + len(data)
        found.append(any(begin < last and first < end for first, last in spans))
    return found


@COMPILED
@pytest.mark.parametrize("seed", range(300))
def test_records_are_found_however_they_are_parted(seed: int) -> None:
    rng = Random(seed)
    records = make_records()
    assert records is not None
    records._of.least, records._of.most = 90, 110
    stream = b"".join(
        struct.pack(">BHH", rng.choice((23, 23, 23, 21, 22)), 0x303, length) + rng.randbytes(length)
        for length in rng.choices((0, 1, 89, 90, 100, 110, 111, 400), (1, 1, 1, 9, 9, 9, 1, 1), k=20)
    )
    cuts = sorted({0, len(stream), *rng.sample(range(1, len(stream)), 30)})
    reads = [stream[a:b] for a, b in pairwise(cuts)]
    walk = library()[0].records_walk
    assert [bool(walk(records.address, data, len(data))) for data in reads] == odd_by_hand(reads, range(90, 111))
    assert (records._of.had, records._of.left) == (0, 0)


@COMPILED
def test_what_follows_a_large_read_may_have_come_as_early_as_it() -> None:
    """By its plain bytes, with a read between them that completes nothing."""
    turns = [(0, n, n + 1, n + 2) for n in (10, 20, 30, 40)]
    opened = iter([b"x" * BULK_BYTES, b"", b"token", b"token"])

    def open_(data: bytes) -> bytes:
        if plain := next(opened):
            return plain
        raise BlockingIOError

    records = make_records()
    tape, eager = NativeTape(), Tape()
    assert records is not None
    tape.seal(records, open_)
    for number, (size, turn) in enumerate(zip((BULK_BYTES + 99, 9, 9, 9), turns, strict=True), 1):
        tape.append(b"s" * size, b"", number * MS, turn)
        if number != 2:
            eager.append(b"x" * BULK_BYTES if number == 1 else b"token", b"", number * MS, turn)
    assert tape.pieces(9) == eager.pieces(9)
    assert tape.stamps() == eager.stamps()
    assert tape.stamps()[2::STAMP_COLUMNS].tolist() == [10, 10, 40]


def test_without_the_library_nothing_is_sealed(contexts: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "make_records", lambda: None)
    loop = Loop(False, ssl.TLSVersion.TLSv1_3, contexts)
    assert loop.connection.sealed is None
    assert loop.give(token()) == [What.READ]
    loop.leave()
    loop.connection.close()
    loop.server.sock.close()


def told(event: Event | None) -> What | None:
    return event and event.what
