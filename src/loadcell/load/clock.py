"""One clock: CLOCK_MONOTONIC, in integer nanoseconds. Kernel receive stamps are moved onto it; timers run by it."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys

from loadcell.recording.schema import MISSING

SO_TIMESTAMPNS = 35
"""Linux on x86-64 and arm64: ask for the kernel's receive time with every read (asm-generic/socket.h).
Python's socket module has no name for it."""
STAMP_BYTES = socket.CMSG_SPACE(16)
"""Room for one stamp: two native int64, seconds and nanoseconds of CLOCK_REALTIME."""
HAS_KERNEL_STAMPS = sys.platform == "linux"
_TOLERANCE_NS = 10_000
"""Two readings of the two clocks are this far apart at most, unless the process was put aside between them."""


def enable_kernel_stamps(sock: socket.socket) -> None:
    """Ask for kernel stamps. Must come before connect: bytes that were queued earlier carry none."""
    if HAS_KERNEL_STAMPS:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


# A read as the loop keeps it: ((data, ancillary, flags, address), monotonic ns, realtime ns), clocks read right after.
Read = tuple[tuple[bytes, list[tuple[int, int, bytes]], int, object], int, int]


def stamps(reads: list[Read], not_before_ns: int) -> tuple[list[int], list[int], int]:
    """Receive times of consecutive reads of one socket, on the monotonic clock.

    Returns (times, lags, steps). A lag is user time minus kernel time, MISSING where there is no usable stamp:
    then the time is the user's. Nothing can have come before `not_before_ns` (the send, or the read ahead of it): a
    stamp that says so, or one from the future, shows a step of the wall clock; it is dropped and counted.
    """
    times: list[int] = []
    lags: list[int] = []
    steps = 0
    floor = not_before_ns
    for (_, ancillary, _, _), mono, real in reads:
        if ancillary and len(ancillary[0][2]) == 16:
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            lag = real - seconds * 1_000_000_000 - nanoseconds
            if lag >= 0 and mono - lag >= floor - _TOLERANCE_NS:
                floor = mono - lag
                times.append(floor)
                lags.append(lag)
                continue
            steps += 1
        floor = mono
        times.append(floor)
        lags.append(MISSING)
    return times, lags, steps


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
