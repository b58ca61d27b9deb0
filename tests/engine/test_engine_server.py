"""The engine as its clients see it, and its truth."""

from __future__ import annotations

import http.client
import json
import socket
import time

import pytest
from engine_client import FAST, Engine, Start, chat_body, raw_request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("alone")

MS = 1_000_000


def receive_until(sock: socket.socket, end: bytes) -> bytes:
    data = bytearray()
    while not data.endswith(end):
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return bytes(data)


def test_chat_stream(fast: Engine) -> None:
    reply = fast.chat(5, "chat-stream", stream_options={"include_usage": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    role, *tokens, finish, usage, done = reply.events()
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    texts = [event["choices"][0]["delta"]["content"] for event in tokens]
    assert len(texts) == 5
    assert all(text[0] == " " and len(text) == 5 for text in texts)
    assert (finish["choices"][0]["delta"], finish["choices"][0]["finish_reason"]) == ({}, "length")
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 3, "total_tokens": 8, "completion_tokens": 5}
    assert done == "[DONE]"
    assert {event["id"] for event in (role, *tokens, finish, usage)} == {"chatcmpl-chat-stream"}


def test_usage_only_if_asked_for(fast: Engine) -> None:
    assert not any("usage" in event for event in fast.chat(2).events())


def test_completion_stream(fast: Engine) -> None:
    body = json.dumps({"prompt": [1, 2, 3], "max_tokens": 3, "stream": True}).encode()
    *tokens, finish, done = fast.ask("POST", "/v1/completions", body).events()
    assert [len(event["choices"][0]["text"]) for event in tokens] == [5, 5, 5]
    assert (finish["choices"][0]["text"], finish["choices"][0]["finish_reason"], done) == ("", "length", "[DONE]")


def test_not_streamed(fast: Engine) -> None:
    reply = fast.chat(3, "whole", stream=False).json()
    assert len(reply["choices"][0]["message"]["content"].split()) == 3
    assert reply["usage"] == {"prompt_tokens": 3, "total_tokens": 6, "completion_tokens": 3}
    truth = fast.truth_of("whole")
    assert len(truth["tokens_ns"]) == 3
    assert truth["admitted_ns"] + 4 * MS <= truth["tokens_ns"][-1] <= truth["end_ns"]
    text = fast.ask("POST", "/v1/completions", b'{"prompt":"a b","max_tokens":2}').json()
    assert len(text["choices"][0]["text"].split()) == 2


def test_continuous_usage_counts_up(fast: Engine) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    *events, _ = fast.chat(3, stream_options=options).events()
    assert [event["usage"]["completion_tokens"] for event in events] == [0, 1, 2, 3, 3, 3]


def test_truth_and_what_a_client_sees_agree(start: Start) -> None:
    engine = start("--ttft", "30ms", "--itl", "5ms", "--prefill-rate", "1000")
    with engine.connect() as sock:
        sent = time.monotonic_ns()
        sock.sendall(raw_request(chat_body(4, words=20), "x-request-id: me\r\n"))
        stamps = []
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            piece = sock.recv(65536)
            stamps += [time.monotonic_ns()] * piece.count(b'"content":" ')
            data += piece
    truth = engine.truth_of("me")
    tokens = truth["tokens_ns"]
    assert sent <= truth["arrival_ns"] <= truth["admitted_ns"]
    assert all(stamp >= truth["admitted_ns"] + 50 * MS + i * 5 * MS for i, stamp in enumerate(tokens))
    assert all(seen >= told for seen, told in zip(stamps, tokens, strict=True))
    assert truth["end_ns"] == tokens[-1]
    assert (truth["prompt_tokens"], truth["completion_tokens"], truth["outcome"]) == (20, 4, "ok")


def test_arrival_is_when_the_request_was_complete(fast: Engine) -> None:
    raw = raw_request(chat_body(1), "x-request-id: halves\r\n")
    with fast.connect() as sock:
        sock.sendall(raw[:-9])
        time.sleep(0.02)
        between = time.monotonic_ns()
        sock.sendall(raw[-9:])
        receive_until(sock, b"0\r\n\r\n")
    assert fast.truth_of("halves")["arrival_ns"] >= between


def test_headers_come_before_the_first_token(start: Start) -> None:
    engine = start("--ttft", "10m")
    with engine.connect() as sock:
        sock.sendall(raw_request(chat_body()))
        assert receive_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_requests_are_answered_in_order_and_arrive_when_read(fast: Engine) -> None:
    with fast.connect() as sock:
        sock.sendall(b"".join(raw_request(chat_body(3), f"x-request-id: pipe{i}\r\n") for i in range(3)))
        data = b""
        while data.count(b"\r\n0\r\n\r\n") < 3:
            data += sock.recv(65536)
    assert data.index(b"pipe0") < data.index(b"pipe1") < data.index(b"pipe2")
    first, second, third = (fast.truth_of(f"pipe{i}") for i in range(3))
    assert second["admitted_ns"] >= first["end_ns"]
    assert first["arrival_ns"] <= second["arrival_ns"] <= third["arrival_ns"] < first["end_ns"]


def test_connection_close_is_kept(fast: Engine) -> None:
    with fast.connect() as sock:
        sock.sendall(raw_request(chat_body(2), "connection: close\r\n"))
        data = b""
        while piece := sock.recv(65536):
            data += piece
    assert data.endswith(b"0\r\n\r\n")
    assert b"connection: close" in data


def test_expect_continue(fast: Engine) -> None:
    raw = raw_request(body := chat_body(1), "expect: 100-continue\r\n")
    with fast.connect() as sock:
        sock.sendall(raw[: -len(body)])
        assert receive_until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert receive_until(sock, b"0\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_slots_and_queue(start: Start) -> None:
    engine = start("--slots", "1", "--ttft", "5ms", "--itl", "1ms")
    first, second = engine.connect(), engine.connect()
    with first, second:
        first.sendall(raw_request(chat_body(30), "x-request-id: first\r\n"))
        receive_until(first, b"\r\n\r\n")
        second.sendall(raw_request(chat_body(2), "x-request-id: second\r\n"))
        receive_until(second, b"0\r\n\r\n")
    assert engine.truth_of("second")["admitted_ns"] >= engine.truth_of("first")["end_ns"]


def test_a_client_that_leaves_frees_its_slot(start: Start) -> None:
    engine = start("--slots", "1", "--ttft", "1ms", "--itl", "1ms")
    leaver, waiter = engine.connect(), engine.connect()
    with waiter, leaver:
        leaver.sendall(raw_request(chat_body(100_000), "x-request-id: leaver\r\n"))
        receive_until(leaver, b"\n\n\r\n")
        waiter.sendall(raw_request(chat_body(100_000), "x-request-id: waiter\r\n"))
        receive_until(waiter, b"\r\n\r\n")
    assert engine.chat(2).events()[-1] == "[DONE]"
    leaver_truth, waiter_truth = engine.truth_of("leaver"), engine.truth_of("waiter")
    assert leaver_truth["outcome"] == waiter_truth["outcome"] == "disconnected"
    assert 0 < leaver_truth["completion_tokens"] == len(leaver_truth["tokens_ns"]) < 100_000
    assert leaver_truth["gone_ns"] == leaver_truth["end_ns"]


def test_a_deaf_engine_goes_on_for_a_client_that_left(start: Start) -> None:
    """Its slot stays taken to the last token, whoever waits; what it sends for nobody harms nobody."""
    engine = start("--slots", "1", "--ttft", "1ms", "--itl", "1ms", "--deaf")
    with engine.connect() as leaver:
        leaver.sendall(raw_request(chat_body(300), "x-request-id: leaver\r\n"))
        receive_until(leaver, b"\n\n\r\n")
    assert engine.chat(5, "waiter").events()[-1] == "[DONE]"
    left, waited = engine.truth_of("leaver"), engine.truth_of("waiter")
    assert (left["outcome"], left["completion_tokens"]) == ("disconnected", 300)
    assert left["gone_ns"] < left["end_ns"] <= waited["admitted_ns"]
    assert (waited["outcome"], waited["gone_ns"]) == ("ok", None)


def test_a_slow_reader_gets_everything_and_blocks_nobody(start: Start) -> None:
    engine = start("--ttft", "1ms", "--itl", "0ms")
    with engine.connect() as sock:
        sock.sendall(raw_request(chat_body(50_000), "x-request-id: slow\r\n"))
        while not any(record["id"] == "slow" for record in engine.truth()):
            assert engine.chat(2).status == 200
        data = receive_until(sock, b"0\r\n\r\n")
        assert data.count(b'"content":" ') == 50_000
        sock.sendall(raw_request(chat_body(1)))  # and the connection is as good as new
        receive_until(sock, b"0\r\n\r\n")


def test_delete_truth_forgets(start: Start) -> None:
    engine = start(*FAST)
    engine.chat(1)
    assert [record["seq"] for record in engine.truth()] == [0]
    assert engine.ask("DELETE", "/truth").status == 200
    assert engine.truth() == []
    engine.chat(1)
    assert [record["seq"] for record in engine.truth()] == [1]


def test_long_truth_is_read_whole(start: Start) -> None:
    engine = start("--ttft", "0ms", "--itl", "0ms")
    for _ in range(6):
        engine.chat(20_000)
    assert [len(record["tokens_ns"]) for record in engine.truth()] == [20_000] * 6


@pytest.mark.parametrize("stream", [True, False])
def test_metrics_of_a_request(start: Start, stream: bool) -> None:
    engine = start("--ttft", "20ms", "--itl", "4ms", "--request-metrics", "--slots", "1")
    options = {"stream": stream} | ({"stream_options": {"include_usage": True}} if stream else {})
    with engine.connect() as first:
        first.sendall(raw_request(chat_body(3, stream=False)))
        time.sleep(0.01)
        reply = engine.chat(5, "waits", **options)
        first.recv(65536)
    *plain, told = reply.events()[:-1] if stream else [reply.json()]
    assert not any("metrics" in event for event in plain) and "usage" in told
    truth, metrics = engine.truth_of("waits"), told["metrics"]
    first_ns, last_ns = truth["tokens_ns"][0], truth["tokens_ns"][-1]
    assert metrics["queue_time_ms"] * MS == pytest.approx(truth["admitted_ns"] - truth["arrival_ns"], abs=1)
    assert metrics["queue_time_ms"] > 5
    assert metrics["time_to_first_token_ms"] * MS == pytest.approx(first_ns - truth["admitted_ns"], abs=1)
    assert metrics["generation_time_ms"] * MS == pytest.approx(last_ns - first_ns, abs=MS)
    assert metrics["mean_itl_ms"] == pytest.approx(metrics["generation_time_ms"] / 4)


def test_metrics_of_a_request_of_one_token(start: Start) -> None:
    metrics = start(*FAST, "--request-metrics").chat(1, stream=False).json()["metrics"]
    assert metrics["mean_itl_ms"] is None and metrics["generation_time_ms"] < 1


def test_metrics_of_a_request_only_if_asked_for(fast: Engine) -> None:
    assert "metrics" not in fast.chat(2, stream=False).json()


def test_metrics(start: Start) -> None:
    engine = start(*FAST, "--model", 'a"b')
    engine.chat(5, words=7)
    engine.chat(3, words=2)
    lines = engine.ask("GET", "/metrics").body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    label = 'engine="0",model_name="a\\"b"'
    expected = {
        "num_requests_running": 0,
        "num_requests_waiting": 0,
        "kv_cache_usage_perc": 0,
        "prompt_tokens_total": 9,
        "generation_tokens_total": 8,
        "num_preemptions_total": 0,
        "prefix_cache_hits_total": 0,
        "time_to_first_token_seconds_count": 2,
        "inter_token_latency_seconds_count": 6,
        "e2e_request_latency_seconds_count": 2,
        "request_queue_time_seconds_count": 2,
        "request_prefill_time_seconds_count": 2,
        "request_decode_time_seconds_count": 2,
    }
    assert {name: float(values[f"vllm:{name}{{{label}}}"]) for name in expected} == expected
    assert values[f'vllm:request_success_total{{{label},finished_reason="length"}}'] == "2"
    truth = engine.truth()
    prefill = sum(record["tokens_ns"][0] - record["admitted_ns"] for record in truth) / 1e9
    assert float(values[f"vllm:request_prefill_time_seconds_sum{{{label}}}"]) == pytest.approx(prefill)
    e2e = sum(record["end_ns"] - record["arrival_ns"] for record in truth) / 1e9
    assert float(values[f"vllm:e2e_request_latency_seconds_sum{{{label}}}"]) == pytest.approx(e2e)
    assert values[f'vllm:time_to_first_token_seconds_bucket{{{label},le="0.001"}}'] == "0"
    assert values[f'vllm:time_to_first_token_seconds_bucket{{{label},le="+Inf"}}'] == "2"


def test_models_and_health(fast: Engine) -> None:
    assert fast.ask("GET", "/health").status == 200
    (card,) = fast.ask("GET", "/v1/models").json()["data"]
    assert card["id"] == "loadcell-engine"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("POST", "/v1/chat/completions", b'{"messages":[{"role":"user","content":"a"}],"model":"x"}', 404),
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"{}", 400),
        ("GET", "/v1/chat/completions", None, 405),
        ("POST", "/truth", b"", 405),
    ],
)
def test_errors_leave_the_connection_usable(
    fast: Engine, method: str, path: str, body: bytes | None, status: int
) -> None:
    conn = fast.open()
    try:
        for _ in range(2):
            conn.request(method, path, body)
            reply = conn.getresponse()
            error = json.loads(reply.read())["error"]
            assert (reply.status, error["code"]) == (status, status)
            assert error["message"]
    finally:
        conn.close()


def test_api_key(start: Start) -> None:
    engine = start(*FAST, "--api-key", "secret")
    assert engine.ask("GET", "/health").status == 200
    assert engine.ask("GET", "/v1/models").status == 401
    assert engine.ask("GET", "/v1/models", headers={"Authorization": "Bearer wrong"}).status == 401
    assert engine.ask("GET", "/v1/models", headers={"Authorization": "Bearer secret"}).status == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /v1/completions HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 40_000, b"431"),
        (b"\x16\x03\x01", b"400"),
    ],
)
def test_refusals_that_end_the_connection_can_be_read(fast: Engine, raw: bytes, status: bytes) -> None:
    with fast.connect() as sock:
        sock.sendall(raw)
        data = b""
        while piece := sock.recv(65536):
            data += piece
    assert data.split()[1] == status
    assert b"connection: close" in data


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(junk=st.binary(min_size=1, max_size=400))
def test_junk_costs_its_own_connection_only(fast: Engine, junk: bytes) -> None:
    with fast.connect() as sock:
        sock.sendall(junk)
        sock.shutdown(socket.SHUT_WR)
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert fast.ask("GET", "/health").status == 200


def test_reset_in_mid_stream_harms_nobody(fast: Engine) -> None:
    with fast.connect() as sock:
        sock.sendall(raw_request(chat_body(1000)))
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert fast.chat(3).events()[-1] == "[DONE]"


def test_lockstep_joins_the_step_of_the_others(start: Start) -> None:
    engine = start("--ttft", "2ms", "--itl", "80ms", "--lockstep")
    first, second = engine.connect(), engine.connect()
    with first, second:
        first.sendall(raw_request(chat_body(2), "x-request-id: first\r\n"))
        receive_until(first, b"\n\n\r\n")
        second.sendall(raw_request(chat_body(1), "x-request-id: second\r\n"))
        receive_until(second, b"0\r\n\r\n")
        receive_until(first, b"0\r\n\r\n")
    step = engine.truth_of("first")["admitted_ns"] + 82 * MS
    assert engine.truth_of("second")["tokens_ns"][0] >= step


def test_truncated_client_request_is_forgotten(start: Start) -> None:
    engine = start(*FAST)
    with engine.connect() as sock:
        sock.sendall(raw_request(chat_body())[:-5])
    assert engine.chat(1).status == 200
    assert len(engine.truth()) == 1


def test_http_client_reuses_a_connection(fast: Engine) -> None:
    conn = http.client.HTTPConnection("127.0.0.1", fast.port, timeout=20)
    try:
        for _ in range(5):
            conn.request("POST", "/v1/chat/completions", chat_body(2))
            sock = conn.sock
            assert conn.getresponse().read().endswith(b"[DONE]\n\n")
            assert conn.sock is sock
    finally:
        conn.close()
