"""However the reads fall, a body is cut into the same events, each by the read that ended it."""

from __future__ import annotations

import gzip
import zlib
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.protocol.coding import CodingError, Unpacking
from loadcell.protocol.cutting import Cutter

SSE, PLAIN = b"text/event-stream", b"text/plain"
JSON = [b'{"a": "x"}', b'{"b": [1, 2]}', b'{"c": {"d": "}{"}}']
FORMS: dict[str, tuple[bytes, list[bytes], bytes]] = {
    "events": (SSE, [b"data: " + one for one in JSON], b"\n\n"),
    "events, CRLF": (PLAIN, [b"data: " + one for one in JSON], b"\r\n\r\n"),
    "events, CR": (PLAIN, [b"data: " + one for one in JSON], b"\r\r"),
    "named events": (PLAIN, [b"event: x\ndata: " + one for one in JSON], b"\n\n"),
    "comments": (PLAIN, [b": hello", *(b"data:" + one for one in JSON)], b"\n\n"),
    "lines": (PLAIN, JSON, b"\n"),
    "lines as events": (SSE, JSON, b"\n"),
    "lines, CRLF": (PLAIN, JSON, b"\r\n"),
    "data lines": (SSE, [b"data: " + one for one in JSON], b"\n"),
}


def cut(media: bytes, pieces: list[bytes]) -> list[tuple[int, bytes]]:
    cutter = Cutter(media, ok=True)
    for number, piece in enumerate(pieces):
        cutter.take(number, piece)
    document = cutter.end(len(pieces) - 1)
    assert cutter.streamed and not document
    return [(number, part) for number, part in cutter.parts if part.strip()]


@pytest.mark.parametrize("name", FORMS)
@given(st.lists(st.integers(1, 90), max_size=12))
def test_events_are_the_same_however_they_come(name: str, places: list[int]) -> None:
    media, events, eol = FORMS[name]
    body = b"".join(one + eol for one in events)
    ends = sorted({place for place in places if place < len(body)} | {len(body)})
    pieces = [body[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    found = cut(media, pieces)
    assert [part for _, part in found] == events
    # The read that ended an event is that of its last byte; where CR may go on as CRLF, that of the byte before.
    stops = list(accumulate(len(one + eol) for one in events))
    for (number, _), stop in zip(found, stops, strict=True):
        assert sum(map(len, pieces[: number + 1])) >= stop - (b"\r" in eol)
        assert sum(map(len, pieces[:number])) < stop


@given(st.lists(st.integers(1, 60), max_size=9))
@pytest.mark.parametrize(
    "text", [b'{"a": 1}', b'{\n  "a": 1\n}\n', b"[1,\n2]", b"<html>\n</html>", b"nonsense", b"17\n"]
)
def test_a_document_stays_whole(text: bytes, places: list[int]) -> None:
    ends = sorted({place for place in places if place < len(text)} | {len(text)})
    cutter = Cutter(PLAIN, ok=True)
    for number, (a, b) in enumerate(zip([0, *ends], ends, strict=False)):
        cutter.take(number, text[a:b])
    assert cutter.end(len(ends) - 1) == text.strip() and not cutter.streamed


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=6), st.integers(1, 50))
@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw"])
def test_unpacking_is_the_same_however_it_comes(coding: str, parts: list[bytes], size: int) -> None:
    bits = {"gzip": 31, "deflate": 15, "raw": -15}[coding]
    state = zlib.compressobj(wbits=bits)
    packed = b"".join(state.compress(part) + state.flush(zlib.Z_SYNC_FLUSH) for part in parts) + state.flush()
    unpacking = Unpacking(["gzip" if coding == "gzip" else "deflate"])
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(map(unpacking.take, pieces)) == b"".join(parts)


def test_codings_are_undone_from_the_last() -> None:
    body = zlib.compress(gzip.compress(b"words"))
    assert Unpacking(["gzip", "deflate"]).take(body) == b"words"


@given(st.sampled_from(["gzip", "deflate", "br", "zstd"]), st.binary(max_size=300))
def test_junk_is_a_coding_error_or_nothing(coding: str, data: bytes) -> None:
    try:
        Unpacking([coding]).take(data)
    except CodingError as error:
        assert len(str(error)) < 300
