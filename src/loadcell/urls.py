"""URLs as people write them: with or without a scheme, a port or a path."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, unquote, urlsplit

from loadcell.errors import UsageError, nearest

_SCHEMES = ("http", "https")
_SOCKET, _SHORT = "http+unix", "unix"
"""HTTP over a unix socket: the path stands where a host does, quoted; or alone after the short scheme."""
_TLS_PORTS = (443, 8443)
"""Ports on which nearly nobody speaks plain HTTP."""
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):/+")
_BARE_PORT = re.compile(r":?\d{1,5}(?=/|$)")
_AZURE = re.compile(r"\.(openai|cognitiveservices|services\.ai)\.azure\.(com|us|cn)$")


def full_url(text: str, what: str = "an endpoint") -> str:
    """The http or https URL that is meant: `localhost:8000` is http, a host on port 443 or 8443 is https.

    `unix:/path` is http over that socket.
    UsageError if it cannot be `what` says it is for; it shows how to write it.
    """
    given = text.strip()
    if match := _SCHEME.match(given):
        scheme, rest = match[1].lower(), given[match.end() :]
        if scheme in (_SOCKET, _SHORT):
            return _socket_url(scheme, rest, text)
        if scheme not in _SCHEMES:
            raise _wrong(text, what, rest or "HOST:PORT", nearest(scheme, _SCHEMES))
        given = f"{scheme}://{rest}"
    else:
        given = _with_scheme(given.removeprefix("//"), text, what)
    try:
        url = urlsplit(given)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a URL: {error}") from None
    if not url.hostname or re.search(r"\s", url.netloc):
        raise _wrong(text, what, "HOST:PORT")
    try:
        port = url.port
    except ValueError:
        port = 0
    if port == 0:
        raise UsageError(f"{text!r} has a port that cannot be: write one from 1 to 65535")
    return given


def is_azure(host: str) -> bool:
    """Whether a host is one of Azure's, which has keys and ways to take them of its own."""
    return _AZURE.search(host) is not None


def socket_of(url: str) -> str | None:
    """The path of the unix socket that a full URL names in place of a host; None of any other."""
    return unquote(urlsplit(url).netloc) if url.startswith(f"{_SOCKET}:") else None


def names_socket(text: str) -> bool:
    """Whether a text names a unix socket, in either form."""
    return text.strip().lower().startswith((f"{_SHORT}:/", f"{_SOCKET}:/"))


def _socket_url(scheme: str, rest: str, given: str) -> str:
    """The full URL of a unix socket; `rest` follows the scheme, without its slashes."""
    place, slash, path = ("/" + rest, "", "") if scheme == _SHORT else rest.partition("/")
    place = unquote(place)
    if len(place) < 2 or not place.startswith("/"):
        raise UsageError(f"{given!r} names no socket: write unix:/path/to.sock or http+unix://%2Fpath%2Fto.sock/v1")
    return f"{_SOCKET}://{quote(place, safe='')}{slash}{path}"


def names_host(text: str) -> bool | None:
    """Whether a text without a scheme is surely a host (its port, an address, localhost); None: it may be a file.

    `./x`, `/x`, `~/x` and names that end as files do are surely none.
    """
    host, _, path = text.strip().removeprefix("//").partition("/")
    if not host or host in (".", "..", "~") or (not path and re.search(r"\.(jsonl?|ya?ml|csv|parquet|html)$", host)):
        return False
    bare = host.rpartition("@")[2].lower()
    name = re.sub(r":\d+$", "", bare) if not _is_ipv6(bare) else bare
    if name != bare or name == "localhost" or name.endswith(".localhost") or _is_address(name.strip("[]")):
        return True
    return None


def _with_scheme(text: str, given: str, what: str) -> str:
    """A URL for a text without a scheme."""
    if _BARE_PORT.match(text):
        raise _wrong(given, what, f"localhost:{text.removeprefix(':')}")
    host, slash, path = text.partition("/")
    if _is_ipv6(host):
        host = f"[{host}]"
    port = re.search(r":(\d+)$", host)
    scheme = "https" if port and int(port[1]) in _TLS_PORTS else "http"
    return f"{scheme}://{host}{slash}{path}"


def _wrong(text: str, what: str, instead: str, meant: str = "") -> UsageError:
    return UsageError(f"{text!r} is not {what}: write http://{instead}{meant or ' (or https)'}")


def _is_ipv6(text: str) -> bool:
    return ":" in text and "[" not in text and _is_address(text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
