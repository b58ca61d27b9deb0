"""Each fault of TLS has its own words and its own advice, seen at real handshakes."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from loadcell.load.tls_words import is_alert, tls_words

pytestmark = pytest.mark.usefixtures("processes")

AUTHORITY = trustme.CA()
DAY = datetime.timedelta(days=1)


def issued(*names: str, **fields: object) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(*names, **fields).configure_cert(context)  # type: ignore[arg-type]
    return context


def trusting(tmp_path: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@contextmanager
def server(context: ssl.SSLContext | None, says: bytes = b"") -> Iterator[int]:
    """One handshake; without a context, plain bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        with suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                if context is None:
                    sock.recv(4096)
                    sock.sendall(says)
                else:
                    context.wrap_socket(sock, server_side=True).recv(1)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join(5)


def fault(context: ssl.SSLContext | None, client: ssl.SSLContext, name: str = "api.test", says: bytes = b"") -> str:
    """What is said of a handshake, and of the first read after it."""
    with (
        server(context, says) as port,
        pytest.raises(ssl.SSLError) as caught,
        socket.create_connection(("127.0.0.1", port), timeout=5) as sock,
        client.wrap_socket(sock, server_hostname=name) as wrapped,
    ):
        wrapped.recv(1)
    return tls_words(caught.value)


def test_certificates() -> None:
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    old = issued("api.test", not_before=now - 9 * DAY, not_after=now - DAY)
    assert "has expired" in fault(old, trusting()) and "renew it" in fault(old, trusting())
    young = issued("api.test", not_before=now + DAY, not_after=now + 9 * DAY)
    assert "not valid yet" in fault(young, trusting()) and "clock" in fault(young, trusting())
    other = fault(issued("other.test"), trusting())
    assert "is for another name" in other and "api.test" in other and "--resolve" in other
    assert "is for another name" in fault(issued("other.test"), trusting(), "127.0.0.1")
    stranger = fault(issued("api.test"), ssl.create_default_context())
    assert "--ca-file" in stranger and "trusted" in stranger


def test_a_certificate_that_signed_itself(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.private_key_pem.write_to_path(tmp_path / "key.pem")
    AUTHORITY.cert_pem.write_to_path(tmp_path / "cert.pem")
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    said = fault(context, ssl.create_default_context())
    assert "self-signed" in said and "--ca-file" in said


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_plain_http(says: bytes) -> None:
    assert "speaks plain HTTP" in fault(None, trusting(), says=says)


def test_versions() -> None:
    client = trusting()
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    context = issued("api.test")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert "no version of TLS in common" in fault(context, client)


def test_client_certificates() -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = issued("api.test")
        AUTHORITY.configure_trust(context)
        context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
        assert "client certificate" in fault(context, trusting())
        wrong = trusting()
        trustme.CA().issue_cert("client.test").configure_cert(wrong)
        assert "does not accept the client certificate" in fault(context, wrong)


def test_names_and_protocols() -> None:
    context = issued("api.test")
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    assert "no certificate for this name" in fault(context, trusting())
    assert "speaks https" in fault(None, trusting())


def test_what_is_an_alert() -> None:
    assert not is_alert(ssl.SSLZeroReturnError()) and not is_alert(ssl.SSLEOFError())
    assert is_alert(ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] x"))


def test_a_reason_that_nobody_knows_is_shown() -> None:
    error = ssl.SSLError(1, "x")
    error.reason = "BAD_WEATHER"
    assert tls_words(error) == "TLS failed (BAD_WEATHER): read the server's log for why"
