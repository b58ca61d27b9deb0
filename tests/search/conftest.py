from __future__ import annotations

from collections.abc import Iterator

import pytest
from surroundings import forked_workers, one_tokenizer, plain_environment  # noqa: F401

from loadcell.selftest.witness import engine


@pytest.fixture(scope="module")
def url(processes: None) -> Iterator[str]:
    """An engine of 4 slots; a request of 8 tokens takes it about 24 ms."""
    with engine("--slots", "4", "--ttft", "10ms", "--itl", "2ms") as found:
        yield found.url
