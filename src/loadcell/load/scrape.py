"""The server's Prometheus page before and after the load: what it says of its own times.

The page is one request more, before the clock starts and after it ended. A server without one costs that request.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from loadcell.errors import LoadcellError, RecordingError
from loadcell.load.exchange import get
from loadcell.load.preflight import reachable
from loadcell.load.target import Address, Target, make_target
from loadcell.load.wire import ConnectError, describe
from loadcell.phrases import phrase
from loadcell.recording.exposition import read_page
from loadcell.secrets import scrub
from loadcell.spec import Endpoint

CONNECT_S, ANSWER_S = 1.0, 2.0
MOST_BYTES = 8 * 1024 * 1024
FETCH_ERRORS = (ConnectError, LoadcellError, OSError, ValueError)
"""What `fetch`, `reachable` and the reading of a page may raise."""


def scrape(endpoint: Endpoint, target: Target, address: Address, file: Path, secrets: list[str]) -> list[str]:
    """Write the server's page to `file` if there is one; else a note that says why not, and with which flag.

    `address` is the endpoint's. RecordingError if the file cannot be written.
    """
    if endpoint.metrics_url == "none":
        return []
    page = metrics_target(endpoint, endpoint.metrics_url, target)
    try:
        text = _page(page, target, address)
        read_page(text)
    except FETCH_ERRORS as error:
        why = reason(error, ANSWER_S)
    else:
        _write(file, _without(text, [*secrets, *page.secrets()]))
        return []
    says = phrase("no server metrics from {}: {}", name_of(page), why)
    if endpoint.metrics_url is None:  # nobody asked for it, but a server behind a proxy may have one elsewhere
        return [phrase("{}; where the server has a page, name it with --metrics-url (none: do not look)", says)]
    return [says]


def own_page(endpoint: Endpoint, target: Target, address: Address) -> str | None:
    """The text of the endpoint's own page; None where it has none, or is not to be asked for it."""
    if endpoint.metrics_url == "none":
        return None
    try:
        return _page(metrics_target(endpoint, endpoint.metrics_url, target), target, address)
    except FETCH_ERRORS:
        return None


def _page(page: Target, target: Target, address: Address) -> str:
    where = address if page.dial == target.dial else reachable(page, CONNECT_S)
    return fetch(page, where, CONNECT_S, ANSWER_S)


def fetch(page: Target, address: Address, connect_s: float, answer_s: float) -> str:
    """The text at `page`; one of FETCH_ERRORS if there is none within these times."""
    reply = get(page, address, "", (connect_s, answer_s), MOST_BYTES)
    if not 200 <= reply.status < 300:
        raise ValueError(phrase("HTTP status {}", reply.status))
    if len(reply.body) >= MOST_BYTES:
        raise ValueError(phrase("more than {} MiB", MOST_BYTES >> 20))
    return reply.body.decode("utf-8", "replace")


def reason(error: Exception, answer_s: float) -> str:
    """One of FETCH_ERRORS in words."""
    if isinstance(error, TimeoutError):
        return phrase("no answer within {:g} s", answer_s)
    return describe(error) if isinstance(error, OSError) else str(error)


def name_of(page: Target) -> str:
    """A page's URL for people, without credentials and query."""
    return page.origin + page.prefix


def metrics_target(endpoint: Endpoint, url: str | None, target: Target) -> Target:
    """Where the page of `url` is, None for /metrics of the endpoint's own server; UsageError as `make_target`.

    Headers and keys of the endpoint go along to its own host only, and never from TLS to plain HTTP.
    """
    if url is None:
        return msgspec.structs.replace(target, prefix="/metrics", query="")
    page = make_target(
        Endpoint(url=url, ca_file=endpoint.ca_file, verify_tls=endpoint.verify_tls, resolve=endpoint.resolve), None
    )
    own = (page.host, page.socket_path) == (target.host, target.socket_path) and (page.tls or not target.tls)
    bare = not urlsplit(url).path.strip("/")
    return msgspec.structs.replace(
        page,
        headers=target.headers | page.headers if own else page.headers,
        cert_file=target.cert_file if own else None,
        key_file=target.key_file if own else None,
        prefix="/metrics" if bare else page.prefix,
        http=target.http if page.origin == target.origin else page.http,
    )


def _without(text: str, secrets: list[str]) -> str:
    """The page without secrets that a server may echo; values of samples stay what they are."""
    if scrub(text, secrets) == text:
        return text
    lines = []
    for line in text.splitlines():
        head, space, value = (line, "", "") if line.startswith("#") else line.rpartition(" ")
        lines.append(scrub(head, secrets) + space + value)
    return "\n".join([*lines, ""])


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"cannot write {file}: {error.strerror}") from None
