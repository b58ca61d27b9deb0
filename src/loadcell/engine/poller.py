"""Wait for sockets and for a due time at once, to the microsecond."""

from __future__ import annotations

import ctypes
import os
import select
import selectors
import socket
import sys
import time
from typing import Protocol

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_MAX_EVENTS = 256
_LOOK_S = 0.5
"""No wait is longer: a signal between the interpreter's last look for one and the wait itself ends no wait."""


class Poller(Protocol):
    def register(self, sock: socket.socket, mask: int) -> None: ...

    def modify(self, sock: socket.socket, mask: int) -> None: ...

    def unregister(self, sock: socket.socket) -> None: ...

    def wait(self, due_ns: int | None) -> list[tuple[int, int]]:
        """(descriptor, mask) of what is ready; empty at `due_ns` on CLOCK_MONOTONIC, or after `_LOOK_S` before it."""
        ...

    def close(self) -> None: ...


def open_poller() -> Poller:
    """The best one of this platform."""
    if sys.platform == "linux" and sys.maxsize > 2**32:
        return EpollPoller()
    return SelectorPoller()


class SelectorPoller:
    """Any platform; the wake-up is as exact as the selector's timeout."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, sock: socket.socket, mask: int) -> None:
        self._selector.register(sock, mask or READ)

    def modify(self, sock: socket.socket, mask: int) -> None:
        # selectors know no empty mask: a socket that nothing is wanted of leaves the set
        known = sock.fileno() in self._selector.get_map()
        if known and mask:
            self._selector.modify(sock, mask)
        elif mask:
            self._selector.register(sock, mask)
        elif known:
            self._selector.unregister(sock)

    def unregister(self, sock: socket.socket) -> None:
        self.modify(sock, 0)

    def wait(self, due_ns: int | None) -> list[tuple[int, int]]:
        left_s = _LOOK_S if due_ns is None else max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        return [(key.fd, mask) for key, mask in self._selector.select(min(_LOOK_S, left_s))]

    def close(self) -> None:
        self._selector.close()


if sys.platform == "linux":
    _TO_EPOLL = {0: 0, READ: select.EPOLLIN, WRITE: select.EPOLLOUT, READ | WRITE: select.EPOLLIN | select.EPOLLOUT}
    _TIMER_ABSTIME = 1

    class _Itimerspec(ctypes.Structure):
        _fields_ = [
            ("interval_s", ctypes.c_long),
            ("interval_ns", ctypes.c_long),
            ("value_s", ctypes.c_long),
            ("value_ns", ctypes.c_long),
        ]

    class EpollPoller:
        """epoll with a timerfd in it: epoll's own timeout is rounded up to whole ms."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            # os.timerfd_create exists from Python 3.13 on
            libc = ctypes.CDLL(None, use_errno=True)
            self._settime = libc.timerfd_settime
            self._timer = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            if self._timer < 0:
                raise OSError(ctypes.get_errno(), "timerfd_create failed")
            self._spec = _Itimerspec()
            self._spec_at = ctypes.byref(self._spec)
            # edge-triggered: arming clears an old expiry, so the timer is never read
            self._epoll.register(self._timer, select.EPOLLIN | select.EPOLLET)

        def register(self, sock: socket.socket, mask: int) -> None:
            self._epoll.register(sock.fileno(), _TO_EPOLL[mask])

        def modify(self, sock: socket.socket, mask: int) -> None:
            self._epoll.modify(sock.fileno(), _TO_EPOLL[mask])

        def unregister(self, sock: socket.socket) -> None:
            self._epoll.unregister(sock.fileno())

        def wait(self, due_ns: int | None) -> list[tuple[int, int]]:
            if due_ns is None:
                found = self._epoll.poll(_LOOK_S, _MAX_EVENTS)
            elif due_ns <= time.monotonic_ns():
                found = self._epoll.poll(0, _MAX_EVENTS)
            else:
                self._spec.value_s, self._spec.value_ns = divmod(due_ns, 1_000_000_000)
                if self._settime(self._timer, _TIMER_ABSTIME, self._spec_at, None):
                    raise OSError(ctypes.get_errno(), "timerfd_settime failed")
                found = self._epoll.poll(_LOOK_S, _MAX_EVENTS)
            # errors and hang-ups count as both: the next read or write says what it is
            return [
                (fd, READ if mask == 1 else (READ if mask & ~4 else 0) | (WRITE if mask & ~3 else 0))
                for fd, mask in found
                if fd != self._timer
            ]

        def close(self) -> None:
            self._epoll.close()
            os.close(self._timer)
