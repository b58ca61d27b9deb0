from __future__ import annotations

from pathlib import Path

import pytest
from contract_runs import Run, run_once
from surroundings import forked_workers, one_tokenizer, plain_environment  # noqa: F401


@pytest.fixture(autouse=True)
def _processes(processes: None) -> None:
    """All of this folder: see tests/conftest.py."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a load against a URL: `run(url, requests=4, concurrency=2, ...)`."""
    count = iter(range(1000))
    return lambda url, **fields: run_once(url, tmp_path / f"run{next(count)}", **fields)
