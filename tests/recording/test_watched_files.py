"""What was watched beside a load, written and read again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.recording.read import Recording, open_recording, read_columns
from loadcell.recording.schema import SCHEDULE, SERIES, Manifest, Source
from loadcell.recording.write import Columns, begin, write_part, write_sources, write_table
from loadcell.spec import build_spec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of a run that sent nothing."""
    manifest = Manifest(
        loadcell="0", id="x", started_at="2026-01-01", loop="open", planned=0, workers=1, schedule_hash="", clock="user"
    )
    begin(tmp_path, manifest, build_spec({"endpoint": {"url": "http://localhost"}}), {}, Columns(SCHEDULE).data)
    return tmp_path


def add(folder: Path, part: int, *rows: tuple[int, int, str, str, float]) -> None:
    """A part with a look for each value."""
    columns = dict(zip([column.name for column in SERIES], zip(*rows, strict=True), strict=True))
    write_part(folder, "series", columns, part=part)
    looks: dict[str, Any] = {"source": columns["source"], "start_ns": columns["t_ns"], "end_ns": columns["t_ns"]}
    write_part(folder, "looks", looks | {"error": [None, *["bad"] * (len(rows) - 1)]}, part=part)


def values(recording: Recording, *names: str) -> list[tuple[Any, ...]]:
    table = recording.series(names or None)
    assert list(table) == [column.name for column in SERIES]
    return list(zip(*(column.tolist() for column in table.values()), strict=True))


def test_a_recording_without_has_none(folder: Path) -> None:
    recording = open_recording(folder)
    assert (recording.sources, recording.damaged, recording.damaged_beside) == ([], [], [])
    assert [table["source"].size for table in (recording.looks(), recording.series(), recording.series(["a"]))] == [
        0
    ] * 3


def test_parts_are_read_as_one_in_order(folder: Path) -> None:
    write_sources(folder, [Source(kind="host", name="here", notes=["a note"])])
    add(folder, 1, (0, 30, "b", "", 3.0), (0, 30, "a", '{x="it\'s"}', math.nan))
    add(folder, 0, (1, 5, "a", "", math.inf), (0, 10, "a", "", -1.5))
    recording = open_recording(folder)
    assert recording.sources == [Source(kind="host", name="here", notes=["a note"])]
    found = values(recording)
    assert [row[:4] for row in found] == [
        (0, 10, "a", ""),
        (0, 30, "a", '{x="it\'s"}'),
        (0, 30, "b", ""),
        (1, 5, "a", ""),
    ]
    np.testing.assert_array_equal([row[4] for row in found], [-1.5, math.nan, 3.0, math.nan])
    assert [row[1] for row in values(recording, "b", "it's")] == [30]
    assert values(recording, "nobody") == [] and recording.series([])["value"].size == 0
    looks = recording.looks()
    assert looks["source"].tolist() == [0, 0, 0, 1] and looks["start_ns"].tolist() == [10, 30, 30, 5]
    assert sorted(looks["error"].tolist(), key=str) == [None, None, "bad", "bad"]


def test_what_is_damaged_is_named_and_the_rest_read(folder: Path) -> None:
    write_sources(folder, [Source(kind="host", name="here")])
    add(folder, 0, (0, 10, "a", "", 1.0))
    add(folder, 1, (0, 20, "a", "", 2.0))
    (folder / "series-00000.parquet").write_bytes(b"PAR1 no more")
    (folder / "sources.json").write_text("[{]")
    recording = open_recording(folder)
    assert recording.damaged_beside == ["sources.json", "series-00000.parquet (damaged, or cut short)"]
    assert recording.damaged == [], "the load is whole"
    assert [row[4] for row in values(recording)] == [2.0] and recording.looks()["source"].size == 2
    assert recording.sources == []


@given(st.lists(st.floats(width=64), min_size=1, max_size=20))
def test_numbers_come_back_as_they_are_and_what_is_none_as_missing(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
) -> None:
    file = tmp_path_factory.mktemp("values") / "x.parquet"
    rows = len(numbers)
    write_table(
        file, SERIES,
        {"source": [0] * rows, "t_ns": range(rows), "name": ["a"] * rows, "labels": [""] * rows, "value": numbers},
    )  # fmt: skip
    expected = [number if math.isfinite(number) else math.nan for number in numbers]
    np.testing.assert_array_equal(read_columns(file, ["value"])["value"], expected)
