"""The folder of a run: one process at a time, nothing lost, nothing left of a run that never began."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadcell.errors import RecordingError
from loadcell.mlperf.folder import PROBE, PROMPTS, RUN
from loadcell.recording.campaign import is_whole


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with RUN.own(folder, resume=False), pytest.raises(RecordingError, match="another process is at work"):
        RUN.own(folder, resume=True).__enter__()


def test_a_folder_with_other_things_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RecordingError, match="give --output a new folder"), RUN.own(tmp_path, resume=False):
        pass
    (tmp_path / RUN.file).write_text("{}")
    with pytest.raises(RecordingError, match="--resume"), RUN.own(tmp_path, resume=False):
        pass
    assert (tmp_path / "mine.txt").read_text() == "x" and RUN.there(tmp_path)


@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_never_began_leaves_nothing(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "a" / "run"
    if there:
        folder.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), RUN.own(folder, resume=False):
        (folder / PROMPTS).write_text("x")
        (folder / PROBE).mkdir()
        raise KeyboardInterrupt
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == (["a", "a/run"] if there else [])


@pytest.mark.parametrize("name", ["performance", "peak"])
def test_what_was_recorded_stays(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), RUN.own(folder, resume=False):
        (folder / PROMPTS).write_text("x")
        (folder / name).mkdir()
        raise KeyboardInterrupt
    assert (folder / PROMPTS).exists() and (folder / name).exists()


def test_going_on_never_deletes(tmp_path: Path) -> None:
    (tmp_path / PROMPTS).write_text("x")
    with pytest.raises(KeyboardInterrupt), RUN.own(tmp_path, resume=True):
        raise KeyboardInterrupt
    assert (tmp_path / PROMPTS).exists()


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name, said in (("gone", "no such folder"), ("file", "a file"), ("", "no mlperf.json")):
        with pytest.raises(RecordingError, match=said):
            RUN.read(tmp_path / name)


def test_a_damaged_recording_is_not_whole(tmp_path: Path) -> None:
    assert not is_whole(tmp_path / "gone")
    (tmp_path / "recording.json").write_text("{")
    assert not is_whole(tmp_path)
