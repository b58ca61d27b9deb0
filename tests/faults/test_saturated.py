"""A server that cannot carry the load: asked for, the run ends early and says why; a server that can is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from engine_client import Start

from loadcell.cli.main import main
from loadcell.metrics import build_result
from loadcell.recording.read import open_recording


def run(engine_port: int, folder: Path, *flags: str) -> int:
    words = [
        "--input-tokens",
        "8",
        "--output-tokens",
        "10",
        "--shared-host",
        "--observe-every",
        "0",
        "--full",
        "--output",
    ]
    return main(["run", f"http://127.0.0.1:{engine_port}", *flags, *words, str(folder)])


def test_an_overload_ends_early(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two slots of 95 ms a request carry 21 requests/s."""
    engine = start("--slots", "2", "--ttft", "50ms", "--itl", "5ms")
    code = run(engine.port, tmp_path / "run", "--rate", "50", "--duration", "60s", "--stop-when-saturated")
    assert code in (0, 4), "as any unstable run: the client's own trouble may make it INVALID"
    out = " ".join(capsys.readouterr().out.split())
    result = build_result(open_recording(tmp_path / "run"))
    stopped, counts = result.run.stopped, result.counts.run
    assert stopped is not None and stopped.kind == "saturated" and stopped.cancelled
    assert 5 < stopped.at_s < 30
    assert f"Ended early after {stopped.at_s:.3g}" in out
    assert "saturated: the queue grew by" in out
    assert counts.planned == counts.ok + counts.cancelled and counts.cancelled > 20
    assert counts.unsent == counts.failed == 0
    assert result.counts.window.cancelled == 0
    assert result.run.state == "complete"
    assert result.steady.stable is False and result.steady.growth_per_s.value == pytest.approx(29, rel=0.3)
    words = {check.name: check.word for check in result.verdict.checks}
    assert (words["stability"], words["unsent"], words["accounting"]) == ("SUSPECT", "VALID", "VALID")
    assert any(reason.startswith("unstable: the queue gr") for reason in result.verdict.reasons)
    manifest = json.loads((tmp_path / "run" / "recording.json").read_bytes())
    assert manifest["stopped"]["reason"] == stopped.reason


def test_a_server_that_keeps_up_is_left_alone(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = start("--slots", "64", "--ttft", "50ms", "--itl", "5ms")
    run(engine.port, tmp_path / "run", "--rate", "50", "--duration", "6.5s", "--stop-when-saturated")
    result = build_result(open_recording(tmp_path / "run"))
    assert result.run.stopped is None
    assert result.counts.run.ok == result.counts.run.planned > 250
    assert "Ended early" not in capsys.readouterr().out


def test_in_a_closed_loop_it_means_nothing(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = start("--slots", "1", "--ttft", "5ms", "--itl", "1ms")
    run(engine.port, tmp_path / "run", "--concurrency", "4", "--requests", "20", "--stop-when-saturated")
    out = " ".join(capsys.readouterr().out.split())
    assert "stop_when_saturated has no meaning in it" in out
    assert build_result(open_recording(tmp_path / "run")).counts.run.ok == 20
