"""The server's Prometheus page before and after the load: what it says of its own times.

The page is one request more, before the clock starts and after it ended. A server without one costs that request.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from loadcell.errors import EndpointError, RecordingError
from loadcell.load.preflight import exchange, reachable
from loadcell.load.target import Address, Target, make_target
from loadcell.load.wire import ConnectError, describe
from loadcell.spec import REDACTED, Endpoint

CONNECT_S, ANSWER_S = 1.0, 2.0
MOST_BYTES = 8 * 1024 * 1024
_LINE = re.compile(r"\s*(#.*|[a-zA-Z_:][\w:]*(\{.*\})?\s+\S.*)?")
"""Comment, sample or blank (Prometheus, "Text-based format")."""


def scrape(endpoint: Endpoint, target: Target, address: Address, file: Path, secrets: list[str]) -> list[str]:
    """Write the server's page to `file` if there is one; a note only where it was asked for by its URL.

    `address` is the endpoint's. RecordingError if the file cannot be written.
    """
    if endpoint.metrics_url == "none":
        return []
    page = metrics_target(endpoint, target)
    try:
        where = address if page.dial == target.dial else reachable(page, CONNECT_S)
        reply = exchange(page, where, "GET", "", b"", (CONNECT_S, ANSWER_S), MOST_BYTES)
        assert isinstance(reply, tuple)
        text = _exposition(*reply)
    except TimeoutError:
        why = f"no answer within {ANSWER_S:g} s"
    except (ConnectError, EndpointError, ValueError) as error:
        why = str(error)
    except OSError as error:
        why = describe(error)
    else:
        _write(file, _without(text, secrets))
        return []
    return [f"no server metrics from {page.origin}{page.prefix}: {why}"] if endpoint.metrics_url else []


def metrics_target(endpoint: Endpoint, target: Target) -> Target:
    """Where the page is: as the endpoint says, else /metrics of its server.

    Headers and keys of the endpoint go along to its own host only, and never from TLS to plain HTTP.
    """
    if endpoint.metrics_url is None:
        return msgspec.structs.replace(target, prefix="/metrics", query="")
    asked = Endpoint(url=endpoint.metrics_url, ca_file=endpoint.ca_file, verify_tls=endpoint.verify_tls)
    page = make_target(asked, None)
    own = page.host == target.host and (page.tls or not target.tls)
    bare = not urlsplit(endpoint.metrics_url).path.strip("/")
    return msgspec.structs.replace(
        page,
        headers=target.headers | page.headers if own else page.headers,
        prefix="/metrics" if bare else page.prefix,
    )


def _exposition(status: int, body: bytes) -> str:
    """The text of a page; ValueError says why it is none."""
    if status != 200:
        raise ValueError(f"HTTP status {status}")
    if len(body) >= MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MiB")
    text = body.decode("utf-8", "replace")
    if not text.endswith("\n") or not all(map(_LINE.fullmatch, text.splitlines())):
        raise ValueError("not a page in Prometheus' text format, or cut short")
    return text


def _without(text: str, secrets: list[str]) -> str:
    """The page without secrets that a server may echo; values of samples stay what they are."""
    if not any(secret in text for secret in secrets):
        return text
    lines = []
    for line in text.splitlines():
        head, space, value = (line, "", "") if line.startswith("#") else line.rpartition(" ")
        for secret in secrets:
            head = head.replace(secret, REDACTED)
        lines.append(head + space + value)
    return "\n".join([*lines, ""])


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"cannot write {file}: {error.strerror}") from None
