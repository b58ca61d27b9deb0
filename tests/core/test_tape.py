"""Tapes of both forms: what goes in comes out once, with its times; and the form in C does what the other does."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tapes import tapes

from loadcell.core import BULK_BYTES, STAMP_COLUMNS, Tape
from loadcell.core.tape import MOMENT, NUMBER, TEXT, TOLD, WHOLE
from loadcell.kinds import MISSING

MS = 1_000_000
OFFSET = 1_700_000_000_000_000_000
HEAD, TAIL = b'data: {"t":"', b'"}\n\n'
PLAIN = HEAD + TEXT + TAIL

Make = Callable[[], Tape]


@pytest.fixture(params=tapes(), ids=lambda make: make.__name__)
def tape(request: pytest.FixtureRequest) -> Tape:
    made: Tape = request.param()
    return made


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def token(text: bytes) -> bytes:
    return chunk(HEAD + text + TAIL)


def store(tape: Tape, *reads: bytes, at: int = 0) -> Tape:
    for number, data in enumerate(reads, at):
        tape.append(data, b"", (number + 1) * MS, (OFFSET, number, number + 1, number + 2))
    return tape


def test_events_that_look_alike_are_one_text(tape: Tape) -> None:
    whole = token(b"one ") + token(b"two ")
    store(tape, whole[:9], whole[9:], token(b"three"))
    found = tape.scan(PLAIN, 100)
    assert found is not None
    assert found.text == b"one two three"
    assert (list(found.reads), list(found.begins)) == ([1, 1, 2], [0, 1, 2])
    assert list(found.sizes) == [len(HEAD + text + TAIL) - 8 for text in (b"one ", b"two ", b"three")]
    assert found.taken == len(whole) + len(token(b"three"))
    assert (tape.stored, tape.taken, tape.pieces(9)) == (0, 3, [])


NUMBERED = [b'data: {"n":%b,"t":"%b"}\n\n', b'data: {"t":"%b","n":%b}\n\n', b'{"at":"%b","t":"%b","n":%b}\n']
"""Forms with places for a number, or a date and a number, and a text."""
WHOLES = {b"0": True, b"7": True, b"1234567890": True, b"12345678901": False, b"07": False, b"": False, b"-1": False,
          b"1.5": False, b"x": False}  # fmt: skip
NUMBERS = {
    WHOLE: WHOLES,
    TOLD: WHOLES | {b"123456789": True, b"1234567890": False},
    NUMBER: WHOLES | {b"-1": True, b"1.5": True, b"-0.000123": True, b"1.": False, b".5": False, b"-": False,
                      b"01.5": False, b"1e5": False, b"1.5.5": False, b"--1": False, b"1." + b"3" * 21: False},
    MOMENT: {b"2026-12-01T02:03:04.567Z": True, b"7": True, b"": False, b"x": False, b"9" * 41: False, b"1,2": False},
}  # fmt: skip
CASES = [(kind, value, taken) for kind, values in NUMBERS.items() for value, taken in values.items()]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("kind", "value", "taken"), CASES)
def test_what_differs_is_of_its_kind(tape: Tape, kind: bytes, value: bytes, taken: bool, before: bool) -> None:
    shape = NUMBERED[0 if before else 1]
    events = [
        shape % ((n, text) if before else (text, n)) for text, n in ((b"one ", b"99"), (b'a\\"b', value), (b"c", b"5"))
    ]
    form = shape % ((kind, TEXT) if before else (TEXT, kind))
    found = store(tape, b"".join(map(chunk, events))).scan(form, 100)
    assert found is not None
    assert found.text == (b'one a\\"bc' if taken else b"one ")
    assert list(found.sizes) == [len(event) - 8 for event in events[: len(found.sizes)]]
    numbers = [99, int(value), 5] if taken and kind == TOLD else [99]
    assert list(found.told) == (numbers if kind == TOLD else [])


def test_a_form_may_have_many_places(tape: Tape) -> None:
    form = b'{"a":%b,"b":[%b],"c":"%b","t":"%b","d":%b}\n' % (NUMBER, TOLD, MOMENT, TEXT, WHOLE)
    events = [
        b'{"a":-1.25,"b":[%d],"c":"2026-12-01","t":"%b","d":3}\n' % (n, text) for n, text in ((8, b"x"), (9, b"y"))
    ]
    found = store(tape, b"".join(map(chunk, events))).scan(form, 100)
    assert found is not None and (found.text, list(found.told)) == (b"xy", [8, 9])


@pytest.mark.parametrize("text", [b"", b'a"b', b"a\\", b"a\nb", b"a\\ud83d"])
def test_what_looks_otherwise_than_a_numbered_form_comes_in_pieces(tape: Tape, text: bytes) -> None:
    assert store(tape, chunk(NUMBERED[1] % (text, b"3"))).scan(NUMBERED[1] % (TEXT, WHOLE), 9) is None


UNLIKE = {
    "another event": chunk(b"data: {}\n\n"),
    "no text": token(b""),
    "a quote": token(b'a"b'),
    "a control character": token(b"a\nb"),
    "half a character": token(b"a\\ud83d"),
    "the other half": token(b"a\\ude00"),
    "an escape that JSON does not know": token(b"a\\x"),
    "an escape of the end": token(b"a\\"),
    "no UTF-8": token(b"\xff"),
    "a surrogate in UTF-8": token(b"\xed\xa0\x80"),
    "UTF-8 that is too long": token(b"\xe0\x80\x80"),
    "half of UTF-8": token(b"\xe6\xbc"),
    "two events in a chunk": chunk(2 * (HEAD + b"a" + TAIL)),
    "a chunk extension": token(b"a").replace(b"\r\n", b";x=1\r\n", 1),
    "an event in two chunks": chunk(HEAD + b"a") + chunk(b"b" + TAIL),
    "a size that is not that": token(b"a").replace(token(b"a")[:2], b"19", 1),
    "a size of nine digits": b"0000000" + token(b"a"),
    "the last chunk": b"0\r\n\r\n",
}


@pytest.mark.parametrize("odd", UNLIKE.values(), ids=list(UNLIKE))
def test_what_looks_otherwise_comes_in_pieces(tape: Tape, odd: bytes) -> None:
    store(tape, token(b"a"), odd, token(b"z"))
    found = tape.scan(PLAIN, 100)
    assert found is not None and found.text == b"a"
    assert tape.scan(PLAIN, 100) is None
    assert (tape.taken, tape.pieces(1)) == (1, [odd])
    found = tape.scan(PLAIN, 100)
    assert found is not None and (found.text, list(found.reads)) == (b"z", [2])


@pytest.mark.parametrize("text", [rb"\n\"\\\/\b\f\r\t", rb"\u00e9\uD83D\uDE00\u0000", "é漢😀\x7f".encode()])
def test_texts_are_what_may_stand_in_a_json_string(tape: Tape, text: bytes) -> None:
    found = store(tape, token(text)).scan(PLAIN, 1)
    assert found is not None and found.text == text


def test_an_event_that_has_not_come_whole_waits(tape: Tape) -> None:
    whole = token(b"abc")
    for size in range(1, len(whole)):
        store(tape, whole[size - 1 : size], at=size - 1)
        assert tape.scan(PLAIN, 1) is None
    found = store(tape, whole[-1:], at=len(whole) - 1).scan(PLAIN, 1)
    assert found is not None and list(found.reads) == [len(whole) - 3]  # the line end of its chunk is not of it


def test_after_a_part_the_rest_of_a_read_is_a_piece_of_it(tape: Tape) -> None:
    store(tape, token(b"a") + b"0\r\n", b"\r\n")
    assert tape.scan(PLAIN, 9) is not None
    assert (tape.taken, tape.stored) == (0, 2)
    assert tape.pieces(1) == [b"0\r\n"]
    assert (tape.taken, tape.pieces(5)) == (1, [b"\r\n"])


def test_times_are_the_kernels_as_far_as_they_can_be(tape: Tape) -> None:
    def stamp(mono: int) -> bytes:
        return struct.pack("=qq", *divmod(mono + OFFSET, 1_000_000_000))

    turn = (OFFSET, 1, 2, 3)
    tape.begin(10 * MS)
    tape.append(b"a", stamp(11 * MS), 12 * MS, turn)
    tape.append(b"b", b"", 13 * MS, turn)
    tape.append(b"c", stamp(5 * MS), 14 * MS, turn)  # before the read ahead of it: the clock was stepped
    tape.append(b"d", stamp(15 * MS + 5_000), 15 * MS, turn)  # a little later than it was read: clocks differ so much
    stamps = tape.stamps()
    assert stamps[::STAMP_COLUMNS].tolist() == [11 * MS, 13 * MS, 14 * MS, 15 * MS]
    assert stamps[1::STAMP_COLUMNS].tolist() == [1 * MS, MISSING, MISSING, 0]
    assert (tape.dropped, tape.last_ns(), tape.heard_ns()) == (1, 15 * MS, 15 * MS)


def test_what_follows_a_bulk_may_have_come_as_early_as_it(tape: Tape) -> None:
    for number, size in enumerate((5, BULK_BYTES, BULK_BYTES, 5, 5)):
        tape.append(b"x" * size, b"", number, (0, 10 * number, 10 * number + 1, 10 * number + 2))
    assert tape.stamps()[2::STAMP_COLUMNS].tolist() == [0, 10, 10, 10, 40]


def test_the_newest_reads_as_far_as_they_wait(tape: Tape) -> None:
    store(tape, b"one", b"two", b"three")
    assert [tape.newest(n) for n in (1, 2, 3, 9)] == [b"three", b"twothree", b"onetwothree", b"onetwothree"]
    assert tape.pieces(2) == [b"one", b"two"]
    assert [tape.newest(n) for n in (1, 2)] == [b"three", b"three"]
    assert (tape.drop(), tape.newest(), tape.stored, tape.reads) == (5, b"", 0, 3)


def test_its_weight_is_that_of_what_waits(tape: Tape) -> None:
    store(tape, b"x" * 1000, b"y" * 1000)
    whole = tape.weight()
    tape.pieces(1)
    assert whole > 2000 and tape.weight() == whole / 2
    tape.drop()
    assert tape.weight() == 0


TEXTS = st.binary(min_size=1, max_size=6) | st.text(min_size=1, max_size=6).map(
    lambda text: re.sub(r'["\\\x00-\x1f\ud800-\udfff]', "a", text).encode()
)
ODD = st.sampled_from([*UNLIKE.values(), token(rb"\n"), token(b"word")])
FORMS = [
    PLAIN,
    *(NUMBERED[0] % (kind, TEXT) for kind in NUMBERS),
    *(NUMBERED[1] % (TEXT, kind) for kind in NUMBERS),
    NUMBERED[2] % (MOMENT, TEXT, TOLD),
    NUMBERED[2] % (NUMBER, TEXT, WHOLE),
]


def parts(form: bytes) -> st.SearchStrategy[list[bytes]]:
    """Chunks of events of a form, some of them not."""

    @st.composite
    def alike(draw: st.DrawFn) -> bytes:
        found = form.replace(TEXT, draw(TEXTS))
        for kind, values in NUMBERS.items():
            found = found.replace(kind, draw(st.sampled_from([*values, b"8", b"9"])))
        return chunk(found)

    return st.lists(st.one_of(alike(), ODD), max_size=12)


STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "scan", "pieces", "newest", "drop"]), st.integers(1, 40)), max_size=30
)


@pytest.mark.parametrize("form", FORMS)
@given(st.data(), STEPS, st.lists(st.none() | st.integers(-20 * MS, 20 * MS), min_size=1, max_size=8))
def test_both_forms_do_the_same(
    form: bytes, data: st.DataObject, steps: list[tuple[str, int]], stamps: list[int | None]
) -> None:
    """Whatever comes in whatever pieces, with whatever stamps, handed on in whatever order."""
    stream = b"".join(data.draw(parts(form)))
    told = [_told(make(), stream, steps, stamps, form) for make in tapes()]
    assert all(one == told[0] for one in told)


def _told(tape: Tape, data: bytes, steps: list[tuple[str, int]], stamps: list[int | None], form: bytes) -> list[Any]:
    """What a tape says at every step."""
    said: list[Any] = []
    tape.begin(0)
    for number, (step, size) in enumerate(steps):
        if step == "append":
            if not data:
                continue
            piece, data = data[:size], data[size:]
            apart, mono = stamps[number % len(stamps)], (number + 1) * MS
            stamp = b"" if apart is None else struct.pack("=qq", *divmod(mono + apart + OFFSET, 1_000_000_000))
            tape.append(piece, stamp, mono, (OFFSET, number, number + 1, number + 2))
        elif step == "scan":
            said.append(tape.scan(form, size))
        elif step == "pieces":
            said.append(tape.pieces(size))
        else:
            said.append(tape.newest(size) if step == "newest" else tape.drop())
        said += [tape.reads, tape.taken, tape.stored, tape.dropped, tape.weight(), tape.last_ns()]
        said.append(tape.stamps().tolist())
    return said
