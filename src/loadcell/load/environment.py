"""The machine and the software of a run, as far as they bear on its figures."""

from __future__ import annotations

import os
import platform
import socket
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loadcell import __version__

_LIBRARIES = ("duckdb", "httptools", "msgspec", "numpy", "tokenizers")


def environment() -> dict[str, Any]:
    """Facts about this machine; a fact that it does not tell is None."""
    return {
        "loadcell": __version__,
        "python": sys.version.split()[0],
        "libraries": {name: version(name) for name in _LIBRARIES},
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _first_line_after("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "cores_allowed": len(allowed_cores()) or None,
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "cgroup_cpu_max": _read("/sys/fs/cgroup/cpu.max"),
        "clock_source": _read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": os.getloadavg()[0],
    }


def allowed_cores() -> list[int]:
    """Cores that this process may use, in order; empty where the platform does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


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
