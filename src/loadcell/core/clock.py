"""One clock: CLOCK_MONOTONIC, in integer nanoseconds. Kernel receive stamps are moved onto it; timers run by it."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Sequence
from operator import sub
from time import monotonic_ns, time_ns

from loadcell.kinds import MISSING

SO_TIMESTAMPNS = 35
"""Linux on x86-64 and arm64: ask for the kernel's receive time with every read (asm-generic/socket.h).
Python's socket module has no name for it."""
STAMP_BYTES = socket.CMSG_SPACE(16)
"""Room for one stamp: two native int64, seconds and nanoseconds of CLOCK_REALTIME."""
HAS_KERNEL_STAMPS = sys.platform == "linux"
_TOLERANCE_NS = 10_000
OFFSET_SLACK_NS = 2_000
"""Two plain readings of the clocks are closer than this to their true offset, unless the process was put aside between
them or the wall clock was moved: both are worth a careful look."""


def enable_kernel_stamps(sock: socket.socket) -> None:
    """Ask for kernel stamps. Must come before connect: bytes that were queued earlier carry none."""
    if HAS_KERNEL_STAMPS:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


Message = tuple[bytes, list[tuple[int, int, bytes]], int, object]
"""What recvmsg returns: data, ancillary data, flags, address."""


def stamps(
    raw: Sequence[bytes], monos: Sequence[int], offsets: Sequence[int], not_before_ns: int
) -> tuple[list[int], list[int], int]:
    """Receive times of consecutive reads of one socket, on the monotonic clock.

    `raw` holds the kernel's stamps as they came (b"" for none), `monos` the monotonic clock right after each read,
    `offsets` the wall clock minus the monotonic one at that time. Returns (times, lags, dropped). A lag is user time
    minus kernel time, MISSING where there is no usable stamp: then the time is the user's. Nothing can have come before
    `not_before_ns` (the send, or the read ahead of it), nor after it was read: a stamp that says so was spoilt by a
    step of the wall clock; it is dropped and counted.
    """
    packed = b"".join(raw)
    if len(packed) != _TIMESPEC.size * len(raw):
        return _stamps_one_by_one(raw, monos, offsets, not_before_ns)
    parts = struct.unpack(f"={2 * len(raw)}q", packed)
    times = [s * 1_000_000_000 + ns - offset for s, ns, offset in zip(parts[::2], parts[1::2], offsets, strict=True)]
    lags = list(map(sub, monos, times))
    if min(lags) < 0 or times[0] < not_before_ns - _TOLERANCE_NS or times != sorted(times):
        return _stamps_one_by_one(raw, monos, offsets, not_before_ns)
    return times, lags, 0


def _stamps_one_by_one(
    raw: Sequence[bytes], monos: Sequence[int], offsets: Sequence[int], floor: int
) -> tuple[list[int], list[int], int]:
    """As `stamps`, where a stamp is missing or cannot be."""
    times: list[int] = []
    lags: list[int] = []
    dropped = 0
    for packed, mono, offset in zip(raw, monos, offsets, strict=True):
        time, lag = mono, MISSING
        if len(packed) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(packed)
            stamp = seconds * 1_000_000_000 + nanoseconds - offset
            if floor - _TOLERANCE_NS <= stamp <= mono + _TOLERANCE_NS:
                time = min(stamp, mono)
                lag = mono - time
            else:
                dropped += 1
        times.append(time)
        lags.append(lag)
        floor = time
    return times, lags, dropped


def clock_offset() -> int:
    """Wall clock minus monotonic clock, in ns: of a few pairs of readings the one that was least interrupted.

    The two are slewed alike by NTP, so this changes by steps of the wall clock only.
    """
    best, width = 0, 2**63
    for _ in range(5):
        before, real, after = monotonic_ns(), time_ns(), monotonic_ns()
        if after - before < width:
            best, width = real - (before + after) // 2, after - before
    return best


_TIMESPEC = struct.Struct("=qq")


class Timer:
    """A timer for absolute monotonic times with a file descriptor to poll; None of `fd` where there is no timerfd.

    Poll timeouts are whole milliseconds in epoll, so a paced send needs this.
    """

    def __init__(self) -> None:
        self.fd: int | None = None
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            fd = self._libc.timerfd_create(1, os.O_NONBLOCK | os.O_CLOEXEC)  # 1: CLOCK_MONOTONIC
            if fd < 0:
                raise OSError(ctypes.get_errno(), "timerfd_create")
            self.fd = fd
            self._spec = (ctypes.c_long * 4)()

    def arm(self, when_ns: int) -> None:
        """Become readable at `when_ns`; a time in the past fires at once."""
        if self.fd is not None:
            self._spec[2], self._spec[3] = divmod(max(when_ns, 1), 1_000_000_000)
            self._libc.timerfd_settime(self.fd, 1, self._spec, None)  # 1: TFD_TIMER_ABSTIME

    def clear(self) -> None:
        """Take the expiry, so that the descriptor is not readable any more."""
        if self.fd is not None:
            try:
                os.read(self.fd, 8)
            except BlockingIOError:
                return
