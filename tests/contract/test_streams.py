"""Every difficult stream, one request each, all in one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from contract_runs import Ran, run_once
from scripted import (
    CLOSE,
    DONE,
    LAST_CHUNK,
    RESET,
    SSE_HEAD,
    Received,
    Step,
    chunked,
    clean,
    delta,
    event,
    json_reply,
    serve,
    stream,
    token,
    usage,
    usage_event,
)

TTFT_S, GAP_S, TOKENS = 0.05, 0.01, 10
END = (event(delta(finish="stop")), event(usage_event(TOKENS)), DONE)


def words(count: int = TOKENS, first_s: float = TTFT_S, **form: Any) -> list[Step]:
    """One-token events with exact gaps."""
    steps: list[Step] = []
    for number in range(count):
        steps += [GAP_S if number else first_s, event(token(), **form)]
    return steps


def spaced(events: list[bytes]) -> list[Step]:
    return [piece for part in events for piece in (GAP_S, part)]


def reasoning() -> list[Step]:
    thoughts = [event(delta(reasoning_content="hm "))] * 5
    return stream(TTFT_S, *spaced(thoughts), *spaced([event(token())] * 5), *END)


def split_character() -> list[Step]:
    text = event(token("naïve 漢字 "))
    middle = text.index("漢".encode()) + 1
    pieces: list[Step] = [TTFT_S]
    for _ in range(TOKENS):
        pieces += [text[:middle], 0.005, text[middle:]]
    return stream(*pieces, *END)


@dataclass
class Row:
    """A stream and what must be said of it; None for what it cannot tell."""

    steps: list[Step]
    error: str | None = None
    tokens: int | None = TOKENS
    source: str | None = "usage"
    chunks: int = TOKENS
    ttft_s: float = TTFT_S
    """At least this: when the first output was sent."""
    first_tokens: int | None = 1


CRLF = {"eol": b"\r\n"}
ERROR = event({"error": {"message": "the GPU fell off", "code": 500}})
STREAMS: dict[str, Row] = {
    "clean": Row(stream(*words(), *END)),
    "CRLF delimiters": Row(
        stream(
            *words(**CRLF), event(delta(finish="stop"), **CRLF), event(usage_event(10), **CRLF), b"data: [DONE]\r\n\r\n"
        )
    ),
    "CR delimiters": Row(
        stream(*words(eol=b"\r"), event(delta(finish="stop"), eol=b"\r"), event(usage_event(10), eol=b"\r"))
    ),
    "data without space": Row(stream(*words(before=b"data:"), *END[:2], b"data:[DONE]\n\n")),
    "comment before each event": Row(stream(*words(before=b": ping\n\ndata: "), *END)),
    "byte order mark first": Row(stream(TTFT_S, b"\xef\xbb\xbf" + event(token()), *words(9, GAP_S), *END)),
    "named and numbered events": Row(stream(*words(before=b"id: 7\nevent: message\nretry: 10\ndata: "), *END)),
    "data over several lines": Row(stream(TTFT_S, *spaced([event(token()).replace(b', "', b',\ndata: "')] * 10), *END)),
    "no usage": Row(stream(*words(), END[0], DONE), source="events"),
    "no end mark": Row(stream(*words(), *END[:2])),
    "no finish reason": Row(stream(*words(), END[1], DONE)),
    "usage in the finish event": Row(stream(*words(), event(delta(finish="stop") | {"usage": usage(10)}), DONE)),
    "usage in every event": Row(
        stream(
            TTFT_S,
            *spaced([event(token() | {"usage": usage(n)}) for n in range(1, 11)]),
            event(delta(finish="stop")),
            DONE,
        )
    ),
    "usage null until the end": Row(stream(TTFT_S, *spaced([event(token() | {"usage": None})] * 10), *END)),
    "4 tokens an event": Row(
        stream(TTFT_S, *spaced([event(token("four words in here "))] * 5), END[0], event(usage_event(20)), DONE),
        tokens=20,
        chunks=5,
        first_tokens=None,
    ),
    "token ids": Row(
        stream(
            TTFT_S, *spaced([event({"choices": [{"delta": {"content": "ab"}, "token_ids": [1, 2]}]})] * 5), END[0], DONE
        ),
        chunks=5,
        source="ids",
        first_tokens=2,
    ),
    "logprobs": Row(
        stream(
            TTFT_S,
            *spaced([event({"choices": [{"delta": {"content": "ab"}, "logprobs": {"content": [{}, {}]}}]})] * 5),
            END[0],
            DONE,
        ),
        chunks=5,
        source="ids",
        first_tokens=2,
    ),
    "role-only delta first": Row(stream(event(delta(role="assistant", content="")), *words(), *END)),
    "empty delta first": Row(stream(event(delta()), *words(), *END)),
    "empty choices first": Row(stream(event({"choices": []}), *words(), *END)),
    "reasoning, then content": Row(reasoning()),
    "tool calls": Row(
        stream(
            TTFT_S,
            *spaced([event(delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]))] * 10),
            event(delta(finish="tool_calls")),
            END[1],
            DONE,
        )
    ),
    "one token": Row(stream(*words(1), END[0], event(usage_event(1)), DONE), tokens=1, chunks=1),
    "text in the finish event": Row(
        stream(*words(9), GAP_S, event(delta(finish="stop", content="word ")), END[1], DONE)
    ),
    "zero tokens": Row(
        stream(event(delta(role="assistant")), event(delta(finish="stop")), event(usage_event(0)), DONE),
        error="empty",
        tokens=0,
        chunks=0,
        first_tokens=None,
    ),
    "empty content": Row(
        stream(event(token("")), event(token("")), event(delta(finish="stop")), event(usage_event(2)), DONE),
        error="empty",
        tokens=2,
        chunks=0,
        first_tokens=None,
    ),
    "only the end mark": Row(stream(DONE), error="empty", tokens=None, source=None, chunks=0),
    "error event after 3 tokens": Row(stream(*words(3), ERROR, DONE), "stream_error", None, "chunks", 3),
    "the same, with a name": Row(stream(*words(3), b"event: error\n" + ERROR, DONE), "stream_error", None, "chunks", 3),
    "the same, then an ordinary end": Row(
        stream(*words(3), ERROR, END[0], event(usage_event(3)), DONE), "stream_error", None, "chunks", 3
    ),
    "error as a bare line": Row(
        stream(*words(3), b'{"error": "out of memory"}\n\n'), "stream_error", None, "chunks", 3
    ),
    "error in words": Row(
        stream(*words(3), b"event: error\ndata: out of memory\n\n"), "stream_error", None, "chunks", 3
    ),
    "error as the only event": Row(stream(ERROR), "stream_error", None, None, 0),
    "HTTP 200 with a JSON error": Row(
        [json_reply({"error": {"message": "no such luck"}})], "stream_error", None, None, 0
    ),
    "HTTP 200 with HTML": Row(
        [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<html></html"],
        "html",
        None,
        None,
        0,
    ),
    "invalid JSON in an event": Row(
        stream(*words(3), b'data: {"choices": [\n\n', *END), "invalid_json", None, "chunks", 3
    ),
    "an event that is no object": Row(stream(*words(3), b"data: 17\n\n", *END), "invalid_json", None, "chunks", 3),
    "not of this API": Row(
        stream(*words(3), b'data: {"choices": "none"}\n\n', *END), "invalid_json", None, "chunks", 3
    ),
    "reset unanswered": Row([RESET], "reset", None, None, 0),
    "closed unanswered": Row([CLOSE], "reset", None, None, 0),
    "reset after 3 tokens": Row(stream(*words(3), 0.02, RESET), "cut", None, "chunks", 3),
    "closed after 3 tokens": Row(stream(*words(3), 0.02, CLOSE), "cut", None, "chunks", 3),
    "closed inside the headers": Row([b"HTTP/1.1 200 OK\r\nContent-", CLOSE], "cut", None, None, 0),
    "clean end after 5 tokens": Row(stream(*words(5)), "cut", None, "chunks", 5),
    "3-byte character over two reads": Row(split_character()),
    "end mark, then a reset": Row(stream(*words(), *END, RESET)),
    "several events in one read": Row(stream(TTFT_S, event(token()) * 10, *END)),
    "everything in one read": Row(
        [TTFT_S, b"".join([SSE_HEAD % b"", chunked(event(token()) * 10), *map(chunked, END), LAST_CHUNK])]
    ),
    "last event without its blank line": Row(stream(*words(), *END[:2], b"data: [DONE]")),
}
NAMES = list(STREAMS)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """One run: request n gets the n-th stream."""

    def script(request: Received) -> list[Step]:
        return STREAMS[NAMES[request.number]].steps

    with serve(script) as server:
        yield run_once(
            server.url, tmp_path_factory.mktemp("streams") / "run", requests=len(NAMES), concurrency=12, timeout_s=3
        )


@pytest.mark.parametrize("name", NAMES)
def test_stream(ran: Ran, name: str) -> None:
    expected, row = STREAMS[name], ran.rows[NAMES.index(name)]
    assert (row["status"], row["error_kind"]) == ("failed" if expected.error else "ok", expected.error), row["error"]
    assert row["output_chunks"] == expected.chunks
    assert row["token_source"] == expected.source
    if expected.tokens is not None or expected.source is None:
        assert row["output_tokens"] == expected.tokens
    elif expected.source == "chunks":
        assert row["output_tokens"] == expected.chunks
    if expected.error is None:
        assert row["first_tokens"] == expected.first_tokens
        assert row["first_any_ns"] - row["send_start_ns"] >= expected.ttft_s * 1e9
    else:
        assert row["error"]
    stamps = ("send_start_ns", "send_end_ns", "first_byte_ns", "first_any_ns", "last_ns", "end_ns")
    times = [row[stamp] for stamp in stamps if row[stamp] is not None]
    times.remove(row["send_end_ns"])  # a reply may come before the call that sent its request has returned
    assert times == sorted(times)


def test_each_failure_is_counted_once(ran: Ran) -> None:
    failed = [row.error for row in STREAMS.values() if row.error]
    assert ran.result.counts.run.failed == len(failed)
    assert ran.kinds() == {kind: failed.count(kind) for kind in failed}
    assert ran.result.counts.run.planned == len(NAMES)
    assert ran.manifest.state == "complete"


@pytest.mark.usefixtures("alone")
def test_e2e_and_tpot_follow_the_stream(ran: Ran) -> None:
    row = ran.rows[NAMES.index("clean")]
    spread_s = (row["last_ns"] - row["first_any_ns"]) / 1e9
    assert spread_s >= 0.8 * (TOKENS - 1) * GAP_S  # the first stamp may be late, the last never early
    assert row["end_ns"] >= row["last_ns"]


@pytest.mark.usefixtures("alone")
def test_reasoning_is_output_and_the_answer_comes_later(ran: Ran) -> None:
    row = ran.rows[NAMES.index("reasoning, then content")]
    assert row["first_answer_ns"] - row["first_any_ns"] >= 0.8 * 5 * GAP_S * 1e9


def test_without_usage_the_tokenizer_bears_out_the_events(ran: Ran) -> None:
    row = ran.rows[NAMES.index("no usage")]
    assert (row["output_tokens"], row["usage_tokens"], row["token_source"]) == (10, None, "events")


def test_the_error_is_in_the_words_of_the_server(ran: Ran) -> None:
    assert ran.rows[NAMES.index("error event after 3 tokens")]["error"] == "the GPU fell off"
    assert ran.rows[NAMES.index("error in words")]["error"] == "out of memory"
    assert "no such luck" in ran.rows[NAMES.index("HTTP 200 with a JSON error")]["error"]


def test_every_request_was_sent_once(tmp_path: Path) -> None:
    """No silent retry: every second request is refused in one of three ways."""
    ways: list[list[Step]] = [
        [json_reply({"error": {"message": "overloaded"}}, 500)],
        [RESET],
        [json_reply({"error": {"message": "slow down"}}, 429, b"Retry-After: 0\r\n")],
        [json_reply(b"", 503)],
    ]

    def script(request: Received) -> list[Step]:
        return ways[request.number // 2 % 4] if request.number % 2 else clean()

    with serve(script) as server:
        ran = run_once(server.url, tmp_path / "run", requests=16, concurrency=4)
    assert sorted(request.number for request in server.load) == list(range(16))
    assert ran.kinds() == {"http_500": 2, "reset": 2, "http_429": 2, "http_503": 2}
    assert ran.result.counts.run.ok == 8
    assert [row["http_status"] for row in ran.rows if row["error_kind"] == "http_429"] == [429, 429]
