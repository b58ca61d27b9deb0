"""What this machine and the container that we are in allow. A limit that nobody set, or that is not told, is None."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from loadcell.load.host import allowed_cores

_ROOT = Path("/")
_NO_LIMIT = 1 << 60
"""Version 1 of control groups writes a number beyond this for no limit of memory."""

Throttling = dict[str, tuple[int, int, int]]
"""By control group with a quota of CPU time: periods, those in which it was used up, and ns put aside for that."""


def usable_cores() -> int:
    """Cores that this process may use: by its affinity (cpusets are in it), and by the quotas of its control groups."""
    cores, quota = len(allowed_cores()) or os.cpu_count() or 1, quota_cores()
    return cores if quota is None else max(1, min(cores, int(quota)))


def quota_cores(root: Path = _ROOT) -> float | None:
    """CPU time a second that the control groups allow."""
    return min((quota for folder in groups("cpu", root) if (quota := _quota(folder)) is not None), default=None)


def throttling(root: Path = _ROOT) -> Throttling:
    """How often the quotas were used up so far."""
    found = {}
    for folder in groups("cpu", root):
        if _quota(folder) is None:
            continue
        told = dict(line.split() for line in (_read(folder / "cpu.stat") or "").splitlines() if len(line.split()) == 2)
        if "nr_periods" in told:
            ns = int(told["throttled_time"]) if "throttled_time" in told else int(told.get("throttled_usec", 0)) * 1000
            found[str(folder)] = (int(told["nr_periods"]), int(told.get("nr_throttled", 0)), ns)
    return found


def throttled(before: Throttling, after: Throttling) -> dict[str, int] | None:
    """What the quota that held the load back most did between two looks; None where there is no quota."""
    gains = [
        tuple(b - a for a, b in zip(before[name], later, strict=True))
        for name, later in after.items()
        if name in before
    ]
    worst = max(gains, key=lambda gain: gain[1:], default=None)
    return None if worst is None else dict(zip(("periods", "throttled", "throttled_ns"), worst, strict=True))


def memory_left(root: Path = _ROOT) -> int:
    """Bytes that can still be had, what the file cache would give back among them."""
    lefts = [left for folder in groups("memory", root) if (left := _memory_left(folder)) is not None]
    return min([psutil.virtual_memory().available, *lefts])


def tasks_left(root: Path = _ROOT) -> int | None:
    """Processes and threads that the control groups still allow."""
    lefts = [
        most - (_number(folder / "pids.current") or 0)
        for folder in groups("pids", root)
        if (most := _number(folder / "pids.max")) is not None
    ]
    return min(lefts, default=None)


def local_ports(root: Path = _ROOT) -> int | None:
    """Local ports for connections, so many to one address and port: net.ipv4.ip_local_port_range."""
    words = (_read(root / "proc/sys/net/ipv4/ip_local_port_range") or "").split()
    return int(words[1]) - int(words[0]) + 1 if len(words) == 2 else None


def groups(controller: str, root: Path = _ROOT) -> Iterator[Path]:
    """The folders of the control group that this process is in and of those above it, as far as they are mounted here:
    of version 2, and of version 1 for a controller (cgroups(7), proc_pid_mountinfo(5))."""
    own = [line.split(":", 2) for line in (_read(root / "proc/self/cgroup") or "").splitlines()]
    for line in (_read(root / "proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.partition(" ")
        if kind not in ("cgroup", "cgroup2") or (kind == "cgroup" and controller not in options.split()[-1].split(",")):
            continue
        named = "" if kind == "cgroup2" else controller
        path = next((path for _, names, path in own if named in names.split(",")), None)
        if path is None:
            continue
        shown, point = before.split()[3:5]
        below = Path(path.removeprefix("" if shown == "/" else shown).lstrip("/"))
        top = root / point.lstrip("/")
        # A path from outside of our namespace is not found here: what is mounted is then the group itself.
        here = top / below if ".." not in below.parts and (top / below).is_dir() else top
        yield here
        while here != top:
            here = here.parent
            yield here


def _quota(folder: Path) -> float | None:
    words = (_read(folder / "cpu.max") or "").split()
    if not words:
        words = [_read(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    quota, period = (int(word) if word.isdigit() else None for word in words[:2])
    return quota / period if quota and period else None


def _memory_left(folder: Path) -> int | None:
    for most, now, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = _number(folder / most)
        if limit is not None and limit < _NO_LIMIT:
            stat = (_read(folder / "memory.stat") or "").splitlines()
            given = sum(int(line.split()[1]) for line in stat if line.startswith(f"{cache} "))
            return limit - (_number(folder / now) or 0) + given
    return None


def _number(file: Path) -> int | None:
    text = _read(file) or ""
    return int(text) if text.isdigit() else None


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:  # not here, or not for us
        return None
