"""Connections: kept alive, closed, through proxies, with TLS, over IPv6."""

from __future__ import annotations

import base64
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from contract_runs import Run
from scripted import (
    CLOSE,
    DONE,
    SSE_HEAD,
    Received,
    Step,
    chunked,
    clean,
    clean_pieces,
    delta,
    event,
    serve,
    stream,
    token,
    usage_event,
    whole,
)

from loadcell.errors import EndpointError, UsageError

pytestmark = pytest.mark.usefixtures("alone")


def test_users_keep_their_connections(run: Run) -> None:
    with serve() as server:
        ran = run(server.url, requests=12, concurrency=3)
    used = {request.connection for request in server.load}
    assert (len(used), ran.statuses) == (3, ["ok"] * 12)
    assert server.connections <= 3 + 5  # model list, two probes, metrics and a look whether anyone is there


def test_connection_close_after_each_reply(run: Run) -> None:
    def script(_: Received) -> list[Step]:
        return [*stream(*clean_pieces(), headers=b"Connection: close\r\n"), CLOSE]

    with serve(script) as server:
        ran = run(server.url, requests=8)
    assert ran.statuses == ["ok"] * 8
    assert len({request.connection for request in server.load}) == 8
    fresh = [row for row in ran.rows if row["conn_start_ns"] is not None]
    assert len(fresh) >= 6  # all but those that were opened before the clock started
    assert all(row["conn_start_ns"] <= row["conn_tcp_ns"] <= row["send_start_ns"] for row in fresh)


def test_connection_close_announced_but_left_open(run: Run) -> None:
    with serve(lambda _: stream(*clean_pieces(), headers=b"Connection: close\r\n")) as server:
        ran = run(server.url, requests=4)
    assert ran.statuses == ["ok"] * 4
    assert len({request.connection for request in server.load}) == 4


def test_idle_connections_that_the_server_closes_cost_no_request(run: Run) -> None:
    with serve(idle_s=0.15) as server:
        ran = run(server.url, rate=4.0, arrivals="constant", requests=6)
    assert ran.statuses == ["ok"] * 6
    assert server.idle_closed >= 5


def test_an_announced_limit_of_idle_time_is_kept_to(run: Run) -> None:
    """The server closes after 1.2 s and says 1 s: the client must not send at the last moment."""
    with serve(lambda _: [whole().replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=1\r\n\r\n", 1)], idle_s=1.2) as server:
        ran = run(server.url, rate=0.85, arrivals="constant", requests=2, stream=False)
    assert ran.statuses == ["ok"] * 2
    assert len({request.connection for request in server.load}) == 2


# --- TLS -------------------------------------------------------------------------------------------------------------


@dataclass
class Tls:
    context: ssl.SSLContext
    ca_file: Path


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    ca_file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    return Tls(context, ca_file)


def test_tls_with_an_authority_of_ones_own(run: Run, tls: Tls) -> None:
    with serve(context=tls.context) as server:
        ran = run(server.url, requests=6, ca_file=str(tls.ca_file))
    assert ran.statuses == ["ok"] * 6
    assert [row["output_tokens"] for row in ran.rows] == [4] * 6
    assert len({request.connection for request in server.load}) == 2
    assert all(row["first_any_ns"] - row["send_start_ns"] >= 0.01e9 for row in ran.rows)


def test_tls_connections_that_close(run: Run, tls: Tls) -> None:
    with serve(lambda _: [*clean(), CLOSE], context=tls.context) as server:
        ran = run(server.url, requests=5, ca_file=str(tls.ca_file), concurrency=1)
    assert ran.result.counts.run.ok >= 4  # a request may meet the close
    assert any(row["conn_tls_ns"] for row in ran.rows)


def test_tls_with_a_large_request_and_a_large_reply(run: Run, tls: Tls) -> None:
    with serve(lambda _: clean(3, text="x" * 40_000), context=tls.context) as server:
        ran = run(server.url, requests=2, ca_file=str(tls.ca_file), input_tokens=40_000, keep_text=True)
    assert ran.statuses == ["ok"] * 2
    assert all(len(request.body) > 100_000 for request in server.load)


def test_tls_with_an_end_as_long_as_a_token(run: Run, tls: Tls) -> None:
    """It is not looked at when it comes: it costs its user a quarter of a second once, and no figure."""
    one = chunked(event(token()))
    end = chunked(DONE) + b"0\r\n%b\r\n"
    end %= b"x: %b\r\n" % (b"x" * (len(one) - len(end) - 3))
    assert len(end) == len(one)
    words = [step for _ in range(6) for step in (one, 0.005)]
    steps = [SSE_HEAD % b"", 0.02, *words, chunked(event(delta(finish="stop")) + event(usage_event(6))), 0.005, end]
    with serve(lambda _: steps, context=tls.context) as server:
        ran = run(server.url, requests=8, ca_file=str(tls.ca_file), concurrency=1)
    assert ran.statuses == ["ok"] * 8
    assert len({request.connection for request in server.load}) == 1
    ends, sends = [row["end_ns"] for row in ran.rows], [row["send_start_ns"] for row in ran.rows]
    assert all(row["end_ns"] - row["first_any_ns"] < 0.2e9 for row in ran.rows), "by the stamp of what ended it"
    waits = sorted(after - before for before, after in zip(ends, sends[1:], strict=False))
    assert waits[-1] < 1e9 and waits[-2] < 0.04e9


def test_tls_without_trust_says_what_to_do(run: Run, tls: Tls) -> None:
    with (
        serve(context=tls.context) as server,
        pytest.raises(EndpointError, match=r"not trusted.*--ca-file.*--no-verify-tls"),
    ):
        run(server.url, requests=2)


def test_tls_unchecked_on_demand(run: Run, tls: Tls) -> None:
    with serve(context=tls.context) as server:
        assert run(server.url, requests=2, verify_tls=False).statuses == ["ok"] * 2


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_is_none(run: Run, tls: Tls, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with serve(context=tls.context) as server, pytest.raises(UsageError, match=r"ca\.pem"):
        run(server.url, requests=2, ca_file=str(file))


def test_https_to_a_server_of_plain_http(run: Run) -> None:
    with serve() as server, pytest.raises(EndpointError, match="https"):
        run(server.url.replace("http:", "https:"), requests=2)


def test_http_to_a_server_of_https(run: Run, tls: Tls) -> None:
    with serve(context=tls.context) as server, pytest.raises(EndpointError):
        run(server.url.replace("https:", "http:"), requests=2)


# --- proxies ---------------------------------------------------------------------------------------------------------


@dataclass
class Proxy:
    """A proxy that forwards requests and opens tunnels, and notes the first line and headers of each connection."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    refuse: bytes = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def proxy(refuse: bytes = b"", slow: bool = False) -> Iterator[Proxy]:
    listener = socket.create_server(("127.0.0.1", 0))
    state = Proxy(listener.getsockname()[1], refuse=refuse)
    sockets: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                sockets.append(client)
                threading.Thread(target=talk, args=(client,), daemon=True).start()

    def talk(client: socket.socket) -> None:
        with suppress(OSError, ValueError):
            data = b""
            while b"\r\n\r\n" not in data:
                piece = client.recv(65536)
                if not piece:
                    return
                data += piece
            state.heads.append(data.partition(b"\r\n\r\n")[0])
            if state.refuse:
                client.sendall(state.refuse)
                return
            method, where, _ = data.split(b"\r\n", 1)[0].split(b" ")
            host, _, port = where.removeprefix(b"http://").partition(b"/")[0].rpartition(b":")
            server = socket.create_connection((host.decode(), int(port)))
            sockets.append(server)
            if method == b"CONNECT":
                for part in (
                    (b"HTTP/1.1 200 Connection ", b"established\r\nVia: 1.1 test\r\n", b"\r\n")
                    if slow
                    else (b"HTTP/1.1 200 Connection established\r\n\r\n",)
                ):
                    client.sendall(part)
                    threading.Event().wait(0.02 if slow else 0)
            else:
                server.sendall(data)
            pump(client, server)

    def pump(client: socket.socket, server: socket.socket) -> None:
        while True:
            for ready in select.select([client, server], [], [])[0]:
                piece = ready.recv(65536)
                if not piece:
                    client.shutdown(socket.SHUT_RDWR)
                    server.shutdown(socket.SHUT_RDWR)
                    return
                (server if ready is client else client).sendall(piece)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def test_requests_go_through_the_proxy_of_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as server, proxy() as between:
        monkeypatch.setenv("http_proxy", between.url.replace("//", "//walter:sesame@"))
        ran = run(server.url, requests=4)
    assert ran.statuses == ["ok"] * 4
    assert all(request.path.startswith(f"{server.url}/v1/") for request in server.load)
    secret = base64.b64encode(b"walter:sesame")
    assert all(b"Proxy-Authorization: Basic " + secret in head for head in between.heads if b"POST" in head)
    assert any("proxy" in note for note in ran.result.notes)
    assert ran.manifest.effective["proxy"] == f"127.0.0.1:{between.port}"


@pytest.mark.parametrize("slow", [False, True])
def test_tls_goes_through_a_tunnel(run: Run, tls: Tls, monkeypatch: pytest.MonkeyPatch, slow: bool) -> None:
    with serve(context=tls.context) as server, proxy(slow=slow) as between:
        monkeypatch.setenv("https_proxy", between.url)
        ran = run(server.url, requests=4, ca_file=str(tls.ca_file))
    assert ran.statuses == ["ok"] * 4
    assert all(head.startswith(b"CONNECT 127.0.0.1:%d " % server.port) for head in between.heads[-2:])


def test_a_proxy_that_refuses_is_named(run: Run, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(context=tls.context) as server, proxy(b"HTTP/1.1 407 Who are you\r\n\r\n") as between:
        monkeypatch.setenv("https_proxy", between.url)
        with pytest.raises(EndpointError, match=rf"proxy 127\.0\.0\.1:{between.port} refused.*407"):
            run(server.url, requests=2, ca_file=str(tls.ca_file))


def test_a_proxy_that_is_not_there_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    with serve() as server, pytest.raises(EndpointError, match=rf"proxy 127\.0\.0\.1:{port}.*NO_PROXY"):
        run(server.url, requests=2)


def test_no_proxy_exempts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", f"example.com, 127.0.0.1:{server.port}")
        assert run(server.url, requests=2).manifest.effective["proxy"] is None


def test_a_socks_proxy_is_refused_in_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(UsageError, match="socks5"):
        run("http://127.0.0.1:9", requests=2)


# --- addresses -------------------------------------------------------------------------------------------------------


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6(run: Run) -> None:
    with serve(host="::1") as server:
        ran = run(server.url, requests=2)
    assert ran.statuses == ["ok"] * 2
    assert server.load[0].headers["host"] == f"[::1]:{server.port}"
    assert ran.manifest.effective["address"] == "::1"


def test_a_name_with_several_addresses_finds_the_one_that_answers(run: Run) -> None:
    with serve() as server:
        assert run(server.url.replace("127.0.0.1", "localhost"), requests=2).statuses == ["ok"] * 2
