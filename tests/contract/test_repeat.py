"""`loadcell run --repeat`: several runs of one spec, kept and compared, whatever ends them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import HANG, Received, clean, json_reply, serve

from loadcell.cli.main import main
from loadcell.recording.read import open_recording

SHORT = ("--requests", "6", "--concurrency", "2", "--output-tokens", "4", "--ramp", "0")
Load = Callable[..., tuple[int, str, str]]


@pytest.fixture
def load(capsys: pytest.CaptureFixture[str]) -> Load:
    """`loadcell run`: exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["run", *map(str, words)])
        return code, *capsys.readouterr()

    return run


def test_each_run_has_its_folder_and_its_prompts(tmp_path: Path, load: Load) -> None:
    """Other prompts of the same lengths, so that no prefix cache knows them."""
    words = (*SHORT, "--input-tokens", "uniform:20,40", "--repeat", "3", "--force", "--slo", "ttft=5s")
    with serve() as server:
        code, out, err = load(server.url, *words, "--output", tmp_path / "set")
        received = server.load
    assert code in (0, 4) and err == ""
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["1", "2", "3"]
    recordings = [open_recording(tmp_path / "set" / name) for name in "123"]
    assert [recording.spec.run.repetition for recording in recordings] == [0, 1, 2]
    assert len({recording.manifest.schedule_hash for recording in recordings}) == 1
    assert len({recording.manifest.bodies_hash for recording in recordings}) == 3
    lengths = [recording.schedule(("input_tokens",))["input_tokens"].tolist() for recording in recordings]
    assert lengths[0] == lengths[1] == lengths[2]
    assert len({request.body for request in received}) == len(received) == 18
    lines = out.splitlines()
    for number in (1, 2, 3):
        (line,) = [line for line in lines if line.startswith(f" run {number} of 3: TTFT p50 ")]
        assert " p99 n/a ms" in line and "tokens/s" in line
    table = "\n".join(lines)
    for figure in ("TTFT p50, ms", "TPOT p99, ms", "ITL p50, ms", "E2E p50, ms", "Goodput, requests/s", "3 runs"):
        assert figure in table, figure
    assert lines.index(line) < next(i for i, text in enumerate(lines) if "median" in text)
    assert max(map(len, lines[3:-2])) <= 80  # the last two name folders


def test_a_repetition_given_by_hand_is_the_first(tmp_path: Path, load: Load) -> None:
    with serve() as server:
        load(server.url, *SHORT, "--set", "run.repetition=7", "--repeat", "2", "--output", tmp_path / "set")
    assert [open_recording(tmp_path / "set" / name).spec.run.repetition for name in "12"] == [7, 8]


def test_as_json(tmp_path: Path, load: Load) -> None:
    with serve() as server:
        code, out, err = load(server.url, *SHORT, "--repeat", "2", "--json", "--force", "--output", tmp_path / "set")
    assert code in (0, 4) and err.count("run ") >= 2
    tree = json.loads(out)
    ids = [open_recording(tmp_path / "set" / name).manifest.id for name in "12"]
    assert ([run["id"] for run in tree["runs"]], tree["asked"]) == (ids, 2)
    assert [run["repetition"] for run in tree["runs"]] == [0, 1]
    rows = {(f["metric"], f["statistic"]): f for f in tree["figures"]}
    ttft = rows["ttft_ms", "p50"]
    # On a machine that is busy with other things, a run's own budget may leave its TTFT open.
    assert len(ttft["values"]) == 2 and (ttft["between_range"] is not None) is (None not in ttft["values"])
    p99 = rows["ttft_ms", "p99"]
    assert (p99["values"], p99["median"], p99["within"], p99["between_sd"]) == ([None, None], None, None, None)


def test_a_recorded_run_several_times(tmp_path: Path, load: Load) -> None:
    with serve() as server:
        load(server.url, *SHORT, "--output", tmp_path / "a")
        _, _, err = load(tmp_path / "a", "--repeat", "2", "--output", tmp_path / "set")
    assert err.count("same schedule") == 1 and err.count("another schedule") == 0  # said once, of the first
    one, two = (open_recording(tmp_path / "set" / name).manifest for name in "12")
    assert any("same schedule" in note for note in one.notes)
    assert any("run.repetition 0 -> 1" in note for note in two.notes)


def test_a_folder_that_holds_files_is_refused_before_any_load(tmp_path: Path, load: Load) -> None:
    (tmp_path / "set" / "2").mkdir(parents=True)
    with serve() as server:
        code, out, err = load(server.url, *SHORT, "--repeat", "2", "--output", tmp_path / "set")
        assert server.received == []
    assert (code, out) == (1, "") and "already holds files: give --output a new folder" in err


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5", ""])
def test_counts_that_are_none(load: Load, count: str) -> None:
    code, _, err = load("http://127.0.0.1:9", f"--repeat={count}")
    assert code == 2 and "--repeat" in err and "--repeat 5" in err


def test_runs_that_ended_before_an_error_are_summarised(tmp_path: Path, load: Load) -> None:
    """The server goes away after the first run."""
    gone = False

    def probe(_: Received) -> list[Any]:
        return [json_reply({"error": "gone"}, 401)] if gone else clean()

    def script(request: Received) -> list[Any]:
        nonlocal gone
        gone = gone or request.number == 5
        return clean()

    with serve(script, probe=probe) as server:
        code, out, err = load(server.url, *SHORT, "--repeat", "3", "--output", tmp_path / "set")
    assert code == 1
    assert "loadcell: run 2 of 3: " in err and "OPENAI_API_KEY" in err
    assert "1 of 3 runs" in out
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["1"]


def test_an_error_in_the_first_run_is_just_that(tmp_path: Path, load: Load) -> None:
    with serve(probe=lambda _: [json_reply({"error": "no"}, 401)]) as server:
        code, out, err = load(server.url, *SHORT, "--repeat", "3", "--output", tmp_path / "set")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert not (tmp_path / "set").exists()


def test_an_interruption_keeps_and_summarises_what_ended(tmp_path: Path) -> None:
    """Ctrl-C in the second run, which hangs."""
    runs = 0

    def script(request: Received) -> list[Any]:
        nonlocal runs
        runs += request.number == 0
        return clean() if runs < 2 else [HANG]

    with serve(script) as server:
        words = ["run", server.url, *SHORT, "--input-tokens", "8", "--repeat", "3", "--output", str(tmp_path / "set")]
        process = subprocess.Popen(
            [sys.executable, "-m", "loadcell", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        while runs < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert first.startswith(" run 1 of 3: ")
    assert ("1 of 3 runs" in out and "cannot tell how runs differ" in out) or "not shown" in out
    assert "run 2 of 3: interrupted" in err
    assert open_recording(tmp_path / "set" / "1").manifest.state == "complete"
    assert open_recording(tmp_path / "set" / "2").manifest.state == "interrupted"
    assert not (tmp_path / "set" / "3").exists()
