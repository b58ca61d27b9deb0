"""A real llama.cpp server, and `loadcell run` as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from real_run import Ran, Run, Server, command

from loadcell.metrics import Result


@pytest.fixture(autouse=True)
def _processes(processes: None) -> None:
    """All of this folder: see tests/conftest.py."""


PACKAGES = Path(__file__).parents[2] / ".real-server"
SLOTS, SLOT_TOKENS = 4, 2048


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run(url, *flags, **environment)`."""
    folders = iter(tmp_path / f"run-{i}" for i in range(10))

    def go(url: str, *flags: str, **environment: str) -> Ran:
        folder = next(folders)
        done = subprocess.run(
            command(url, folder, *flags),
            check=False, capture_output=True, text=True, timeout=60,
            stdin=subprocess.DEVNULL, env=os.environ | environment,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        ran = Ran(done.returncode, done.stdout, done.stderr, folder)
        if done.stdout:
            told = msgspec.json.decode(done.stdout, type=Result)
            assert msgspec.structs.replace(told, phrases={}) == ran.result  # what prints it adds these
        return ran

    return go


@contextmanager
def _serve(log: Path, **settings: Any) -> Iterator[Server]:
    if not PACKAGES.is_dir():
        missing = f"there is no real server: `make test` installs it into {PACKAGES.name}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    script = Path(__file__).parents[1] / "kit" / "llama_server.py"
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(settings)],
            stdout=subprocess.PIPE, stderr=err, text=True, env=os.environ | {"PYTHONPATH": str(PACKAGES)},
        )  # fmt: skip
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        if not url:
            if process.wait() == -signal.SIGILL:
                pytest.skip("this CPU lacks instructions that the real server is built for (AVX2)")
            pytest.fail(f"the real server did not start ({process.returncode}): {log.read_text()[-2000:]}")
        yield Server(url)
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`with serve(**settings) as server`, settings as in `llama_server.py`."""
    return partial(_serve, tmp_path_factory.mktemp("llama") / "server.log", n_ctx=SLOTS * SLOT_TOKENS, n_parallel=SLOTS)


@pytest.fixture(scope="session")
def server(serve: Callable[..., Any]) -> Iterator[Server]:
    """A server of four slots of 2,048 tokens each."""
    with serve() as started:
        yield started
