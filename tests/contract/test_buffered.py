"""A proxy that buffers, in front of a good server: what it hides is not measured, and what it adds is said."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from contract_runs import Ran, Run
from engine_client import start_engine

from loadcell.metrics.model import Check

pytestmark = pytest.mark.usefixtures("alone")

END = b"0\r\n\r\n"


@contextmanager
def proxy(port: int, hold_s: float | None) -> Iterator[str]:
    """The URL of a proxy to a port that keeps streams back: for `hold_s` at a time, or to their end without it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    sockets: list[socket.socket] = [listener]

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sockets.append(one)
                threading.Thread(target=forward, args=(client, server), daemon=True).start()
                threading.Thread(target=collect, args=(server, client), daemon=True).start()

    def forward(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def collect(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            kept, since = b"", 0.0
            while data := source.recv(65536):
                since = since if kept else time.monotonic()
                kept += data
                stream = b"event-stream" in kept or not kept.startswith(b"HTTP/")
                long = hold_s is not None and time.monotonic() - since >= hold_s
                if not stream or kept.endswith(END) or long:
                    sink.sendall(kept)
                    kept = b""
            sink.sendall(kept)
            sink.shutdown(socket.SHUT_WR)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def checks(ran: Ran) -> dict[str, Check]:
    return {check.name: check for check in ran.result.verdict.checks}


@pytest.fixture
def engine_port() -> Iterator[int]:
    with ExitStack() as stack:
        yield start_engine(stack, "--ttft", "40ms", "--itl", "8ms", "--slots", "8").port


def test_the_server_itself_is_delivered_as_it_was_sent(run: Run, engine_port: int) -> None:
    ran = run(f"http://127.0.0.1:{engine_port}", concurrency=4, requests=24, output_tokens="40")
    words = {name: checks(ran)[name].word for name in ("at_once", "together", "server_ttft")}
    assert words == dict.fromkeys(words, "VALID"), [checks(ran)[name].says for name in words]


def test_a_proxy_that_keeps_all_back(run: Run, engine_port: int) -> None:
    with proxy(engine_port, None) as url:
        ran = run(url, concurrency=4, requests=24, output_tokens="40", tpot_ms=50.0)
    result = ran.result
    assert checks(ran)["at_once"].word == "SUSPECT" and result.delivered.at_once_share == 1
    for name in ("itl_ms", "tpot_ms"):
        assert result.latency[name].service.mean is None
        assert "proxy buffering" in str(result.latency[name].service.p50.withheld)
    assert result.goodput is not None and result.goodput.limits["tpot_ms"].met is None
    told = checks(ran)["server_ttft"]
    assert told.word == "SUSPECT" and "vLLM Prometheus, 24 requests" in told.says
    (side,) = result.server
    assert side.own_ttft_ms == pytest.approx(40, abs=10) and side.ttft_ms >= 40 + 39 * 8
    assert f"{side.own_ttft_ms:.4g} ms by the server's own clock" in told.says


def test_a_proxy_that_flushes_now_and_then(run: Run, engine_port: int) -> None:
    with proxy(engine_port, 0.05) as url:
        ran = run(url, concurrency=2, requests=12, output_tokens="60")
    assert checks(ran)["together"].word == "SUSPECT" and checks(ran)["at_once"].word == "VALID"
    assert ran.result.latency["itl_ms"].service.mean is None
    assert checks(ran)["server_ttft"].word == "SUSPECT"
