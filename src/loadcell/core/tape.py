"""One reply's bytes as they came, and of each read when: what parsing takes its events and their times from."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

from loadcell.core.clock import stamps
from loadcell.kinds import MISSING

LOOK_NS = 1_000_000
"""What a poll saw it hands over within this: the writing thread gives the interpreter back in half of it."""
STALL_NS = 5_000_000
"""A time without a look at the sockets that is longer than this is noted by itself."""
READ_BYTES = 65536
BULK_BYTES = READ_BYTES // 2
"""A read this large may have left something behind: what follows it may have come as early as it."""
EVENT_MOST_BYTES = 16 << 20
READ_MEMORY_BYTES = 250
"""Of memory for a stored read, beside its data."""
_FRAME_BYTES = len(b"data: \n\n")

STAMP_COLUMNS = 5
"""Numbers that a tape tells of a read."""

Look = tuple[int, int, int]
"""Of the turn that read: the last look before it, when its own poll began and when that returned, monotonic ns."""
Turn = tuple[int, int, int, int]
"""Of a poll: wall clock less monotonic clock at its return, and its `Look`."""


WHOLE, TOLD, NUMBER, MOMENT, TEXT = b"\0", b"\1", b"\2", b"\3", b"\4"
"""What stands in a form for what differs from event to event: a whole number of up to ten digits; likewise, of up to
nine, to be told; a number of JSON without exponent; digits and what stands among them in a date; and the inside of a
JSON string. No JSON holds these bytes."""
MOST_PLACES = 16
"""Of these in a form."""
WILD = {
    WHOLE: b"(?:0|[1-9][0-9]{0,9})",
    TOLD: b"(?:0|[1-9][0-9]{0,8})",
    NUMBER: rb"-?(?:0|[1-9][0-9]{0,9})(?:\.[0-9]{1,20})?",
    MOMENT: b"[0-9TZ:.+-]{1,40}",
}
"""What each of them stands for, but for TEXT."""


class Scan(NamedTuple):
    """Events that look alike but for a text, and for what their form says."""

    reads: array[int]
    """Of each event the read that brought its last byte."""
    begins: array[int]
    """And the one that brought its first."""
    sizes: array[int]
    """Bytes of its data, where nothing but that stands in it."""
    text: bytes
    """The texts behind one another, as they stand in their JSON strings."""
    told: array[int]
    """Of each event the number that is to be told; empty where its form has none."""
    taken: int
    """Bytes of the reply that were handed on."""


class Tape:
    """Reads are stored in order; their bytes are handed on once, by `scan` or by `pieces`; their times stay."""

    __slots__ = (
        "_bulk", "_dropped", "_ends", "_floor_ns", "_lags", "_looks", "_rest", "_times", "raw", "taken", "watchful",
    )  # fmt: skip

    def __init__(self) -> None:
        self.raw: list[Any] = []
        """Of each read whose time is not worked out yet: data, raw stamp, monotonic ns after it, turn; flat."""
        self.taken = 0
        """Reads that were handed on whole."""
        self._dropped = 0
        self.watchful = True
        """Whether each read is to be looked at as it comes."""
        self._floor_ns = 0
        self._times, self._lags, self._looks = array("q"), array("q"), array("q")
        self._ends: list[int] = []
        """Of each read that waits: where it ends in `_rest`."""
        self._rest = bytearray()
        self._bulk = False

    def begin(self, not_before_ns: int) -> None:
        """Nothing can have come before this, monotonic ns."""
        self._floor_ns = not_before_ns

    def append(self, data: bytes, stamp: bytes, mono_ns: int, turn: Turn) -> None:
        """Store a read: its bytes, the kernel's stamp as it came (b"" for none), and when it was over."""
        self.raw += (data, stamp, mono_ns, turn)

    @property
    def reads(self) -> int:
        """How many there are."""
        return len(self._times) + len(self.raw) // 4

    @property
    def stored(self) -> int:
        """Reads that wait to be handed on."""
        return self.reads - self.taken

    @property
    def dropped(self) -> int:
        """Stamps that could not be true."""
        self._settle()
        return self._dropped

    def weight(self) -> int:
        """Bytes of memory that it takes, about."""
        waiting = len(self._rest) + sum(map(len, self.raw[::4]))
        return waiting + READ_MEMORY_BYTES * self.stored

    def last_ns(self) -> int:
        """Receive time of the newest read; MISSING if there is none."""
        self._settle()
        return self._times[-1] if self._times else MISSING

    def heard_ns(self) -> int:
        """When the newest read was over; there is one."""
        if self.raw:
            return int(self.raw[-2])
        return self._times[-1] + (0 if self._lags[-1] == MISSING else self._lags[-1])

    def newest(self, reads: int = 1) -> bytes:
        """The bytes of the newest reads, as far as they wait."""
        self._settle()
        ends = [0, *self._ends][-reads - 1 :]
        return bytes(self._rest[ends[0] :])

    def stamps(self) -> array[int]:
        """Of each read, flat: receive time, monotonic ns; how late it was read, MISSING without a stamp of the kernel;
        and its `Look`."""
        self._settle()
        found = array("q", bytes(8 * STAMP_COLUMNS * len(self._times)))
        found[0::STAMP_COLUMNS], found[1::STAMP_COLUMNS] = self._times, self._lags
        for i in range(3):
            found[2 + i :: STAMP_COLUMNS] = self._looks[i::3]
        return found

    def time(self, read: int) -> int:
        """Receive time of a read."""
        self._settle()
        return self._times[read]

    def scan(self, form: bytes, most: int) -> Scan | None:
        """Hand on events of a form (TEXT once in it, TOLD once at most, MOST_PLACES of all), as far as they follow one
        another whole, each a chunk (RFC 9112, 7.1) of its own without extensions: at most `most`; None for none.

        The bytes that wait must begin with a chunk.
        """
        self._settle()
        found, at = Scan(array("i"), array("i"), array("i"), b"", array("i"), 0), 0
        texts: list[bytes] = []
        match, rest, ends, taken, read = _event(form).match, self._rest, self._ends, self.taken, 0
        while len(texts) < most and (hit := match(rest, at)):
            digits, text = hit["size"], hit["text"]
            size, end = int(digits, 16), hit.end() - 2
            if at + len(digits) + 2 + size != end or size > EVENT_MOST_BYTES or not (text.isascii() or _is_utf8(text)):
                break
            begin = end - size
            while ends[read] <= begin:
                read += 1
            found.begins.append(taken + read)
            while ends[read] < end:
                read += 1
            found.reads.append(taken + read)
            found.sizes.append(size - _FRAME_BYTES)
            if TOLD in form:
                found.told.append(int(hit["told"]))
            texts.append(text)
            at = end + 2
        if not texts:
            return None
        self._hand_on(at)
        return found._replace(text=b"".join(texts), taken=at)

    def pieces(self, most: int) -> list[bytes]:
        """Hand on up to so many reads as they came, of the first what is left of it; its number was `taken`."""
        self._settle()
        ends = self._ends[:most]
        found = [bytes(self._rest[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
        if ends:
            self._hand_on(ends[-1])
        return found

    def drop(self) -> int:
        """Forget the bytes that wait; how many they were."""
        self._settle()
        left = len(self._rest)
        self._hand_on(left)
        return left

    def close(self) -> None:
        """Free what it holds: it is not used any more."""

    def _hand_on(self, bytes_: int) -> None:
        del self._rest[:bytes_]
        gone = bisect_right(self._ends, bytes_)
        self._ends = [end - bytes_ for end in self._ends[gone:]]
        self.taken += gone

    def _settle(self) -> None:
        """Work out the times of the reads that are new."""
        raw = self.raw
        if not raw:
            return
        offsets, *looks = zip(*raw[3::4], strict=True)
        times, lags, dropped = stamps(raw[1::4], raw[2::4], offsets, self._floor_ns)
        sizes = list(map(len, raw[::4]))
        self._ends += list(accumulate(sizes, initial=len(self._rest)))[1:]
        self._rest += b"".join(raw[::4])
        for size, look in zip(sizes, zip(*looks, strict=True), strict=True):
            self._looks.extend(self._looks[-3:] if self._bulk else look)
            self._bulk = size >= BULK_BYTES
        self._times.extend(times)
        self._lags.extend(lags)
        self._floor_ns = times[-1]
        self._dropped += dropped
        raw.clear()


@lru_cache(maxsize=64)
def _event(form: bytes) -> re.Pattern[bytes]:
    """One chunk that holds one event: its size, the inside of its JSON string (RFC 8259, 7), and what it tells."""
    half = rb"\\u(?!d[89a-f])[0-9a-f]{4}"
    whole = rb"\\u(?i:d[89ab][0-9a-f]{2})\\u(?i:d[c-f][0-9a-f]{2})"
    text = rb'(?P<text>(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|(?i:%b)|%b)+)' % (half, whole)
    pattern = re.escape(form).replace(TEXT, text)
    for kind, differs in WILD.items():
        pattern = pattern.replace(kind, differs if kind != TOLD else b"(?P<told>%b)" % differs)
    return re.compile(rb"(?P<size>[0-9a-fA-F]{1,8})\r\n%b\r\n" % pattern)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
