"""What is found in a folder of recordings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from made_library import edit_manifest, small_run, small_sweep

from loadcell.browse import listing as rooms
from loadcell.browse.listing import outside, scan
from loadcell.errors import RecordingError


def ids(folder: Path) -> list[str]:
    return [entry.id for entry in scan(folder).entries]


def test_recordings_are_found_at_every_level_newest_first(tmp_path: Path) -> None:
    small_run(tmp_path / "old", day=1)
    small_run(tmp_path / "a" / "b" / "newest", day=9)
    small_run(tmp_path / "a" / "middle", day=5)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("none")
    assert ids(tmp_path) == ["a/b/newest", "a/middle", "old"]


def test_a_recording_is_listed_by_its_own_folder_too(tmp_path: Path) -> None:
    entry = scan(small_run(tmp_path / "run")).entries[0]
    assert (entry.id, entry.kind, entry.trouble) == (".", "run", None)


def test_repeats_and_stages_stand_inside_their_folder(tmp_path: Path) -> None:
    for number in range(1, 12):
        small_run(tmp_path / "again" / str(number), day=number, n=1)
    small_run(tmp_path / "alone" / "1")
    small_run(tmp_path / "days" / "20260101")
    small_run(tmp_path / "days" / "20260102")
    small_sweep(tmp_path / "grid", (1, 2, 4), day=20)
    found = {entry.id: entry for entry in scan(tmp_path).entries}
    assert {id: entry.kind for id, entry in found.items()} == {
        "again": "repeats", "alone/1": "run", "grid": "sweep", "days/20260101": "run", "days/20260102": "run",
    }  # fmt: skip
    assert [run.id for run in found["again"].inside] == [f"again/{number}" for number in range(1, 12)]
    assert [run.id for run in found["grid"].inside] == [
        f"grid/{i:03}-concurrency-{n}" for i, n in ((1, 1), (2, 2), (3, 4))
    ]
    assert found["again"].started == found["again"].inside[0].started


def test_what_is_wrong_is_said_in_words(tmp_path: Path) -> None:
    for name in ("cut", "newer", "bare", "deep", "text"):
        small_run(tmp_path / name)
    (tmp_path / "cut" / "recording.json").write_text('{"format": 3, "lo')
    edit_manifest(tmp_path / "newer", format=99, loadcell="7.0")
    (tmp_path / "bare" / "recording.json").unlink()
    (tmp_path / "deep" / "spec.json").write_text("[" * 100_000)
    edit_manifest(tmp_path / "text", started_at="yesterday")
    small_sweep(tmp_path / "sweep")
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    trouble = {entry.id: entry.trouble or "" for entry in scan(tmp_path).entries}
    assert "is damaged" in trouble["cut"]
    assert "upgrade loadcell" in trouble["newer"]
    assert "it has no recording.json" in trouble["bare"]
    assert "is damaged" in trouble["deep"]
    assert "is damaged" in trouble["sweep"]
    assert trouble["text"] == ""  # only its time is unknown


def test_bytes_that_are_no_text_spoil_one_row_only(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        small_run(tmp_path / name)
    (tmp_path / "bad" / "spec.json").write_bytes(b'{"load": {"\xff": 1}}')
    small_sweep(tmp_path / "sweep")
    (tmp_path / "sweep" / "sweep.json").write_bytes(b'{"format": 1, "\xff\xfe": 2}')
    assert {entry.id: entry.trouble is None for entry in scan(tmp_path).entries} == {
        "good": True, "bad": False, "sweep": False,
    }  # fmt: skip


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no folder"):
        scan(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RecordingError, match="is a file"):
        scan(tmp_path / "file")
    assert scan(tmp_path).entries == ()


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = small_run(tmp_path / "secret")
    root = tmp_path / "root"
    run = small_run(root / "run")
    (root / "linked").symlink_to(secret)
    (root / "round").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    small_run(root / "leaky")
    (root / "leaky" / "recording.json").unlink()
    (root / "leaky" / "recording.json").symlink_to(secret / "recording.json")
    found = scan(root)
    assert [entry.id for entry in found.entries if entry.trouble is None] == ["run"]
    assert "is a link out of the folder" in next(entry.trouble or "" for entry in found.entries if entry.id == "leaky")
    assert found.links == 3
    entry = found.find("run")
    assert entry is not None and outside(entry, found.root) is None
    shutil.rmtree(run)
    run.symlink_to(secret)  # after it was listed
    assert outside(entry, found.root) == "run"


def test_a_link_of_a_stage_is_seen_from_its_sweep(tmp_path: Path) -> None:
    secret = small_run(tmp_path / "secret")
    sweep = small_sweep(tmp_path / "root" / "sweep")
    (sweep / "003-concurrency-8").symlink_to(secret)
    found = scan(tmp_path / "root")
    assert "is a link out" in (found.entries[0].trouble or "")
    (sweep / "003-concurrency-8").unlink()
    found = scan(tmp_path / "root")
    assert found.entries[0].trouble is None
    (sweep / "001-concurrency-1" / "text-0-00000.parquet").symlink_to(secret / "requests-0-00000.parquet")
    assert outside(found.entries[0], found.root) == "text-0-00000.parquet"


def test_what_is_looked_at_is_bounded_and_a_cut_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        small_run(tmp_path / f"2026010{number}", day=number + 1, n=1)
    deep = small_run(tmp_path.joinpath("x", *"abcdefg") / "run")
    assert deep.exists() and scan(tmp_path).cut
    assert len(scan(tmp_path).entries) == 5
    monkeypatch.setattr(rooms, "MOST", 2)
    shutil.rmtree(tmp_path / "x")
    found = scan(tmp_path)
    assert found.cut and [entry.id for entry in found.entries] == ["20260104", "20260103"]  # by name the newest


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a\nb", "‮txt.exe", "%2e%2e", "a b&c=d#e?f", "é"])
def test_every_name_has_an_id_of_its_own_in_ascii(tmp_path: Path, name: str) -> None:
    small_run(tmp_path / name)
    found = scan(tmp_path)
    id = found.entries[0].id
    assert id.isascii() and id.isprintable() and not set(id) & set("<>&\"' ")
    assert found.find(id) == found.entries[0] and found.find(name) in (None, found.entries[0])


def test_a_name_that_is_no_text_is_told_and_opens_nothing(tmp_path: Path) -> None:
    small_run(tmp_path / "run").rename(tmp_path / os.fsdecode(b"\xff"))
    entry = scan(tmp_path).entries[0]
    assert entry.id == "%FF" and "rename the folder" in (entry.trouble or "")


def test_recordings_elsewhere_are_listed_by_their_whole_path_once(tmp_path: Path) -> None:
    near, far = small_run(tmp_path / "here" / "near", day=1), small_run(tmp_path / "far" / "run", day=2)
    again = [small_run(tmp_path / "far" / "again" / str(n), day=3 + n) for n in (1, 2)]
    (far / "out").symlink_to(tmp_path / "here")
    found = scan(tmp_path / "here", [near, far, again[0].parent, again[1], tmp_path / "gone"]).entries
    by_id = {entry.id: entry for entry in found}
    assert len(found) == 3 and set(by_id) == {f"{tmp_path}/far/again", f"{tmp_path}/far/run", "near"}
    repeats, run = by_id[f"{tmp_path}/far/again"], by_id[f"{tmp_path}/far/run"]
    assert repeats.kind == "repeats" and len(repeats.inside) == 2 and outside(repeats, repeats.home) is None
    assert run.trouble is not None and "link out of the folder" in run.trouble


def test_stages_are_those_of_the_sweep_alone(tmp_path: Path) -> None:
    """Not one that was set aside when the sweep went on, nor a run that somebody put into its folder."""
    sweep = small_sweep(tmp_path / "grid", (1, 2))
    small_run(sweep / "002-concurrency-2.cut-1")
    small_run(sweep / "mine")
    found = {entry.id: entry for entry in scan(tmp_path).entries}
    assert set(found) == {"grid", "grid/mine"}
    assert [stage.id for stage in found["grid"].inside] == ["grid/001-concurrency-1", "grid/002-concurrency-2"]


def test_turns_of_a_duel_stand_inside_it(tmp_path: Path) -> None:
    for name in ("001-A", "002-B"):
        small_run(tmp_path / "duel" / name)
    (tmp_path / "duel" / "duel.json").write_text("{}")
    (entry,) = scan(tmp_path).entries
    assert (entry.kind, [turn.id for turn in entry.inside]) == ("duel", ["duel/001-A", "duel/002-B"])
