from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from engine_client import Start, start_engine
from surroundings import one_tokenizer, plain_environment  # noqa: F401  (faults look for load processes by name)


@pytest.fixture(autouse=True)
def _alone(alone: None) -> None:
    """All of this folder: see tests/conftest.py."""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start engines that end with the test."""
    with ExitStack() as stack:
        yield lambda *flags, **options: start_engine(stack, *flags, **options)
