"""A real engine without its server: llama.cpp inside the process that loads it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PACKAGES

from loadcell.metrics import build_result
from loadcell.recording.read import open_recording

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("alone")]
SCRIPT = Path(__file__).parents[1] / "kit" / "llama_callable.py"


def test_an_engine_in_process_is_counted_as_it_counts_itself(tmp_path: Path) -> None:
    if not PACKAGES.is_dir():
        missing = f"there is no real engine: `make test` installs it into {PACKAGES.name}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "r")],
        check=False, capture_output=True, text=True, timeout=100, env=os.environ | {"PYTHONPATH": str(PACKAGES)},
    )  # fmt: skip
    if done.returncode == -signal.SIGILL:
        pytest.skip("this CPU lacks instructions that the real engine is built for (AVX2)")
    assert done.returncode == 0, done.stderr[-3000:]
    told, recording = json.loads(done.stdout), open_recording(tmp_path / "r")
    result, columns = build_result(recording), ("output_tokens", "prompt_tokens", "input_tokens", "finish_reason")
    rows = recording.requests(columns)
    assert (result.counts.run.ok, result.counts.run.failed) == (10, 0)
    assert rows["output_tokens"].tolist() == told["made"][-10:] == [12] * 10
    assert rows["prompt_tokens"].tolist() == rows["input_tokens"].tolist() == [20] * 10
    assert set(rows["finish_reason"]) == {"length"}
    assert result.methodology.token_source == {"usage": 10}
    assert result.methodology.effective["prompts_counted_by"] == "server"
    assert result.methodology.environment["libraries"]["xllamacpp"]
    ttft, e2e = (result.latency[name].service for name in ("ttft_ms", "e2e_ms"))
    assert ttft.n == e2e.n == 10
    assert 0 < ttft.mean < e2e.mean
    assert "python:__main__.main.<locals>.generate" in told["says"]
