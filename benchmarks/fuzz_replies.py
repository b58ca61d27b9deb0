"""Fuzz: replies of every API take the same random streams whole, in random pieces, and from tapes of both forms.

They must say the same of each stream, and that it failed where it was cut before its end. `python
benchmarks/fuzz_replies.py FIRST COUNT` fuzzes the streams of these numbers, and ends with the number of the first that
is heard otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from loadcell.core import Tape, native
from loadcell.protocol import reply_to

sys.path.append(str(Path(__file__).parents[1] / "tests" / "kit"))
_KIT: Any = import_module("spoken")
SPOKEN: dict[str, Any] = _KIT.SPOKEN | _KIT.SOUNDING
"""Every API, as the tests speak it."""
_TEXTS = (
    "word", " a", "", "\n", '"', "\\", "\u00e9", "\u6f22", "\U0001f600", "data: x\n\n", '{"done":true}', "x" * 300,
)  # fmt: skip
_ODD = (b": ping\n\n", b"\n", b"event: error\ndata: no\n\n", b"data: [DONE]\n\n", b"{}\n", b"data: {}\n\n", b"\xff\n\n")


def events_of(spoken: Any, rng: Random) -> list[bytes]:
    """A stream of an API, some of whose events are odd, left out or spoilt."""
    events = spoken.stream(rng.choices(_TEXTS, k=rng.randrange(1, 9)), ascii_only=rng.random() < 0.5)
    for _ in range(rng.randrange(3) if rng.random() < 0.6 else 0):
        place = rng.randrange(len(events))
        some = [spoken.event(value) for value in (*spoken.more, spoken.error, spoken.thought("hm"))]
        events[place : place + rng.randrange(2)] = [rng.choice([*some, *_ODD])]
    if rng.random() < 0.3:
        place = rng.randrange(len(events))
        spoilt = bytearray(events[place])
        at = rng.randrange(len(spoilt) + 1)
        spoilt[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        events[place] = bytes(spoilt)
    return [event for event in events if event]


def heard(spoken: Any, data: bytes, rng: Random | None, tape: Tape | None = None) -> dict[str, Any]:
    """What a reply says of a stream that came at once, or in random pieces, to it or to a tape."""
    reply, number = reply_to(spoken.dialect), 0
    while data and not reply.closed:
        size = len(data) if rng is None else rng.choice((1, 3, 20, 60, 200, 700))
        piece, data = data[:size], data[size:]
        if tape is None:
            reply.feed([piece], number)
        else:
            tape.append(piece, b"", number + 1, (0, 0, 0, 0))
            while tape.stored and (rng is None or rng.random() < 0.7):
                reply.take(tape, 1 if rng is None else rng.randrange(1, 9))
        number += 1
    while tape is not None and tape.stored:
        reply.take(tape, 9)
    reply.close(max(number - 1, 0))
    if reply.sound is not None and not reply.streamed:  # its events are its reads
        return {"failure": reply.failure, "bytes": reply.sound.bytes, "lasts_ns": reply.sound.lasts_ns}
    return {
        "sound": reply.sound and reply.sound.bytes,
        "failure": reply.failure, "finish": reply.finish_reason, "done": reply.done, "kinds": bytes(reply.kinds),
        "tokens": reply.tokens, "sizes": reply.sizes, "text": reply.text(), "usage": reply.usage,
    }  # fmt: skip


def _ways(spoken: Any, data: bytes, number: int) -> Iterator[dict[str, Any]]:
    yield heard(spoken, data, Random(number))
    for make in (Tape, native.NativeTape) if native.library()[0] is not None else (Tape,):
        yield heard(spoken, data, Random(~number), make())


def is_wrong(number: int) -> bool:
    """Whether a stream is heard otherwise in another way, or succeeds though it was cut."""
    spoken, rng = list(SPOKEN.values())[number % len(SPOKEN)], Random(number)
    events = events_of(spoken, rng)
    data = b"".join([spoken.head, *map(_KIT.chunk, events), _KIT.LAST])
    whole = heard(spoken, data, None)
    if any(other != whole for other in _ways(spoken, data, number)):
        return True
    clean = b"".join([spoken.head, *map(_KIT.chunk, spoken.stream(["one", "two"]))])
    ends = len(clean) - 3 - (0 if spoken.dialect.strict else len(b"".join(map(_KIT.chunk, spoken.stream([])))))
    return heard(spoken, clean[: rng.randrange(ends)], None)["failure"] is None


def first_wrong(first: int, count: int) -> int | None:
    """The number of the first stream of these that is."""
    return next((number for number in range(first, first + count) if is_wrong(number)), None)


if __name__ == "__main__":
    wrong = first_wrong(int(sys.argv[1]), int(sys.argv[2]))
    if wrong is not None:
        sys.exit(f"stream {wrong} is heard otherwise")
