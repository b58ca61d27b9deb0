"""The instrument's own counters, one set a worker, written beside its data."""

from __future__ import annotations

import gc
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadcell.load.flight import Flight
from loadcell.recording.schema import MISSING


@dataclass
class Audit:
    """What a worker counts about itself while it runs."""

    worker: int
    cpu: int | None
    """Core that the loop stays on, None if it may move."""
    issued: int = 0
    """Requests that were started."""
    reads: int = 0
    reads_without_stamp: int = 0
    clock_steps: int = 0
    """Times that the wall clock was moved against the monotonic one."""
    stamps_dropped: int = 0
    """Kernel stamps that could not be true, because of such a step."""
    longest_turn_ns: int = 0
    """Longest time between two polls: how long a readable socket may have waited."""
    connections_before: int = 0
    """Connections that were open before the clock started."""
    connections_opened: int = 0
    connect_failures: int = 0
    idle_closed: int = 0
    """Idle connections that the server had closed, or had announced to close."""
    gc_pauses: int = 0
    gc_pause_max_ns: int = 0
    exhausted: bool = False
    """Whether the schedule ran out before the time did."""
    cpu_s: float = 0.0
    """CPU time of this worker from the start of the clock to the end of its writing, user and system."""
    cpu_system_s: float = 0.0
    """The system's part of it."""
    switches_voluntary: int = 0
    switches_involuntary: int = 0
    memory_peak_bytes: int = 0
    died: str | None = None
    """Why the worker ended before its work was done."""

    def landed(self, flight: Flight) -> None:
        """Take the counts of one request."""
        self.reads += len(flight.times)
        self.reads_without_stamp += flight.lags.count(MISSING)
        self.stamps_dropped += flight.dropped

    def begin(self) -> None:
        """Start of the clock."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._cpu_s = (usage.ru_utime, usage.ru_stime)
        self._switches = (usage.ru_nvcsw, usage.ru_nivcsw)
        self._gc_began = 0
        gc.callbacks.append(self._on_gc)

    def end(self) -> None:
        """End of the work: fill in what the system counted."""
        gc.callbacks.remove(self._on_gc)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.cpu_system_s = usage.ru_stime - self._cpu_s[1]
        self.cpu_s = usage.ru_utime - self._cpu_s[0] + self.cpu_system_s
        self.switches_voluntary = usage.ru_nvcsw - self._switches[0]
        self.switches_involuntary = usage.ru_nivcsw - self._switches[1]
        self.memory_peak_bytes = _memory_peak_bytes(usage)

    def as_dict(self) -> dict[str, Any]:
        """The counters by name."""
        return asdict(self)

    def _on_gc(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._gc_began = time.monotonic_ns()
        else:
            self.gc_pauses += 1
            self.gc_pause_max_ns = max(self.gc_pause_max_ns, time.monotonic_ns() - self._gc_began)


def _memory_peak_bytes(usage: resource.struct_rusage) -> int:
    """Peak of this program. On Linux ru_maxrss would be the parent's, if that was larger: it outlives exec."""
    if sys.platform != "linux":
        return usage.ru_maxrss  # bytes on macOS
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
