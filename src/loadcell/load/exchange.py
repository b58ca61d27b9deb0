"""One blocking request on a connection of its own, for what is asked before and beside the load."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import compress
from typing import TYPE_CHECKING, Union

import httptools

from loadcell.load.target import Address, Target, place_of
from loadcell.load.tls_words import is_alert
from loadcell.load.wire import ConnectError, has_tunnel
from loadcell.phrases import phrase
from loadcell.protocol import CodingError, Dialect, Page, Reply, no_http, reply_to

if TYPE_CHECKING:
    from loadcell.load.stream_socket import StreamSocket

_ENOUGH_TOKENS, _ENOUGH_S = 16, 3.0
"""The probe, which asks for as many tokens as the load, is hung up on after these, whatever comes first; but not before
its first output."""
_HANG_UP_S, _HANG_UP_MOST_S = 0.05, 0.5
"""How long the end of a connection is awaited after a reply: as long as the reply took, within these."""
_SLOWER = 5
"""So many times as patient as the load is with the end of a reply: what is concluded here holds for all of the load."""
_ALERT_S = 1.0
"""How long a server that hung up is listened to, for why."""
_MODELS_BYTES = 4 * 1024 * 1024
Blocking = Union[socket.socket, "StreamSocket"]


def get(
    target: Target,
    address: Address,
    path: str,
    timeouts: tuple[float, float],
    most_bytes: int = _MODELS_BYTES,
    payload: bytes | None = None,
) -> Page:
    """The page at `path`, its body read up to `most_bytes` or little more; with a `payload` what that POST gives.

    `timeouts` are for the connection and, from then on, for the reply. OSError or ConnectError if there is no reply.
    """
    method = "GET" if payload is None else "POST"
    with _sent(target, address, method, path, payload or b"", timeouts, last=True) as (sock, start_s):
        page = Page()
        while not page.complete and len(page.body) < most_bytes and (data := _receive(sock, start_s + timeouts[1])):
            _feed(page, data)
        if not page.status:
            _hear_alert(target, address, timeouts[0])
            raise ConnectError(phrase("the server closed the connection without a reply"), errno.ECONNRESET)
        return page


def post(
    target: Target,
    address: Address,
    dialect: Dialect,
    payload: bytes,
    timeouts: tuple[float, float],
    read_s: list[float] | None = None,
    await_end: bool = True,
    wanted: tuple[int, int] | None = None,
) -> Reply:
    """The reply to a body in a dialect; timeouts and errors as of `get`.

    `read_s` takes when each read of the reply came, in s since its send began; such a reply is hung up on once it has
    told enough, and then not `closed`. `await_end`: see whether the server hangs up after it. `wanted` as of `Reply`.
    """
    with _sent(target.asking(), address, "POST", "", payload, timeouts, form=dialect.content_type) as (sock, start_s):
        reply, number, limit_s = reply_to(dialect, wanted), 0, start_s + timeouts[1]
        reply.asked(payload)
        while not reply.closed:
            over_s = _over_s(reply)
            try:
                data = _receive(sock, min(limit_s, over_s, limit_s if read_s is None else _look_s(reply, start_s)))
            except TimeoutError:
                if time.monotonic() >= over_s:
                    reply.give_up(number - 1)
                    return reply
                if read_s is not None and time.monotonic() < limit_s:
                    return reply
                raise
            if not data:
                break
            if read_s is not None:
                read_s.append(time.monotonic() - start_s)
            reply.feed([data], number)
            number += 1
            if read_s is not None and not reply.closed and _outputs(reply) >= _ENOUGH_TOKENS:
                return reply
        if not reply.bytes:
            _hear_alert(target, address, timeouts[0])
        reply.close(max(number - 1, 0))
        if await_end and reply.complete and reply.keep_alive:
            reply.keep_alive = not _hangs_up(sock, time.monotonic() - start_s)
        return reply


@contextmanager
def _sent(
    target: Target,
    address: Address,
    method: str,
    path: str,
    payload: bytes,
    timeouts: tuple[float, float],
    *,
    last: bool = False,
    form: str = "application/json",
) -> Iterator[tuple[Blocking, float]]:
    """A connection on which a request was sent, and the monotonic time at which its send began; `last`: it says that
    no other follows; `form` is the type of the payload."""
    connect_s, total_s = timeouts
    sock = _open(target, address, connect_s)
    start_s = time.monotonic()
    try:
        sock.settimeout(total_s)
        fields = {"Content-Type": form} | ({"Connection": "close"} if last else {})
        head = target.head(method, path, fields) + target.signature(method, path, payload)
        try:
            sock.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(payload), payload))
        except OSError:
            _hear_alert(target, address, connect_s)
            raise
        yield sock, start_s
    finally:
        sock.close()


def _hear_alert(target: Target, address: Address, timeout_s: float) -> None:
    """Raise what a TLS server says on a connection on which nothing is sent: it may refuse the client's certificate
    only after its handshake, and what it says then is lost where it hangs up on a request."""
    if not target.tls:
        return
    with _open(target, address, timeout_s) as sock:
        try:
            _receive(sock, time.monotonic() + _ALERT_S)
        except ssl.SSLError as error:
            if is_alert(error):
                raise
        except TimeoutError:
            return


def _outputs(reply: Reply) -> int:
    """Output tokens that came so far; an event is one where nobody tells."""
    return sum(1 if tokens is None else tokens for tokens in compress(reply.tokens, reply.outputs()))


def _look_s(reply: Reply, start_s: float) -> float:
    """Until when a probe waits for its next read: without an output so far, for ever."""
    if 1 in reply.outputs():
        return max(start_s + _ENOUGH_S, time.monotonic() + 1e-3)  # what has come already is read
    return float("inf")


def _over_s(reply: Reply) -> float:
    """Until when more is awaited of a reply that is known to be over; for ever else."""
    return float("inf") if reply.patience_ns is None else time.monotonic() + _SLOWER * reply.patience_ns / 1e9


def _hangs_up(sock: Blocking, took_s: float) -> bool:
    """Whether the server closes a connection right after a reply that said nothing of it, as llama.cpp's does.

    One that was slow to reply, for its machine is busy, is slow to hang up too.
    """
    sock.settimeout(min(max(_HANG_UP_S, took_s), _HANG_UP_MOST_S))
    try:
        return not sock.recv(65536)
    except TimeoutError:
        return False
    except OSError:
        return True


def _feed(page: Page, data: bytes) -> None:
    """Give the page what came; ConnectError if it is not HTTP, or not readable."""
    try:
        page.feed(data)
    except CodingError as error:
        raise ConnectError(str(error)) from None
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise ConnectError(no_http(data, error)) from None


def _receive(sock: Blocking, limit_s: float) -> bytes:
    """What has come, b"" at the end or where the connection broke; TimeoutError at the monotonic time `limit_s`."""
    left_s = limit_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    sock.settimeout(left_s)
    try:
        return sock.recv(65536)
    except (ConnectionError, ssl.SSLEOFError):
        return b""


def _open_tunnel(sock: socket.socket, target: Target, limit_s: float) -> None:
    """Ask the proxy for a tunnel; ConnectError if it gives none, TimeoutError at the monotonic time `limit_s`."""
    sock.sendall(target.connect_request())
    answer = b""
    while not has_tunnel(target, answer):
        data = _receive(sock, limit_s)
        if not data:
            raise ConnectError(phrase("the proxy {} gave no answer to CONNECT", target.proxy))
        answer += data


def _open(target: Target, address: Address, timeout_s: float) -> Blocking:
    """A blocking connection, through a tunnel and with TLS and HTTP/2 where the target asks for them."""
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(place_of(address))
        if target.tunnel:
            _open_tunnel(sock, target, time.monotonic() + timeout_s)
            sock.settimeout(timeout_s)
        if target.tls:
            sock = target.tls_context().wrap_socket(sock, server_hostname=target.server_name)
        if target.http == "2":
            from loadcell.load.stream_socket import StreamSocket  # most runs do without

            return StreamSocket(sock)
    except BaseException:
        sock.close()
        raise
    return sock
