"""Names, addresses, proxies and who asks: by curl's rules, seen at servers that listen on several addresses."""

from __future__ import annotations

import argparse
import base64
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from contract_runs import Run, ask
from scripted import CLOSE, Scripted, Step, json_reply, serve, take

from loadcell.errors import EndpointError, UsageError
from loadcell.load import target as targets
from loadcell.load.names import exempt, parse_pin, pinned, proxy_of
from loadcell.load.target import make_target
from loadcell.spec import Endpoint


@contextmanager
def replicas(monkeypatch: pytest.MonkeyPatch, hosts: list[str]) -> Iterator[tuple[str, list[Scripted]]]:
    """Servers on one port of several loopback addresses, and the URL of a name that has them all."""
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        create = socket.create_server
        servers = []
        for host in hosts:
            with monkeypatch.context() as patch:
                patch.setattr(socket, "create_server", lambda where, **more: create((where[0], port), **more))
                servers.append(stack.enter_context(serve(host=host)))
        yield f"http://replicas.test:{port}", servers


def test_a_name_with_several_addresses_uses_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    with replicas(monkeypatch, hosts) as (url, servers):
        port = url.rpartition(":")[2]
        pins = [f"replicas.test:{port}:{','.join([hosts[0], hosts[0], *hosts[1:], '127.0.0.9'])}"]
        ran = run(url, requests=12, concurrency=6, resolve=pins)
        assert ran.statuses == ["ok"] * 12
        assert [len({request.connection for request in server.load}) for server in servers] == [2, 2, 2]
        assert {request.headers["host"] for server in servers for request in server.load} == {f"replicas.test:{port}"}
        assert ran.manifest.effective["connections_by_address"] == dict.fromkeys(hosts, 2)
        notes = " ".join(ran.result.notes)
        assert "the host has 3 addresses" in notes and all(f"{host} (2)" in notes for host in hosts)
        assert "127.0.0.9, which was left out" in notes and "refused" in notes


def test_an_open_loop_goes_round_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few requests at a time need one connection: still each address gets its part."""
    hosts = ["127.0.0.1", "127.0.0.2"]
    with replicas(monkeypatch, hosts) as (url, servers):
        port = url.rpartition(":")[2]
        ran = run(url, rate=10.0, arrivals="constant", requests=12, resolve=[f"*:{port}:{','.join(hosts)}"])
        assert ran.statuses == ["ok"] * 12
        assert min(len(server.load) for server in servers) >= 4


def test_localhost_is_one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its two addresses may be two servers: the first that answers is meant."""
    with serve() as server:
        both = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", server.port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(targets.socket, "getaddrinfo", lambda *_, **__: both)
        found = ask(f"http://localhost:{server.port}")
    assert [where[0] for _, where in found.addresses] == ["127.0.0.1"] and found.notes == []


# --- addresses by hand -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pins", "found"),
    [
        ([], []),
        (["api.test:443:10.0.0.7"], ["10.0.0.7"]),
        (["API.test.:443:10.0.0.7"], ["10.0.0.7"]),
        (["+api.test:443:10.0.0.7,[fd00::7]"], ["10.0.0.7", "fd00::7"]),
        (["api.test:80:10.0.0.7"], []),
        (["other.test:443:10.0.0.7"], []),
        (["*:443:10.0.0.1", "api.test:443:10.0.0.2"], ["10.0.0.2"]),
        (["*:443:[::1]"], ["::1"]),
        (["api.test:443:10.0.0.1", "api.test:443:10.0.0.2"], ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_resolve(pins: list[str], found: list[str]) -> None:
    assert pinned(pins, "api.test", 443) == found


@pytest.mark.parametrize(
    "text",
    ["", "api.test", "api.test:443", "api.test:443:", "api.test:443:name", "api.test:0:1.1.1.1",
     "api.test:99999:1.1.1.1", "api.test:443:1.1.1.1,"],
)  # fmt: skip
def test_what_resolve_does_not_take(text: str) -> None:
    with pytest.raises(UsageError, match=r"write HOST:PORT:ADDRESS"):
        parse_pin(text)
    with pytest.raises(UsageError, match=r"write HOST:PORT:ADDRESS"):
        make_target(Endpoint(url="http://api.test", resolve=[text]), None)


def test_resolve_leaves_the_name_what_it_is(run: Run, tmp_path: Path) -> None:
    """Host, SNI and the certificate's check are of the name; only the address is another."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.test").configure_cert(context)
    asked: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serve(context=context) as server:
        pins = [f"api.test:{server.port}:127.0.0.1"]
        ran = run(f"https://api.test.:{server.port}", requests=2, ca_file=str(tmp_path / "ca.pem"), resolve=pins)
        assert ran.statuses == ["ok"] * 2
    assert set(asked) == {"api.test"}


# --- proxies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempted"),
    [
        ("", "api.test", False),
        ("*", "api.test", True),
        ("api.test", "api.test", True),
        ("API.Test", "api.test", True),
        ("api.test", "API.test.", True),
        ("api.test.", "api.test", True),
        (".test", "api.test", True),
        ("test", "api.test", True),
        (".api.test", "api.test", True),
        ("*.test", "api.test", True),
        ("pi.test", "api.test", False),
        ("other.test, api.test", "api.test", True),
        ("other.test api.test", "api.test", True),
        ("api.test:8443", "api.test", True),
        ("api.test:80", "api.test", False),
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7:8443", "10.0.0.7", True),
        ("10.0.0.7:80", "10.0.0.7", False),
        ("10.0.0.0/8", "10.9.8.7", True),
        ("10.0.0.0/8", "11.9.8.7", False),
        ("10.0.0.0/8", "ten.test", False),
        ("0.0.7", "10.0.0.7", False),
        ("::1", "::1", True),
        ("[::1]", "::1", True),
        ("[::1]:8443", "::1", True),
        ("[::1]:80", "::1", False),
        ("fd00::/8", "fd12::7", True),
        ("fd00::/8", "fe80::7", False),
        ("127.0.0.1", "localhost", False),
    ],
)
def test_no_proxy(no_proxy: str, host: str, exempted: bool) -> None:
    assert exempt(no_proxy, host, 8443) is exempted


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"http_proxy": "http://p:1"}, "http_proxy", None),
        ({"HTTP_PROXY": "http://p:1"}, None, None),
        ({"https_proxy": "http://p:1"}, None, "https_proxy"),
        ({"HTTPS_PROXY": "http://p:1"}, None, "HTTPS_PROXY"),
        ({"all_proxy": "http://p:1"}, "all_proxy", "all_proxy"),
        ({"ALL_PROXY": "http://p:1", "http_proxy": "http://p:2"}, "http_proxy", "ALL_PROXY"),
        ({"http_proxy": " ", "all_proxy": ""}, None, None),
        ({"http_proxy": "http://p:1", "NO_PROXY": "api.test"}, None, None),
        ({"http_proxy": "http://p:1", "NO_PROXY": "api.test", "no_proxy": "x"}, "http_proxy", None),
    ],
)
def test_which_variable_names_the_proxy(environ: dict[str, str], http: str | None, https: str | None) -> None:
    found = [proxy_of(scheme, "api.test", 80, environ) for scheme in ("http", "https")]
    assert [one and one[0] for one in found] == [http, https]


@pytest.mark.parametrize(
    ("value", "proxy", "auth"),
    [
        ("http://p.test:8080", "p.test:8080", None),
        ("p.test:8080", "p.test:8080", None),
        ("http://p.test", "p.test:1080", None),
        ("http://u:p%40ss@p.test:8080", "p.test:8080", b"u:p@ss"),
        ("u:@p.test:8080", "p.test:8080", b"u:"),
        ("http://[::1]:8080", "[::1]:8080", None),
    ],
)
def test_how_a_proxy_is_written(monkeypatch: pytest.MonkeyPatch, value: str, proxy: str, auth: bytes | None) -> None:
    monkeypatch.setenv("http_proxy", value)
    made = make_target(Endpoint(url="http://api.test"), None)
    assert made.proxy == proxy
    assert made.proxy_auth == (auth and f"Basic {base64.b64encode(auth).decode()}")


# --- who asks, and of whom -------------------------------------------------------------------------------------------


def sent(url: str, key: str | None = None, **fields: Any) -> dict[str, str]:
    head = make_target(Endpoint(url=url, **fields), key).head("GET", "/models").decode()
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://API.test", "api.test"),
        ("http://api.test:80", "api.test"),
        ("http://api.test:81", "api.test:81"),
        ("https://api.test", "api.test"),
        ("https://api.test:80", "api.test:80"),
        ("http://[::1]:81", "[::1]:81"),
        ("http://[fe80::1%25lo]:81", "[fe80::1]:81"),
        ("http://münchen.test", "xn--mnchen-3ya.test"),
    ],
)
def test_host_header(url: str, host: str) -> None:
    assert sent(url)["Host"] == host
    assert sent(url, headers={"host": "other.test"}).get("host") == "other.test"


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("http://api.test", None, None),
        ("http://api.test", "sk-1", "Bearer sk-1"),
        ("http://user:p%40ss@api.test", None, b"user:p@ss"),
        ("http://user:p%40ss@api.test", "sk-1", b"user:p@ss"),
        ("http://user@api.test", None, b"user:"),
        ("http://:token@api.test", None, b":token"),
    ],
)
def test_who_asks(url: str, key: str | None, said: str | bytes | None) -> None:
    expected = f"Basic {base64.b64encode(said).decode()}" if isinstance(said, bytes) else said
    assert sent(url, key).get("Authorization") == expected
    assert sent(url, key, headers={"authorization": "mine"}).get("authorization") == "mine"


# --- client certificates ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server that wants a certificate, and the folder with `ca.pem` and the clients' files."""
    folder, authority = tmp_path_factory.mktemp("mutual"), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(folder / "ca.pem")
    own = authority.issue_cert("client.test")
    own.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    own.private_key_pem.write_to_path(folder / "key.pem")
    own.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    trustme.CA().issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(folder / "other.pem")
    return context, folder


@pytest.mark.parametrize("files", [("cert.pem", "key.pem"), ("both.pem", None)])
def test_a_client_certificate_is_shown(
    run: Run, mutual: tuple[ssl.SSLContext, Path], files: tuple[str, str | None]
) -> None:
    context, folder = mutual
    cert, key = (name and str(folder / name) for name in files)
    with serve(context=context) as server:
        ran = run(server.url, requests=2, ca_file=str(folder / "ca.pem"), cert_file=cert, key_file=key)
    assert ran.statuses == ["ok"] * 2


@pytest.mark.parametrize(("cert", "words"), [(None, "client certificate.*--cert"), ("other.pem", "does not accept")])
def test_a_certificate_that_is_missing_or_refused(
    mutual: tuple[ssl.SSLContext, Path], cert: str | None, words: str
) -> None:
    context, folder = mutual
    with serve(context=context) as server, pytest.raises(EndpointError, match=words):
        ask(server.url, ca_file=str(folder / "ca.pem"), cert_file=cert and str(folder / cert))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("nowhere.pem", None), "no file at"),
        (("cert.pem", None), "not a certificate and its key"),
        (("ca.pem", "key.pem"), "not that of the certificate"),
        ((None, "key.pem"), "name that with --cert"),
    ],
)
def test_files_that_are_no_certificate(
    mutual: tuple[ssl.SSLContext, Path], files: tuple[str | None, str | None], words: str
) -> None:
    context, folder = mutual
    cert, key = (name and str(folder / name) for name in files)
    with serve(context=context) as server, pytest.raises(UsageError, match=words):
        ask(server.url, ca_file=str(folder / "ca.pem"), cert_file=cert, key_file=key)


# --- what speaks there -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS there: write https://"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03", "HTTP/2 alone"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", r"another protocol there \(SSH-2.0-OpenSSH_9.6\)"),
        (b"-ERR unknown command 'GET'\r\n", "another protocol there .*unknown command"),
        (b"HTTP/1.1 nonsense\r\n\r\n", r"not an HTTP/1\.1 reply"),
        (json_reply(b"Client sent an HTTP request to an HTTPS server.\n", 400), "HTTPS server; .*write https://"),
        (
            json_reply(
                b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>", 400
            ),
            "HTTPS port; .*write https://",
        ),
    ],
)
def test_another_protocol_is_named(answer: bytes, words: str) -> None:
    for probed in ("models", "probe"):
        script: Any = {probed: lambda _: [answer, CLOSE]}
        with serve(**script) as server:
            try:
                found = " ".join(ask(server.url, wait_ready_s=0).notes)
            except EndpointError as error:
                found = str(error)
        assert re.search(words, found), found


class Tunnels:
    """A proxy whose answer to CONNECT is what it is told."""

    def __init__(self, steps: list[Step]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.steps = steps
        threading.Thread(target=self.talk, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def talk(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self.answer, args=(sock,), daemon=True).start()

    def answer(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            sock.recv(65536)
            for step in self.steps:
                take(sock, step)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([b"HTTP/1.1 200 OK\r\n" + b"X-More: yes\r\n" * 500 for _ in range(1000)], "CONNECT with more than 16 KiB"),
        (
            [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 407 Who\x1b[31m\r\n\r\n"],
            "refused the tunnel: HTTP/1.1 407 Who",
        ),
        ([b"HTTP/1.1 200 OK\r\n", *[0.05, b"X"] * 200], "no answer within|gave no answer"),
        ([CLOSE], "no answer to CONNECT"),
    ],
)
def test_what_a_proxy_answers_is_bounded(monkeypatch: pytest.MonkeyPatch, steps: list[Step], words: str) -> None:
    proxy = Tunnels(steps)
    monkeypatch.setenv("https_proxy", proxy.url)
    began = time.monotonic()
    with pytest.raises(EndpointError, match=words) as caught:
        ask("https://api.test", connect_timeout_s=1, timeout_s=1, wait_ready_s=0)
    assert str(caught.value).isprintable() and time.monotonic() - began < 20
    proxy.listener.close()


def test_a_proxy_named_in_capitals_is_not_used_and_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serve() as server:
        ran = run(server.url, requests=1, concurrency=1)
    assert ran.statuses == ["ok"] and ran.manifest.effective["proxy"] is None
    assert any("HTTP_PROXY in capitals is not used" in note for note in ran.result.notes)


def test_the_flags() -> None:
    from loadcell.cli import run as command

    parser = argparse.ArgumentParser()
    command.configure(parser)
    pins = ["--resolve", "api.test:443:10.0.0.7", "--resolve", "*:80:10.0.0.8"]
    files = ["--cacert", "a", "--cert", "b", "--key", "c", "--memory", "2GB"]
    spec = command.read_spec(parser.parse_args(["https://api.test", *pins, *files]))
    assert spec.endpoint.resolve == ["api.test:443:10.0.0.7", "*:80:10.0.0.8"]
    assert (spec.endpoint.ca_file, spec.endpoint.cert_file, spec.endpoint.key_file) == ("a", "b", "c")
    assert spec.run.memory_mb == 2000
