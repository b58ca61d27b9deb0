from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from made import build, failed_request, ok_request

from loadcell.errors import LoadcellError, RecordingError, UsageError
from loadcell.metrics import build_result, find_window
from loadcell.recording.query import Answer, ask, ask_to_file, find_recordings
from loadcell.recording.read import dump_json, open_recording
from loadcell.recording.schema import FORMAT, TEXT, TOKENS
from loadcell.recording.tables import TABLES
from loadcell.recording.write import write_table

pytestmark = pytest.mark.usefixtures("thorough")

Rows = list[tuple[Any, ...]]


def window_of(folder: Path) -> tuple[float, float, int]:
    span = find_window(open_recording(folder))
    return span.start, span.end, span.first_request


def rows_of(sql: str, *folders: Path, warned: list[str] | None = None, window: Any = window_of) -> Rows:
    said: list[str] = []
    spill = folders[0].parent / "spill" if folders else Path("spill")
    with ask(sql, folders, spill=spill, window_of=window, warn=said.append) as answer:
        found = [row for batch in answer.batches for row in batch]
    if warned is None:
        assert said == []
    else:
        warned += said
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rewrite(part: Path, select: str) -> None:
    """Replace a Parquet file by what `select` makes of it."""
    draft = part.with_suffix(".new")
    duckdb.execute(f"copy (select {select} from '{part}') to '{draft}' (format parquet)")
    draft.replace(part)


# --- which recordings ------------------------------------------------------------------------------------------------


def test_it_finds_recordings_repeats_and_stages_but_none_set_aside(tmp_path: Path) -> None:
    (tmp_path / "runs" / "repeats").mkdir(parents=True)
    (tmp_path / "runs" / "s").mkdir()
    (tmp_path / "runs" / "s" / "sweep.json").write_text("{}")
    for name in ("one", "repeats/1", "repeats/2", "s/001-rate-5", "s/002-rate-10.cut-1", "one/inside", ".hidden"):
        build(tmp_path / "runs" / name, [ok_request(0)])
    found = find_recordings([tmp_path / "runs", tmp_path / "runs" / "one"], pytest.fail)
    inside = [str(path.relative_to(tmp_path / "runs")) for path in found]
    assert inside == ["one", "repeats/1", "repeats/2", "s/001-rate-5"]


def test_stages_know_their_sweep(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "sweep.json").write_text("{}")
    build(tmp_path / "s" / "003-x", [ok_request(0)])
    (tmp_path / "s" / "003-x" / "stage.json").write_text('{"number": 3, "more": 1}')
    assert rows_of("select sweep, stage from runs", tmp_path / "s") == [(str(tmp_path / "s"), 3)]


def test_without_folders_it_takes_the_usual_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pytest.raises(RecordingError, match="no recording in recordings, sweeps, duels, mlperf here"):
        find_recordings([], pytest.fail)
    (tmp_path / "recordings").mkdir()
    build(tmp_path / "recordings" / "a", [ok_request(0)])
    assert find_recordings([], pytest.fail) == [Path("recordings/a")]


@pytest.mark.parametrize(("make", "says"), [("none", "is not there"), ("file", "is a file"), ("empty", "no recording")])
def test_a_folder_without_a_recording_is_an_error(tmp_path: Path, make: str, says: str) -> None:
    path = tmp_path / "x"
    if make == "file":
        path.write_text("")
    if make == "empty":
        path.mkdir()
    with pytest.raises(RecordingError, match=says):
        rows_of("select 1", path)


def test_the_folder_itself_may_be_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "run", [ok_request(0), ok_request(1)])
    monkeypatch.chdir(tmp_path / "run")
    assert rows_of("select count(*) from requests join runs using (run)", Path()) == [(2,)]


@pytest.mark.parametrize("name", ["it's", "a[1]*?", "x y", 'q"q', "ü;--"])
def test_names_of_folders_are_names_and_nothing_else(tmp_path: Path, name: str) -> None:
    build(tmp_path / name, [ok_request(0)])
    build(tmp_path / "a1", [ok_request(0), ok_request(1)])  # what a[1]* would match as a pattern
    sql = "select run, count(*), bool_and(in_window) from requests group by run"
    assert rows_of(sql, tmp_path / name) == [(str(tmp_path / name), 1, True)]


def test_a_newer_format_is_left_out_with_a_word_and_alone_is_an_error(tmp_path: Path) -> None:
    for name in ("new", "old"):
        build(tmp_path / name, [ok_request(0)])
    manifest = json.loads((tmp_path / "new" / "recording.json").read_text())
    dump_json(tmp_path / "new" / "recording.json", manifest | {"format": FORMAT + 1})
    warned: list[str] = []
    assert rows_of("select run from requests", tmp_path, warned=warned) == [(str(tmp_path / "old"),)]
    assert len(warned) == 1
    assert "upgrade loadcell" in warned[0]
    with pytest.raises(RecordingError, match="upgrade loadcell"):
        rows_of("select 1", tmp_path / "new")


# --- what the tables hold --------------------------------------------------------------------------------------------


def test_every_table_has_the_columns_that_are_documented(tmp_path: Path) -> None:
    build(tmp_path / "run", [ok_request(0)])
    for table, columns in TABLES.items():
        found = rows_of(f"describe {table}", tmp_path / "run")
        assert [(row[0], row[1]) for row in found] == [(c.name, c.sql) for c in columns]
        assert all(column.doc for column in columns)
    assert rows_of("select count(*) from chunks where output", tmp_path / "run") == [(10,)]


@pytest.mark.parametrize("loop", ["open", "closed"])
@pytest.mark.parametrize("warmup", [{"warmup_s": 2.0}, {"warmup_requests": 40}, {}])
def test_latencies_and_window_are_those_of_the_result(tmp_path: Path, loop: str, warmup: dict[str, Any]) -> None:
    times = [37.0 * i for i in range(300)]
    rows = [
        ok_request(i, start_ms=t + i % 7, tokens=1 + i % 12, planned_ns=round(t * 1e6) if loop == "open" else None)
        for i, t in enumerate(times)
    ]
    rows[5:9] = [failed_request(i, "timeout", start_ms=times[i], planned_ns=rows[i]["planned_ns"]) for i in range(5, 9)]
    if loop == "closed":
        rows[10] = ok_request(10, start_ms=times[100])  # of the first 40, but sent in the window
    load = warmup | ({"rate": 27.0} if loop == "open" else {"concurrency": 4})
    recording = build(tmp_path / "run", rows, planned=times if loop == "open" else None, loop=loop, load=load)
    result = build_result(recording)
    sql = (
        "select count(*) filter (status = 'ok'), count(*) filter (status = 'failed'), count(tpot_ms), "
        "quantile_disc(ttft_ms, 0.9), quantile_disc(e2e_service_ms, 0.5), avg(tpot_ms), avg(ntpot_ms), max(e2e_ms), "
        "count(ttft_response_ms) from requests where in_window"
    )
    ((ok, failed, tpots, ttft, e2e, tpot, ntpot, longest, responses),) = rows_of(sql, tmp_path / "run")
    counts = result.counts.window
    assert (ok, failed) == (counts.ok, counts.failed)
    assert 0 < ok + failed <= 300 - (40 if warmup else 0)
    latency = result.latency
    judged = {name: latency[name].response or latency[name].service for name in ("ttft_ms", "ntpot_ms", "e2e_ms")}
    assert ttft == judged["ttft_ms"].p90.value
    assert e2e == latency["e2e_ms"].service.p50.value
    assert tpots == latency["tpot_ms"].service.n
    assert tpot == pytest.approx(latency["tpot_ms"].service.mean, rel=1e-12)
    assert ntpot == pytest.approx(judged["ntpot_ms"].mean, rel=1e-12)
    assert longest == judged["e2e_ms"].max
    assert responses == (ok if loop == "open" else 0)


def test_windows_are_looked_for_only_where_the_query_uses_them(tmp_path: Path) -> None:
    build(tmp_path / "run", [ok_request(i) for i in range(3)])

    def none(_: Path) -> tuple[float, float, int]:
        raise LoadcellError("looked")

    assert rows_of("select count(*), max(ttft_ms) from requests", tmp_path / "run", window=none) == [(3, 50.0)]
    warned: list[str] = []
    assert rows_of("select distinct in_window from requests", tmp_path / "run", window=none, warned=warned) == [(None,)]
    assert warned == ["in_window is NULL: looked"]
    for sql in (
        "from requests",
        "select * from requests",
        "summarize requests",
        "pivot requests on status using max(in_window)",
    ):
        warned.clear()
        rows_of(sql, tmp_path / "run", window=none, warned=warned)
        assert len(warned) == 1, sql


def test_tokens_that_were_counted_after_the_run_replace_the_chunks(tmp_path: Path) -> None:
    build(tmp_path / "run", [ok_request(0, token_source="chunks"), ok_request(1, token_source="chunks")])
    write_table(tmp_path / "run" / "tokens-0.parquet", TOKENS[:2], {"request": [1], "output_tokens": [19]})
    sql = "select request, output_tokens, token_source, tpot_ms from requests order by 1"
    assert rows_of(sql, tmp_path / "run") == [(0, 10, "chunks", 20.0), (1, 19, "tokenizer", 10.0)]


def test_older_recordings_lack_columns_and_files(tmp_path: Path) -> None:
    for name in ("new", "old"):
        build(tmp_path / name, [ok_request(0, server_queue_ns=5, cached_tokens=7)])
    rewrite(tmp_path / "old" / "requests-0-00000.parquet", "* exclude (server_queue_ns, cached_tokens)")
    (tmp_path / "old" / "environment.json").unlink()
    sql = "select cached_tokens, server_queue_ns, ttft_ms from requests order by run"
    assert rows_of(sql, tmp_path) == [(7, 5, 50.0), (None, None, 50.0)]
    assert rows_of("select environment is null from runs order by run", tmp_path) == [(False,), (True,)]


def test_damaged_parts_are_left_out_with_a_word(tmp_path: Path) -> None:
    build(tmp_path / "run", [ok_request(0)], audits=[{}])
    whole = (tmp_path / "run" / "requests-0-00000.parquet").read_bytes()
    (tmp_path / "run" / "requests-0-00001.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "run" / "audit-1.json").write_text("{")
    (tmp_path / "run" / "sources.json").write_text("[{")
    warned: list[str] = []
    assert rows_of("select count(*) from requests", tmp_path / "run", warned=warned) == [(1,)]
    assert rows_of("select worker from audits", tmp_path / "run", warned=warned) == [(0,)]
    assert rows_of("select count(*) from series", tmp_path / "run", warned=warned) == [(0,)]
    assert [name in text for name, text in zip(("00001.parquet", "audit-1", "sources"), warned, strict=True)] == [
        True
    ] * 3


def test_kept_text_and_the_spec_can_be_asked(tmp_path: Path) -> None:
    build(tmp_path / "run", [ok_request(0)], load={"rate": 2.5}, loop="open", planned=[0.0], slo={"ttft_ms": 80})
    text = {"request": [0], "body": ["{}"], "content": ["so"], "reasoning": [None]}
    write_table(tmp_path / "run" / "text-0-00000.parquet", TEXT, text)
    assert rows_of("select content from text", tmp_path) == [("so",)]
    sql = "select rate, slo_ttft_ms, loop, (spec->>'$.load.rate')::double, started_at::varchar from runs"
    assert rows_of(sql, tmp_path) == [(2.5, 80.0, "open", 2.5, "2026-01-01 00:00:00")]


# --- what a query may do ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to '{run}/requests-0-00009.parquet'",
        "copy requests to '{out}'",
        "copy (from requests) to '{run}/schedule.parquet'; select 1",
        "explain analyze copy (select 1) to '{out}'",
        "create table x as select 1",
        "insert into runs (run) values ('x')",
        "delete from runs",
        "drop view requests",
        "attach '{out}' as other",
        "export database '{out}'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "reset enable_external_access",
        "pragma enable_profiling",
        "call pragma_version()",
        "create secret s (type s3)",
        "prepare p as select 1",
        "vacuum",
        "checkpoint",
        "use other",
        "select 1; select 2",
        "",
        "  -- nothing",
        "selct 1",
    ],
)
def test_only_one_select_is_taken(tmp_path: Path, sql: str) -> None:
    build(tmp_path / "run", [ok_request(0)])
    before = contents(tmp_path)
    with pytest.raises(UsageError):
        rows_of(sql.format(run=tmp_path / "run", out=tmp_path / "out"), tmp_path / "run")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('{other}/secret.csv')",
        "select * from read_csv('{run}/../other/secret.csv')",
        "from '{other}/secret.csv'",
        "select * from glob('{other}/*')",
        "select * from read_csv('https://127.0.0.1:1/x.csv')",
        "select * from read_blob('/proc/self/environ')",
        "select * from parquet_metadata('{other}/requests-0-00000.parquet')",
        "select * from query('from read_text(''{other}/secret.csv'')')",
        "select * from sniff_csv('{other}/secret.csv')",
        "select * from spill",
    ],
)
def test_nothing_else_can_be_read(tmp_path: Path, sql: str) -> None:
    build(tmp_path / "run", [ok_request(0)])
    build(tmp_path / "other", [ok_request(0)])
    (tmp_path / "other" / "secret.csv").write_text("word\nxyzzy\n")
    with pytest.raises(UsageError) as caught:
        rows_of(sql.format(run=tmp_path / "run", other=tmp_path / "other"), tmp_path / "run")
    assert "xyzzy" not in str(caught.value)


def test_a_recording_whose_name_begins_alike_is_not_read_along(tmp_path: Path) -> None:
    build(tmp_path / "run", [ok_request(0)])
    build(tmp_path / "run2", [ok_request(0)])
    with pytest.raises(UsageError, match="nothing else"):
        rows_of(f"select * from read_text('{tmp_path}/run2/spec.json')", tmp_path / "run")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select * from reqests", r"did you mean requests\?"),
        ("select ttf_ms from requests", "ttft_ms"),
        ("select run from runs group by", "syntax error"),
        ("select error::integer from requests", "Could not convert"),
    ],
)
def test_a_wrong_query_is_told_what_there_is(tmp_path: Path, sql: str, says: str) -> None:
    build(tmp_path / "run", [failed_request(0, "timeout")])
    with pytest.raises(UsageError, match=says) as caught:
        rows_of(sql, tmp_path / "run")
    assert len(str(caught.value).splitlines()) <= 8


def test_rows_come_as_they_are_asked_for(tmp_path: Path) -> None:
    build(tmp_path / "run", [ok_request(0)])
    sql = "select range from range(100_000_000_000), runs"  # nobody could wait for them all, or keep them
    with ask(sql, [tmp_path / "run"], spill=tmp_path / "spill", window_of=window_of, warn=pytest.fail) as answer:
        assert isinstance(answer, Answer)
        assert next(answer.batches)[:2] == [(0,), (1,)]


# --- into a file -----------------------------------------------------------------------------------------------------


def to_file(sql: str, path: Path, *folders: Path) -> int:
    return ask_to_file(sql, folders, path, spill=path.parent / "spill", window_of=window_of, warn=pytest.fail)


def test_an_answer_becomes_a_typed_file(tmp_path: Path) -> None:
    build(tmp_path / "run", [ok_request(i) for i in range(4)])
    out = tmp_path / "it's.parquet"
    assert to_file("select request, ttft_ms, in_window from requests; -- so", out, tmp_path / "run") == 4
    found = duckdb.execute(
        "select typeof(request), typeof(ttft_ms), in_window from read_parquet(?)", [str(out)]
    ).fetchall()
    assert found == [("BIGINT", "DOUBLE", True)] * 4


def test_a_query_that_fails_leaves_no_file_and_the_old_one(tmp_path: Path) -> None:
    build(tmp_path / "run", [failed_request(0, "timeout")])
    out = tmp_path / "out.parquet"
    out.write_text("old")
    with pytest.raises(UsageError):
        to_file("select error::integer from requests", out, tmp_path / "run")
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.parquet", "run"]


@pytest.mark.parametrize("end", [";", " ;; ", "; -- ü; so", " -- so", "; /* a; */ ", "/* ; */;"])
def test_how_a_query_ends_does_not_matter(tmp_path: Path, end: str) -> None:
    build(tmp_path / "run", [ok_request(0)])
    assert to_file(f"select 'ü;--y' as word from runs{end}", tmp_path / "out.parquet", tmp_path / "run") == 1
    assert rows_of(f"select 'ü;--y' as word from runs{end}", tmp_path / "run") == [("ü;--y",)]
    assert duckdb.execute(f"select word from '{tmp_path}/out.parquet'").fetchall() == [("ü;--y",)]


@pytest.mark.parametrize("name", ["requests-0-00000.parquet", "schedule.parquet", "chunks-9-00009.parquet"])
def test_no_part_of_a_recording_is_overwritten(tmp_path: Path, name: str) -> None:
    build(tmp_path / "run", [ok_request(0)])
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="never changed"):
        to_file("select 1", tmp_path / "run" / name, tmp_path / "run")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("name", "says"), [("no/x.parquet", "there is no folder"), ("run", "is a folder")])
def test_a_place_that_cannot_be_is_said(tmp_path: Path, name: str, says: str) -> None:
    build(tmp_path / "run", [ok_request(0)])
    with pytest.raises(UsageError, match=says):
        to_file("select 1", tmp_path / name, tmp_path / "run")


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process can grow, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_without_room_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    build(tmp_path / "run", [ok_request(0)])
    out = tmp_path / "out.parquet"
    with no_room(), pytest.raises(RecordingError, match=r"write .*out\.parquet"):
        to_file("select range from range(100_000)", out, tmp_path / "run")
    assert not [name for name in os.listdir(tmp_path) if name.startswith((".out", "out"))]  # noqa: PTH208
