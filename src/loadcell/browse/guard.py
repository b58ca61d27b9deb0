"""Who may ask for what: the rules that keep other sites, other names and other machines out."""

from __future__ import annotations

import ipaddress
import re
import socket
from email.message import Message

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_META = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')
_AT_THE_TOP = 2_000
"""Characters of a page in which its policy stands."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every answer."""


def is_loopback(address: str) -> bool:
    """Whether a numeric address is reached from this machine only."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def host_allowed(header: str, bound: str, port: int) -> bool:
    """Whether a Host header names this server: localhost, or the host that it was told to listen on.

    A page of another site whose name was made to point here (DNS rebinding) sends that site's name. A server that
    listens on every address takes any numeric one too: such a name cannot be made to point elsewhere.
    """
    name, colon, digits = header.lower().rpartition(":")
    if not colon or header.endswith("]"):
        name, digits = header.lower(), "80"
    if digits != str(port):
        return False
    own = f"[{bound.lower()}]" if ":" in bound else bound.lower()
    if name in (*_LOCAL, own):
        return True
    if not _is_number(bound) or not ipaddress.ip_address(bound).is_unspecified:
        return False
    return name == socket.gethostname().lower() or _is_number(name.removeprefix("[").removesuffix("]"))


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def from_elsewhere(headers: Message, *, data: bool) -> bool:
    """Whether a browser says that a page of another origin asks.

    A link on another page may lead here (a navigation of the whole window); nothing else, and to no data.
    """
    site = headers.get("Sec-Fetch-Site")
    if site in (None, "same-origin", "none"):
        return False
    navigates = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    return data or not navigates


def policy_of(page: str) -> str:
    """The Content-Security-Policy to send with a report: what it says itself in its head, and no frames around it.

    A page without a policy of its own may run nothing.
    """
    said = _META.search(page, 0, _AT_THE_TOP)
    own = said[1].replace("&#39;", "'") if said else "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return f"{own}; frame-ancestors 'none'"
