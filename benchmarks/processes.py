"""Memory of a tree of processes over time, read from /proc."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A tree of processes at one moment."""

    processes: int
    pss_bytes: int
    """Proportional set sizes, summed: shared pages count once."""


@dataclass(frozen=True)
class Watched:
    """A command that was watched to its end."""

    status: int
    wall_s: float
    samples: list[Sample]
    peak_rss_bytes: int
    """Largest resident set that any one of its processes ever had, by the kernel's own high-water mark."""

    def check(self, status: int = 0) -> None:
        """RuntimeError unless it ended with that status."""
        if self.status != status:
            raise RuntimeError(f"a command ended with status {self.status} instead of {status}")

    @property
    def peak_pss_bytes(self) -> int:
        """Largest sample."""
        return max(sample.pss_bytes for sample in self.samples)


EVERY_S = 0.25


def watch(command: list[str], output: Path, each: Callable[[int, float], None] | None = None) -> Watched:
    """Run a command, its standard output to a file, and sample its tree four times a second.

    `each` is called with its pid and the seconds since its start.
    """
    start = time.perf_counter()
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file)
    samples: list[Sample] = []
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        elapsed_s = time.perf_counter() - start
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return Watched(process.returncode, elapsed_s, samples, _peak_bytes(usage))
        found = tree(process.pid)
        samples.append(Sample(len(found), sum(map(_pss_bytes, found))))
        if each:
            each(process.pid, elapsed_s)
        time.sleep(EVERY_S)


def tree(root: int) -> list[int]:
    """Ids of a process and of all its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        children[int(fields[1])].append(int(stat.parent.name))
    found, rest = [], [root]
    while rest:
        pid = rest.pop()
        found.append(pid)
        rest += children[pid]
    return found


def _pss_bytes(pid: int) -> int:
    """Proportional set size; 0 of a process that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _peak_bytes(usage: resource.struct_rusage) -> int:
    """Linux counts the high-water mark in KiB, over the process and the children it waited for."""
    return usage.ru_maxrss * 1024
