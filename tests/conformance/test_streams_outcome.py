"""Defects 1 to 22: what a stream means, and what becomes of its connection."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from contract_runs import Ran, Run
from difficult import EACH, Said
from known import Witness, lies_in, output, sse
from scripted import (
    CLOSE,
    DONE,
    Received,
    Scripted,
    Step,
    clean_pieces,
    delta,
    event,
    serve,
    stream,
    token,
    usage_event,
)

pytestmark = pytest.mark.usefixtures("alone")

Streams = dict[str, Said]
Kept = tuple[Scripted, Witness, Ran]
APIS = pytest.mark.parametrize("api", ["chat", "completions"])


@pytest.fixture
def streams(request: pytest.FixtureRequest, api: str) -> Streams:
    found: Streams = request.getfixturevalue(api)
    return found


def outcome(said: Said) -> tuple[int, int, set[int | None]]:
    """(ok, failed, output tokens of the ok ones)."""
    counts = said.result.counts.window
    return counts.ok, counts.failed, {row["output_tokens"] for row in said.rows if row["status"] == "ok"}


def ttft_ms(said: Said) -> float:
    """Mean TTFT, which must be that of the server's stamps."""
    mean = said.service_ms("ttft_ms")
    assert mean is not None and lies_in(mean, said.bounds_ms["ttft"], 5)
    return mean


def is_paced(said: Said, steps: float = 9) -> bool:
    """Whether TPOT is the spread of the server's stamps over so many tokens."""
    low, high = said.bounds_ms["spread"]
    return lies_in(said.service_ms("tpot_ms"), (low / steps, high / steps), 1)


@APIS
def test_01_error_inside_a_200_stream_is_a_failure(streams: Streams) -> None:
    for name in ("error event after 3 tokens", "the same with event: error", "error as the only event"):
        assert outcome(streams[name]) == (0, EACH, set())
        assert {row["error"] for row in streams[name].rows} == {"the GPU fell off"}


@APIS
def test_02_an_error_is_not_credited_with_the_tokens_asked_for(streams: Streams) -> None:
    said = streams["error event after 3 tokens"]
    assert {row["output_tokens"] for row in said.rows} == {3}
    assert {row["asked_tokens"] for row in said.rows} == {64}
    assert said.result.latency["tpot_ms"].service.n == 0


@APIS
def test_03_a_reset_in_mid_stream_is_a_failure(streams: Streams) -> None:
    said = streams["reset after 3 tokens"]
    assert outcome(said) == (0, EACH, set())
    assert {row["error_kind"] for row in said.rows} == {"cut"}


@APIS
@pytest.mark.parametrize("how", ["clean end", "closed"])
def test_04_a_stream_that_just_stops_is_a_failure(streams: Streams, how: str) -> None:
    said = streams[f"{how} after 5 tokens, no finish"]
    assert outcome(said) == (0, EACH, set())
    assert {row["output_tokens"] for row in said.rows} == {5}
    assert said.result.latency["itl_ms"].service.n == 0


@APIS
def test_05_http_200_with_a_json_error_is_a_failure(streams: Streams) -> None:
    said = streams["HTTP 200 with a JSON error body"]
    assert outcome(said) == (0, EACH, set())
    assert {row["output_tokens"] for row in said.rows} == {None}


@APIS
def test_06_nothing_is_tried_again_in_secret(streams: Streams) -> None:
    for said in streams.values():
        assert set(said.posts.values()) == {1}
    said = streams["every second request reset unanswered"]
    assert [row["status"] for row in said.rows] == ["ok", "failed"] * (EACH // 2)


@APIS
def test_07_crlf_delimiters(streams: Streams) -> None:
    said = streams["CRLF delimiters"]
    assert outcome(said) == (EACH, 0, {10})
    assert ttft_ms(said) >= 50  # and not the 290 ms of the whole
    assert is_paced(said)


@APIS
def test_08_data_without_a_space(streams: Streams) -> None:
    said = streams["data: without space"]
    assert outcome(said) == (EACH, 0, {10})
    assert ttft_ms(said) >= 50


@APIS
def test_09_comments_are_passed_over(streams: Streams) -> None:
    said = streams[": ping before each event"]
    assert outcome(said) == (EACH, 0, {10})
    assert {row["output_chunks"] for row in said.rows} == {10}


@APIS
def test_10_an_event_line_before_the_data(streams: Streams) -> None:
    assert outcome(streams["event: line before data:"]) == (EACH, 0, {10})


@APIS
def test_11_a_character_split_over_two_reads(streams: Streams) -> None:
    said = streams["3-byte character split over two reads"]
    assert outcome(said) == (EACH, 0, {10})
    assert said.texts == {"naïve 漢字 " * 10}


@APIS
def test_12_an_empty_first_delta_is_no_token(streams: Streams) -> None:
    for name in ("role-only delta at 5 ms", "empty delta, no role, at 5 ms"):
        assert outcome(streams[name]) == (EACH, 0, {10})
        assert ttft_ms(streams[name]) >= 50


@APIS
def test_13_the_finish_event_is_no_token(streams: Streams) -> None:
    """It comes 60 ms after the last token: with it, TPOT would be 24 and E2E 290."""
    said = streams["clean"]
    assert said.result.latency["itl_ms"].service.n == 9 * EACH
    assert is_paced(said)
    assert lies_in(said.service_ms("e2e_ms"), said.bounds_ms["e2e"], 5)


@APIS
def test_14_usage_beside_text_counts(streams: Streams) -> None:
    for name in ("usage in the last token's event", "usage in the finish event"):
        assert outcome(streams[name]) == (EACH, 0, {10})
        assert {row["token_source"] for row in streams[name].rows} == {"usage"}
        assert {row["prompt_tokens"] for row in streams[name].rows} == {7}


@APIS
def test_15_a_usage_only_event_is_understood(streams: Streams) -> None:
    said = streams["usage-only event (choices empty)"]
    assert outcome(said) == (EACH, 0, {10})
    assert ttft_ms(said) >= 50


def test_16_reasoning_is_output(chat: Streams) -> None:
    said = chat["5 reasoning then 5 content"]
    assert outcome(said) == (EACH, 0, {10})
    assert is_paced(said)
    answer_ms = said.service_ms("ttfa_ms")
    assert answer_ms is not None and answer_ms - ttft_ms(said) == pytest.approx(100, abs=20)


@APIS
def test_17_replies_of_one_token_and_of_none(streams: Streams) -> None:
    one, none = streams["one token"], streams["zero tokens, normal finish"]
    assert outcome(one) == (EACH, 0, {1})
    assert ttft_ms(one) >= 50
    assert one.service_ms("itl_ms") is None and one.service_ms("tpot_ms") is None
    assert one.service_ms("e2e_ms") == pytest.approx(ttft_ms(one), abs=1e-6)
    assert outcome(none) == (0, EACH, set())
    assert {(row["error_kind"], row["output_tokens"]) for row in none.rows} == {("empty", 0)}


@APIS
def test_18_the_body_of_an_http_error_is_kept(streams: Streams) -> None:
    """Its status line has no reason phrase."""
    said = streams["every second reply HTTP 500"]
    (failure,) = [failure for failure in said.result.errors if failure.kind == "http_500"]
    assert (failure.count, failure.sample) == (EACH // 2, "the GPU fell off")
    assert [row["http_status"] for row in said.rows] == [200, 500] * (EACH // 2)


def test_19_large_reads_do_not_slow_a_fast_stream(run: Run) -> None:
    """4 MB of 4 KB events as fast as they can be sent, after a long prompt; then one event of 300 KB."""
    batch = output(event(token("x" * 4000)) * 64)
    end = event(delta(finish="stop")) + event(usage_event(1025)) + DONE
    took_s: list[float] = []

    def script(request: Received) -> Any:
        began = time.monotonic()
        yield from sse(*[batch] * 16, output(event(token("y" * 300_000))), end)
        took_s.append(time.monotonic() - began)

    with serve(script) as server:
        ran = run(server.url, requests=2, concurrency=1, input_tokens=40_000, timeout_s=30)
    assert [(row["status"], row["output_tokens"], row["output_chunks"]) for row in ran.rows] == [("ok", 1025, 1025)] * 2
    assert all(len(request.body) > 150_000 for request in server.load)
    assert min(row["reads"] for row in ran.rows) < 1025  # larger than an event at a time
    assert 1025 / min(took_s) > 2000, "events a second that the server could get rid of"


# --- connections -----------------------------------------------------------------------------------------------------


class SlowHandshake(ssl.SSLContext):
    """TLS whose server waits before each handshake."""

    def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
        time.sleep(0.15)
        return super().wrap_socket(*args, **more)


def test_20_a_new_connection_is_not_part_of_ttft(run: Run, tmp_path: Path) -> None:
    """The server closes after each reply, and each handshake takes 150 ms."""
    authority = trustme.CA()
    context = SlowHandshake(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def script(_: Received) -> list[Step]:
        return [*stream(*clean_pieces(), headers=b"Connection: close\r\n"), CLOSE]

    with serve(script, context=context) as server:
        ran = run(server.url, requests=6, concurrency=2, ca_file=str(tmp_path / "ca.pem"))
    assert ran.statuses == ["ok"] * 6
    mean = ran.result.latency["ttft_ms"].service.mean
    assert mean is not None and 10 <= mean < 100
    used = ran.result.instrument.connections
    assert used.new >= 2 and used.new + used.reused == 6
    assert used.tls.min_ms is not None and used.tls.min_ms >= 140


def test_21_the_rest_after_done_is_read_and_the_connection_used_again(kept: Kept) -> None:
    server, _, ran = kept
    assert ran.statuses == ["ok"] * 48
    assert len({request.connection for request in server.load}) == 12
    assert ran.result.instrument.connections.new == 0
    assert ran.result.instrument.connections.reused == 48


def test_22_there_is_no_storm_of_connections_before_the_load(kept: Kept) -> None:
    server, _, _ = kept
    assert server.connections <= 12 + 5  # the users', and those of the questions before the load
