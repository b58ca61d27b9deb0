from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

for _room in ("contract", "engine"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _room))

from engine_client import Start, start_engine  # noqa: E402
from surroundings import one_tokenizer, plain_environment  # noqa: E402, F401


@pytest.fixture
def start() -> Iterator[Start]:
    """Start engines that end with the test."""
    with ExitStack() as stack:
        yield lambda *flags, **options: start_engine(stack, *flags, **options)
