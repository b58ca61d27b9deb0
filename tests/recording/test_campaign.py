"""The folder of a campaign: whose it is, what its plan asks for, what of it is whole."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadcell.errors import RecordingError, UsageError
from loadcell.recording.campaign import Campaign, all_set_aside, is_set_aside, keep_whole, set_aside, set_aside_of


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    format: int = 1
    loadcell: str = "1"
    steps: list[dict[str, int]] = []
    rate: float | None = None
    size: int = 3
    sized: int = 0


def asked(plan: Plan) -> dict[str, Any]:
    return {"load": {"rate": plan.rate, "size": plan.size}, "steps": plan.steps}


WALK = Campaign(
    noun="a walk", part="a step", command="loadcell walk", place="walks", file="walk.json", form=Plan, newest=1,
    asked=asked, prepared=("shoes",),
)  # fmt: skip


def test_what_a_person_asks_for_must_be_the_same(tmp_path: Path) -> None:
    plan = Plan(rate=2.5, steps=[{"a": 1}, {"a": 2}])
    assert WALK.keep(tmp_path, plan) == plan
    assert WALK.keep(tmp_path, msgspec.structs.replace(plan, loadcell="2", sized=9)) == plan
    for other, words in (
        ({"rate": None}, "load.rate 2.5 -> none"),
        ({"size": 4, "rate": 1.0}, "load.rate 2.5 -> 1; load.size 3 -> 4"),
        ({"steps": [{"a": 1}, {"a": 3}]}, r"the steps \(2 -> 2, from step 2 on\)"),
        ({"steps": [{"a": 1}]}, r"the steps \(2 -> 1\)"),
    ):
        with pytest.raises(UsageError, match=f"holds a walk of another plan: {words}. Give the flags"):
            WALK.keep(tmp_path, msgspec.structs.replace(plan, **other))
    assert WALK.read(tmp_path) == plan


def test_many_differences_are_counted(tmp_path: Path) -> None:
    many = dataclasses.replace(WALK, asked=lambda plan: {f"f{i}": plan.size for i in range(7)})
    assert many.keep(tmp_path, Plan()) == Plan()
    with pytest.raises(UsageError, match="f3 3 -> 4 and 3 more"):
        many.keep(tmp_path, Plan(size=4))


def test_a_plan_of_the_version_before_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "walk.json").write_text('{"format": 1, "loadcell": "0.1", "rate": 2}')  # it knew no size
    assert WALK.keep(tmp_path, Plan(rate=2)).size == 3


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone", "is not a walk: there is no such folder"),
        ("file", "is not a walk but a file"),
        ("run", "is the recording of one run: see it with loadcell report"),
        ("walk/1", "recording of one run; it is a step of .*walk: see"),
        (".", r"it has no walk\.json; name the folder that loadcell walk wrote"),
    ],
)
def test_what_is_none_is_said(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "file").touch()
    for run in ("run", "walk/1"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "recording.json").touch()
    WALK.write(tmp_path / "walk", Plan())
    with pytest.raises(RecordingError, match=says):
        WALK.read(tmp_path / name)


@pytest.mark.parametrize("more", [False, True])
def test_after_an_error_only_what_was_recorded_stays(tmp_path: Path, more: bool) -> None:
    folder = tmp_path / "a" / "walk"
    with pytest.raises(KeyboardInterrupt), WALK.own(folder, resume=True):  # there is nothing to go on with
        WALK.keep(folder, Plan())
        (folder / "shoes").mkdir()
        if more:
            (folder / "1").mkdir()
        raise KeyboardInterrupt
    assert folder.exists() is more and WALK.there(folder) is more
    if more:
        with pytest.raises(KeyboardInterrupt), WALK.own(folder, resume=True):
            (folder / "1").rmdir()
            raise KeyboardInterrupt
        assert WALK.there(folder), "what was there before is never taken away"


def test_a_folder_that_is_not_new_is_offered_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(RecordingError, match="files: give --output a new folder"), WALK.own(tmp_path, resume=False):
        pass
    WALK.write(tmp_path, Plan())
    with pytest.raises(RecordingError, match="those of a walk; give --resume"), WALK.own(tmp_path, resume=False):
        pass


def test_what_is_not_whole_is_set_aside_and_kept(tmp_path: Path) -> None:
    part = tmp_path / "001-a"
    assert not keep_whole(part) and not list(tmp_path.iterdir())
    for number in (1, 2):
        part.mkdir()
        (part / "recording.json").write_text("{" * number)
        assert not keep_whole(part) and not part.exists()
        assert (tmp_path / f"001-a.cut-{number}" / "recording.json").read_text() == "{" * number
    (tmp_path / "001-a.cut-off").mkdir()
    (tmp_path / "001-ab").mkdir()
    assert set_aside(tmp_path / "001-ab").name == "001-ab.cut-1"
    assert [path.name for path in set_aside_of(part)] == ["001-a.cut-1", "001-a.cut-2"]
    assert len(all_set_aside(tmp_path)) == 3 and not is_set_aside("001-a.cut-1.old")
    with pytest.raises(RecordingError, match="cannot set"):
        set_aside(part)
    shutil.rmtree(tmp_path / "001-a.cut-1")  # somebody tidied up
    part.mkdir()
    assert set_aside(part).name == "001-a.cut-3"
