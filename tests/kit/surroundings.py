"""What surrounds every test that runs loads in its own process; folders that do import these into their conftest."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from loadcell.workload import planning


@pytest.fixture(scope="session", autouse=True)
def one_tokenizer() -> Iterator[None]:
    """Load the tokenizer, and find the words of its prompts, once instead of once a run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_tokenizer", "stable_words"):
            patch.setattr(planning, name, functools.cache(getattr(planning, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def plain_environment() -> Iterator[None]:
    """No key and no proxy from outside."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
        ):
            patch.delenv(name, raising=False)
        yield
