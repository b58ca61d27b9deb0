"""What a load takes from a server on the same machine, in counts of the system that bound it.

No process can be held up by more than the time that its threads were ready and had no core, than the time in which
anybody on the machine was, or than the CPU time that the load itself used.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from loadcell.load.host import listeners, owners
from loadcell.load.target import Address

_PROC = Path("/proc")
_LOOK_NS = 2_000_000_000
"""Time between looks at the server's threads: of one that ends, so much of its waiting is lost at most."""

Waits = dict[tuple[int, int], int]
"""ns that each thread, by process and thread, has waited for a core."""


class Sharing:
    """The counts from the begin of a load to its end; `told` then has their gains, None where the system is silent."""

    def __init__(self, address: Address | None) -> None:
        """`address` is where a server of this machine listens; None where its processes cannot be known."""
        self.told: dict[str, Any] | None = None
        self._address = address

    def begin(self) -> None:
        """The load is about to start."""
        self._pids = set() if self._address is None else with_children(set(owners(listeners(self._address))))
        self._first = thread_waits(self._pids)
        self._last = dict(self._first)
        self._pressure, self._cpu_s = pressure_ns(), time.process_time()
        self._began = self._looked = time.monotonic_ns()

    def look(self) -> None:
        """Read the server's threads again if it is time to, for threads come and go."""
        now = time.monotonic_ns()
        if self._pids and now - self._looked >= _LOOK_NS:
            self._looked = now
            self._last |= thread_waits(self._pids)

    def end(self) -> None:
        """The load has ended."""
        length, pressure = time.monotonic_ns() - self._began, pressure_ns()
        self._last |= thread_waits(self._pids)
        waited = sum(wait - self._first.get(thread, 0) for thread, wait in self._last.items())
        self.told = {
            "load_ns": length,
            "server_threads": len(self._last),
            "server_wait_ns": waited if self._last else None,
            "pressure_ns": None if pressure is None or self._pressure is None else pressure - self._pressure,
            "parent_cpu_ns": round((time.process_time() - self._cpu_s) * 1e9),
        }


def thread_waits(pids: set[int], proc: Path = _PROC) -> Waits:
    """Run delay of every thread of some processes; none where one is gone, or where the system keeps no count."""
    waits: Waits = {}
    for pid in pids:
        with suppress(OSError):  # gone, or another user's
            for task in (proc / str(pid) / "task").iterdir():
                with suppress(OSError, ValueError):  # ended meanwhile
                    # ns on a core, ns ready to run without one, time slices (Documentation/scheduler/sched-stats.rst)
                    _, wait_ns, slices = map(int, (task / "schedstat").read_text().split())
                    if slices:
                        waits[pid, int(task.name)] = wait_ns
    return waits


def pressure_ns(file: Path = _PROC / "pressure" / "cpu") -> int | None:
    """Time in which some thread of the machine was ready and had no core (Documentation/accounting/psi.rst)."""
    try:
        words = file.read_text().split("\n")[0].split()
    except OSError:  # not kept here
        return None
    totals = [word.removeprefix("total=") for word in words if word.startswith("total=")]
    return int(totals[0]) * 1000 if words[:1] == ["some"] and totals else None


def with_children(pids: set[int], proc: Path = _PROC) -> set[int]:
    """Processes and all that they started: an engine's workers are often not those that listen."""
    if not pids:
        return set()
    children: dict[int, list[int]] = {}
    for stat in proc.glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # gone meanwhile
            parent = int(stat.read_text().rpartition(")")[2].split()[1])  # what follows the name, which may hold spaces
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, left = set(pids), list(pids)
    while left:
        fresh = [child for child in children.get(left.pop(), ()) if child not in found]
        found.update(fresh)
        left += fresh
    return found
