"""Two commands at the same time: never in one folder, and each says that the other was there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
from scripted import Received, Step, clean, serve

from loadcell.cli.liveview import block, log_line
from loadcell.cli.main import main
from loadcell.errors import RecordingError
from loadcell.load.neighbours import Neighbour, neighbours
from loadcell.load.progress import Progress
from loadcell.recording import claim
from loadcell.recording.claim import claimed, locked, output_folder
from loadcell.recording.read import open_recording

pytestmark = pytest.mark.usefixtures("alone")

RUN = (sys.executable, "-m", "loadcell", "run")
SHORT = ("--input-tokens", "8", "--output-tokens", "4", "--workers", "1", "--json", "--no-html")


def start(where: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*RUN, *words], cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_runs_of_one_second_have_a_folder_each(tmp_path: Path) -> None:
    with serve() as a, serve() as b:
        both = [start(tmp_path, server.url, "--requests", str(n), *SHORT) for server, n in ((a, 3), (b, 5))]
        said = [run.communicate(timeout=60) for run in both]
    assert [json.loads(out)["counts"]["run"]["ok"] for out, _ in said] == [3, 5], said
    found = {len(open_recording(f).requests(["request"])["request"]): f for f in (tmp_path / "recordings").iterdir()}
    assert sorted(found) == [3, 5], "each recording has its own requests"
    assert {n: json.loads((f / "spec.json").read_text())["load"]["requests"] for n, f in found.items()} == {3: 3, 5: 5}


def test_one_folder_is_one_runs(tmp_path: Path) -> None:
    with serve() as a, serve() as b:
        both = [start(tmp_path, s.url, "--requests", "4", "--output", "same", *SHORT) for s in (a, b)]
        said = [run.communicate(timeout=60) for run in both]
        codes = [run.returncode for run in both]
    won = codes.index(min(codes, key=lambda code: code == 1))
    lost = 1 - won
    assert codes[lost] == 1 and codes[won] != 1, said
    assert "another process is at work in same" in said[lost][1] or "same already holds files" in said[lost][1]
    manifest = open_recording(tmp_path / "same").manifest
    assert manifest.effective["url"].startswith((a, b)[won].url)
    assert len([r for r in (a, b)[lost].received if r.number >= 0]) == 0, "the other one sent no load"


class _Stopped(datetime):
    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return datetime(2026, 1, 1, 12, 0, 0)


def test_names_of_one_second_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "datetime", _Stopped)
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        names = [stack.enter_context(output_folder(None, "recordings")) for _ in range(3)]
        assert [name.name for name in names] == ["20260101-120000", "20260101-120000-2", "20260101-120000-3"]
        (names[1] / "file").touch()
    assert list(Path("recordings").iterdir()) == [names[1]], "those that stayed empty are taken away"


def test_a_claim_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path / "a" / "b"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_who_loses_a_folder_does_not_take_it_away(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with claimed(folder):
        with pytest.raises(RecordingError, match="another process is at work"), claimed(folder):
            raise AssertionError
        assert folder.is_dir()
        (folder / "file").touch()
    with pytest.raises(RecordingError, match="already holds files"), claimed(folder):
        raise AssertionError
    assert (folder / "file").exists()


MLPERF = ("--benchmark", "llama3.1-8b", "--look-alike", "--quick")
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "run": lambda url: ["run", url, "--requests", "2", *SHORT],
    "repeat": lambda url: ["run", url, "--requests", "2", "--repeat", "2", *SHORT],
    "sweep": lambda url: ["sweep", url, "--rate", "5,6", *SHORT],
    "duel": lambda url: ["duel", url, url, "--requests", "20", "--json"],
    "audit": lambda _: ["audit", "true {url}", "--json"],
    "selftest": lambda _: ["selftest", "--quick", "--json"],
    "mlperf run": lambda url: ["mlperf", "run", url, "--scenario", "offline", *MLPERF],
    "mlperf accuracy": lambda url: ["mlperf", "accuracy", url, "--scenario", "offline", *MLPERF[:3]],
    "mlperf curve": lambda url: ["mlperf", "curve", url, *MLPERF],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_leaves_a_folder_at_work_alone(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "at-work"
    folder.mkdir()
    with serve() as server, locked(folder):
        assert main([*COMMANDS[command](server.url), "--output", str(folder)]) == 1
    assert f"another process is at work in {folder}" in capsys.readouterr().err
    assert list(folder.iterdir()) == []
    assert [r for r in server.received if r.number >= 0] == []


def test_two_loads_at_once_are_said_in_both(tmp_path: Path) -> None:
    """The second one starts while the first one runs: each of them learns of the other."""

    def held(_: Received) -> list[Step]:
        """The first load lasts until most of the second is over."""
        until(lambda: len(b.load) >= 16)
        return clean(4)

    with serve(held) as a, serve(lambda _: clean(4, ttft_s=0.1)) as b:
        first = start(tmp_path, a.url, "--requests", "2", "--output", "first", *SHORT)
        until(lambda: bool(a.load))
        second = start(tmp_path, b.url, "--requests", "20", "--concurrency", "1", "--output", "second", *SHORT)
        results = [json.loads(run.communicate(timeout=60)[0]) for run in (second, first)]
    for result, other, pid in ((results[0], a, first.pid), (results[1], b, second.pid)):
        words = f"another load came from this machine at the same time (process, endpoint: {pid} {other.url})"
        assert result["notes"][0].startswith(words)
    assert all(len(result["notes"][0].split(" http://")) == 2 for result in results)


def until(done: Callable[[], bool]) -> None:
    limit_s = time.monotonic() + 60
    while not done():
        assert time.monotonic() < limit_s
        time.sleep(0.02)


def test_a_load_alone_says_nothing_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with neighbours("http://a:1") as alone:
        alone.look()
        assert (alone.now, alone.notes()) == (0, [])
    assert list((tmp_path / "loadcell").iterdir()) == []


def test_what_a_killed_load_left_is_no_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "loadcell").mkdir(mode=0o700)
    left = tmp_path / "loadcell" / "tmpabc.load"
    left.write_text('{"pid": 1, "origin": "http://b:1"}')
    with neighbours("http://a:1") as alone:
        alone.look()
        assert (alone.now, left.exists()) == (0, False)


def test_loads_are_counted_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("loadcell.load.neighbours._LOOK_S", 0.0)
    with neighbours("http://a:1") as one:
        with neighbours("http://b:1"), neighbours("http://c:1"):
            one.look()
            assert one.now == 2
        one.look()
        assert (one.now, set(one.seen)) == (0, {Neighbour(os.getpid(), f"http://{host}:1") for host in "bc"})


@pytest.mark.parametrize("spoil", ["link", "open to all"])
def test_a_place_of_others_is_not_believed(spoil: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    place, other = tmp_path / "loadcell", tmp_path / "other"
    other.mkdir()
    if spoil == "link":
        place.symlink_to(other)
    else:
        place.mkdir()
        place.chmod(0o777)
    with neighbours("http://a:1") as one:
        one.look()
        (note,) = one.notes()
    assert note.startswith("whether other loads ran on this machine cannot be told:") and str(place) in note
    assert list(other.iterdir()) == []


def test_the_live_view_shows_other_loads() -> None:
    now = Progress("load", 5.0, planned=10, issued=3, ok=2, users=4, beside=1)
    assert "1 other load on this machine" in log_line(now)
    assert any("1 other load on this machine" in text for line in block(now, (), 100) for text, _ in line)
    assert "on this machine" not in log_line(Progress("load", 5.0, planned=10, issued=3, ok=2, users=4))


def test_two_writers_of_one_page_leave_a_whole_one(tmp_path: Path) -> None:
    from loadcell.report.files import write_text

    path = tmp_path / "report.html"
    texts = [letter * 200_000 for letter in "abcd"]
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
