"""`loadcell selftest`: real loads against a real engine, tiny ones; what it prints, keeps and leaves behind."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from test_selftest_store import made

from loadcell.cli.main import main
from loadcell.errors import LoadcellError
from loadcell.metrics import SelfTest
from loadcell.report.render.terminal import show
from loadcell.report.view.selftest import selftest_section, stored_section
from loadcell.selftest import keep_selftest, ladder
from loadcell.selftest.ladder import Step
from loadcell.selftest.store import file_of
from loadcell.selftest.witness import engine

TIMES = "\N{MULTIPLICATION SIGN}"
TINY = (Step(2, 50, replies=2, reply_s=0.2), Step(4, 50, replies=2, reply_s=0.2))


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not be asked
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-the-engine")
    monkeypatch.setattr(ladder, "QUICK", TINY)
    return tmp_path / "state" / "loadcell" / "selftest"


@pytest.mark.usefixtures("alone")
def test_it_measures_prints_and_keeps(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--quick", "--json", "--output", str(tmp_path / "kept")]) == 0
    shown = capsys.readouterr()
    found = msgspec.json.decode(shown.out, type=SelfTest)
    assert [(r.streams, r.measured, r.failed) for r in found.rungs] == [(2, 1, 0), (4, 1, 0)]
    for rung, step in zip(found.rungs, TINY, strict=True):
        # No bound from above on the bias: the machine may be busy. But it is that of the same requests.
        assert rung.tokens_per_s <= step.asked_tokens_per_s * 1.1
        assert rung.engine_pace <= 1.01
        assert rung.bias["ttft"].p50_ms is not None
        assert rung.bias["ttft"].p50_ms > -0.5
        assert rung.cpu_us_per_token
    assert found.quick
    assert f"4 {TIMES} 50/s: " in shown.err
    (file,) = state.iterdir()
    assert json.loads(file.read_text()) == json.loads(shown.out)
    assert str(file) in shown.err
    recordings = sorted((tmp_path / "kept").iterdir())
    assert [p.name for p in recordings] == ["01", "02"]
    assert not any("sk-not-for" in p.read_text(errors="replace") for p in recordings[0].glob("*.json"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command to make a certificate with")
@pytest.mark.usefixtures("alone")
def test_with_tls_and_for_people(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its recordings go, and so does what it did to the environment."""
    monkeypatch.setattr(ladder, "QUICK", TINY[:1])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = dict(os.environ)
    assert main(["selftest", "--quick", "--tls", "--workers", "1"]) == 0
    assert not list(tmp_path.glob("loadcell-selftest-*"))
    assert dict(os.environ) == before
    shown = capsys.readouterr()
    assert "Within 1 %" in shown.out
    assert "TLS" in shown.out
    assert [json.loads(p.read_text())["tls"] for p in state.iterdir()] == [True]


@pytest.mark.usefixtures("alone")
def test_a_state_folder_that_cannot_be_written_is_said_and_the_result_still_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadcell.selftest.run_selftest", lambda *_: made())
    (tmp_path / "state").touch()
    assert main(["selftest", "--quick"]) == 0
    shown = capsys.readouterr()
    assert "Within 1 %" in shown.out
    assert "Not kept" in shown.out


def test_a_quick_one_does_not_replace_a_full_one(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadcell.selftest.run_selftest", lambda *_: made(quick=True))
    file = keep_selftest(made())
    before = file.read_bytes()
    assert main(["selftest", "--quick"]) == 0
    assert "Not kept: that of 2026-01-01" in capsys.readouterr().out
    assert file.read_bytes() == before


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--list"]) == 0
    assert "To make one: loadcell selftest" in capsys.readouterr().out
    file = keep_selftest(made())
    assert main(["selftest", "--list"]) == 0
    shown = capsys.readouterr().out
    assert file.name in shown
    assert "6,000" in shown
    assert main(["selftest", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [msgspec.to_builtins(made())]


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--workers", "0"], "give 1 or more"), (["--workers", "two"], "--workers"), (["--qick"], "--quick")],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert main(["selftest", *words]) == 2
    assert says in capsys.readouterr().err


def test_an_output_folder_with_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["selftest", "--output", str(tmp_path)]) == 1
    assert "already holds files" in capsys.readouterr().err


@pytest.mark.usefixtures("alone")
def test_an_engine_that_does_not_start_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LoadcellError, match="did not start"), engine("--slots", "none"):
        pass
    assert "--slots" in capfd.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("alone")
def test_an_interrupted_one_keeps_nothing_and_leaves_no_process(state: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "loadcell", "selftest", "--quick"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        children: set[int] = set()
        until_s = time.monotonic() + 30
        while len(children) < 2 and time.monotonic() < until_s:  # the engine and a load process
            children |= _children(process.pid)
            time.sleep(0.02)
        assert len(children) >= 2
        time.sleep(0.3)
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (130, "")
    assert errors.endswith("loadcell: interrupted\n")
    assert "Traceback" not in errors
    assert not state.exists()
    assert not [pid for pid in children if _runs_loadcell(pid)]


def _children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _runs_loadcell(pid: int) -> bool:
    try:
        return b"loadcell" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits(width: int) -> None:
    text = io.StringIO()
    selftest = made()
    console = Console(file=text, width=width)
    machine = selftest.machine | {"core": "Python"}
    kept = stored_section([(file_of(selftest.machine), made(quick=True, tls=True, machine=machine))], [])
    show([selftest_section(selftest, [1, 5, None]), kept], console)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in text.getvalue()
    assert f"256{TIMES}200/s" in text.getvalue()
    assert file_of(selftest.machine).name in text.getvalue()
    assert "TLS quick" in text.getvalue() and "Python  " in text.getvalue()
    assert any("50,027" in line and "> 5 %" in line for line in lines)
