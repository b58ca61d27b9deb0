from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_runs import Run, run_once

from loadcell.workload import planning

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))


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
def run(tmp_path: Path) -> Run:
    """Run a load against a URL: `run(url, requests=4, concurrency=2, ...)`."""
    count = iter(range(1000))
    return lambda url, **fields: run_once(url, tmp_path / f"run{next(count)}", **fields)
