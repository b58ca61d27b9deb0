from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made import ok_request

from loadcell.cli import report
from loadcell.errors import RecordingError, UsageError
from loadcell.metrics import build_result
from loadcell.recording.read import Recording

Make = Callable[..., Recording]


def run(*argv: str | Path) -> int:
    parser = argparse.ArgumentParser()
    report.configure(parser)
    return report.run(parser.parse_args([str(arg) for arg in argv]))


def test_it_prints_the_result_for_people(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(make([ok_request(0)]).path) == 0
    assert "1 planned = 1 ok" in capsys.readouterr().out


def test_another_slo_and_window_are_a_new_read(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = make([ok_request(0), ok_request(1, start_ms=2000)]).path
    run(path, "--slo", "ttft=40ms", "--window", "1s,3", "--json")
    result = json.loads(capsys.readouterr().out)
    assert result["goodput"]["good"] == 0
    assert result["methodology"]["window"]["start_s"] == 1
    assert result["counts"]["window"]["planned"] == 1


def test_csv(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run(make([ok_request(0)]).path, "--csv")
    assert capsys.readouterr().out.startswith("metric,anchor,statistic,unit,value,low,high,n\n")


def test_after_a_run_it_says_where_the_recording_lies(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    recording = make([ok_request(0)])
    report.show(build_result(recording), recording.path)
    assert f"loadcell report {recording.path}" in capsys.readouterr().out


def test_a_folder_of_recordings_names_the_newest(make: Make, tmp_path: Path) -> None:
    path = make([ok_request(0)], started_at="2026-01-01T00:00:00+00:00").path
    shutil.copytree(path, tmp_path / "older")
    manifest = tmp_path / "older" / "recording.json"
    manifest.write_text(manifest.read_text().replace("2026-01-01T00:00:00+00:00", "2025-12-31T23:00:00-05:00"))
    with pytest.raises(UsageError, match=r"holds 2 recordings; .*loadcell report .*older"):
        run(tmp_path)


@pytest.mark.parametrize("window", ["5", "5,", "a,b", ",5"])
def test_a_window_that_is_none_is_refused(make: Make, window: str) -> None:
    with pytest.raises(UsageError):
        run(make([ok_request(0)]).path, "--window", window)


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="not a recording"):
        run(tmp_path)
