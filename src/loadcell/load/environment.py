"""The machine and the software of a run, as far as they bear on its figures."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import socket
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from loadcell import __version__
from loadcell.load.host import allowed_cores, descriptor_limit
from loadcell.load.machine import quota_cores
from loadcell.secrets import REDACTED, bare_urls, scrub

_TIMEX_BYTES = 512
"""More than a struct timex has (208 bytes on 64 bits)."""
_TIME_ERROR = 5
"""The clock is not synchronized (adjtimex(2))."""
_LIBRARIES = ("duckdb", "httptools", "msgspec", "numpy", "psutil", "tokenizers")
_OF_OTHERS = {"--webhook": r"^(\w*:?/*[^/]*/?).*", "--sink": r"(=)[^,]*"}
"""Flags whose values are for others than the server, and what of them is shown."""


def environment(secrets: list[str]) -> dict[str, Any]:
    """Facts about this machine and this program; a fact that it does not tell is None. Secrets are left out."""
    cores = allowed_cores()
    return {
        "loadcell": __version__,
        "command": command_line(sys.argv, secrets),
        "python": sys.version.split()[0],
        "libraries": {name: version(name) for name in _LIBRARIES},
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _first_line_after("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "cores_allowed": len(cores) or None,
        "affinity": cores or None,
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "cores_quota": quota_cores(),
        "clock_source": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "clock_synchronized": _clock_synchronized(),
        "descriptor_limit": descriptor_limit(),
        "port_range": _read("/proc/sys/net/ipv4/ip_local_port_range"),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": os.getloadavg()[0],
    }


def command_line(words: list[str], secrets: list[str]) -> list[str] | None:
    """The words of the `loadcell` command without its secrets; None if another program makes the run."""
    program = Path(words[0])
    if program.stem != "loadcell" and program.parts[-2:] != ("loadcell", "__main__.py"):
        return None
    shown = ["loadcell"]
    for before, word in pairwise(words):
        flag, _, value = word.partition("=") if word.startswith("--") else (before, "", word)
        mark = "=" if "=" in value.split(":")[0] else ":"
        name, _, _ = value.partition(mark)
        secret = flag == "--header" or (flag == "--set" and name.strip().startswith("endpoint.headers"))
        if value and secret:
            word = word.removesuffix(value) + f"{name}{mark}{REDACTED}"
        elif value and (kept := _OF_OTHERS.get(flag)):  # whoever knows the address may post there
            word = word.removesuffix(value) + re.sub(kept, rf"\1{REDACTED}", value)
        shown.append(scrub(bare_urls(word), secrets))
    return shown


def _clock_synchronized() -> bool | None:
    """Whether the kernel knows the wall clock to be kept right, by NTP or the like; None where it does not tell."""
    if sys.platform != "linux":
        return None
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # all zeros: change nothing
    return None if state < 0 else state != _TIME_ERROR


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _first_line_after(path: str, key: str) -> str | None:
    for line in (_read(path) or "").splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return None
