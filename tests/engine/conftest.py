from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from engine_client import FAST, Engine, Start, start_engine


@pytest.fixture
def start(alone: None) -> Iterator[Start]:
    """Start engines that end with the test."""
    with ExitStack() as stack:
        yield lambda *flags, **options: start_engine(stack, *flags, **options)


@pytest.fixture(scope="session")
def fast(alone: None) -> Iterator[Engine]:
    """An untroubled engine that tests share; name requests to find their truth."""
    with ExitStack() as stack:
        yield start_engine(stack, *FAST)
