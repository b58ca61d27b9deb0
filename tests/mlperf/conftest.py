from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from types import SimpleNamespace

import pytest

from loadcell.load import preflight
from loadcell.workload import loadgen


@pytest.fixture(scope="session", autouse=True)
def _each_order_is_drawn_once() -> Iterator[None]:
    """The logs of hundreds of tests are those of a few runs, with one thing edited; their seeds stay."""
    patch = pytest.MonkeyPatch()
    for name in ("loaded_set", "server_traffic"):
        patch.setattr(loadgen, name, lru_cache(64)(getattr(loadgen, name)))
    yield
    patch.undo()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not there is waited for by a clock that runs ahead: it costs no time."""
    ahead = [0.0]
    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + ahead[0], sleep=lambda seconds: ahead.append(ahead.pop() + seconds)
    )
    monkeypatch.setattr(preflight, "time", clock)
