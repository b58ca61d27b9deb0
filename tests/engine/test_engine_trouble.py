"""The trouble switches, TLS, and the command line's own troubles."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections import Counter
from pathlib import Path

import pytest
import trustme
from engine_client import FAST, Start, chat_body, raw_request, serve
from hypothesis import given
from hypothesis import strategies as st

from loadcell.engine.options import TROUBLES, EngineOptions
from loadcell.engine.seeded import fate

pytestmark = pytest.mark.usefixtures("alone")

MS = 1_000_000


def test_rates_are_probabilities_and_fates_are_seeded() -> None:
    rates = {"reject_rate": 0.1, "error_rate": 0.2, "cut_rate": 0.05, "stall_rate": 0.25, "stream_error_rate": 0.15,
             "short_rate": 0.08}  # fmt: skip
    fates = [fate(EngineOptions(seed=4, **rates), seq) for seq in range(20_000)]  # type: ignore[arg-type]
    counts = Counter(fates)
    for trouble in TROUBLES:
        assert counts[trouble] / len(fates) == pytest.approx(rates[f"{trouble}_rate"], abs=0.012)
    assert fates[:500] == [fate(EngineOptions(seed=4, **rates), seq) for seq in range(500)]  # type: ignore[arg-type]
    assert fates[:500] != [fate(EngineOptions(seed=5, **rates), seq) for seq in range(500)]  # type: ignore[arg-type]


@given(st.integers(0, 10**6), st.integers(0, 2**70), st.sampled_from(TROUBLES))
def test_certain_and_impossible_fates(seq: int, seed: int, trouble: str) -> None:
    assert fate(EngineOptions(seed=seed), seq) is None
    assert fate(EngineOptions(seed=seed, **{f"{trouble}_rate": 1.0}), seq) == trouble  # type: ignore[arg-type]
    spared = fate(EngineOptions(seed=seed, trouble_after=100, **{f"{trouble}_rate": 1.0}), seq)  # type: ignore[arg-type]
    assert spared == (None if seq < 100 else trouble)


@pytest.mark.parametrize(
    ("flag", "status", "outcome"), [("--error-rate", 500, "error"), ("--reject-rate", 429, "rejected")]
)
def test_refused_requests(start: Start, flag: str, status: int, outcome: str) -> None:
    engine = start(*FAST, flag, "1")
    reply = engine.chat(3, "me")
    assert reply.status == reply.json()["error"]["code"] == status
    assert ("retry-after" in reply.headers) == (status == 429)
    truth = engine.truth_of("me")
    assert (truth["outcome"], truth["admitted_ns"], truth["tokens_ns"]) == (outcome, None, [])


@pytest.mark.parametrize("tokens", [1, 9])
def test_cut(start: Start, tokens: int) -> None:
    engine = start(*FAST, "--cut-rate", "1")
    with pytest.raises(http.client.IncompleteRead) as caught:
        engine.chat(tokens, "me")
    assert caught.value.partial.count(b'"content":" ') == max(1, tokens // 2)
    truth = engine.truth_of("me")
    assert (truth["outcome"], truth["completion_tokens"]) == ("cut", max(1, tokens // 2))
    with pytest.raises(http.client.RemoteDisconnected):
        engine.chat(4, stream=False)


def test_stall(start: Start) -> None:
    engine = start(*FAST, "--stall-rate", "1", "--stall", "80ms")
    assert engine.chat(6, "me").events()[-1] == "[DONE]"
    truth = engine.truth_of("me")
    assert (truth["outcome"], truth["completion_tokens"]) == ("ok", 6)
    assert truth["tokens_ns"][3] >= truth["admitted_ns"] + 85 * MS


def test_stream_error(start: Start) -> None:
    engine = start(*FAST, "--stream-error-rate", "1")
    reply = engine.chat(6, "me")
    *events, error, done = reply.events()
    assert (reply.status, len(events), error["error"]["code"], done) == (200, 4, 500, "[DONE]")
    assert engine.truth_of("me")["outcome"] == "error"
    assert engine.chat(6, stream=False).status == 500


def test_short(start: Start) -> None:
    """The body ends in good order; only what should have ended the stream is not there, and the connection lives on."""
    engine = start(*FAST, "--short-rate", "1", "--trouble-after", "1")
    assert engine.chat(6).events()[-1] == "[DONE]"
    events = engine.chat(6, "me", stream_options={"include_usage": True}).events()
    _, *tokens = events
    assert [event["choices"][0].get("finish_reason") for event in tokens] == [None] * 3
    truth = engine.truth_of("me")
    assert (truth["outcome"], truth["completion_tokens"]) == ("short", 3)
    assert engine.chat(6, stream=False).json()["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [True, False])
def test_tokens_per_chunk(start: Start, stream: bool) -> None:
    engine = start(*FAST, "--tokens-per-chunk", "3")
    reply = engine.chat(8, "me", stream=stream)
    stamps = engine.truth_of("me")["tokens_ns"]
    assert [stamps.count(stamp) for stamp in sorted(set(stamps))] == [3, 3, 2]
    if stream:
        _, *tokens, _, _ = reply.events()
        assert [len(event["choices"][0]["delta"]["content"].split()) for event in tokens] == [3, 3, 2]


def test_crlf_no_usage_no_done(start: Start) -> None:
    engine = start(*FAST, "--crlf", "--no-usage", "--no-done")
    events = engine.chat(2, stream_options={"include_usage": True, "continuous_usage_stats": True}).events(b"\r\n")
    assert events[-1]["choices"][0]["finish_reason"] == "length"
    assert not any("usage" in event for event in events)
    assert "usage" not in engine.chat(2, stream=False).json()


def test_slow_accept(start: Start) -> None:
    engine = start(*FAST, "--slow-accept", "200ms")
    engine.chat(1, "me")
    truth = engine.truth_of("me")
    # the request was in the kernel's hands long before the engine took it up
    assert truth["admitted_ns"] - truth["arrival_ns"] >= 40 * MS  # kernel stamps: the wait counts


def test_slow_accept_takes_all(start: Start) -> None:
    engine = start(*FAST, "--slow-accept", "5ms")
    socks = [engine.connect() for _ in range(4)]
    for sock in socks:
        sock.sendall(raw_request(chat_body(1)))
    for sock in socks:
        with sock:
            assert sock.recv(8) == b"HTTP/1.1"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_files(authority: trustme.CA, tmp_path: Path) -> tuple[str, ...]:
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key)
    return ("--tls-cert", str(chain), "--tls-key", str(key))


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_tls(start: Start, tls_files: tuple[str, ...], trust: ssl.SSLContext) -> None:
    engine = start(*FAST, *tls_files, context=trust)
    assert engine.ready.startswith("listening on https://127.0.0.1:")
    assert engine.chat(5, "me").events()[-1] == "[DONE]"
    truth = engine.truth_of("me")
    assert (truth["outcome"], len(truth["tokens_ns"])) == ("ok", 5)
    assert truth["arrival_ns"] <= truth["admitted_ns"]


def test_tls_with_large_bodies_both_ways_and_a_slow_reader(
    start: Start, tls_files: tuple[str, ...], trust: ssl.SSLContext
) -> None:
    engine = start("--ttft", "0ms", "--itl", "0ms", *tls_files, context=trust)
    reply = engine.chat(20_000, words=50_000, stream_options={"include_usage": True})
    assert reply.events()[-2]["usage"] == {"prompt_tokens": 50_000, "total_tokens": 70_000, "completion_tokens": 20_000}
    with trust.wrap_socket(engine.connect(), server_hostname="127.0.0.1") as sock:
        sock.sendall(raw_request(chat_body(20_000), "x-request-id: slow\r\n"))
        while not any(record["id"] == "slow" for record in engine.truth()):
            pass
        data = bytearray()
        while not data.endswith(b"0\r\n\r\n"):
            data += sock.recv(65536)
    assert data.count(b'"content":" ') == 20_000


def test_tls_closes_cleanly_and_survives_junk(start: Start, tls_files: tuple[str, ...], trust: ssl.SSLContext) -> None:
    engine = start(*FAST, *tls_files, context=trust)
    with engine.connect() as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    with trust.wrap_socket(engine.connect(), server_hostname="127.0.0.1", suppress_ragged_eofs=False) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n")
        data = b""
        while piece := sock.recv(4096):
            data += piece
    assert data.startswith(b"HTTP/1.1 200")


def test_port_in_use_is_said(start: Start) -> None:
    engine = start(*FAST)
    with serve("--port", str(engine.port)) as second:
        _, errors = second.communicate(timeout=20)
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{engine.port}" in errors
    assert "--port" in errors


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--slots", "0"), "slots"),
        (("--ttft", "fast"), "500ms"),
        (("--error-rate", "0.7", "--cut-rate", "0.7"), "add up"),
        (("--tls-cert", "x"), "key"),
        (("--tls-cert", "/nowhere", "--tls-key", "/nowhere"), "/nowhere"),
        (("--cpu", "100000"), "CPU"),
        (("--port", "70000"), "65535"),
    ],
)
def test_options_that_cannot_be(flags: tuple[str, ...], said: str) -> None:
    with serve("--port", "0", *flags) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said in errors


def test_ends_quietly_in_mid_stream(start: Start) -> None:
    engine = start("--ttft", "1ms", "--itl", "1ms")
    with engine.connect() as sock:
        sock.sendall(raw_request(chat_body(10_000)))
        sock.recv(1)
        assert engine.stop() == (0, "")


def test_out_of_descriptors_is_weathered(start: Start) -> None:
    resource = pytest.importorskip("resource")
    engine = start(*FAST)
    pid = engine.process.pid
    if not hasattr(resource, "prlimit"):
        pytest.skip("no prlimit here")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (16, 16))
    socks = [engine.connect() for _ in range(20)]
    socks[0].sendall(raw_request(chat_body(1)))
    assert socks[0].recv(8) == b"HTTP/1.1"
    for sock in socks:
        sock.close()
    assert engine.chat(1).status == 200
    code, errors = engine.stop()
    assert code == 0
    assert "Too many open files" in errors
