"""One clock: CLOCK_MONOTONIC, in integer nanoseconds. Kernel receive stamps are moved onto it; timers run by it."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Sequence
from operator import sub

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


Message = tuple[bytes, list[tuple[int, int, bytes]], int, object]
"""What recvmsg returns: data, ancillary data, flags, address."""


def stamps(
    messages: Sequence[Message], monos: Sequence[int], reals: Sequence[int], not_before_ns: int
) -> tuple[list[int], list[int], int]:
    """Receive times of consecutive reads of one socket, on the monotonic clock.

    `monos` and `reals` are the monotonic and the wall clock right after each read. Returns (times, lags, steps). A lag
    is user time minus kernel time, MISSING where there is no usable stamp: then the time is the user's. Nothing can
    have come before `not_before_ns` (the send, or the read ahead of it): a stamp that says so, or one from the future,
    shows a step of the wall clock; it is dropped and counted.
    """
    try:
        packed = b"".join([message[1][0][2] for message in messages])
        parts = struct.unpack(f"={2 * len(messages)}q", packed)
    except (IndexError, struct.error):
        return _stamps_one_by_one(messages, monos, reals, not_before_ns)
    lags = [
        real - seconds * 1_000_000_000 - nanoseconds
        for real, seconds, nanoseconds in zip(reals, parts[::2], parts[1::2], strict=True)
    ]
    times = list(map(sub, monos, lags))
    if min(lags) < 0 or times[0] < not_before_ns - _TOLERANCE_NS or times != sorted(times):
        return _stamps_one_by_one(messages, monos, reals, not_before_ns)
    return times, lags, 0


def _stamps_one_by_one(
    messages: Sequence[Message], monos: Sequence[int], reals: Sequence[int], floor: int
) -> tuple[list[int], list[int], int]:
    """As `stamps`, where a stamp is missing or cannot be."""
    times: list[int] = []
    lags: list[int] = []
    steps = 0
    for message, mono, real in zip(messages, monos, reals, strict=True):
        notes = message[1]
        if notes and len(notes[0][2]) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(notes[0][2])
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
