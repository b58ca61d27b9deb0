from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from engine_client import Start, start_engine
from surroundings import one_tokenizer, plain_environment  # noqa: F401

from loadcell.load import crew


@pytest.fixture(autouse=True)
def _alone(alone: None) -> None:
    """All of this folder: see tests/conftest.py."""


@pytest.fixture(autouse=True)
def _started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load processes of their own name, which faults look for, though folders before this one had them forked."""
    monkeypatch.setattr(crew, "subprocess", subprocess)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start engines that end with the test."""
    with ExitStack() as stack:
        yield lambda *flags, **options: start_engine(stack, *flags, **options)
