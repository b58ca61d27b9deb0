"""What surrounds every test that runs loads in its own process; folders that do import these into their conftest."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from forked import Forked, Mother

from loadcell.load import crew
from loadcell.workload import planning, texts


@pytest.fixture(scope="session", autouse=True)
def one_tokenizer() -> Iterator[None]:
    """Load the tokenizer, and find the words of its prompts, once instead of once a run."""
    with pytest.MonkeyPatch.context() as patch:
        load_tokenizer = functools.cache(texts.load_tokenizer)
        patch.setattr(planning, "load_tokenizer", load_tokenizer)
        patch.setattr(texts, "load_tokenizer", load_tokenizer)
        patch.setattr(texts, "stable_words", functools.cache(texts.stable_words))
        yield


@pytest.fixture(scope="session", autouse=True)
def plain_environment() -> Iterator[None]:
    """No key and no proxy from outside."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "ANTHROPIC_API_KEY",
            "AZURE_OPENAI_API_KEY",
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


@pytest.fixture(scope="session", autouse=True)
def forked_workers() -> Iterator[None]:
    """Load processes that need not load their libraries, where this system can give them.

    A test that gives PYTHONPATH means code that runs as a process starts (`known.fault`): a fork would not run it.
    """
    if sys.platform != "linux":
        yield
        return
    mother, command, path = Mother(), crew.WORKER_COMMAND, os.environ.get("PYTHONPATH")

    def start(words: tuple[str, ...], **options: Any) -> Forked | subprocess.Popen[bytes]:
        if words[: len(command)] == command and options["env"].get("PYTHONPATH") == path:
            return Forked(mother, words, **options)
        return subprocess.Popen(words, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "can_fork", lambda: False)  # not from a test's own process
        patch.setattr(crew, "subprocess", SimpleNamespace(Popen=start, PIPE=subprocess.PIPE))
        yield
    mother.end()
