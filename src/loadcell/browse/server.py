"""The server of the listed folder: answers GET and HEAD, one request a connection, and changes nothing."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import socket
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

from loadcell.browse.guard import HEADERS, from_elsewhere, host_allowed, is_loopback, policy_of
from loadcell.browse.library import Library
from loadcell.browse.listing import Entry
from loadcell.browse.pages import cells, comparison_address, listing_page, page_script, trouble_page
from loadcell.browse.reports import comparison_report, duel_report, run_report, sweep_report
from loadcell.errors import LoadcellError, UsageError
from loadcell.recording.index import remembered
from loadcell.report.text import plain
from loadcell.report.words import Words, words_for

PORT = 8321
"""Where it listens unless told otherwise."""
_HEAD_BYTES, _HEAD_S = 16_384, 5.0
"""A request has no more than this, and no longer."""
_SEND_S = 30.0
_CONNECTIONS = 64
"""Connections at once; what comes beyond is hung up on."""


def serve(
    folder: Path | None, *, host: str = "127.0.0.1", port: int = PORT, lang: str = "en", ready: Callable[[str], None]
) -> None:
    """Serve the recordings below `folder` until Ctrl-C; None: those here, and wherever else this user's were written.

    `ready` gets lines for a person once it listens.

    RecordingError if the folder cannot be read, UsageError if host, port or language cannot be. Port 0 is any.
    """
    with open_server(folder, host=host, port=port, lang=lang) as server:
        more = "" if folder is not None else ", and wherever else recordings of yours were written,"
        ready(f"{server.library.root}{more} is shown at {server.url} (Ctrl-C ends it)")
        if not is_loopback(server.address):
            ready(
                f"warning: {host} can be reached from other machines, and everybody there sees these recordings: there "
                "is no password. For this machine alone leave --host out."
            )
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return


def open_server(folder: Path | None, *, host: str = "127.0.0.1", port: int = PORT, lang: str = "en") -> Server:
    """A server that listens and does not answer yet; errors as in `serve`."""
    words = words_for(lang)
    library = Library(Path(), remembered) if folder is None else Library(folder)
    if not 0 <= port <= 65_535:
        raise UsageError(f"--port {port}: give a port from 1 to 65535, or 0 for any free one")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host!r} is no address of this machine: {error}") from None
    try:
        return Server(family, address, host, library, words)
    except OSError as error:
        if isinstance(error, PermissionError):
            why = f"port {port} may not be used: give --port a number above 1023, or 0 for any free port"
        elif error.errno == errno.EADDRNOTAVAIL:
            why = f"--host {host!r} is no address of this machine: for this machine alone leave it out"
        elif port:
            why = f"cannot listen on {host} port {port} ({error.strerror}): give --port another, or 0 for any free port"
        else:
            why = f"cannot listen on {host}: {error.strerror}"
        raise UsageError(why) from None


_UNFIT, _FAILED = HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR


class Server(ThreadingHTTPServer):
    """Listens; a thread a connection, a bounded number of them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = _CONNECTIONS

    def __init__(self, family: int, address: Any, host: str, library: Library, words: Words) -> None:
        self.address_family = family
        self.host, self.library, self.words = host, library, words
        self._slots = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__(address, _Handler)

    @property
    def address(self) -> str:
        """The numeric address that it listens on."""
        return str(self.server_address[0])

    @property
    def url(self) -> str:
        """What to open in a browser."""
        name = "localhost" if self.address in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.server_address[1]}/"

    def server_bind(self) -> None:
        """Without the look-up of the machine's name that HTTPServer makes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for it if there is one left."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As ThreadingMixIn, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing if the other side just left."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError | TimeoutError):
            self.report(error)

    def report(self, error: BaseException) -> None:
        """One line on standard error."""
        sys.stderr.write(f"loadcell: a page failed: {type(error).__name__}: {plain(error, 400)}\n")


class _Answer(NamedTuple):
    body: str | bytes
    policy: str
    status: HTTPStatus = HTTPStatus.OK
    kind: str = "text/html; charset=utf-8"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "loadcell", ""

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(io.BytesIO(_read_head(self.connection)))
        self.connection.settimeout(_SEND_S)

    def handle(self) -> None:
        """One request; whoever wants another one connects again."""
        self.close_connection = True
        self.raw_requestline = self.rfile.readline()
        if not self.raw_requestline or not self.parse_request():
            return
        if self.command not in ("GET", "HEAD"):
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
            return
        self._send(self._answer())

    def _answer(self) -> _Answer:
        words = self.server.words
        hosts = self.headers.get_all("Host", [])
        url = urlsplit(self.path) if self.path.startswith("/") else None
        data = url is not None and url.path.startswith("/api/")
        if len(hosts) != 1 or not host_allowed(hosts[0], self.server.host, self.server.server_address[1]):
            return _plain_words(HTTPStatus.FORBIDDEN, f"this server answers as {self.server.url} only")
        if from_elsewhere(self.headers, data=data):
            return _plain_words(HTTPStatus.FORBIDDEN, "this server answers no other site")
        route = None if url is None else _ROUTES.get(url.path)
        try:
            asked = {} if url is None else parse_qs(url.query, errors="strict", max_num_fields=8)
        except ValueError:
            route = None
        try:
            answer = None if route is None else route(self.server, asked)
        except LoadcellError as error:
            return _trouble(words, words.say("This cannot be shown"), str(error))
        except Exception as error:  # noqa: BLE001 - files can be damaged in ways that nobody thought of
            self.server.report(error)
            return _trouble(
                words, words.say("This cannot be shown"), f"{type(error).__name__}: {error}", status=_FAILED
            )
        return answer or _not_found(words)

    def _send(self, answer: _Answer) -> None:
        body = answer.body.encode("utf-8", errors="replace") if isinstance(answer.body, str) else answer.body
        self.send_response(answer.status)
        allow = {"Allow": "GET, HEAD"} if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else {}
        told = {"Content-Type": answer.kind, "Content-Length": str(len(body)), "Connection": "close"}
        for name, value in (told | allow | HEADERS | {"Content-Security-Policy": answer.policy}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that is none, in our own words: what it said is not repeated."""
        status = HTTPStatus(code)
        self._send(_plain_words(status, status.phrase))

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


def _read_head(connection: socket.socket) -> bytes:
    """A request up to its empty line: all of it within `_HEAD_S`; empty if it is none, too long or too slow."""
    end = time.monotonic() + _HEAD_S
    head = b""
    while b"\r\n\r\n" not in head:
        left = end - time.monotonic()
        if left <= 0 or len(head) > _HEAD_BYTES:
            return b""
        connection.settimeout(left)
        try:
            more = connection.recv(4096)
        except OSError:  # too slow, or gone
            return b""
        if not more:
            return b""
        head += more
    return head


# --- routes: None is what is not there ---


def _listing(server: Server, asked: dict[str, list[str]]) -> _Answer:
    page = listing_page(server.library.look(), server.library.known, server.words)
    return _Answer(page, _own_policy())


def _run(server: Server, asked: dict[str, list[str]]) -> _Answer | None:
    entry = _entry(server, asked, "id")
    if entry is None or entry.kind != "run":
        return None
    return _report(server, ["run"], [entry], lambda: run_report(entry, server.words))


def _sweep(server: Server, asked: dict[str, list[str]]) -> _Answer | None:
    entry = _entry(server, asked, "id")
    if entry is None or entry.kind != "sweep":
        return None
    return _report(server, ["sweep"], [entry], lambda: sweep_report(entry, server.words))


def _duel(server: Server, asked: dict[str, list[str]]) -> _Answer | None:
    entry = _entry(server, asked, "id")
    if entry is None or entry.kind != "duel":
        return None
    return _report(server, ["duel"], [entry], lambda: duel_report(entry, server.words))


def _compare(server: Server, asked: dict[str, list[str]]) -> _Answer | None:
    words, force = server.words, asked.get("force") == ["1"]
    if "pick" in asked:  # a page without scripts: the older one is the baseline
        found = [server.library.find(id) for id in asked["pick"]]
        if None not in found and len(found) != 2:
            return _trouble(
                words, words.say("Nothing to compare"), words.say("Pick two recordings, no more and no less.")
            )
        sides = sorted((one for one in found if one is not None), key=lambda entry: entry.order)
    else:
        sides = [one for one in (_entry(server, asked, side) for side in ("a", "b")) if one is not None]
    if len(sides) != 2 or any(side.kind not in ("run", "repeats") for side in sides):
        return None
    a, b = sides
    try:
        return _report(
            server, ["compare", str(force)], sides,
            lambda: comparison_report(a, b, words, force=force),
        )  # fmt: skip
    except LoadcellError as error:
        again = [(comparison_address(a, b, force=True), words.say("Compare all the same"))]
        forceable = error.exit_code == 4 and not force
        return _trouble(words, words.say("These are not compared"), str(error), again if forceable else [])


def _summary(server: Server, asked: dict[str, list[str]]) -> _Answer | None:
    entry = _entry(server, asked, "id")
    if entry is None:
        return None
    told = {"cells": cells(server.library.figures(entry), server.words)}
    return _Answer(msgspec.json.encode(told), "default-src 'none'", kind="application/json")


_ROUTES: dict[str, Callable[[Server, dict[str, list[str]]], _Answer | None]] = {
    "/": _listing,
    "/run": _run,
    "/sweep": _sweep,
    "/duel": _duel,
    "/compare": _compare,
    "/api/summary": _summary,
}


def _entry(server: Server, asked: dict[str, list[str]], name: str) -> Entry | None:
    ids = asked.get(name, [])
    return server.library.find(ids[0]) if len(ids) == 1 else None


def _report(server: Server, key: list[str], entries: list[Entry], make: Callable[[], str]) -> _Answer:
    for entry in entries:
        server.library.check(entry)
    page = server.library.page((*key, *(entry.id for entry in entries)), entries, make)
    return _Answer(page, policy_of(page))


def _own_policy() -> str:
    script = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


_STILL = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
"""The policy of pages without scripts."""


def _trouble(
    words: Words, title: str, says: str, steps: list[tuple[str, str]] = [], status: HTTPStatus = _UNFIT
) -> _Answer:
    return _Answer(trouble_page(words, title, says, steps), _STILL, status)


def _not_found(words: Words) -> _Answer:
    says = words.say("There is nothing at this address, or no longer.")
    return _Answer(trouble_page(words, words.say("Not found"), says), _STILL, HTTPStatus.NOT_FOUND)


def _plain_words(status: HTTPStatus, says: str) -> _Answer:
    return _Answer(f"{says}\n", "default-src 'none'", status, "text/plain; charset=utf-8")
