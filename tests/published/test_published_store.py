"""Adding later rounds: kept, listed, idempotent, and diagnosed where the file is none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from published_summaries import DATA, raw_bytes

from loadcell.errors import RecordingError
from loadcell.published.store import add_file, data_folder, packaged, registry

LATER = DATA / "summary_v6.1.json"


def add(path: Path, **more: str) -> tuple[int, int, int]:
    added = add_file(path, today="2026-12-01", **more)
    return added.new, added.changed, added.same


def test_another_round_is_kept_and_listed(data_home: Path) -> None:
    assert data_folder() == data_home / "loadcell" / "published"
    assert add(LATER) == (9, 0, 0)
    found = registry()
    mine = [row for row in found.rows if row.round == "v6.1"]
    (source,) = [source for source in found.sources if source.added]
    assert len(mine) == 9 and len(found.rows) == 900
    assert source.origin == str(LATER) and source.retrieved == "2026-12-01" and Path(str(source.file)).exists()
    assert {row.source for row in mine} == {source.name} and {row.retrieved for row in mine} == {"2026-12-01"}
    assert source.left_out == {"dlrm-v3": 1, "text_to_video": 1}


def test_the_same_file_again_changes_nothing(data_home: Path) -> None:
    add(LATER)
    before = {file: file.read_bytes() for file in data_folder().iterdir()}
    assert add(LATER) == (0, 0, 9)
    assert {file: file.read_bytes() for file in data_folder().iterdir()} == before
    assert len(registry().rows) == 900


def test_packaged_rounds_are_known_already(tmp_path: Path) -> None:
    for round in ("v5.1", "v6.0"):
        (tmp_path / "s.json").write_bytes(raw_bytes(round))
        new, changed, same = add(tmp_path / "s.json")
        assert (new, changed, same) == (0, 0, {"v5.1": 453, "v6.0": 438}[round])
    assert not data_folder().exists()


def test_a_corrected_summary_takes_the_place_of_the_earlier_rows(tmp_path: Path) -> None:
    add(LATER)
    tree = json.loads(LATER.read_text())
    tree["0"]["Result"] = 151000.0
    path = tmp_path / "summary.json.gz"
    path.write_bytes(gzip.compress(json.dumps(tree).encode()))
    assert add(path) == (0, 1, 8)
    rows = [row for row in registry().rows if row.round == "v6.1"]
    assert len(rows) == 9
    ran = ("llama3.1-8b", "llama3.1-8b", "offline")
    assert [row.result for row in rows if row.platform == "acme-one" and row.key[5:8] == ran] == [151000.0]


def test_a_damaged_file_of_the_registry_is_named() -> None:
    add(LATER)
    (file,) = data_folder().iterdir()
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(RecordingError, match=r"is damaged, or of another version .* delete it") as caught:
        registry()
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\x1f\x8bnot gzip", b"[]", b'{"ttft": 1}'])
def test_a_wrong_file_leaves_nothing_behind(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"results\.json"):
        add(path)
    assert not data_folder().exists()


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot read .*No such file"):
        add(tmp_path / "none.json")
    with pytest.raises(RecordingError, match="cannot read"):
        add(tmp_path)


def test_a_folder_that_cannot_be_written_is_said(data_home: Path) -> None:
    data_home.parent.mkdir(exist_ok=True)
    data_home.write_text("a file where the folder should be")
    with pytest.raises(RecordingError, match="cannot write"):
        add(LATER)


def test_a_relative_data_home_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "here")
    assert data_folder() == Path.home() / ".local" / "share" / "loadcell" / "published"


def test_each_packaged_source_says_what_it_is() -> None:
    for kept in packaged():
        source = kept.source
        assert source.commit and len(source.sha256) == 64 and source.licence and source.retrieved == "2026-11-22"
        assert source.rows == len(kept.rows) and not source.added
