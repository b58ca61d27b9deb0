"""Self-tests on disk, and what a result takes from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_selftest_rules import rung

from loadcell.errors import RecordingError
from loadcell.metrics import Highest, SelfTest
from loadcell.metrics.calibration import nearest_calibration
from loadcell.selftest import keep_selftest, known_selftest, state_folder, stored_selftests
from loadcell.selftest.ladder import Step
from loadcell.selftest.store import file_of, this_machine

STEPS = (Step(16, 50), Step(64, 100), Step(256, 200))


def made(tls: bool = False, **more: Any) -> SelfTest:
    told: dict[str, Any] = {
        "measured_at": "2026-01-01T00:00:00+00:00", "machine": this_machine(tls), "quick": False, "tls": tls,
        "rungs": [rung(step) for step in STEPS],
        "limits": {"1": Highest(tokens_per_s=6000.0, streams=64, rate=100.0, ends="client")},
    }  # fmt: skip
    return SelfTest(**(told | more))


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "loadcell" / "selftest"


def test_what_is_kept_is_known_by_machine_and_tls(state: Path) -> None:
    assert known_selftest() is None
    file = keep_selftest(made())
    assert file.parent == state == state_folder()
    assert known_selftest() == msgspec.to_builtins(made())
    assert known_selftest(tls=True) is None
    keep_selftest(made(tls=True))
    assert [pair[1].tls for pair in stored_selftests()] in ([True, False], [False, True])
    assert sorted(p.suffix for p in state.iterdir()) == [".json", ".json"]


@pytest.mark.parametrize("fact", ["cpu", "cores_allowed", "system", "python", "loadcell", "core", "tls"])
def test_another_machine_has_another_file(fact: str) -> None:
    here = this_machine(False)
    assert file_of(here) != file_of(here | {fact: "another"})


def test_the_newest_is_listed_first_and_replaces_the_one_before() -> None:
    keep_selftest(made())
    keep_selftest(made(measured_at="2026-02-01T00:00:00+00:00"))
    keep_selftest(made(measured_at="2026-01-15T00:00:00+00:00", machine={"cpu": "another"}))
    assert [s.measured_at[5:10] for _, s in stored_selftests()] == ["02-01", "01-15"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '"rungs"', "\udcff"])
def test_a_broken_file_is_as_good_as_none_and_is_said(state: Path, text: str) -> None:
    state.mkdir(parents=True)
    file_of(this_machine(False)).write_bytes(text.encode(errors="surrogateescape"))
    said: list[str] = []
    assert known_selftest(warn=said.append) is None
    assert stored_selftests(warn=said.append) == []
    assert len(said) == 2
    assert all("loadcell selftest makes a new one" in words for words in said)


def test_a_file_that_cannot_be_read_is_said(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file_of(this_machine(False)).mkdir(parents=True)
    assert known_selftest() is None
    assert "cannot be read" in capsys.readouterr().err


def test_one_of_another_format_is_not_listed(state: Path) -> None:
    file = keep_selftest(made())
    file.write_text(json.dumps(msgspec.to_builtins(made()) | {"format": 99}))
    said: list[str] = []
    assert stored_selftests(warn=said.append) == []
    assert "another version" in said[0]


def test_a_state_folder_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(RecordingError, match="cannot make"):
        keep_selftest(made())


def test_a_relative_state_folder_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert state_folder() == Path("/home/someone/.local/state/loadcell/selftest")


# --- what a result takes from it -------------------------------------------------------------------------------------


def tree(**more: Any) -> dict[str, Any]:
    found = msgspec.to_builtins(made(**more))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("tokens_per_s", "streams"), [(10.0, 16), (900.0, 16), (5000.0, 64), (30_000.0, 256), (1e9, 256)]
)
def test_the_nearest_entry_in_octaves_of_tokens_per_s(tokens_per_s: float, streams: int) -> None:
    found = nearest_calibration(tree(), 64.0, tokens_per_s, 1)
    assert found is not None
    assert found.streams == streams
    assert found.ratio == pytest.approx(tokens_per_s / found.tokens_per_s)
    assert found.limits_tokens_per_s == {"1": 6000.0}
    assert set(found.bias) == {"ttft", "itl", "e2e"}


def test_streams_decide_between_loads_alike() -> None:
    twins = [rung(Step(64, 200), tokens_per_s=12_000.0), rung(Step(128, 100), tokens_per_s=12_000.0)]
    for streams in (64, 128):
        found = nearest_calibration(tree(rungs=twins), float(streams), 11_000.0, 1)
        assert found is not None
        assert found.streams == streams


def test_entries_of_as_many_workers_come_first() -> None:
    rungs = [rung(STEPS[0], workers=4), rung(STEPS[2], workers=1)]
    for workers, streams in ((4, 16), (1, 256), (2, 256)):
        found = nearest_calibration(tree(rungs=rungs), 256.0, 50_000.0, workers)
        assert found is not None
        assert found.streams == streams


@pytest.mark.parametrize("spoiled", [{"engine_pace": 0.5}, {"failed": 3}])
def test_a_load_that_was_not_served_is_no_entry(spoiled: dict[str, Any]) -> None:
    rungs = [rung(STEPS[0]), rung(STEPS[2], **spoiled)]
    found = nearest_calibration(tree(rungs=rungs), 256.0, 50_000.0, 1)
    assert found is not None
    assert found.streams == 16
    assert nearest_calibration(tree(rungs=rungs[1:]), 256.0, 50_000.0, 1) is None


@pytest.mark.parametrize("tokens_per_s", [None, 0.0, float("nan")])
def test_no_load_to_compare_is_none(tokens_per_s: float | None) -> None:
    assert nearest_calibration(tree(), 16.0, tokens_per_s, 1) is None


def test_no_streams_to_compare_is_no_hindrance() -> None:
    assert nearest_calibration(tree(), None, 800.0, 1) is not None


@pytest.mark.parametrize("other", [None, {}, {"format": 0}, {"rungs": []}, {"format": 1, "rungs": "many"}])
def test_what_is_no_self_test_of_this_format_is_none(other: dict[str, Any] | None) -> None:
    assert nearest_calibration(other, 16.0, 800.0, 1) is None
    assert nearest_calibration(tree() | {"format": 2}, 16.0, 800.0, 1) is None
    assert nearest_calibration(tree(rungs=[]), 16.0, 800.0, 1) is None
