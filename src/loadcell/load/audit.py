"""The instrument's own counters, one set a worker, written beside its data."""

from __future__ import annotations

import errno
import gc
import resource
import sys
import time
from array import array
from dataclasses import asdict, dataclass, field
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Any

from loadcell.core import STALL_NS, STAMP_COLUMNS
from loadcell.load.flight import Flight
from loadcell.recording.schema import MISSING

_STALLS_MOST = 10_000
_SECOND_NS = 1_000_000_000


@dataclass
class Audit:
    """What a worker counts about itself while it runs."""

    worker: int
    cpu: int | None
    """Core that the loop stays on, None if it may move."""
    issued: int = 0
    """Requests that were started."""
    beyond: int = 0
    """Of these: beyond the end, and not counted."""
    reads: int = 0
    reads_without_stamp: int = 0
    mixed_reads: int = 0
    """Reads of connections of HTTP/2 that brought bytes of more than one request."""
    clock_steps: int = 0
    """Times that the wall clock was moved against the monotonic one."""
    stamps_dropped: int = 0
    """Kernel stamps that could not be true, because of such a step."""
    load_ns: int = 0
    """From the start of the clock to the end of the loop; the writing that follows is not part of it."""
    busy_ns_by_s: list[int] = field(default_factory=list)
    """For each second since the start: from wake-ups to the next poll, less the parsing, which gives way to reads."""
    longest_turn_ns: int = 0
    """Longest time between two polls: how long a readable socket may have waited."""
    stalls: list[tuple[int, int]] = field(default_factory=list)
    """(begin, length) since the start of every time above `STALL_NS` without a look at the sockets: a long turn, a poll
    that came back late, a garbage collection (then it stands there twice). The longest 10,000, in order of time."""
    core_wait_ns: int | None = None
    """Time that the loop was ready to run and had no core; None where the system does not tell."""
    connections_before: int = 0
    """Connections that were open before the clock started."""
    connections_opened: int = 0
    connections_by_address: dict[str, int] = field(default_factory=dict)
    connect_failures: int = 0
    no_ports: int = 0
    """Of these: no local port was left."""
    no_descriptors: int = 0
    """Of these: no file descriptor was left."""
    min_rtt_ns: int | None = None
    """Least round trip of a connection, by the kernel or of its handshake: median of the connections."""
    idle_closed: int = 0
    """Idle connections that the server had closed, or had announced to close."""
    closed_by_server: int = 0
    """Connections that the server ended with a reply that succeeded, as it said or did."""
    closed_after_failure: int = 0
    """Connections that were closed here, for their request had failed."""
    gc_pauses: int = 0
    gc_pause_max_ns: int = 0
    exhausted: bool = False
    """Whether the schedule ran out before the time did."""
    signing_ns: int = 0
    """Time in which requests were signed, right before each was sent."""
    late_bodies: int = 0
    """Requests whose body was not made yet when they were to be sent."""
    body_wait_ns: int = 0
    """Time in which the next request to be sent waited for its body."""
    wordless: int = 0
    """Replies without visible text, which stand as empty ones in the later turns of their session."""
    cpu_s: float = 0.0
    """CPU time of this worker from the start of the clock to the end of its writing, user and system."""
    cpu_system_s: float = 0.0
    """The system's part of it."""
    switches_voluntary: int = 0
    """Context switches of the loop's thread during the load; of all threads where they cannot be told apart."""
    switches_involuntary: int = 0
    memory_peak_bytes: int = 0
    died: str | None = None
    """Why the worker ended before its work was done."""

    def __post_init__(self) -> None:
        self._t0_ns = self._busy_until_ns = self._gc_began = 0
        self.busy_ns = self.stalled_ns = 0  # of the whole load so far, for those who look on
        self._longest: list[tuple[int, int]] = []
        self._rtts = array("q")

    def landed(self, flight: Flight, stamps: array[int]) -> None:
        """Take the counts of one request, with the stamps of its reads."""
        if flight.reads_slowly:  # when it was read is meant, not when it came
            return
        self.reads += flight.tape.reads
        self.reads_without_stamp += stamps[1::STAMP_COLUMNS].count(MISSING)
        self.stamps_dropped += flight.tape.dropped

    def begin(self, t0_ns: int) -> None:
        """The loop is about to start, in the thread that calls; the clock starts at `t0_ns`."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._cpu_s = (usage.ru_utime, usage.ru_stime)
        self._t0_ns = t0_ns
        self._thread = _thread_usage()
        gc.callbacks.append(self._on_gc)
        self.stall(t0_ns, time.monotonic_ns() - t0_ns)  # if it begins too late, for want of a core perhaps

    def end_load(self) -> None:
        """The loop has ended; called by its thread."""
        gc.callbacks.remove(self._on_gc)
        voluntary, involuntary, wait_ns = _thread_usage()
        self.switches_voluntary = voluntary - self._thread[0]
        self.switches_involuntary = involuntary - self._thread[1]
        if wait_ns is not None and self._thread[2] is not None:
            self.core_wait_ns = wait_ns - self._thread[2]
        self.load_ns = max(0, time.monotonic_ns() - self._t0_ns)
        self.stalls = sorted((begin, length) for length, begin in self._longest)

    def end(self) -> None:
        """End of the work: fill in what the system counted."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.cpu_system_s = usage.ru_stime - self._cpu_s[1]
        self.cpu_s = usage.ru_utime - self._cpu_s[0] + self.cpu_system_s
        self.memory_peak_bytes = _memory_peak_bytes(usage)
        self.min_rtt_ns = sorted(self._rtts)[(len(self._rtts) - 1) // 2] if self._rtts else None

    def as_dict(self) -> dict[str, Any]:
        """The counters by name."""
        return asdict(self)

    def busy(self, busy_ns: int, now: int) -> None:
        """Share out the busy time since the last call evenly over the seconds that it touches."""
        begin, end = self._busy_until_ns, max(self._busy_until_ns + 1, now - self._t0_ns)
        seconds = self.busy_ns_by_s
        seconds.extend([0] * (end // _SECOND_NS + 1 - len(seconds)))
        for second in range(begin // _SECOND_NS, end // _SECOND_NS + 1):
            inside = min(end, (second + 1) * _SECOND_NS) - max(begin, second * _SECOND_NS)
            seconds[second] += busy_ns * inside // (end - begin)
        self._busy_until_ns = end
        self.busy_ns += busy_ns

    def turn(self, began: int, length_ns: int) -> int:
        """Take a turn that may be the longest or a stall. Returns the length up to which turns are neither."""
        self.longest_turn_ns = max(self.longest_turn_ns, length_ns)
        self.stalled_ns = max(self.stalled_ns, length_ns)
        self.stall(began, length_ns)
        return min(self.longest_turn_ns, STALL_NS)

    def stall(self, began: int, length_ns: int) -> None:
        """Note a time without a look at the sockets, if it is long enough and not over before the clock started."""
        begin, end = max(0, began - self._t0_ns), began + length_ns - self._t0_ns
        if end - begin <= STALL_NS:
            return
        self.stalled_ns = max(self.stalled_ns, end - begin)
        if len(self._longest) < _STALLS_MOST:
            heappush(self._longest, (end - begin, begin))
        else:
            heappushpop(self._longest, (end - begin, begin))

    def parted(self, min_rtt_ns: int | None) -> None:
        """A connection is about to be closed."""
        if min_rtt_ns is not None:
            self._rtts.append(min_rtt_ns)

    def opened(self, host: str) -> None:
        """A connection to an address was opened."""
        self.connections_opened += 1
        self.connections_by_address[host] = self.connections_by_address.get(host, 0) + 1

    def not_kept(self, *, failed: bool) -> None:
        """A connection carries no further request after its reply."""
        self.closed_after_failure += failed
        self.closed_by_server += not failed

    def no_connection(self, code: int | None) -> None:
        """A connection could not be opened, with the system's error number if that is why."""
        self.connect_failures += 1
        self.no_ports += code == errno.EADDRNOTAVAIL
        self.no_descriptors += code in (errno.EMFILE, errno.ENFILE)

    def _on_gc(self, phase: str, _: dict[str, int]) -> None:
        now = time.monotonic_ns()
        if phase == "start":
            self._gc_began = now
            return
        self.gc_pauses += 1
        self.gc_pause_max_ns = max(self.gc_pause_max_ns, now - self._gc_began)
        self.stall(self._gc_began, now - self._gc_began)


def _thread_usage() -> tuple[int, int, int | None]:
    """Of this thread: voluntary and involuntary context switches, and ns that it waited for a core.

    The switches are the process's where the system does not count a thread's; the wait is None where it is not kept.
    """
    usage = resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF))
    try:
        # ns on a core, ns ready to run without one, time slices (Documentation/scheduler/sched-stats.rst)
        _, wait_ns, slices = map(int, Path("/proc/thread-self/schedstat").read_text().split())
    except FileNotFoundError:
        return usage.ru_nvcsw, usage.ru_nivcsw, None
    return usage.ru_nvcsw, usage.ru_nivcsw, wait_ns if slices else None  # a kernel that keeps no count writes zeros


def _memory_peak_bytes(usage: resource.struct_rusage) -> int:
    """Peak of this program. On Linux ru_maxrss would be the parent's, if that was larger: it outlives exec."""
    if sys.platform != "linux":
        return usage.ru_maxrss  # bytes on macOS
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
