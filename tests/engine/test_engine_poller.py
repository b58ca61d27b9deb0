"""Both ways to wait: what is ready, and the due time."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from loadcell.engine import poller as module
from loadcell.engine.poller import READ, WRITE, Poller, SelectorPoller

KINDS = [SelectorPoller, *([module.EpollPoller] if hasattr(module, "EpollPoller") else [])]


@pytest.fixture(params=KINDS)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_is_wanted_and_ready_is_told(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    now = time.monotonic_ns()
    poller.register(ours, READ)
    assert poller.wait(now) == []
    theirs.send(b"x")
    assert poller.wait(None) == [(ours.fileno(), READ)]
    poller.modify(ours, 0)
    assert poller.wait(now) == []
    poller.modify(ours, READ | WRITE)
    assert poller.wait(None) == [(ours.fileno(), READ | WRITE)]
    poller.modify(ours, WRITE)
    assert poller.wait(None) == [(ours.fileno(), WRITE)]
    poller.unregister(ours)
    assert poller.wait(now) == []


def test_a_due_time_ends_the_wait_and_never_early(poller: Poller) -> None:
    for _ in range(3):
        due = time.monotonic_ns() + 3_000_000
        while poller.wait(due) == [] and time.monotonic_ns() < due - 1_000_000:
            pass  # an old expiry may wake it once
        assert due - 1_000_000 <= time.monotonic_ns()


def test_no_wait_is_so_long_that_a_missed_signal_matters(poller: Poller) -> None:
    assert poller.wait(None) == []
    assert poller.wait(time.monotonic_ns() + 3600 * 10**9) == []


def test_a_hang_up_is_told(poller: Poller, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    poller.register(ours, READ)
    theirs.close()
    ((fd, mask),) = poller.wait(None)
    assert fd == ours.fileno()
    assert mask & READ
