from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made import MS, failed_request, ok_request

from loadcell.cli import report
from loadcell.errors import RecordingError, UsageError
from loadcell.metrics import Verdict, build_result
from loadcell.recording.read import Recording
from loadcell.report.words import words_for

Make = Callable[..., Recording]


def run(*argv: str | Path) -> int:
    parser = argparse.ArgumentParser()
    report.configure(parser)
    return report.run(parser.parse_args([str(arg) for arg in argv]))


def test_it_prints_the_result_for_people(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run(make([ok_request(0)]).path)
    assert "1 planned = 1 ok" in capsys.readouterr().out


def test_another_slo_and_window_are_a_new_read(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = make([ok_request(0), ok_request(1, start_ms=2000)]).path
    run(path, "--slo", "ttft=40ms", "--window", "1s,3", "--json", "--force")
    result = json.loads(capsys.readouterr().out)
    assert result["goodput"]["good"] == 0
    assert result["methodology"]["window"]["start_s"] == 1
    assert result["counts"]["window"]["planned"] == 1


def test_csv(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run(make([ok_request(0)]).path, "--csv")
    assert capsys.readouterr().out.startswith("metric,anchor,statistic,unit,value,low,high,n,open,needs\n")


def test_after_a_run_it_says_where_the_recording_lies(
    make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    recording = make([ok_request(0)])
    report.show(build_result(recording), recording.path, words_for("en"))
    assert f"loadcell report {recording.path}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "invalid", "ok", "plain", "strict"),
    [
        ("VALID", [], 1, 0, 0),
        ("SUSPECT", [], 1, 0, 3),
        ("INVALID", [], 1, 4, 4),
        ("VALID", ["the disk was full"], 1, 4, 4),
        ("INVALID", [], 0, 1, 1),
        ("INVALID", ["a worker died"], 0, 4, 4),
    ],
)
def test_exit_codes(
    make: Make, monkeypatch: pytest.MonkeyPatch, word: Any, invalid: list[str], ok: int, plain: int, strict: int
) -> None:
    recording = make([ok_request(0) if ok else failed_request(0, "timeout")])
    judged = msgspec.structs.replace(
        build_result(recording), verdict=Verdict(word=word, reasons=[], checks=[]), invalid=invalid
    )
    monkeypatch.setattr("loadcell.metrics.build_result", lambda *_: judged)
    assert (run(recording.path, "--json"), run(recording.path, "--strict", "--csv")) == (plain, strict)
    assert (run(recording.path, "--force"), run(recording.path)) == (plain, plain)


@pytest.mark.parametrize("form", [["--json"], ["--csv"], []])
def test_an_invalid_result_shows_its_figures_and_says_why_they_are_doubtful(
    make: Make, capsys: pytest.CaptureFixture[str], form: list[str]
) -> None:
    rows = [ok_request(i, start_ms=300 * i, first_any_ns=int((300 * i + 57.25) * MS)) for i in range(6)]
    recording = make(rows, invalid=["the disk was full"])

    def shown(*words: str) -> str:
        assert run(recording.path, *form, *words) == 4
        return capsys.readouterr().out

    text = shown()
    assert "57.25" in text  # TTFT
    assert "the disk was full" in text or form == ["--csv"]
    assert shown("--force") == text, "accepted, as scripts may give it"


def test_a_folder_of_recordings_names_the_newest(make: Make, tmp_path: Path) -> None:
    path = make([ok_request(0)], started_at="2026-01-01T00:00:00+00:00").path
    shutil.copytree(path, tmp_path / "newer")
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
