"""The examples for CI systems: their keys, and their shell lines as they stand, run against two embedded engines."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from loadcell.cli import check
from loadcell.compare import parse_gate
from loadcell.selftest.witness import engine

ROOT = Path(__file__).parents[2] / "examples" / "ci"
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "github" / "action.yml").read_text())
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / "github" / "workflow.yml").read_text())
JOB: dict[str, Any] = yaml.safe_load((ROOT / "gitlab-ci.yml").read_text())["latency"]
SMALL = "--requests 8 --turn 2 --concurrency 1 --input-tokens 8 --output-tokens 4 --shared-host"


def flags() -> set[str]:
    parser = argparse.ArgumentParser()
    check.configure(parser)
    return set(parser._option_string_actions)


def test_the_action_is_one() -> None:
    """Composite actions need a name, a description, runs.using and a shell for each script."""
    assert ACTION["runs"]["using"] == "composite" and ACTION["name"] and ACTION["description"]
    assert all(step["shell"] == "bash" for step in ACTION["runs"]["steps"] if "run" in step)
    scripts = "".join(step["run"] for step in ACTION["runs"]["steps"])
    assert "${{" not in scripts  # what a pull request can choose would be run
    named = set(re.findall(r"inputs\.([a-z-]+)", (ROOT / "github" / "action.yml").read_text()))
    assert named == set(ACTION["inputs"])
    assert set(re.findall(r"(?<=[ (])--[a-z-]+", scripts)) <= flags()


def test_the_workflow_gives_the_action_what_it_asks_for() -> None:
    (step,) = (step for step in WORKFLOW["jobs"]["check"]["steps"] if "loadcell" in step.get("uses", ""))
    needed = {name for name, told in ACTION["inputs"].items() if told.get("required")}
    assert needed <= set(step["with"]) <= set(ACTION["inputs"])
    assert all(parse_gate(gate) for gate in step["with"]["fail-if"].splitlines())
    assert set(re.findall(r"--[a-z-]+", step["with"]["args"])) <= flags()


def test_gitlab_is_given_the_report_and_the_meaning_of_the_codes() -> None:
    (line,) = (line for line in JOB["script"] if line.startswith("loadcell"))
    words = shlex.split(line)
    assert JOB["artifacts"]["reports"]["junit"] == words[words.index("--junit") + 1]
    assert JOB["artifacts"]["when"] == "always"
    assert JOB["allow_failure"]["exit_codes"] == [check.CODES["INCONCLUSIVE"]]


@pytest.fixture(scope="module")
def two(processes: None) -> Iterator[tuple[str, str]]:
    with (
        engine("--ttft", "5ms", "--itl", "1ms") as a,
        engine("--ttft", "5ms", "--itl", "1ms", "--error-rate", "1") as b,
    ):
        yield a.url, b.url


def run(script: str, tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A script in bash, with a `loadcell` on the path and the default spec where it names one."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "loadcell"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m loadcell "$@"\n')
    command.chmod(0o755)
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "chat.yaml").write_text("load: {concurrency: 1}\n")
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", **more}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )  # fmt: skip


@pytest.mark.timeout(240)
def test_the_script_of_the_action_tells_fail_from_pass(two: tuple[str, str], tmp_path: Path) -> None:
    step = next(step for step in ACTION["runs"]["steps"] if step.get("id") == "check")
    output, summary = tmp_path / "output", tmp_path / "summary"
    given = {"URL": two[1], "AGAINST": two[0], "GATES": "ttft.p50>+5%\n\n e2e.p50>+5%\n", "SPEC": "ci/chat.yaml",
             "MORE": SMALL, "ON_INCONCLUSIVE": "warn"}  # fmt: skip
    assert set(given) == set(step["env"])
    files = {"GITHUB_OUTPUT": str(output), check.SUMMARY: str(summary)}
    done = run(step["run"], tmp_path, **given, **files)
    assert done.returncode == check.CODES["FAIL"], done.stderr
    assert output.read_text() == "answer=FAIL\n"
    assert "failed.share" in summary.read_text()
    report = ElementTree.parse(tmp_path / "loadcell-check.xml").getroot()
    assert report.get("tests") == "3" and report.get("failures") == "1"


@pytest.mark.timeout(240)
def test_the_line_for_gitlab_runs(two: tuple[str, str], tmp_path: Path) -> None:
    (line,) = (line for line in JOB["script"] if line.startswith("loadcell"))
    done = run(f"{line} {SMALL}", tmp_path, URL=two[0], AGAINST=two[0])
    assert done.returncode in (check.CODES["PASS"], check.CODES["INCONCLUSIVE"], 4), (
        done.stderr
    )  # a busy machine: INVALID
    assert ElementTree.parse(tmp_path / JOB["artifacts"]["reports"]["junit"]).getroot().get("tests") in ("2", "3")
