from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadcell.selftest.witness import engine
from loadcell.workload import planning

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
for _room in ("metrics", "report"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _room))


@pytest.fixture(scope="session", autouse=True)
def one_tokenizer() -> Iterator[None]:
    """Load the tokenizer, and find the words of its prompts, once instead of once a stage."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_tokenizer", "stable_words"):
            patch.setattr(planning, name, functools.cache(getattr(planning, name)))
        yield


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no proxy from outside."""
    for name in ("OPENAI_API_KEY", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An engine of 4 slots; a request of 8 tokens takes it about 24 ms."""
    with engine("--slots", "4", "--ttft", "10ms", "--itl", "2ms") as found:
        yield found.url
