"""The same contract in C: `core.c`, compiled when the package is built, called through ctypes."""

from __future__ import annotations

import ctypes
import os
import re
import struct
from array import array
from ctypes import POINTER, Structure, addressof, c_char, c_char_p, c_int32, c_int64, c_void_p, string_at
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from loadcell.compiled import CHOICE, UNUSABLE, choice, opened
from loadcell.compiled import LIBRARY as LIBRARY
from loadcell.core.poller import EpollPoller, Poller
from loadcell.core.reader import Event, Note, Reader, ReadOnce, What, is_odd
from loadcell.core.records import Layout, Open, Records, Sealed
from loadcell.core.tape import READ_BYTES, READ_MEMORY_BYTES, STAMP_COLUMNS, TOLD, Scan, Tape, Turn
from loadcell.errors import LoadcellError
from loadcell.kinds import MISSING
from loadcell.phrases import phrase

_MOST = 4096
"""Events of one scan."""
_BATCH, _NOTES = 64, 64
_ROW = struct.Struct("=6q")
_TIMESPEC = struct.Struct("=qq")
_EVENT = struct.Struct("=4i")
_LATE = 0
_FDS = 1024
"""Descriptors that a reader has room for at first."""
_WHATS = tuple(What)
_TOKEN = re.compile(rb"[0-9a-fA-F]{1,8}\r\ndata: [^\n]{48,}\n\n\r\n")
"""One event as a chunk of its own, longer than an end mark: the end of a reply, joined to one, is longer or shorter."""


class _Tape(Structure):
    _fields_: ClassVar[Any] = [(name, c_int64) for name in (
        "reads", "taken", "floor", "heard", "last", "dropped", "watchful", "bulk", "base", "cursor", "size", "room",
        "rows_room", "opened",
    )] + [("bytes", c_void_p), ("rows", c_void_p), ("records", c_void_p)]  # fmt: skip


class _Event(Structure):
    _fields_ = [(name, c_int32) for name in ("fd", "what", "mask", "error")]


class _Note(Structure):
    _fields_ = [(name, c_int64) for name in ("kind", "began", "length")]


class _Reader(Structure):
    _fields_: ClassVar[Any] = [(name, c_int64) for name in (
        "epoll", "fds", "events_n", "notes_n", "offset", "looked", "next", "asked", "woke", "ready", "busy", "steps",
        "tell_above", "may_rest", "stamped", "paced", "reads", "rests", "slow", "skew",
    )] + [
        ("tapes", c_void_p), ("events", _Event * (2 * _BATCH)), ("notes", _Note * _NOTES),
        ("scratch", c_char * READ_BYTES),
    ]  # fmt: skip


@cache
def library() -> tuple[Any, str]:
    """The library, and why there is none: None and words, or the library and "".

    LoadcellError where the environment requires it.
    """
    found, why = _load(LIBRARY)
    if found is None and choice() == "require":
        raise LoadcellError(f"{CHOICE}=require, but the compiled core cannot be used: {why}")
    return found, why


def _load(path: Path) -> tuple[Any, str]:
    found, why = opened(path)
    if found is None:
        return None, phrase(*map(str, why))
    try:
        found.core_sizes.restype = c_int64
        sizes = [*map(ctypes.sizeof, (_Tape, _Reader)), _ROW.size, ctypes.sizeof(Layout)]
        if [found.core_sizes(i) for i in range(4)] != sizes:
            return None, phrase("it lays its data out in another way: install Loadcell anew")
        _declare(found)
    except AttributeError as error:  # a part of it is missing
        return None, phrase(UNUSABLE, str(error))
    return found, ""


def _declare(lib: Any) -> None:
    tape, reader, ints = c_void_p, c_void_p, POINTER(c_int32)
    functions: tuple[Any, ...] = (
        ("tape_free", None, tape),
        ("tape_append", c_int32, tape, c_char_p, *[c_int64] * 7),
        ("tape_open", c_int32, tape, c_char_p, c_void_p),
        ("tape_take", None, tape, c_int64),
        ("tape_scan", c_int64, tape, c_char_p, c_int64, c_int64, ints, ints, ints, ints, POINTER(c_int64)),
        ("records_walk", c_int32, c_void_p, c_char_p, c_int64),
        ("reader_turn", c_int64, reader, c_int64, c_int32),
    )
    for name, answer, *words in functions:
        function = getattr(lib, name)
        function.restype, function.argtypes = answer, words


def form() -> tuple[str, str]:
    """Which form a load of this process uses, "C" or "Python", and why not the former."""
    found, why = library()
    return ("Python", why) if found is None else ("C", "")


def make_tape() -> Tape:
    """A tape of the form that there is."""
    return Tape() if library()[0] is None else NativeTape()


def make_records() -> Records | None:
    """Of a new TLS connection; None where what comes is opened at once."""
    lib = library()[0]
    return None if lib is None else Records(lib)


def make_reader(poller: Poller) -> Reader:
    """A reader on a poller, of the form that there is."""
    return NativeReader(poller) if library()[0] is not None and isinstance(poller, EpollPoller) else Reader(poller)


class NativeTape(Tape):
    """As `Tape`. What it gets of a TLS connection waits sealed until its bytes are asked for: of the reads that
    `reads` and `stored` count until then, those that complete no record will be gone."""

    __slots__ = ("_lib", "_of", "_open", "address", "records")

    def __init__(self) -> None:
        self._of, self._lib = _Tape(watchful=1), library()[0]
        self.records: Records | None = None
        self._open: Open | None = None
        self.address = addressof(self._of)

    @property
    def watchful(self) -> bool:
        return bool(self._of.watchful)

    @watchful.setter
    def watchful(self, watchful: bool) -> None:
        self._of.watchful = watchful

    @property
    def reads(self) -> int:
        return int(self._of.reads)

    @property
    def taken(self) -> int:  # type: ignore[override]
        return int(self._of.taken)

    @property
    def stored(self) -> int:
        return int(self._of.reads - self._of.taken)

    @property
    def dropped(self) -> int:
        return int(self._of.dropped)

    def begin(self, not_before_ns: int) -> None:
        self._of.floor = not_before_ns

    def append(self, data: bytes, stamp: bytes, mono_ns: int, turn: Turn) -> None:
        seconds, ns = _TIMESPEC.unpack(stamp) if len(stamp) == _TIMESPEC.size else (0, 0)
        if self._lib.tape_append(self.address, data, len(data), seconds * 1_000_000_000 + ns, mono_ns, *turn):
            raise MemoryError

    def seal(self, records: Records, open_: Open) -> None:
        """What comes is of a TLS connection."""
        self.records, self._open, self._of.records = records, open_, records.address

    def unseal(self) -> None:
        """No more comes of it."""
        self.settle()
        self.records = self._open = self._of.records = None

    def settle(self) -> bytes | OSError | None:
        """Open what waits, each read for itself as if it had been when it came. What the newest is, if it waited: b""
        for an end, None if it completed no record."""
        of, open_ = self._of, self._open
        if open_ is None or of.reads == of.opened:
            return None
        rows = string_at(of.rows + _ROW.size * of.opened, _ROW.size * (of.reads - of.opened))
        ends = array("q", rows)[::6].tolist()
        begin = self._row(of.opened - 1)[0] if of.opened else 0
        data = string_at(of.bytes + begin - of.base, ends[-1] - begin)
        found = [_opened(open_, data[a - begin : b - begin]) for a, b in zip([begin, *ends], ends, strict=False)]
        plain = [piece if isinstance(piece, bytes) else b"" for piece in found]
        sizes = array("q", map(len, plain))
        if self._lib.tape_open(self.address, b"".join(plain), sizes.buffer_info()[0]):
            raise MemoryError
        return found[-1]

    def weight(self) -> int:
        of = self._of
        return int(of.base + of.size - of.cursor + READ_MEMORY_BYTES * (of.reads - of.taken))

    def last_ns(self) -> int:
        return int(self._of.floor) if self._of.reads else MISSING

    def heard_ns(self) -> int:
        return int(self._of.heard)

    def newest(self, reads: int = 1) -> bytes:
        self.settle()
        of = self._of
        end = of.base + of.size
        begin = end - of.last if reads == 1 else self._row(of.reads - reads - 1)[0] if reads < of.reads else 0
        waits = end - max(begin, of.cursor)
        return string_at(of.bytes + of.size - waits, waits) if waits > 0 else b""

    def stamps(self) -> array[int]:
        rows = array("q", string_at(self._of.rows, _ROW.size * self._of.reads) if self._of.reads else b"")
        del rows[:: STAMP_COLUMNS + 1]  # where its bytes end
        return rows

    def time(self, read: int) -> int:
        return self._row(read)[1]

    def scan(self, form: bytes, most: int) -> Scan | None:
        self.settle()
        of = self._of
        n = self._lib.tape_scan(self.address, form, len(form), min(most, _MOST), *_COLUMNS, _FOUND)
        if not n:
            return None
        at, length, taken = _FOUND
        ends, begins, sizes, told = (array("i", string_at(column, 4 * n)) for column in _COLUMNS)
        return Scan(ends, begins, sizes, string_at(of.bytes + at, length), told if TOLD in form else told[:0], taken)

    def pieces(self, most: int) -> list[bytes]:
        self.settle()
        of = self._of
        until = min(of.taken + most, of.reads)
        if until == of.taken:
            return []
        rows = string_at(of.rows + _ROW.size * of.taken, _ROW.size * (until - of.taken))
        begin, ends = of.cursor, [row[0] for row in _ROW.iter_unpack(rows)]
        data = string_at(of.bytes + begin - of.base, ends[-1] - begin)
        self._lib.tape_take(self.address, until)
        return [data[a - begin : b - begin] for a, b in zip([begin, *ends], ends, strict=False)]

    def drop(self) -> int:
        self.settle()
        of = self._of
        left = of.base + of.size - of.cursor
        self._lib.tape_take(self.address, of.reads)
        return int(left)

    def close(self) -> None:
        self._lib.tape_free(self.address)

    __del__ = close

    def _row(self, read: int) -> tuple[int, ...]:
        return _ROW.unpack(string_at(self._of.rows + _ROW.size * read, _ROW.size))


_COLUMNS, _FOUND = [(c_int32 * _MOST)() for _ in range(4)], (c_int64 * 3)()
"""Where a scan tells what it found: one thread of a process scans."""


def _opened(open_: Open, data: bytes) -> bytes | OSError | None:
    try:
        return open_(data)
    except BlockingIOError:
        return None
    except OSError as error:
        return error


def _look(fd: int, tape: NativeTape, records: Records) -> Event | None:
    """Open what came sealed: what is to be seen to, as if it had been opened when it came."""
    data = tape.settle()
    if data is None:
        return None
    if isinstance(data, OSError):
        return Event(fd, What.LOST, error=data)
    if not data:
        return Event(fd, What.ENDED)
    if is_odd(data, tape):
        return Event(fd, What.READ)
    if _TOKEN.fullmatch(data):
        records.learn()
    return None


class NativeReader(Reader):
    """As `Reader`. TLS is opened where the length of a record says that it may be no token, and else when its bytes are
    asked for; what is neither plain nor sealed is read as there."""

    def __init__(self, poller: EpollPoller) -> None:
        super().__init__(poller)
        self._of, self._lib = _Reader(epoll=poller.fileno(), offset=self._offset), library()[0]
        self._at = addressof(self._of)
        self._events_at = self._at + _Reader.events.offset
        self._kept: dict[int, NativeTape] = {}
        """The tapes that the library knows, which must not go."""
        self._tapes = (c_void_p * _FDS)()
        self._of.tapes, self._of.fds = addressof(self._tapes), _FDS

    @property
    def offset(self) -> int:
        return int(self._of.offset)

    def begin(self, at_ns: int) -> None:
        self._of.next = at_ns

    def watch(self, fd: int, tape: Tape, read: ReadOnce, *, plain: bool, sealed: Sealed | None = None) -> None:
        if not (plain or sealed) or not isinstance(tape, NativeTape):
            super().watch(fd, tape, read, plain=plain)
            return
        if sealed:
            tape.seal(*sealed)
        self._kept[fd] = tape
        if fd >= len(self._tapes):
            more = (c_void_p * (2 * fd))(*self._tapes)
            self._of.tapes, self._of.fds, self._tapes = addressof(more), 2 * fd, more
        self._tapes[fd] = tape.address

    def leave(self, fd: int) -> None:
        super().leave(fd)
        tape = self._kept.pop(fd, None)
        if tape is not None:
            self._tapes[fd] = None
            tape.unseal()

    def overdue(self, fd: int) -> Event | None:
        tape = self._kept.get(fd)
        if tape is None or tape.records is None:
            return None
        event = _look(fd, tape, tape.records)
        if event:
            tape.records.doubt()
        return event

    def turn(self, until_ns: int, *, wait: bool) -> list[Event]:
        of = self._of
        of.tell_above, of.may_rest = self.tell_above_ns, self.may_rest
        n = self._lib.reader_turn(self._at, until_ns, wait)
        self.woke_ns, self.ready, self.busy_ns, self.clock_steps = of.woke, of.ready, of.busy, of.steps
        self.notes = [self._note(place) for place in range(of.notes_n)]
        return self._told(n) if n else []

    def _told(self, n: int) -> list[Event]:
        of, events, ready = self._of, list[Event](), []
        for fd, what, mask, code in _EVENT.iter_unpack(string_at(self._events_at, _EVENT.size * n)):
            if what == What.READY:
                ready.append((fd, mask))
            elif what == What.READ and (records := self._kept[fd].records):
                event = _look(fd, self._kept[fd], records)
                events += [event] if event else []
            else:
                error = OSError(code, os.strerror(code)) if what == What.LOST else None
                events.append(Event(fd, _WHATS[what], mask, error))
        return events + self._served(ready, (of.offset, of.looked, of.asked, of.woke)) if ready else events

    def _note(self, place: int) -> Note:
        note = self._of.notes[place]
        return Note(note.kind == _LATE, note.began, note.length)
