"""What an addition costs: each is made in a copy of the package, by the files that architecture.md names, and used.

An API of its own is made in protocol/test_made_up_api.py, without any file of ours.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from made_run import row, write_recording

import loadcell

SOURCE = Path(loadcell.__file__).parent

METRIC = {
    "metrics/glossary.py": (
        "_METRICS = (\n",
        """_METRICS = (
    Metric(
        name="tail", title="TAIL", unit="ms", formula="last - first_any", meaning="How long a reply goes on.",
        blind="Pauses.", source=_RECORD, latency="compared",
    ),
""",
    ),
    "metrics/latency.py": (
        '    return {\n        "ttft": ',
        '    tail = rows.last - rows.first_any\n    return {\n        "tail": (tail, tail),\n        "ttft": ',
    ),
}
CHART = {
    "report/charts/dots.py": (
        "",
        """from loadcell.metrics import Result
from loadcell.report.charts.model import Chart
from loadcell.report.words import Words


def dots(result: Result, words: Words) -> Chart:
    return Chart(name="dots", title="Dots of requests", says="", alt="", spec=None, missing="No dots today.")
""",
    ),
    "report/charts/run.py": (
        "    return [\n",
        "    from loadcell.report.charts.dots import dots\n\n    return [\n        dots(result, words),\n",
    ),
}
LANGUAGE = {
    "report/words/eo.yaml": (
        "",
        """name: esperanto
numbers: {decimal: ",", thousands: " ", before_percent: " ", currency: ["", " €"]}
singular: {}
words: {"Latency": "Latenteco"}
""",
    ),
}
ROUND = {
    "mlperf/rules/v7.0.yaml": (
        "",
        """round: v7.0
seeds: {qsl_rng_seed: 1, sample_index_rng_seed: 2, schedule_rng_seed: 3}
benchmarks:
  llama3.1-8b: {like: v6.1/llama3.1-8b}
""",
    ),
}


def changed(target: Path, edits: Mapping[str, tuple[str, str]]) -> Path:
    """A copy of the package in which each file has one place changed, or is new; what to put on the path."""
    package = target / "loadcell"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in edits.items():
        file = package / name
        assert file.exists() == bool(old), name
        text = file.read_text(encoding="utf-8") if old else ""
        assert text.count(old) == 1 or not old, name
        file.write_text(text.replace(old, new) if old else new, encoding="utf-8")
    return target


def say(path: Path, *argv: str | Path, status: int = 0) -> str:
    """What the command of the package on that path prints; its error, where it is to end with one."""
    done = subprocess.run(
        [sys.executable, "-m", "loadcell", *map(str, argv)],
        env={**os.environ, "PYTHONPATH": str(path), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recordings")
    rows = [row(i, 20 * i, tokens=11 + i % 3) for i in range(300)]
    return [write_recording(folder / name, rows, range(300)).path for name in "ab"]


def test_a_metric_takes_two_files_and_shows_everywhere(tmp_path: Path, recordings: list[Path], processes: None) -> None:
    assert len(METRIC) == 2
    there = changed(tmp_path, METRIC)
    run, other = recordings
    result = json.loads(say(there, "report", run, "--json"))
    assert result["latency"]["tail_ms"]["service"]["p50"]["value"] == pytest.approx(220)
    for form, name in (("--full", "TAIL"), ("--md", "TAIL"), ("--csv", "tail")):
        assert name in say(there, "report", run, form)
    say(there, "report", run, "--html", "--output", tmp_path / "run.html")
    assert "TAIL" in (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "TAIL" in say(there, "compare", run, other)


def test_a_chart_takes_its_file_and_its_place(tmp_path: Path, recordings: list[Path], processes: None) -> None:
    assert len(CHART) == 2
    say(changed(tmp_path, CHART), "report", recordings[0], "--html", "--output", tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "Dots of requests" in page
    assert "No dots today." in page


def test_a_language_takes_one_file(tmp_path: Path, recordings: list[Path], processes: None) -> None:
    assert len(LANGUAGE) == 1
    there = changed(tmp_path, LANGUAGE)
    say(there, "report", recordings[0], "--html", "--output", tmp_path / "run.html", "--lang", "eo")
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "Latenteco" in page
    assert '<html lang="eo"' in page


def test_a_round_takes_one_file(tmp_path: Path, processes: None) -> None:
    assert len(ROUND) == 1
    there = changed(tmp_path, ROUND)
    asked = ("mlperf", "run", "http://localhost", "--scenario", "offline", "--round", "v7.0", "--benchmark")
    assert "v7.0 has llama3.1-8b" in say(there, *asked, "whisper", status=2)
