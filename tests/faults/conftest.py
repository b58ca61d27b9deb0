from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

for _room in ("contract", "engine"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _room))

from engine_client import Start, start_engine  # noqa: E402

from loadcell.workload import planning  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def one_tokenizer() -> Iterator[None]:
    """Load the tokenizer, and find the words of its prompts, once instead of once a run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_tokenizer", "stable_words"):
            patch.setattr(planning, name, functools.cache(getattr(planning, name)))
        yield


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no proxy from outside."""
    for name in ("OPENAI_API_KEY", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start engines that end with the test."""
    with ExitStack() as stack:
        yield lambda *flags, **options: start_engine(stack, *flags, **options)
