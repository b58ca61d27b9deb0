"""Every shown figure of a real run against the same figure computed again from the Parquet files alone."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import plain_figures as plain
import pytest
from contract_runs import run_once
from scripted import Received, Step, clean, json_reply, serve

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
        if metric != "itl_ms":  # gaps come in clusters: theirs is another interval
            within = plain.interval_of_mean(mine["samples"])
            assert within is not None
            ends = shown["mean_interval"]["low"], shown["mean_interval"]["high"]
            assert ends == pytest.approx(within, rel=1e-6), name

    rates = result["throughput"]
    assert rates["requests_counted"] == "by life"
    span = rates["from_s"], rates["to_s"]
    for figure, value in plain.rates(requests, chunks, span).items():
        assert rates[figure] == pytest.approx(value, rel=1e-6), figure


def test_percentiles_with_failures_agree(tmp_path: Path) -> None:
    """Every ninth request fails, at once: with it as infinitely late the upper percentiles are another's, or none's."""

    def script(request: Received) -> list[Step]:
        return [json_reply({"error": "no"}, 500)] if request.number % 9 == 8 else clean(5)

    with serve(script) as server:
        result = run_once(server.url, tmp_path / "run", requests=150, concurrency=4, output_tokens="5").result
    folder, window = tmp_path / "run", result.methodology.window
    requests = plain.read(folder, "requests")
    theirs = plain.latencies(requests, plain.read(folder, "chunks"), "closed", (window.start_s, window.end_s))
    failed = result.counts.window.failed
    assert failed > 10
    for metric in ("ttft_ms", "e2e_ms"):
        summary = result.latency[metric].service
        assert summary.failed == failed
        for name, value in plain.with_failures(theirs[f"{metric}.service"]["samples"], failed).items():
            shown = summary.with_failures.get(name)
            if value is None:
                assert shown is None
            else:
                assert shown is not None and shown.infinite == (value == math.inf)
                assert shown.infinite or shown.value == pytest.approx(value, rel=1e-9), (metric, name)
