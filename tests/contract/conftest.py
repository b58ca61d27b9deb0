from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_runs import Run, run_once

from loadcell.workload import planning


@pytest.fixture(scope="session", autouse=True)
def one_tokenizer() -> Iterator[None]:
    """Load the tokenizer once, not once a run."""
    before = planning.load_tokenizer
    planning.load_tokenizer = functools.cache(before)
    yield
    planning.load_tokenizer = before


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no proxy from outside."""
    for name in ("OPENAI_API_KEY", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a load against a URL: `run(url, requests=4, concurrency=2, ...)`."""
    count = iter(range(1000))
    return lambda url, **fields: run_once(url, tmp_path / f"run{next(count)}", **fields)
