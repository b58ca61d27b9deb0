"""The examples run as they say they do, shortened: against the embedded engine, and one against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import yaml
from real_run import Run, Server

from loadcell.cli import sweep as sweep_command
from loadcell.cli.main import Parser
from loadcell.cli.planning import make_sweep_plan
from loadcell.cli.run import read_spec
from loadcell.search.model import Plan, Sweep
from loadcell.spec import build_spec

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SHORT = {
    "chat.yaml": ("load.duration_s=1s", "load.warmup_s=0.2s"),
    "multi-turn.yaml": ("load.duration_s=1s", "sessions.think=20ms"),
    "conversations.yaml": ("load.requests=16", "sessions.think=20ms"),
    "open-loop.yaml": ("load.duration_s=1s", "load.warmup_s=0.2s", "load.rate=40"),
    "completions.yaml": ("load.requests=16",),
    "messages.yaml": ("load.duration_s=1s",),
    "embeddings.yaml": ("load.requests=40",),
    "images.yaml": ("load.requests=16",),
    "transcriptions.yaml": ("load.requests=16",),
    "speech.yaml": ("load.requests=16",),
    "rerank.yaml": ("load.duration_s=1s", "load.rate=40"),
    "responses.yaml": ("load.duration_s=1s", "load.rate=40"),
    "agent.yaml": (
        "load.duration_s=3s",
        "load.rate=4",
        "agent.tools=50ms",
        "agent.system_tokens=50",
        "workload.input_tokens=20",
        "workload.output_tokens=5",
    ),
    "two-endpoints.yaml": ("load.duration_s=1s", "load.rate=40"),
    "replay.yaml": ("trace.window=600..602", "trace.speed=2", "trace.max_output_tokens=4"),
    "code.yaml": ("trace.window=busiest:2s", "trace.max_output_tokens=4"),
    "impatient.yaml": ("load.duration_s=3s", "load.rate=20"),
    "summarise.yaml": ("load.rate_series=20@1s",),
    "rag.yaml": ("load.duration_s=1s", "load.rate=40"),
    "loadgen.yaml": ("load.rate=40", "loadgen.min_queries=16", "loadgen.min_duration_s=0.5s"),
}


def calls(path: Path, command: str) -> list[list[str]]:
    """Words of the calls of a command that the comments of an example show; what is in brackets explains them."""
    found = re.findall(rf"^# +loadcell {command} +(.*?)(?: {{2,}}\(.*)?$", path.read_text(), re.MULTILINE)
    return [call.split() for call in found]


RUNS = [path for path in EXAMPLES if calls(path, "run")]
SWEEPS = sorted({tuple(call) for path in EXAMPLES for call in calls(path, "sweep")})


@contextmanager
def serving(*flags: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "loadcell", "serve", *flags, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with serving("--ttft", "5ms", "--itl", "1ms") as url:
        yield url


@pytest.fixture(scope="module")
def other_engine() -> Iterator[str]:
    with serving("--ttft", "15ms", "--itl", "1ms") as url:
        yield url


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_how_it_is_called(path: Path) -> None:
    for call in [*calls(path, "run"), *calls(path, "sweep")]:
        assert any(ROOT / word == path for word in call)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_an_example_runs(path: Path, engine: str, other_engine: str, run: Run, at_root: None, tmp_path: Path) -> None:
    spec = f"examples/{path.name}"
    if path.name == "two-endpoints.yaml":
        spec = str(tmp_path / path.name)
        Path(spec).write_text(path.read_text().replace("http://localhost:8001", other_engine))
    ran = run(engine, "--spec", spec, *(f"--set={change}" for change in SHORT[path.name]))
    assert ran.measured, ran.err
    counts = ran.result.counts.run
    assert counts.ok + counts.abandoned == counts.planned > 0


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.name != "matrix.yaml"], ids=lambda path: path.name)
def test_an_example_speaks_to_the_engines_default_address(path: Path) -> None:
    assert build_spec(yaml.safe_load(path.read_text())).endpoint.url == "http://localhost:8000"


def test_the_examples_prompts_repeat_as_often_as_the_comment_says() -> None:
    spec = build_spec(yaml.safe_load((ROOT / "examples/completions.yaml").read_text()))
    assert spec.workload.prompts
    lines = (ROOT / spec.workload.prompts).read_text().splitlines()
    assert spec.load.requests == 5 * len(lines)


# --- sweeps ----------------------------------------------------------------------------------------------------------


def plan_of(*words: str) -> Plan:
    parser = Parser(prog="loadcell sweep")
    sweep_command.configure(parser)
    args = parser.parse_all(list(words))
    return make_sweep_plan(args, read_spec(args))[1]


def swept(folder: Path, url: str, *words: str) -> Sweep:
    """What `loadcell sweep` says."""
    done = subprocess.run(
        [sys.executable, "-m", "loadcell", "sweep", url, *words, "--json", "--force", "--output", str(folder)],
        check=False, capture_output=True, text=True, timeout=110, cwd=ROOT, stdin=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    assert done.returncode in (0, 4), done.stderr  # on a busy machine a stage may be INVALID
    sweep: Sweep = msgspec.json.decode(done.stdout, type=Sweep)
    return sweep


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_a_sweep_that_an_example_shows_can_be_planned(words: tuple[str, ...], at_root: None) -> None:
    plan = plan_of(*words)
    assert plan.mode == ("search" if "--attainment" in words else "grid")
    assert plan.mode == "search" or len(plan.stages) >= 6


def test_the_grid(engine: str, tmp_path: Path) -> None:
    words = calls(ROOT / "examples/sweep.yaml", "sweep")[0]
    sweep = swept(tmp_path, engine, *words, "--concurrency", "1,2,4", "--duration", "1s")
    assert [stage.ask.level for stage in sweep.stages] == [1, 2, 4]
    assert all(stage.point and stage.point.goodput for stage in sweep.stages)


def test_the_matrix(engine: str, tmp_path: Path) -> None:
    words = calls(ROOT / "examples/matrix.yaml", "sweep")[0]
    sweep = swept(tmp_path, engine, *words, "--duration", "0.4s")
    assert [stage.ask.changes["load.concurrency"] for stage in sweep.stages] == [4, 8, 16] * 2
    assert all(stage.point for stage in sweep.stages)


def test_the_search(alone: None, engine: str, tmp_path: Path) -> None:
    """Few requests tell that a bored server holds the SLO for half of all."""
    words = calls(ROOT / "examples/goodput.yaml", "sweep")[0]
    sweep = swept(tmp_path, engine, *words, "--attainment", "50%", "--rate", "50..100", "--duration", "8s")
    assert sweep.found and sweep.found.word == "all hold"
    assert sweep.found.low and sweep.found.low.level == 100
    assert [stage.ask.phase for stage in sweep.stages[:4]] == ["floor", "ramp", "ramp", "bisect"]


@pytest.mark.real
def test_the_search_on_a_real_server(alone: None, server: Server, tmp_path: Path) -> None:
    """Of an SLO that one user alone misses: the whole search takes longer than a test may."""
    words = calls(ROOT / "examples/llama-cpp.yaml", "sweep")[0]
    sweep = swept(tmp_path, server.url, *words, "--slo", "ttft=1ms")
    assert sweep.found and sweep.found.word == "none holds"
    (floor,) = sweep.stages
    assert floor.point and floor.point.requests and not floor.point.failed_share
    assert floor.trial and floor.trial.binding == "ttft_ms"
