"""What is known to be over is not waited for: a failure ends its request at once, as an end mark ends a success.

The server leaves every connection open; the time limit is far beyond what a test may take.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from contract_runs import Ran, Run, run_once, short_spec
from scripted import (
    DONE,
    HANG,
    SSE_HEAD,
    Received,
    Step,
    chunked,
    clean,
    delta,
    event,
    serve,
    stream,
    token,
    usage_event,
)

from loadcell.load import run_load

TIME_LIMIT_S = 60.0
AT_ONCE_S = 20.0
"""Far from the time limit, and far above what a busy machine takes for a short reply."""
ERROR = {"error": {"message": "the GPU fell off", "code": 500}}
THREE = [step for _ in range(3) for step in (0.02, event(token()))]
FINISH, USAGE = event(delta(finish="length")), event(usage_event(3))


def pings(*pieces: Step) -> list[Step]:
    """The pieces, then comments without end: the stream is never silent."""
    return stream(*pieces, *[0.1, b": ping\n\n"] * 600, HANG)


def lines(*values: Any) -> list[Step]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *(step for one in values for step in (0.02, chunked(json.dumps(one).encode() + b"\n"))), HANG]


def refusal(length: bytes) -> list[Step]:
    return [
        b"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\n%b\r\n" % length + json.dumps(ERROR).encode(),
        HANG,
    ]


FAILED: dict[str, tuple[list[Step], str, str]] = {
    "an error event": (stream(*THREE, event(ERROR), HANG), "stream_error", "the GPU fell off"),
    "an error event first": (stream(event(ERROR), HANG), "stream_error", "the GPU fell off"),
    "by its name": (stream(*THREE, b"event: error\ndata: out of memory\n\n", HANG), "stream_error", "out of memory"),
    "as a bare line": (stream(*THREE, b'{"error": "no more"}\n\n', HANG), "stream_error", "no more"),
    "a finish reason of failure": (stream(*THREE, event(delta(finish="abort")), HANG), "gave_up", "abort"),
    "without its blank line": (stream(*THREE, event(ERROR)[:-1], HANG), "stream_error", "the GPU fell off"),
    "junk": (stream(*THREE, b"data: {broken\n\n", HANG), "invalid_json", "broken"),
    "inside JSON lines": (lines(token(), token(), ERROR), "stream_error", "the GPU fell off"),
    "an error, then comments": (pings(*THREE, event(ERROR)), "stream_error", "the GPU fell off"),
    "an error as JSON, without an end": (
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(json.dumps(ERROR).encode()), HANG],
        "stream_error",
        "the GPU fell off",
    ),
    "a refusal shorter than it says": (refusal(b"Content-Length: 5000\r\n"), "http_503", "the GPU fell off"),
    "a refusal without an end": (refusal(b""), "http_503", "the GPU fell off"),
}
OK: dict[str, list[Step]] = {
    "an end mark": stream(*THREE, FINISH, USAGE, DONE, HANG),
    "an end mark without usage": stream(*THREE, FINISH, DONE, HANG),
    "an end mark without its blank line": stream(*THREE, FINISH, USAGE, DONE[:-1], HANG),
    "an end mark alone, without its blank line": stream(*THREE, DONE[:-2], HANG),
    "a finish reason and usage": stream(*THREE, FINISH, USAGE, HANG),
    "the length that was said": [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        % len(b"".join([event(token()) * 3, FINISH, USAGE, DONE]))
        + b"".join([event(token()) * 3, FINISH, USAGE, DONE]),
        HANG,
    ],
}


EACH = 6


def after_good_ones(folder: Path, replies: list[list[Step]]) -> Ran:
    """A run of two users; of the six requests for each of the replies every second one gets it."""

    def script(request: Received) -> list[Step]:
        return replies[request.number // EACH] if request.number % 2 else clean(3)

    with serve(script) as server:
        return run_once(
            server.url, folder, requests=EACH * len(replies), concurrency=2, timeout_s=TIME_LIMIT_S, ignore_eos=False,
            max_failures=1.0,
        )  # fmt: skip


def took_s(rows: list[dict[str, Any]]) -> float:
    """The longest of these requests, in s."""
    return float(max(row["end_ns"] - row["send_start_ns"] for row in rows)) / 1e9


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return after_good_ones(tmp_path_factory.mktemp("failed") / "run", [steps for steps, _, _ in FAILED.values()])


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return after_good_ones(tmp_path_factory.mktemp("ended") / "run", list(OK.values()))


def rows_of(ran: Ran, cases: Iterable[str], name: str) -> list[dict[str, Any]]:
    first = EACH * list(cases).index(name)
    return ran.rows[first : first + EACH]


@pytest.mark.parametrize("name", FAILED)
def test_a_failure_that_is_known_ends_the_request(failed: Ran, name: str) -> None:
    _, kind, words = FAILED[name]
    rows = rows_of(failed, FAILED, name)
    assert [row["status"] for row in rows] == ["ok", "failed"] * 3
    assert [row["error_kind"] for row in rows[1::2]] == [kind] * 3
    assert all(words in row["error"] for row in rows[1::2])
    assert took_s(rows) < AT_ONCE_S
    assert len({row["connection"] for row in rows[1::2]}) == 3  # each was closed


def test_each_is_counted_by_its_kind(failed: Ran) -> None:
    assert failed.kinds() == Counter(kind for _, kind, _ in FAILED.values() for _ in range(3))


@pytest.mark.parametrize("name", OK)
def test_an_end_that_is_said_ends_the_request(ended: Ran, name: str) -> None:
    rows = rows_of(ended, OK, name)
    assert [row["status"] for row in rows] == ["ok"] * 6
    assert [row["output_tokens"] for row in rows] == [3] * 6
    assert took_s(rows) < AT_ONCE_S


def test_what_was_waited_after_the_end_is_in_no_figure(alone: None, tmp_path: Path) -> None:
    rows = after_good_ones(tmp_path / "run", [OK["an end mark"]]).rows
    assert [row for row in rows[1::2] if row["end_ns"] - row["last_ns"] > 90e6] == []


def test_a_server_that_always_leaves_its_streams_open(run: Run) -> None:
    """The probe shows it; then the end mark itself is the end, and no user waits."""
    steps = stream(*THREE, FINISH, USAGE, DONE, HANG)
    with serve(lambda _: steps, probe=lambda _: steps) as server:
        ran = run(server.url, requests=8, concurrency=1, timeout_s=TIME_LIMIT_S)
    assert ran.statuses == ["ok"] * 8
    assert any("leaves its streams open" in note for note in ran.result.notes)
    assert len({request.connection for request in server.load}) == 8
    assert all(row["end_ns"] - row["send_start_ns"] >= 60e6 for row in ran.rows)


def test_a_packed_error_is_seen_at_once_too(tmp_path: Path) -> None:
    import zlib

    state = zlib.compressobj(wbits=31)
    body = [state.compress(one) + state.flush(zlib.Z_SYNC_FLUSH) for one in (event(token()), event(ERROR))]
    ran = after_good_ones(tmp_path / "run", [[SSE_HEAD % b"Content-Encoding: gzip\r\n", *map(chunked, body), HANG]])
    assert ran.kinds() == {"stream_error": 3} and took_s(ran.rows) < AT_ONCE_S


def test_those_who_look_on_see_the_failure_while_the_load_runs(tmp_path: Path) -> None:
    """One user: its first request fails with the connection left open, its second is still in the air."""

    def script(request: Received) -> list[Step]:
        return clean(3, ttft_s=3.0) if request.number else stream(*THREE, event(ERROR), HANG)

    seen: list[tuple[int, int]] = []
    with serve(script) as server:
        spec = short_spec(server.url, requests=2, concurrency=1, timeout_s=TIME_LIMIT_S, ignore_eos=False)
        run_load(spec, tmp_path / "run", lambda now: seen.append((now.failed, now.in_flight)))
    assert (1, 1) in seen
