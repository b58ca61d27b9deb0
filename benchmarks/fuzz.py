"""Fuzz: tapes of both forms take the same random byte streams in the same pieces, and must say the same of them.

A third of the streams come in records, as of TLS but in the clear: one form opens them as they come, the other later.

`python benchmarks/fuzz.py FIRST COUNT [LIBRARY]` fuzzes the streams of these numbers, with a library of its own perhaps
(one that was compiled with sanitizers), and ends with the number of the first that differs.
"""

from __future__ import annotations

import struct
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from common import cores
from tables import Row, Table

from loadcell.core import Tape, native

STREAMS, BATCH = 10_000_000, 20_000
REPLIES = 200_000
_FORMS = (
    b'data: {"t":"\4"}\n\n', b'event: t\ndata: {"n":\0,"t":"\4"}\n\n', b'data: {"t":"\4","n":\1}\n\n',
    b'{"at":"\3","t":"\4","n":[\1],"p":\2,"more":\0}\n',
)  # fmt: skip
"""As `loadcell.core.tape` has them."""
_NUMBERS = (b"0", b"7", b"99", b"123456789", b"1234567890", b"12345678901", b"07", b"", b"-1", b"-0.5", b"1.", b"1e3")
_MS, _OFFSET = 1_000_000, 1_700_000_000_000_000_000
_TEXTS = (
    b"word", b" a", b"", b"\\n", b"\\u00e9", b"\\ud83d\\ude00", b"\\ud83d", b"\\x", b"\\", b'"', b"\n", b"\xc3\xa9",
    b"\xe6\xbc\xa2", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"x" * 300,
)  # fmt: skip
_ODD = (
    b"0\r\n\r\n", b"\r\n", b"5;x=1\r\nabcde\r\n", b"fffffffff\r\n", b"1\r\na\r\n", b"data: [DONE]\n\n", b": ping\n\n",
    b"7fffffff\r\n", b"\x00" * 9,
)  # fmt: skip


def stream_of(rng: Random, form: bytes) -> bytes:
    """Chunks of events that look alike, some of them not, some spoilt."""
    parts = []
    for _ in range(rng.randrange(1, 7)):
        if rng.random() < 0.2:
            parts.append(rng.choice(_ODD))
            continue
        event = form
        for kind in (b"\0", b"\1", b"\2", b"\3"):
            event = event.replace(kind, rng.choice(_NUMBERS))
        event = event.replace(b"\4", b"".join(rng.choices(_TEXTS, k=rng.randrange(1, 3))))
        parts.append(b"%x\r\n%b\r\n" % (len(event), event))
    data = bytearray(b"".join(parts))
    for _ in range(rng.randrange(3) if rng.random() < 0.5 else 0):
        place = rng.randrange(len(data) + 1)
        data[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(data)


def records_of(data: bytes, rng: Random) -> bytes:
    """The stream in records, some of which hold nothing."""
    parts = []
    while data:
        size = rng.choice((0, 1, 30, 60, 200))
        parts.append(struct.pack(">BHH", 23, 0x303, len(data[:size])) + data[:size])
        data = data[size:]
    return b"".join(parts) + b"\x17\x03\x03\0\0" * rng.randrange(2)


class Opening:
    """What opens such records, as a connection does."""

    def __init__(self) -> None:
        self._rest = b""

    def __call__(self, data: bytes) -> bytes:
        self._rest, plain = self._rest + data, b""
        while len(self._rest) >= 5 and len(self._rest) >= (end := 5 + int.from_bytes(self._rest[3:5])):
            plain, self._rest = plain + self._rest[5:end], self._rest[end:]
        if plain:
            return plain
        raise BlockingIOError


def told(tape: Tape, data: bytes, rng: Random, form: bytes, *, sealed: bool = False) -> list[Any]:
    """What a tape says of a stream that comes in random pieces, some with stamps, and is handed on at random.

    Of a sealed one no stamp is untrue: reads that are gone tell nothing of those after them.
    """
    said: list[Any] = []
    tape.begin(0)
    opening, number, early = Opening(), 0, (0, 50_000) if sealed else (0, 50_000, 2 * _MS, -20_000)
    if sealed and isinstance(tape, native.NativeTape) and (records := native.make_records()):
        tape.seal(records, opening)
    while data or tape.stored:
        number += 1
        if data and rng.random() < 0.7:
            size = rng.choice((1, 3, 7, 20, 40, 300))
            mono = number * _MS
            stamp = b"" if rng.random() < 0.1 else _stamp(mono - rng.choice(early))
            turn = (_OFFSET, number, number + 1, number + 2)
            if not sealed or isinstance(tape, native.NativeTape):
                tape.append(data[:size], stamp, mono, turn)
            else:
                with suppress(BlockingIOError):
                    tape.append(opening(data[:size]), stamp, mono, turn)
            data = data[size:]
            if not data and isinstance(tape, native.NativeTape):
                tape.settle()
        elif rng.random() < 0.7:
            said.append(tape.scan(form, rng.randrange(1, 5)))
        else:
            said.append(tape.pieces(rng.randrange(1, 4)))
    said += [tape.reads, tape.taken, tape.dropped, tape.stamps().tolist(), tape.last_ns()]
    return said


def _stamp(mono_ns: int) -> bytes:
    return struct.pack("=qq", *divmod(mono_ns + _OFFSET, 1_000_000_000))


def first_difference(first: int, count: int) -> int | None:
    """The number of the first stream of these that both forms do not say the same of."""
    for number in range(first, first + count):
        form, sealed = _FORMS[number % len(_FORMS)], number // len(_FORMS) % 3 == 2
        data = stream_of(Random(number), form)
        data = records_of(data, Random(number)) if sealed else data
        seed = Random(~number).random()
        one, other = (told(make(), data, Random(seed), form, sealed=sealed) for make in (Tape, native.NativeTape))
        if one != other:
            return number
    return None


def measure(quick: bool) -> list[Table]:
    """Ten million streams, or a few thousand; and of replies a fiftieth."""
    return [*_tapes(quick), _replies(quick)]


def _replies(quick: bool) -> Table:
    import fuzz_replies  # only here: what runs this file alone lacks the kit of the tests

    table = Table("Replies of every API", ("streams", "seconds", "that differ"), notes=(
        f"Streams of {len(fuzz_replies.SPOKEN)} APIs, with odd and spoilt events among the others, taken whole, in "
        "random pieces, and from tapes of both forms: what is heard must be equal, and one that is cut must fail.",
    ))  # fmt: skip
    streams, batch = (400, 100) if quick else (REPLIES, 1000)
    began = time.perf_counter()
    with ProcessPoolExecutor(len(cores())) as pool:
        found = pool.map(fuzz_replies.first_wrong, range(0, streams, batch), [batch] * (streams // batch))
        wrong = [number for number in found if number is not None]
    cells = (f"{streams:,}", f"{time.perf_counter() - began:.0f}", f"{len(wrong)} batches, of streams {wrong[:5]}")
    table.rows.append(Row(cells if wrong else (*cells[:2], "0"), "0", not wrong))
    return table


def _tapes(quick: bool) -> list[Table]:
    table = Table("Both forms of the core", ("streams", "seconds", "that differ"), notes=(
        "A stream is 1 to 6 chunks of events, spoilt at random, which comes in random pieces and is handed on in "
        "random order; a third of them in records that one form opens later. What both forms say of it at every step, "
        "and of the times of its reads, must be equal.",
    ))  # fmt: skip
    if native.library()[0] is None:
        table.rows.append(Row(("-", "-", f"no library: {native.library()[1]}")))
        return [table]
    streams, batch = (2_000, 500) if quick else (STREAMS, BATCH)
    began = time.perf_counter()
    with ProcessPoolExecutor(len(cores())) as pool:
        found = pool.map(first_difference, range(0, streams, batch), [batch] * (streams // batch))
        wrong = [number for number in found if number is not None]
    cells = (f"{streams:,}", f"{time.perf_counter() - began:.0f}", f"{len(wrong)} batches, of streams {wrong[:5]}")
    table.rows.append(Row(cells if wrong else (*cells[:2], "0"), "0", not wrong))
    return [table]


if __name__ == "__main__":
    if len(sys.argv) > 3:
        native.LIBRARY = Path(sys.argv[3])
    _, why = native.library()
    if why:
        sys.exit(why)
    differs = first_difference(int(sys.argv[1]), int(sys.argv[2]))
    if differs is not None:
        sys.exit(f"stream {differs} differs")
