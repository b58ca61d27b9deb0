"""MLPerf-style runs on a real engine, llama.cpp's server: performance, accuracy, check and export.

A model of 135 million parameters meets no gate, and a run of seconds proves no percentile: both are said.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from real_run import Server
from surroundings import forked_workers, one_tokenizer, plain_environment  # noqa: F401

from loadcell.cli.main import main
from loadcell.mlperf.judge import fails
from loadcell.mlperf.model import Accuracy, Outcome
from loadcell.recording.read import open_recording

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("alone")]

SMALL = (
    "--benchmark", "llama3.1-8b", "--look-alike", "--samples", "3", "--quick", "--shared-host", "--no-html",
    "--set", "workload.output_tokens=4", "--set", "loadgen.min_duration_s=1s", "--set", "loadgen.min_queries=3",
    "--set", 'endpoint.extra_body={"cache_prompt": false}',
)  # fmt: skip
LOADS = {"offline": ("--concurrency", "4"), "server": ("--target-qps", "2"), "singlestream": ()}


Loadcell = Callable[..., tuple[int, str]]


@pytest.fixture
def loadcell(capsys: pytest.CaptureFixture[str]) -> Loadcell:
    """Exit code and standard output of a command."""

    def run(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        return main([*map(str, words)]), capsys.readouterr().out

    return run


class _Printed(msgspec.Struct):
    accuracy: Accuracy | None = None


@pytest.mark.parametrize("scenario", LOADS)
def test_a_run_is_measured_scored_checked_and_exported(
    scenario: str, server: Server, loadcell: Loadcell, tmp_path: Path
) -> None:
    folder, before = tmp_path / "run", server.metric("tokens_predicted_total")
    words = (*SMALL, "--scenario", scenario, *LOADS[scenario])
    code, out = loadcell("mlperf", "run", server.url, *words, "--accuracy", "--json", "--output", folder)
    found = msgspec.json.decode(out, type=Outcome)
    gate = msgspec.json.decode(out, type=_Printed).accuracy
    assert code == 4 and gate is not None and not gate.passed  # the gate fails honestly
    assert (gate.samples, gate.missing) == (3, 0) and 0 < (gate.scores["ROUGE1"] or 0) < 38
    failed = {finding.rule for finding in found.findings if fails(finding)}
    unproved = {"server": {"early-stopping-ttft", "early-stopping-tpot"}, "singlestream": {"early-stopping-latency"}}
    assert failed - {"instrument", "ttft-limit", "tpot-limit"} == unproved.get(scenario, set())
    _counts_agree(found, folder, server.metric("tokens_predicted_total") - before)
    _checked_and_exported(loadcell, folder)


def _counts_agree(found: Outcome, folder: Path, served: float) -> None:
    """The server's own counter is the second witness: all that was sent, the probe and the accuracy pass with it."""
    score = found.score
    assert score.failed == 0 and score.samples >= 3 and score.tokens is not None
    assert score.tokens_per_s_run and score.tokens_per_s_loadgen
    others = [
        path for path in (folder / "probe", folder / "accuracy", *folder.glob("performance.cut-*")) if path.exists()
    ]
    tokens = score.tokens + sum(int(_tokens(path).sum()) for path in others)
    longest = max(int(_tokens(path).max()) for path in others)
    # Each run asks for a reply as long as its own to see that it can, and for a token or two to see how replies end.
    assert tokens <= served <= tokens + (longest + 2) * (len(others) + 1)


def _tokens(recording: Path) -> Any:
    return open_recording(recording).requests(("output_tokens",))["output_tokens"]


def _checked_and_exported(loadcell: Loadcell, folder: Path) -> None:
    code, out = loadcell("mlperf", "check", folder, "--json")
    assert code in (0, 4) and out
    for form in ("endpoints", "loadgen-like"):
        target = folder.parent / form
        code, _ = loadcell("mlperf", "export", folder, "--format", form, "--output", target)
        assert code == 0 and list(target.rglob("*"))
        code, out = loadcell("mlperf", "check", target, "--json")
        assert code in (0, 4) and out
