from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadcell.selftest.witness import engine

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
for _room in ("contract", "metrics", "report"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _room))

from surroundings import one_tokenizer, plain_environment  # noqa: E402, F401


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An engine of 4 slots; a request of 8 tokens takes it about 24 ms."""
    with engine("--slots", "4", "--ttft", "10ms", "--itl", "2ms") as found:
        yield found.url
