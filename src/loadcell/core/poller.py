"""Waiting for sockets: epoll on Linux, the best selector elsewhere, with one face."""

from __future__ import annotations

import select
import selectors
import sys

READABLE, WRITABLE = 1, 4
"""The bits of EPOLLIN and EPOLLOUT, used for every platform. Errors and hang-ups show as readable."""
_BATCH = 64
"""Events a wake-up hands over at most, so that a send that falls due meanwhile waits well under a millisecond."""


class EpollPoller:
    most = _BATCH
    """So many at once may not be all that are ready."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.add = self._epoll.register
        self.change = self._epoll.modify
        self.remove = self._epoll.unregister
        self.fileno = self._epoll.fileno

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """(descriptor, bits) of what is ready; waits up to `timeout_s`."""
        return self._epoll.poll(timeout_s, _BATCH)


class SelectorPoller:
    most = sys.maxsize

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def add(self, fd: int, mask: int) -> None:
        self._selector.register(fd, _selector_mask(mask))

    def change(self, fd: int, mask: int) -> None:
        self._selector.modify(fd, _selector_mask(mask))

    def remove(self, fd: int) -> None:
        self._selector.unregister(fd)

    def poll(self, timeout_s: float) -> list[tuple[int, int]]:
        """(descriptor, bits) of what is ready; waits up to `timeout_s`."""
        return [
            (
                key.fd,
                (READABLE if mask & selectors.EVENT_READ else 0) | (WRITABLE if mask & selectors.EVENT_WRITE else 0),
            )
            for key, mask in self._selector.select(timeout_s)
        ]


Poller = EpollPoller | SelectorPoller


def make_poller() -> Poller:
    """The fastest poller of this platform."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()


def _selector_mask(mask: int) -> int:
    return (selectors.EVENT_READ if mask & READABLE else 0) | (selectors.EVENT_WRITE if mask & WRITABLE else 0)
