"""Every shown figure of a real run against the same figure computed again from the Parquet files alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import plain_figures as plain
import pytest

from loadcell.cli.main import main


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """The embedded engine, whose pace depends on how many it serves."""
    words = [sys.executable, "-m", "loadcell", "serve", "--port", "0", "--ttft", "20ms", "--itl", "4ms"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2]
        process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    "load", [("--concurrency", "8"), ("--rate", "20"), ("--rate", "20", "--concurrency", "32", "--no-keep-load")]
)
def test_every_figure_agrees(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], load: tuple[str, ...]
) -> None:
    folder = tmp_path / "run"
    words = ["--duration", "6s", "--output-tokens", "uniform:10,60", "--input-tokens", "32", "--json"]
    main(["run", engine, *load, *words, "--output", str(folder), "--no-html", "--force"])
    result = json.loads(capsys.readouterr().out)
    loop, window = result["methodology"]["loop"], result["methodology"]["window"]
    requests, chunks = plain.read(folder, "requests"), plain.read(folder, "chunks")
    assert len([r for r in requests if r["counted"] is not False and r["status"] == "ok"]) > 50

    theirs = plain.latencies(requests, chunks, loop, (window["start_s"], window["end_s"]))
    for name, mine in theirs.items():
        metric, anchor = name.split(".")
        shown = result["latency"][metric][anchor]
        assert shown["n"] == mine["n"], name
        for percentile in ("p50", "p90", "p95", "p99"):
            value = mine[percentile]
            close = value and pytest.approx(value, rel=2e-5)  # None of fewer samples than show it
            assert shown[percentile]["value"] == close, (name, percentile)
        for figure in ("mean", "sd", "max"):
            assert shown[figure] == pytest.approx(mine[figure], rel=2e-5), (name, figure)

    rates = result["throughput"]
    assert rates["requests_counted"] == "by life"
    span = rates["from_s"], rates["to_s"]
    for figure, value in plain.rates(requests, chunks, span).items():
        assert rates[figure] == pytest.approx(value, rel=1e-6), figure
