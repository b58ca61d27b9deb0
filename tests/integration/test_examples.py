"""The example specs run against the embedded engine, shortened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from real_run import Run

from loadcell.spec import build_spec

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SHORT = {
    "chat.yaml": ("load.duration_s=1s", "load.warmup_s=0.2s"),
    "open-loop.yaml": ("load.duration_s=1s", "load.warmup_s=0.2s", "load.rate=40"),
    "completions.yaml": ("load.requests=16",),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:

    process = subprocess.Popen(
        [sys.executable, "-m", "loadcell", "serve", "--port", "0", "--ttft", "5ms", "--itl", "1ms"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(path: Path, engine: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    ran = run(engine, "--spec", f"examples/{path.name}", *(f"--set={change}" for change in SHORT[path.name]))
    assert ran.measured, ran.err
    counts = ran.result.counts.run
    assert counts.ok == counts.planned > 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_speaks_to_the_engines_default_address(path: Path) -> None:

    assert build_spec(yaml.safe_load(path.read_text())).endpoint.url == "http://localhost:8000"


def test_the_examples_prompts_repeat_as_often_as_the_comment_says() -> None:

    spec = build_spec(yaml.safe_load((ROOT / "examples/completions.yaml").read_text()))
    assert spec.workload.prompts
    lines = (ROOT / spec.workload.prompts).read_text().splitlines()
    assert spec.load.requests == 5 * len(lines)
