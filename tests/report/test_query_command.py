from __future__ import annotations

import csv
import datetime
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import failed_request, ok_request
from rich.cells import cell_len

from loadcell.cells import harmless
from loadcell.cli import query
from loadcell.cli.main import main
from loadcell.recording.query import Answer
from loadcell.recording.read import Recording
from loadcell.recording.tables import TABLES
from loadcell.report.answer import write_csv, write_json, write_table

Make = Callable[..., Recording]
PAGE = Path(__file__).parents[2] / "docs" / "query.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def answer_of(rows: list[tuple[Any, ...]], names: list[str], types: list[str] | None = None) -> Answer:
    return Answer(names, types or ["ANY"] * len(names), iter([rows] if rows else []))


def table_of(
    rows: list[tuple[Any, ...]], names: list[str], width: int | None = None, limit: int = 1000
) -> tuple[str, str | None]:
    out = io.StringIO()
    cut = write_table(answer_of(rows, names), out, width, limit)
    return out.getvalue(), cut


# --- the command -----------------------------------------------------------------------------------------------------


def test_it_prints_an_aligned_table(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make([ok_request(0), failed_request(1, "timeout")]).path
    code = main(["query", "select request, status, error_kind, ttft_ms from requests order by 1", str(folder)])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "request  status  error_kind  ttft_ms",
        "      0  ok                       50",
        "      1  failed  timeout",
    ]


def test_csv_and_json_give_every_row(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(make([ok_request(0)]).path)
    assert main(["query", "from range(1500)", folder, "--csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1501
    assert main(["query", "from range(1500)", folder, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1500
    assert main(["query", "from range(1500)", folder]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1001
    assert "only the first 1,000 rows" in err


def test_parquet_goes_to_a_file(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = str(make([ok_request(0), ok_request(1)]).path), tmp_path / "out.parquet"
    assert main(["query", "from requests", folder, "--parquet", str(out)]) == 0
    assert capsys.readouterr().out == f"2 rows in {out}\n"
    ((n,),) = duckdb.execute("select count(*) from read_parquet(?)", [str(out)]).fetchall()
    assert n == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "--tables"),
        (["{run}"], 2, "the query comes first"),
        (["select nothing from requests", "{run}"], 2, "Candidate"),
        (["select 1", "{run}/none"], 1, "is not there"),
        (["delete from runs", "{run}"], 2, "a query only reads"),
        (["select 1", "{run}", "--csv", "--json"], 2, "not allowed"),
        (["select 1", "{run}", "--parquet", "{run}/schedule.parquet"], 2, "never changed"),
    ],
)
def test_what_is_wrong_is_said_in_a_few_lines(
    make: Make, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    run = make([ok_request(0)]).path
    assert main(["query", *(word.format(run=run) for word in words)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert len(err.splitlines()) <= 8
    assert "Traceback" not in err


def test_parts_that_are_left_out_are_named_on_standard_error(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make([ok_request(0)]).path
    (folder / "requests-1-00000.parquet").write_bytes(b"no")
    assert main(["query", "select count(*) as n from requests", str(folder), "--csv"]) == 0
    out, err = capsys.readouterr()
    assert out == "n\n1\n"
    assert "requests-1-00000.parquet" in err


def test_the_tables_are_shown_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "--tables"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    words = {line.split()[0] for line in lines if line.startswith("  ")}
    assert {column.name for columns in TABLES.values() for column in columns} <= words
    assert [line.partition(":")[0] for line in lines if ":" in line and not line.startswith(" ")] == list(TABLES)


@pytest.mark.parametrize("sql", QUERIES, ids=range(len(QUERIES)))
def test_the_queries_of_the_page_work(make: Make, capsys: pytest.CaptureFixture[str], sql: str) -> None:
    rows = [ok_request(i, start_ms=100 * i) for i in range(30)] + [failed_request(30, "timeout")]
    folder = make(rows).path
    (folder.parent / "sweep.json").write_text("{}")
    (folder / "stage.json").write_text('{"number": 1}')
    assert main(["query", sql, str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found or "series" in sql


def test_there_are_ten_queries_on_the_page() -> None:
    assert len(QUERIES) == 10


def test_the_examples_of_the_help_work(
    make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make([ok_request(i) for i in range(5)] + [failed_request(5, "http")]).path
    monkeypatch.chdir(folder.parent)
    for name in ("runs/a", "runs/b", "runs/chat", "recordings/x"):
        (folder.parent / name).parent.mkdir(exist_ok=True)
        shutil.copytree(folder, folder.parent / name)
    found = re.findall(r'loadcell query "([^"]*)"([^\n]*)', query._EXAMPLES)
    assert len(found) == query._EXAMPLES.count("loadcell query") - 1
    for sql, rest in found:
        assert main(["query", sql, *rest.split()]) == 0, sql
        assert capsys.readouterr().out


@pytest.mark.usefixtures("processes")
def test_ctrl_c_ends_a_query_at_once(make: Make, tmp_path: Path) -> None:
    folder = make([ok_request(0)]).path
    endless = (
        "select count(*) from range(10_000_000) a, range(10_000_000) b where xor(hash(a.range), hash(b.range)) = 1"
    )
    place = tmp_path / "spill"
    place.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "loadcell", "query", endless, str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"TMPDIR": str(place)},
    )  # fmt: skip
    try:
        until = time.monotonic() + 20
        while not list(place.iterdir()) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(2)  # by now it is in the query
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert time.monotonic() - began < 15
        assert err == b"loadcell: interrupted\n"
        assert list(place.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


# --- the table -------------------------------------------------------------------------------------------------------

CELLS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


@given(
    st.integers(1, 9).flatmap(
        lambda n: st.tuples(
            st.lists(st.text(min_size=1, max_size=30), min_size=n, max_size=n),
            st.lists(st.tuples(*[CELLS] * n), max_size=6),
        )
    ),
    st.none() | st.integers(40, 200),
)
def test_a_table_fits_its_width_and_has_a_line_a_row(made: tuple[list[str], list[Any]], width: int | None) -> None:
    names, rows = made
    text, cut = table_of(rows, names, width)
    lines = text.removesuffix("\n").split("\n")
    assert len(lines) == len(rows) + 1
    if width is None:
        assert cut is None
        return
    clean = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in lines]
    room = max(width, *(cell_len(word) for line in clean for word in [line.strip().partition("  ")[0]]))
    assert all(cell_len(line) <= room for line in clean)
    assert all(character.isprintable() for line in clean for character in line)


def test_columns_that_do_not_fit_are_named() -> None:
    names = [f"column_{i}" for i in range(20)]
    text, cut = table_of([tuple(range(20))], names, 50)
    assert cut is not None
    shown = text.splitlines()[0].split()
    assert f"{20 - len(shown) + 0} more columns do not fit (column_{len(shown)}, " in cut.replace("\x1b[1m", "")
    assert cut.endswith("--csv, --json and --parquet FILE give all")


def test_text_is_shortened_and_numbers_are_not() -> None:
    text, _ = table_of([("x" * 500, 123456789012)], ["words", "n"], 40)
    row = text.splitlines()[1]
    assert len(row) == 40
    assert "…" in row
    assert row.endswith("123456789012")


def test_no_cell_controls_the_terminal() -> None:
    text, _ = table_of([("\x1b[2J\x07bad\r\n\u202etwo\tlines",)], ["a\x1b[31m"], 80)
    assert text.count("\x1b") == 2  # our own: the bold head
    assert not set(text) & set("\x07\r\t\u202e")
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (12.0, "12"), (1 / 3, "0.333333"), (1234567.89, "1234568"), (1e-7, "1e-07"), (1e300, "1e+300"),
     (float("nan"), "nan"), (True, "true"), ([1, None], "[1,null]"), (b"\x01", "01")],
)  # fmt: skip
def test_values_in_a_table(value: Any, shown: str) -> None:
    text, _ = table_of([(value,)], ["v"])
    assert text.splitlines()[1].strip() == shown


# --- for programs ----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_json_is_a_list_of_objects_whatever_the_cells(rows: list[Any]) -> None:
    out = io.StringIO()
    write_json(answer_of(rows, ["a", "a"]), out)
    found = json.loads(out.getvalue(), parse_constant=lambda _: pytest.fail("not JSON"))
    assert len(found) == len(rows)
    for row, one in zip(rows, found, strict=True):
        assert list(one) == ["a", "a_1"]
        for value, cell in zip(row, one.values(), strict=True):
            if isinstance(value, float) and not math.isfinite(value):
                assert cell is None
            else:
                assert cell == value


@given(st.lists(st.tuples(st.none() | st.text(), st.integers()), max_size=5))
def test_csv_can_be_read_again(rows: list[Any]) -> None:
    out = io.StringIO(newline="")
    write_csv(answer_of(rows, ["a", "b"]), out)
    found = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert found == [["a", "b"], *([harmless(a or ""), str(b)] for a, b in rows)]


def test_values_that_json_does_not_know(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(make([ok_request(0)]).path)
    sql = (
        "select timestamp '2026-01-02 03:04:05' as t, 1.5::decimal(4,2) as d, {'a': [1.0, null]} as s, spec, "
        "interval 90 minutes as i, '\\x01'::blob as b, map {1: 2} as m, 'nan'::double as n, date '2026-01-02' as day "
        "from runs"
    )
    assert main(["query", sql, folder, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["spec"]["endpoint"]["url"] == "http://localhost:8000"
    del row["spec"]
    assert row == {
        "t": "2026-01-02T03:04:05", "d": 1.5, "s": {"a": [1.0, None]}, "i": str(datetime.timedelta(minutes=90)),
        "b": "01", "m": {"1": 2}, "n": None, "day": "2026-01-02",
    }  # fmt: skip
