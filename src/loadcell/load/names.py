"""Rules about names, as curl has them: the proxy that stands before a host, and the addresses that it has by hand."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from loadcell.errors import UsageError

_RESOLVE = re.compile(r"\+?(\*|\[[^\]]+\]|[^:\[\]]+):(\d{1,5}):(.+)")


def proxy_of(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that names the proxy for a host, and its value; None without one, or where no_proxy exempts it.

    HTTP_PROXY in capitals does not count: on a web server, whoever asks can set it by a header called Proxy.
    """
    names = [f"{scheme}_proxy", *([] if scheme == "http" else [f"{scheme}_proxy".upper()]), "all_proxy", "ALL_PROXY"]
    found = next(((name, environ[name].strip()) for name in names if environ.get(name, "").strip()), None)
    if found is None or exempt(environ.get("no_proxy") or environ.get("NO_PROXY") or "", host, port):
        return None
    return found


def exempt(no_proxy: str, host: str, port: int) -> bool:
    """Whether a list exempts a host: by its name or a domain of it (a dot in front changes nothing), its address, a
    network of it (10.0.0.0/8), each with or without a port, or by "*"."""
    name = host.lower().rstrip(".").strip("[]")
    address = _address(name)
    for entry in re.split(r"[,\s]+", no_proxy.lower()):
        if entry == "*":
            return True
        wanted, wanted_port = _split_port(entry)
        if not wanted or wanted_port not in (None, port):
            continue
        if address is None:
            domain = wanted.removeprefix("*").strip(".")
            if domain and (name == domain or name.endswith(f".{domain}")):
                return True
        elif _holds(wanted, address):
            return True
    return False


class Pin(NamedTuple):
    """Addresses that a host has by hand, for one port of it."""

    host: str
    port: int
    addresses: list[str]


def parse_pin(text: str) -> Pin:
    """HOST:PORT:ADDRESS[,ADDRESS...] as curl's --resolve takes it; "*" is any host. UsageError else."""
    match = _RESOLVE.fullmatch(text.strip())
    addresses = [one.strip().strip("[]") for one in match[3].split(",")] if match else []
    if not match or not 0 < int(match[2]) < 65536 or any(_address(one) is None for one in addresses):
        raise UsageError(f"--resolve {text!r}: write HOST:PORT:ADDRESS, as in api.example.com:443:10.0.0.7")
    return Pin(match[1].strip("[]").lower().rstrip("."), int(match[2]), addresses)


def pinned(pins: Iterable[str], host: str, port: int) -> list[str]:
    """The addresses that a host has by hand; none: ask the resolver. A host's own entry goes before that of "*"."""
    known = [pin for pin in map(parse_pin, pins) if pin.port == port]
    name = host.lower().rstrip(".")
    for wanted in (name, "*"):
        if found := [address for pin in known if pin.host == wanted for address in pin.addresses]:
            return found
    return []


def _split_port(entry: str) -> tuple[str, int | None]:
    """An entry's host and its port; the colons of a bare IPv6 address are no ports."""
    match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]*):(\d+)", entry)
    host, port = (match[1], int(match[2])) if match else (entry, None)
    return host.replace("[", "").replace("]", "").rstrip("."), port


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _holds(wanted: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False
    return address in network
