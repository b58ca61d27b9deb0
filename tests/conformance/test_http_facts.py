"""The same stream, whatever HTTP says around it: its type, status, coding and framing change no figure.

The stream: first token 50 ms after the request, ten one-token events 20 ms apart, finish reason, usage, `[DONE]`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brotli
import pytest
from contract_runs import Ran, Run, ask, run_once
from known import Output, Witness, lies_in
from scripted import (
    CLOSE,
    DONE,
    LAST_CHUNK,
    Step,
    chunked,
    clean,
    delta,
    event,
    json_reply,
    serve,
    token,
    usage_event,
)

from loadcell.errors import EndpointError
from loadcell.protocol.coding import _zstd_library

TTFT_S, GAP_S, TOKENS = 0.05, 0.02, 10
TTFT_MS, E2E_MS = 50.0, 230.0
LESS_THAN_A_GAP_MS = 15.0
"""A stamp of another event's read would be off by 20 ms; a busy machine is off by less."""
END = (delta(finish="length"), usage_event(TOKENS))
SSE = [event(token())] * TOKENS
NDJSON = [json.dumps(token()).encode() + b"\n"] * TOKENS
SSE_END, NDJSON_END = b"".join(map(event, END)) + DONE, b"".join(json.dumps(one).encode() + b"\n" for one in END)
Pack = Callable[[bytes], bytes]


def head(media: bytes | None = b"text/event-stream", status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    kind = b"" if media is None else b"Content-Type: %b\r\n" % media
    return b"HTTP/1.1 %b\r\n%bTransfer-Encoding: chunked\r\n%b\r\n" % (status, kind, more)


def spaced(first: bytes, events: list[bytes], end: bytes, pack: Pack = bytes) -> list[Step]:
    """The head, then each event as a chunk at its time."""
    steps: list[Step] = [first]
    for place, one in enumerate(events):
        steps += [GAP_S if place else TTFT_S, Output(chunked(pack(one)))]
    return [*steps, chunked(pack(end)), LAST_CHUNK]


def packed(coding: bytes, make: Callable[[], Pack], events: list[bytes] = SSE, **about: Any) -> list[Step]:
    """Packed as it goes: what is written for an event unpacks to it at once."""
    return spaced(head(more=b"Content-Encoding: %b\r\n" % coding, **about), events, SSE_END, make())


def flushing(bits: int) -> Callable[[], Pack]:
    def make() -> Pack:
        state = zlib.compressobj(wbits=bits)
        return lambda data: state.compress(data) + state.flush(zlib.Z_SYNC_FLUSH)

    return make


def brotli_pack() -> Pack:
    state = brotli.Compressor()
    return lambda data: state.process(data) + state.flush()


def zstd_pack() -> Pack:
    library = _zstd_library()
    state = library.ZstdCompressor()
    return lambda data: state.compress(data, state.FLUSH_BLOCK)


def members() -> Pack:
    """Each event is a gzip member of its own."""
    return gzip.compress


FORMS: dict[str, Callable[[], list[Step]]] = {
    "as it should be": lambda: spaced(head(), SSE, SSE_END),
    "text/plain": lambda: spaced(head(b"text/plain; charset=utf-8"), SSE, SSE_END),
    "application/json": lambda: spaced(head(b"application/json"), SSE, SSE_END),
    "application/octet-stream": lambda: spaced(head(b"application/octet-stream"), SSE, SSE_END),
    "application/x-ndjson over SSE": lambda: spaced(head(b"application/x-ndjson"), SSE, SSE_END),
    "no Content-Type": lambda: spaced(head(None), SSE, SSE_END),
    "no Content-Type, comment first": lambda: spaced(head(None) + chunked(b": hello\n\n"), SSE, SSE_END),
    "no Content-Type, named events": lambda: spaced(head(None), [b"event: message\n" + one for one in SSE], SSE_END),
    "NDJSON": lambda: spaced(head(b"application/x-ndjson"), NDJSON, NDJSON_END),
    "NDJSON with CRLF": lambda: spaced(
        head(b"application/jsonl"), [one.replace(b"\n", b"\r\n") for one in NDJSON], NDJSON_END
    ),
    "NDJSON as text/event-stream": lambda: spaced(head(), NDJSON, NDJSON_END),
    "NDJSON without a type": lambda: spaced(head(None), NDJSON, NDJSON_END + b"[DONE]\n"),
    "data: lines without blank ones": lambda: spaced(
        head(), [one[:-1] for one in SSE], SSE_END.replace(b"\n\n", b"\n")
    ),
    "201": lambda: spaced(head(status=b"201 Created"), SSE, SSE_END),
    "202": lambda: spaced(head(status=b"202 Accepted"), SSE, SSE_END),
    "gzip": lambda: packed(b"gzip", flushing(31)),
    "x-gzip in capitals": lambda: packed(b"X-GZIP", flushing(31)),
    "gzip members": lambda: packed(b"gzip", members),
    "gzip under text/plain": lambda: packed(b"gzip", flushing(31), media=b"text/plain"),
    "gzip unsaid": lambda: spaced(head(), SSE, SSE_END, flushing(31)()),
    "gzip of NDJSON": lambda: packed(b"gzip", flushing(31), NDJSON, media=None),
    "deflate": lambda: packed(b"deflate", flushing(15)),
    "deflate, raw": lambda: packed(b"deflate", flushing(-15)),
    "br": lambda: packed(b"br", brotli_pack),
    "zstd": lambda: packed(b"zstd", zstd_pack),
    "identity said": lambda: spaced(head(more=b"Content-Encoding: identity\r\n"), SSE, SSE_END),
    "HTTP/1.0 until the connection closes": lambda: [
        b"HTTP/1.0 200 OK\r\n\r\n",
        *[step for place in range(TOKENS) for step in (GAP_S if place else TTFT_S, Output(SSE[place]))],
        SSE_END,
        CLOSE,
    ],
}


@dataclass(frozen=True)
class Truth:
    rows: list[dict[str, Any]]
    witness: Witness
    t0_ns: int


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """One run, a request a form, three at a time."""
    forms, witness = list(FORMS.values()), Witness()
    with serve(witness(lambda request: forms[request.number]())) as server:
        ran = run_once(server.url, tmp_path_factory.mktemp("facts") / "run", requests=len(forms), concurrency=3)
    return Truth(ran.rows, witness, witness.t0_ns(ran.rows))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", FORMS)
def test_what_http_says_of_a_stream_changes_no_figure(truth: Truth, name: str) -> None:
    row = truth.rows[list(FORMS).index(name)]
    assert (row["status"], row["error"]) == ("ok", None)
    assert (row["output_tokens"], row["token_source"], row["output_chunks"]) == (TOKENS, "usage", TOKENS)
    assert row["finish_reason"] == "length"
    bounds = truth.witness.bounds_ms([row], truth.t0_ns)
    ttft_ms, e2e_ms = ((row[key] - row["send_start_ns"]) / 1e6 for key in ("first_any_ns", "last_ns"))
    assert ttft_ms >= TTFT_MS and e2e_ms >= E2E_MS
    for value, name in ((ttft_ms, "ttft"), (e2e_ms, "e2e"), (e2e_ms - ttft_ms, "spread")):
        assert lies_in(value, bounds[name], LESS_THAN_A_GAP_MS), name


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 50])
def test_a_packed_stream_may_be_cut_anywhere(run: Run, cut: int) -> None:
    state = flushing(31)()
    body = b"".join(map(state, [*SSE, SSE_END]))
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)]
    with serve(lambda _: [head(more=b"Content-Encoding: gzip\r\n"), *map(chunked, pieces), LAST_CHUNK]) as server:
        ran = run(server.url, requests=1, concurrency=1)
    assert [(row["status"], row["output_tokens"]) for row in ran.rows] == [("ok", TOKENS)]


def test_nothing_packed_is_asked_for(run: Run) -> None:
    with serve() as server:
        run(server.url, requests=1)
    assert {request.headers["accept-encoding"] for request in server.received} == {"identity"}


# --- replies that are no streams -------------------------------------------------------------------------------------

WHOLE = {
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "one two three four five six seven eight nine ten"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 10},
}


@pytest.mark.parametrize("text", [json.dumps(WHOLE), json.dumps(WHOLE) + "\n", json.dumps(WHOLE, indent=2) + "\n\n"])
@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_whole_document_is_no_stream(run: Run, text: str, status: int, pack: Pack) -> None:
    coding = b"Content-Encoding: gzip\r\n" if pack is gzip.compress else b""
    with serve(lambda _: [0.03, json_reply(pack(text.encode()), status, coding)]) as server:
        ran = run(server.url, requests=2, stream=False)
    for row in ran.rows:
        assert (row["status"], row["output_tokens"], row["first_any_ns"]) == ("ok", 10, None)
        assert row["last_ns"] - row["send_start_ns"] >= 30e6


def failing(run: Run, *steps: Step) -> dict[str, Any]:
    with serve(lambda _: list(steps)) as server:
        ran: Ran = run(server.url, requests=1, concurrency=1)
    row = ran.rows[0]
    assert row["status"] == "failed"
    return row


@pytest.mark.parametrize(("coding", "pack"), [(b"gzip", gzip.compress), (b"br", brotli.compress), (b"", gzip.compress)])
def test_a_packed_refusal_shows_its_words(run: Run, coding: bytes, pack: Pack) -> None:
    words = {"error": {"message": "prompt is too long, at most 4096 tokens"}}
    said = b"Content-Encoding: %b\r\n" % coding if coding else b""
    row = failing(run, json_reply(pack(json.dumps(words).encode()), 400, said))
    assert (row["error_kind"], row["error"]) == ("http_400", "prompt is too long, at most 4096 tokens")


@pytest.mark.parametrize(
    ("coding", "body", "kind", "words"),
    [
        (b"compress", b"\x1f\x9d\x90", "encoding", "packed as 'compress'"),
        (b"gzip", b"plain words", "encoding", "says gzip, the body is not"),
        (b"br", b"\xff\xff\xff\xff\xff\xff", "encoding", "says br, the body is not"),
        (b"gzip", gzip.compress(bytes(20_000_000)), "encoding", "unpacks to more than 16 MiB"),
        (b"br", brotli.compress(bytes(20_000_000)), "encoding", "unpacks to more than 16 MiB"),
    ],
)
def test_what_cannot_be_unpacked_is_named(run: Run, coding: bytes, body: bytes, kind: str, words: str) -> None:
    row = failing(run, json_reply(body, 200, b"Content-Encoding: %b\r\n" % coding))
    assert row["error_kind"] == kind and words in row["error"]


def test_binary_is_told_by_its_size(run: Run) -> None:
    row = failing(run, json_reply(b"\x00\x01\x02\xfe\xff" * 40, 500))
    assert (row["error_kind"], row["error"]) == ("http_500", "200 bytes that are no text")


def test_what_a_terminal_would_obey_is_not_in_the_words(run: Run) -> None:
    row = failing(run, json_reply({"error": {"message": "no \x1b[31mred\x07 tea today, sorry"}}, 400))
    assert row["error"].isprintable() and "tea today" in row["error"]


# --- redirects and pages for people ----------------------------------------------------------------------------------

LOGIN = b"<!DOCTYPE html>\n<html><head><title>Sign in &amp; go</title></head><body>...</body></html>"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_shown_and_not_followed(run: Run, status: int) -> None:
    with serve() as other:
        where = b"Location: %b/v1/chat/completions\r\n" % other.url.encode()
        row = failing(run, json_reply(b"", status, where))
        assert (row["error_kind"], row["http_status"]) == (f"http_{status}", status)
        assert f"redirects to {other.url}/v1/chat/completions" in row["error"]
        for probed in ("models", "probe"):
            with (
                serve(**{probed: lambda _: [json_reply(b"", status, where)]}) as server,  # type: ignore[arg-type]
                pytest.raises(EndpointError, match=rf"HTTP {status}: it redirects to {other.url}.*not followed"),
            ):
                ask(server.url)
        assert other.received == []


def test_a_page_for_people_is_said_to_be_one(run: Run) -> None:
    reply = b"HTTP/1.1 %b\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" + LOGIN
    row = failing(run, reply % (b"200 OK", len(LOGIN)))
    assert row["error_kind"] == "html" and 'an HTML page, "Sign in & go"' in row["error"]
    row = failing(run, reply % (b"502 Bad Gateway", len(LOGIN)))
    assert (row["error_kind"], row["error"]) == ("http_502", "Sign in & go")
    for probed in ("models", "probe"):
        with (
            serve(**{probed: lambda _: [reply % (b"200 OK", len(LOGIN))]}) as server,  # type: ignore[arg-type]
            pytest.raises(EndpointError, match=r'an HTML page, "Sign in & go".*check the URL'),
        ):
            ask(server.url)


# --- lists of models -------------------------------------------------------------------------------------------------

MODELS: dict[str, tuple[Any, str]] = {
    "an array of objects": ([{"id": "one"}, {"id": "two"}], "one"),
    "an array of names": (["one", "two"], "one"),
    "models": ({"models": [{"name": "one:latest", "model": "one:latest"}]}, "one:latest"),
    "both": ({"models": [{"name": "no"}], "data": [{"id": "one"}]}, "one"),
    "an embedding model first, by its name": ({"data": [{"id": "bge-m3"}, {"id": "llama"}]}, "llama"),
    "by its type": ({"data": [{"id": "a", "type": "embeddings"}, {"id": "b", "type": "llm"}]}, "b"),
    "a reranker first": ({"data": [{"id": "jina-reranker-v2"}, {"id": "x"}]}, "x"),
    "by its task": ([{"id": "a", "task": "feature-extraction"}, {"id": "b", "task": "text-generation"}], "b"),
    "by its capabilities": (
        {"models": [{"name": "a", "capabilities": ["embedding"]}, {"name": "b", "capabilities": ["completion"]}]},
        "b",
    ),
    "by capabilities that say no": (
        {"data": [{"id": "a-embed", "capabilities": {"completion_chat": False}}, {"id": "b"}]},
        "b",
    ),
    "a chat model with a misleading name": ({"data": [{"id": "embed-chat", "type": "llm"}, {"id": "b"}]}, "embed-chat"),
    "nothing but one that embeds": ({"data": [{"id": "bge-m3"}]}, "bge-m3"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_list_of_models_in_any_form(name: str) -> None:
    listed, chosen = MODELS[name]
    with serve(models=lambda _: [json_reply(listed)]) as server:
        found = ask(server.url)
    assert found.model == chosen
    count = len(listed.get("data") or listed["models"]) if isinstance(listed, dict) else len(listed)
    assert any(f"lists {count} models" in note and chosen in note for note in found.notes) == (count > 1)


def test_a_packed_list_of_models() -> None:
    text = gzip.compress(json.dumps({"data": [{"id": "one"}]}).encode())
    with serve(models=lambda _: [json_reply(text, 200, b"Content-Encoding: gzip\r\n")]) as server:
        assert ask(server.url).model == "one"


# --- nothing has no limit --------------------------------------------------------------------------------------------


def endless(first: bytes, again: bytes) -> Iterator[Step]:
    yield first
    while True:
        yield again


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-More: yes\r\n" * 500),
        (head() + chunked(SSE[0]) + b"0\r\n", b"X-Trailer: yes\r\n" * 500),
        (head() + chunked(SSE[0]), b"1;" + b"x" * 8000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500),
    ],
    ids=["headers", "trailers", "chunk extensions", "100 Continue"],
)
def test_what_brings_nothing_is_bounded(run: Run, tmp_path: Path, first: bytes, again: bytes) -> None:
    with serve(lambda request: endless(first, again) if request.number == 0 else clean()) as server:
        ran = run(server.url, requests=2, concurrency=1, timeout_s=20)
    assert [row["error_kind"] for row in ran.rows] == ["too_large", None], ran.rows[0]["error"]
    assert ran.rows[0]["bytes_received"] < 20_000_000  # of gigabytes; a busy machine reads much at once
