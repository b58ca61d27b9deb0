"""What a run keeps beside its rows, and what a connection tells of itself."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from contract_runs import short_spec
from scripted import clean, serve

from loadcell.core.poller import make_poller
from loadcell.load import run_load, wire
from loadcell.load.audit import Audit
from loadcell.load.pool import Pool
from loadcell.load.wire import Connection

pytestmark = pytest.mark.usefixtures("alone")


def test_the_audit_the_machine_and_the_selftest_are_kept(tmp_path: Path) -> None:
    with serve(lambda _: clean(3, ttft_s=0.02)) as server:
        run_load(short_spec(server.url, requests=40), tmp_path / "run", lambda _: None, {"measured": "here"})

    def kept(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((tmp_path / "run" / name).read_bytes())
        return found

    assert kept("selftest.json") == {"measured": "here"}
    host, audit = kept("host.json"), kept("audit-0.json")
    assert len(audit["busy_ns_by_s"]) == audit["load_ns"] // 1_000_000_000 + 1
    assert 0 < sum(audit["busy_ns_by_s"]) < audit["load_ns"]
    assert 40 * 10e6 < audit["load_ns"] < 20e9
    assert audit["switches_voluntary"] > 40
    if sys.platform == "linux":
        assert host["server"] in ("same cores", "other cores"), "this process, which this process may look at"
        assert 0 <= host["steal_share"] < 1
        shared = host["sharing"]
        assert audit["load_ns"] <= shared["load_ns"] and shared["server_threads"] > 1
        assert shared["server_wait_ns"] > 0 and 0 < shared["parent_cpu_ns"] < shared["load_ns"]
        assert 0 < audit["min_rtt_ns"] < 1e9


@pytest.mark.parametrize(
    ("code", "ports", "descriptors", "words"),
    [
        (errno.EADDRNOTAVAIL, 1, 0, "net.ipv4.ip_local_port_range"),
        (errno.EMFILE, 0, 1, "ulimit -n"),
        (errno.ENFILE, 0, 1, "fs.file-max"),
        (errno.ECONNREFUSED, 0, 0, "nothing listens there"),
    ],
)
def test_a_connection_that_cannot_be_opened_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, code: int, ports: int, descriptors: int, words: str
) -> None:
    class Refused(socket.socket):
        def connect(self, _: Any) -> None:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(wire.socket, "socket", Refused)
    target = SimpleNamespace(tls=False)
    job = cast(
        Any, SimpleNamespace(target=target, addresses=[(socket.AF_INET, ("127.0.0.1", 9))], connect_timeout_s=1.0)
    )
    audit, heard = Audit(0, None), []
    pool = Pool(job, make_poller(), {}, audit, lambda: None, heard.append)
    assert pool.open() is False
    assert words in heard[0]
    assert (audit.connect_failures, audit.no_ports, audit.no_descriptors) == (1, ports, descriptors)


def _opened(server: socket.socket) -> Connection:
    target = cast(Any, SimpleNamespace(tunnel=False))
    connection = Connection(1, target, (socket.AF_INET, server.getsockname()), None)
    assert connection.min_rtt_ns() is None
    while connection.advance() is not None:
        time.sleep(0.001)
    return connection


@pytest.mark.skipif(sys.platform != "linux", reason="tcp_info is read on Linux only")
def test_the_least_round_trip_holds_nothing_of_a_server_that_thinks() -> None:
    """Each answer comes after 15 ms, the acknowledgement of its request with it: the smoothed figure climbs to them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = _opened(server)
        peer, _ = server.accept()
        for _ in range(20):
            assert connection.send(b"question")
            assert peer.recv(100) == b"question"
            time.sleep(0.015)
            peer.sendall(b"answer")
            while True:
                try:
                    assert connection.recvmsg(100, 64)[0] == b"answer"
                    break
                except BlockingIOError:
                    time.sleep(0.0005)
        info = connection._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 152)
        least_ns, smoothed_us = connection.min_rtt_ns(), int.from_bytes(info[68:72], sys.byteorder)
        peer.close()
        connection.close()
    assert least_ns is not None and least_ns % 1000 == 0
    assert 0 < least_ns < 2e6 < 5e6 < smoothed_us * 1e3


@pytest.mark.parametrize("told", [b"", bytes(100), bytes(152), bytes(148) + b"\xff" * 4], ids=len)
def test_without_the_kernels_round_trip_the_handshake_tells(told: bytes) -> None:
    """Kernels before 4.6 tell less, and none has a least round trip before the first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = _opened(server)
        real = connection._sock
        connection._sock = cast(Any, SimpleNamespace(getsockopt=lambda *_: told))
        least_ns = connection.min_rtt_ns()
        connection._sock = real
        tcp_ns = connection.tcp_ns
        assert tcp_ns is not None and least_ns == tcp_ns - connection.start_ns > 0
        connection.close()
