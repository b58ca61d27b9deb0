"""What this machine allows the load and does to it: its limits, the time stolen from its cores, who else is on them."""

from __future__ import annotations

import ipaddress
import os
import resource
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from loadcell.load.target import Address, Target

Place = Literal["elsewhere", "other cores", "same cores", "this machine", "this process"]
"""Where the server runs, seen from the load's cores; "this machine": here, on cores that cannot be told;
"this process": it is a Python callable."""

_PROC = Path("/proc")
_TABLES = ("tcp", "tcp6")
_LISTENING = "0A"
_ACCEPTS = "00010000"
"""Flags of a unix socket that listens: __SO_ACCEPTCON (linux/net.h)."""
_DESCRIPTORS = 65_536
"""Asked for where the system names no limit."""


def allowed_cores() -> list[int]:
    """Cores that this process may use, in order; empty where the platform does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def descriptor_limit() -> int:
    """File descriptors that a load process can have: the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft, _DESCRIPTORS) if hard == resource.RLIM_INFINITY else hard


def raise_descriptor_limit() -> None:
    """Let this process have all the descriptors it can: each connection is one, and the usual soft limit is low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = descriptor_limit()
    if 0 <= soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


# --- stolen time -----------------------------------------------------------------------------------------------------


def core_ticks(cores: Iterable[int], stat: Path = _PROC / "stat") -> tuple[int, int] | None:
    """(stolen, all) clock ticks of some cores since the machine's start; None where it does not tell (proc_stat(5))."""
    if not stat.exists():
        return None
    wanted = {f"cpu{core}" for core in cores}
    stolen = total = 0
    for line in stat.read_text().splitlines():
        name, *ticks = line.split()
        if name in wanted:
            # user, nice, system, idle, iowait, irq, softirq, steal; guests' time, which follows, is inside user's
            stolen += int(ticks[7])
            total += sum(map(int, ticks[:8]))
    return (stolen, total) if total else None


def steal_share(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Share of the cores' time that the hypervisor took between two counts; None if there was none to share."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


# --- where the server runs -------------------------------------------------------------------------------------------


def server_place(target: Target, address: Address, cores: set[int]) -> Place | None:
    """Where the server runs, with the load on `cores`; None if a proxy hides its address.

    A server is found by its listening socket. One of another user, or in a container, does not show its process.
    """
    if target.proxy:
        named = "127.0.0.1" if target.host == "localhost" else target.host
        try:
            family, _, _, _, where = socket.getaddrinfo(
                named, target.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )[0]
        except socket.gaierror:
            return None
        address = (family, where)
    if not is_local(address):
        return "elsewhere"
    theirs = cores_of(set(owners(listeners(address))))
    if not theirs or not cores:
        return "this machine"
    return "same cores" if theirs & cores else "other cores"


def is_local(address: Address) -> bool:
    """Whether an address is this machine's own: the kernel then sends from the very address that it sends to."""
    family, where = address
    if family == socket.AF_UNIX:
        return True
    ip = _plain(str(where[0]))
    if ip.is_loopback or ip.is_unspecified:
        return True
    with socket.socket(family, socket.SOCK_DGRAM) as sock:  # connecting it sends nothing
        try:
            sock.connect(where)
        except OSError:  # no route
            return False
        return _plain(str(sock.getsockname()[0])) == ip


def listeners(address: Address, tables: Path = _PROC / "net") -> set[str]:
    """Inodes of the sockets that listen for an address; of those for every address where none names it."""
    family, where = address
    if family == socket.AF_UNIX:
        return _unix_listeners(str(where[0]), tables / "unix")
    ip, port = _plain(str(where[0])), where[1]
    exact, every = set(), set()
    for table in filter(Path.exists, (tables / name for name in _TABLES)):
        for line in table.read_text().splitlines()[1:]:
            words = line.split()
            host, _, hex_port = words[1].partition(":")
            if words[3] != _LISTENING or int(hex_port, 16) != port:
                continue
            bound = _plain(_from_hex(host))
            if bound == ip or ip.is_unspecified:
                exact.add(words[9])
            elif bound.is_unspecified:
                every.add(words[9])
    return exact or every


def _unix_listeners(path: str, table: Path) -> set[str]:
    """Inodes of the unix sockets that listen at a path (unix(7): number, references, protocol, flags, type, state,
    inode, path)."""
    if not table.exists():
        return set()
    rows = [line.split(maxsplit=7) for line in table.read_text(errors="replace").splitlines()[1:]]
    return {row[6] for row in rows if len(row) == 8 and row[7] == path and row[3] == _ACCEPTS}


def cores_of(processes: Iterable[int]) -> set[int]:
    """Cores that any of the processes may use; of those that are there still."""
    cores: set[int] = set()
    for pid in processes:
        with suppress(ProcessLookupError):
            cores |= os.sched_getaffinity(pid)
    return cores


def owners(inodes: set[str]) -> Iterator[int]:
    """Processes that hold one of the sockets, as far as this user may see them; one may come more than once."""
    names = {f"socket:[{inode}]" for inode in inodes}
    for descriptors in _PROC.glob("[0-9]*/fd") if names else ():
        with suppress(OSError), os.scandir(descriptors) as links:  # another user's process, or gone meanwhile
            for link in links:
                with suppress(FileNotFoundError):  # closed meanwhile
                    if os.readlink(link.path) in names:  # noqa: PTH115 - a Path for each takes three times the CPU
                        yield int(descriptors.parent.name)


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its zone; an IPv4 one inside an IPv6 one as itself."""
    ip = ipaddress.ip_address(text.partition("%")[0])
    return getattr(ip, "ipv4_mapped", None) or ip


def _from_hex(text: str) -> str:
    """An address of /proc/net: words of four bytes, each written as a number of this machine's byte order."""
    words = (int(text[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(text), 8))
    return str(ipaddress.ip_address(b"".join(words)))
