from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import pytest

from loadcell.workload import loadgen


@pytest.fixture(scope="session", autouse=True)
def _each_order_is_drawn_once() -> Iterator[None]:
    """The logs of hundreds of tests are those of a few runs, with one thing edited; their seeds stay."""
    patch = pytest.MonkeyPatch()
    for name in ("loaded_set", "server_traffic"):
        patch.setattr(loadgen, name, lru_cache(64)(getattr(loadgen, name)))
    yield
    patch.undo()
