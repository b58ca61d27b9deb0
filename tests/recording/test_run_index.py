"""Where recordings were written is remembered: wherever that was, by several processes at once, and at no cost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loadcell.errors import RecordingError
from loadcell.recording.claim import output_folder
from loadcell.recording.index import remember, remembered
from loadcell.recording.query import find_recordings


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state of its own; where it is kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state" / "loadcell" / "recordings.list"


@pytest.fixture
def made(tmp_path: Path) -> Callable[[str], Path]:
    """A folder that looks like a recording."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "recording.json").write_text("{}")
        return folder

    return make


def test_the_last_written_comes_first_and_each_once(made: Callable[[str], Path], state: Path) -> None:
    a, b = made("a"), made("deep/b c\n\N{SNOWMAN}%")
    for folder in (a, b, a):
        remember(folder)
    assert remembered() == [a, b]
    assert state.read_bytes().count(b"\n") == 3, "a line each, whatever the name"


def test_folders_that_are_gone_drop_out_and_come_back(made: Callable[[str], Path]) -> None:
    a, b = made("a"), made("b")
    remember(a)
    remember(b)
    shutil.move(b, "elsewhere")
    assert remembered() == [a]
    shutil.move("elsewhere", b)
    assert remembered() == [b, a]


def test_what_holds_no_recording_is_not_remembered(tmp_path: Path, made: Callable[[str], Path]) -> None:
    """Else `--output ~`, which is refused, would have all of a home looked through."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "file").write_text("x")
    made("home/far/too/deep")
    remember(tmp_path / "home")
    remember(tmp_path / "missing")
    assert remembered() == []
    made("again/1")
    remember(Path("again"))
    assert remembered() == [tmp_path / "again"]


def test_lines_that_are_none_are_left_out(made: Callable[[str], Path], state: Path) -> None:
    a = made("a")
    remember(a)
    with state.open("ab") as file:
        file.write(b"relative\n\xff\xfe\n/no%00where\n" + b"/" + b"x" * 5000 + b"\n\n/tor")
    assert remembered() == [a]


@pytest.mark.usefixtures("processes")
def test_many_processes_at_once_lose_no_line(tmp_path: Path, made: Callable[[str], Path]) -> None:
    folders = [made(f"run-{number}") for number in range(40)]
    code = "import sys, pathlib\nfrom loadcell.recording.index import remember\n"
    code += "for name in sys.argv[1:]: remember(pathlib.Path(name))"
    parts = [subprocess.Popen([sys.executable, "-c", code, *map(str, folders[i::4])]) for i in range(4)]
    assert [process.wait() for process in parts] == [0] * 4
    assert set(remembered()) == set(folders)


@pytest.mark.parametrize("kind", ["a file in the way", "no home"])
def test_a_state_that_cannot_be_written_fails_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "no home":
        monkeypatch.delenv("XDG_STATE_HOME")

        def homeless() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", homeless)
    else:
        (tmp_path / "file").write_text("x")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with output_folder(None, "recordings") as folder:
        (folder / "recording.json").write_text("{}")
    assert folder.is_dir() and remembered() == []


def test_a_run_that_fails_is_remembered_if_it_left_a_recording(made: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(RecordingError), output_folder(str(tmp_path / "none"), "recordings"):
        raise RecordingError("refused")
    with pytest.raises(KeyboardInterrupt), output_folder(str(made("kept")), "recordings"):
        raise KeyboardInterrupt
    assert remembered() == [tmp_path / "kept"]


def test_a_query_finds_them_wherever_they_are(made: Callable[[str], Path], tmp_path: Path) -> None:
    here, below, far = made("here/recordings/one"), made("here/out/two"), made("far/three")
    os.chdir(tmp_path / "here")
    with pytest.raises(RecordingError, match="none is remembered"):
        shutil.move("recordings", "hidden")
        try:
            find_recordings([], lambda _: None)
        finally:
            shutil.move("hidden", "recordings")
    for folder in (here, below, far):
        remember(folder)
    found = find_recordings([], lambda _: None)
    assert found == [Path("recordings/one"), far, Path("out/two")]
    assert find_recordings([Path("out")], lambda _: None) == [Path("out/two")], "what is named is all that is read"
