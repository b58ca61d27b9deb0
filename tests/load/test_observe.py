"""What is watched beside a load: pacing, slow and dead sources, what is written, and what a full disk does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from loadcell.errors import RecordingError
from loadcell.load import observe
from loadcell.load.observe import Look, Watched, observing
from loadcell.recording.exposition import Sample
from loadcell.recording.read import read_json
from loadcell.recording.schema import Source

pytestmark = pytest.mark.usefixtures("alone")

EVERY_S = 0.05
Rows = list[tuple[Any, ...]]


def watch(look: Look, name: str = "x", close: Callable[[], None] = lambda: None) -> Watched:
    return Watched(Source(kind="host", name=name), look, close)


def steady(_: float) -> list[Sample]:
    return [Sample("a", "{}", 1.0)]


def rows(folder: Path, kind: str, order: str) -> Rows:
    files = f"read_parquet('{folder}/{kind}-*.parquet')"
    return duckdb.sql(f"select * from {files} order by {order}").fetchall() if list(folder.glob(f"{kind}-*")) else []


def looks(folder: Path) -> Rows:
    """(source, start_ns, end_ns, error)."""
    return rows(folder, "looks", "source, start_ns")


def series(folder: Path) -> Rows:
    """(source, t_ns, name, labels, value)."""
    return rows(folder, "series", "source, t_ns, name")


def run(folder: Path, seconds: float, *watched: Watched, every_s: float = EVERY_S) -> tuple[list[str], float]:
    """Watch for some time; returns the notes and how long the end was kept waiting."""
    notes: list[str] = []
    with observing(list(watched), folder, time.monotonic_ns(), every_s, notes):
        time.sleep(seconds)
        ended = time.monotonic()
    return notes, time.monotonic() - ended


def test_looks_are_paced_and_the_last_comes_after_the_end(tmp_path: Path) -> None:
    before = time.monotonic_ns()
    every_s = 0.2
    notes, _ = run(tmp_path, 0.5, watch(steady), every_s=every_s)
    found = looks(tmp_path)
    first = found[0][1]
    slots = [(row[1] - first) // round(every_s * 1e9) for row in found[:-1]]
    assert slots == sorted(set(slots)), "never more than one in an interval"
    assert 2 <= len(found) <= 4 and found[-1][1] >= 0.5e9
    assert all(0 <= start <= end <= time.monotonic_ns() - before for _, start, end, _ in found)
    assert [(row[1], *row[2:]) for row in series(tmp_path)] == [
        ((start + end) // 2, "a", "{}", 1.0) for _, start, end, error in found if error is None
    ]
    assert notes == [] and not list(tmp_path.glob("*.tmp"))
    assert [source.name for source in read_json(tmp_path / "sources.json", list[Source])] == ["x"]


def test_a_slow_source_delays_no_other_and_its_looks_do_not_pile_up(tmp_path: Path) -> None:
    def slow(_: float) -> list[Sample]:
        time.sleep(0.35)
        return steady(0)

    run(tmp_path, 0.9, watch(slow), watch(steady), every_s=0.2)
    late, fine = ([row for row in looks(tmp_path) if row[0] == source] for source in (0, 1))
    assert {row[3] for row in late} == {"no answer within 0.2 s"} and 2 <= len(late) <= 4
    assert all(after[1] >= row[2] for row, after in pairwise(late))
    assert {row[3] for row in fine} == {None} and len(fine) > len(late)
    assert {row[0] for row in series(tmp_path)} == {1}, "what came late is not there"


def test_looks_that_a_long_one_overran_are_left_out(tmp_path: Path) -> None:
    waits = iter([0.5])

    def slow_once(_: float) -> list[Sample]:
        time.sleep(next(waits, 0.0))
        return steady(0)

    run(tmp_path, 0.9, watch(slow_once), every_s=0.1)
    found = looks(tmp_path)
    slots = [(row[1] - found[0][1]) // 100_000_000 for row in found[:-1]]
    assert slots == sorted(set(slots)) and slots[1] >= 5 and found[0][3] is not None


def test_a_source_that_hangs_keeps_the_end_waiting_for_a_second_and_no_more(tmp_path: Path) -> None:
    release, closed = threading.Event(), []

    def hang(_: float) -> list[Sample]:
        release.wait(30)
        return steady(0)

    watched = [watch(hang, close=lambda: closed.append("hung")), watch(steady, close=lambda: closed.append("fine"))]
    _, waited = run(tmp_path, 0.1, *watched)
    assert 0.9 < waited < 5 and closed == ["fine"]
    ((_, start, end, error),) = [row for row in looks(tmp_path) if row[0] == 0]
    assert "not back 1 s after" in error and end - start > 1e9
    files = sorted(tmp_path.iterdir())
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("observe"):
            thread.join(10)
    assert sorted(tmp_path.iterdir()) == files and len(looks(tmp_path)) > 1


def test_a_source_that_fails_is_tried_again(tmp_path: Path) -> None:
    turn = iter([False, False, True, False])

    def unsteady(_: float) -> list[Sample]:
        if next(turn, True):
            return steady(0)
        raise ConnectionRefusedError(111, "refused")

    run(tmp_path, 0.5, watch(unsteady))
    errors = [row[3] for row in looks(tmp_path)]
    assert [error is None for error in errors[:5]] == [False, False, True, False, True] and "refused" in errors[0]
    assert len(series(tmp_path)) == errors.count(None)


def test_parts_are_written_as_the_load_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "_PART_S", 0.1)
    notes: list[str] = []
    with observing([watch(steady)], tmp_path, time.monotonic_ns(), EVERY_S, notes):
        limit = time.monotonic() + 10
        while len(list(tmp_path.glob("looks-*.parquet"))) < 2 and time.monotonic() < limit:
            time.sleep(0.02)
        early = looks(tmp_path)
    assert len(early) >= 2 and looks(tmp_path)[: len(early)] == early
    assert len(series(tmp_path)) == len(looks(tmp_path))


@pytest.mark.parametrize("file", ["write_part", "write_sources"])
def test_a_full_disk_ends_the_looking_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RecordingError("cannot write: No space left on device")

    monkeypatch.setattr(observe, "_PART_S", 0.1)
    monkeypatch.setattr(observe, file, full)
    count = []

    def counting(_: float) -> list[Sample]:
        count.append(0)
        return steady(0)

    notes, waited = run(tmp_path, 0.4, watch(counting))
    assert len(notes) == 1 and "in part only: cannot write: No space left" in notes[0]
    assert len(count) < 8 and waited < 5


def test_after_an_exception_nothing_is_waited_for_and_what_was_seen_is_written(tmp_path: Path) -> None:
    release = threading.Event()

    def hang(_: float) -> list[Sample]:
        release.wait(30)
        return []

    with pytest.raises(KeyboardInterrupt), observing([watch(hang), watch(steady)], tmp_path, 0, EVERY_S, []):
        time.sleep(0.2)
        started = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - started < 0.9
    assert {row[0] for row in looks(tmp_path)} == {1}
    release.set()


def test_nothing_to_watch_leaves_no_trace(tmp_path: Path) -> None:
    assert run(tmp_path, 0.01)[0] == []
    assert list(tmp_path.iterdir()) == []
