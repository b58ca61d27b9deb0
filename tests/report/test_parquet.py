from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import made_sweep
import pytest
from made import failed_request, ok_request

from loadcell.errors import RecordingError, UsageError
from loadcell.metrics import build_result
from loadcell.recording.read import Recording, open_recording
from loadcell.recording.schema import TOKENS
from loadcell.recording.tables import DERIVED
from loadcell.recording.write import write_table
from loadcell.report.parquet import write_requests, write_stages
from loadcell.report.tables import sweep_rows

Make = Callable[..., Recording]


def asked(path: Path, what: str) -> list[tuple[Any, ...]]:
    return duckdb.execute(f"select {what} from read_parquet(?)", [str(path)]).fetchall()


def metadata(path: Path) -> dict[str, Any]:
    rows = duckdb.execute("select key, value from parquet_kv_metadata(?)", [str(path)]).fetchall()
    return {key.decode(): json.loads(value) for key, value in rows if key in (b"loadcell", b"columns")}


def spread(make: Make, loop: str, warmup: str = "warmup_s") -> Recording:
    """300 requests of different lengths, the first seconds warm-up, a few failed or given up."""
    times = [41.0 * i for i in range(300)]
    rows = [
        ok_request(i, start_ms=t + i % 5, tokens=1 + i % 9, planned_ns=round(t * 1e6) if loop == "open" else None,
                   cached_tokens=i, server_queue_ns=2_500_000)
        for i, t in enumerate(times)
    ]  # fmt: skip
    rows[3] = failed_request(3, "http", start_ms=times[3], planned_ns=rows[3]["planned_ns"], http_status=500)
    rows[200] = rows[200] | {"status": "cancelled"}
    rows.reverse()
    load = {warmup: {"warmup_s": 1.5, "warmup_requests": 37}[warmup]} | (
        {"rate": 24.0} if loop == "open" else {"concurrency": 3}
    )
    return make(rows, planned=times if loop == "open" else None, loop=loop, load=load)


@pytest.mark.parametrize("loop", ["open", "closed"])
@pytest.mark.parametrize("window_s", [None, (2.0, 7.3)])
@pytest.mark.parametrize("warmup", ["warmup_s", "warmup_requests"])
def test_the_file_gives_the_figures_of_the_result(
    make: Make, tmp_path: Path, loop: str, window_s: tuple[float, float] | None, warmup: str
) -> None:
    recording = spread(make, loop, warmup)
    result = build_result(recording, window_s=window_s)
    path = tmp_path / "per-request.parquet"
    assert write_requests(recording, result, path) == 300
    counts = result.counts.window
    each = ", ".join(f"count(*) filter (status = '{status}')" for status in ("ok", "failed", "cancelled"))
    assert asked_inside(path, each) == [(counts.ok, counts.failed, counts.cancelled)]
    assert 0 < counts.planned < 300
    for name in ("ttft", "ttfa", "ntpot", "e2e"):
        latency = result.latency[f"{name}_ms"]
        for anchor, summary in (("service", latency.service), ("response", latency.response)):
            column = f"{name}_{anchor}_ms"
            what = f"count({column}), quantile_disc({column}, 0.9), max({column}), avg({column})"
            ((n, p90, most, mean),) = asked_inside(path, what)
            if summary is None:
                assert n == 0
                continue
            assert (n, p90, most) == (summary.n, summary.p90.value, summary.max)
            assert mean == pytest.approx(summary.mean, rel=1e-12)
    tpot = result.latency["tpot_ms"].service
    assert asked_inside(path, "count(tpot_ms), quantile_disc(tpot_ms, 0.5)") == [(tpot.n, tpot.p50.value)]
    assert asked(path, "list(request) = range(300)") == [(True,)]


def asked_inside(path: Path, what: str) -> list[tuple[Any, ...]]:
    return duckdb.execute(f"select {what} from read_parquet(?) where in_window", [str(path)]).fetchall()


def test_columns_are_typed_and_say_their_unit(make: Make, tmp_path: Path) -> None:
    recording = spread(make, "open")
    path = tmp_path / "r.parquet"
    write_requests(recording, build_result(recording), path)
    types = dict(duckdb.execute("select column_name, column_type from (describe select * from read_parquet(?))",
                                [str(path)]).fetchall())  # fmt: skip
    assert types["request"] == "BIGINT"
    assert types["in_window"] == "BOOLEAN"
    assert {types[one.column.name] for one in DERIVED} == {"DOUBLE", "BOOLEAN"}
    assert set(asked(path, "distinct server_queue_ms")) == {(None,), (2.5,)}
    told = metadata(path)
    assert set(told["columns"]) == set(types)
    assert told["columns"]["ttft_response_ms"]["unit"] == "ms"
    assert told["columns"]["sent_s"]["unit"] == "s"
    assert "unit" not in told["columns"]["status"]
    assert all(column["means"] for column in told["columns"].values())
    assert told["loadcell"]["run"] == "golden"
    assert told["loadcell"]["window_s"][0] == 1.5


def test_what_cannot_be_known_is_null(make: Make, tmp_path: Path) -> None:
    rows = [
        failed_request(0, "connect", send_start_ns=None),
        ok_request(1, first_any_ns=None, first_answer_ns=None, output_chunks=None),
    ]
    recording = make(rows)
    path = tmp_path / "r.parquet"
    write_requests(recording, build_result(recording), path)
    found = asked(path, "status, error_kind, sent_s, ttft_ms, tpot_ms, e2e_ms is null")
    assert found == [("failed", "connect", None, None, None, True), ("ok", None, 0.0, None, None, False)]


def test_tokens_counted_after_the_run_count(make: Make, tmp_path: Path) -> None:
    recording = make([ok_request(0)])
    write_table(recording.path / "tokens-0.parquet", TOKENS[:2], {"request": [0], "output_tokens": [19]})
    again = open_recording(recording.path)
    write_requests(again, build_result(again), tmp_path / "r.parquet")
    assert asked(tmp_path / "r.parquet", "output_tokens, token_source, tpot_ms") == [(19, "tokenizer", 10.0)]


def test_a_recording_without_requests_gives_an_empty_file(make: Make, tmp_path: Path) -> None:
    recording = make([], planned=3)
    assert write_requests(recording, build_result(recording), tmp_path / "r.parquet") == 0
    assert asked(tmp_path / "r.parquet", "count(*), max(ttft_ms)") == [(0, None)]


def test_the_same_recording_gives_the_same_bytes(make: Make, tmp_path: Path) -> None:
    recording = spread(make, "closed")
    result = build_result(recording)
    for name in ("a", "b"):
        write_requests(recording, result, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# --- stages ----------------------------------------------------------------------------------------------------------


def test_stages_have_the_values_of_the_csv(tmp_path: Path) -> None:
    sweep = made_sweep.make_search()
    path = tmp_path / "stages.parquet"
    assert write_stages(sweep, path) == len(sweep.stages)
    names = [column[0] for column in duckdb.execute("describe select * from read_parquet(?)", [str(path)]).fetchall()]
    found = [dict(zip(names, row, strict=True)) for row in asked(path, "*")]
    expected = sweep_rows(sweep)
    assert [list(row) for row in expected] == [names] * len(found)
    assert found == expected
    types = dict(duckdb.execute("select column_name, column_type from (describe select * from read_parquet(?))",
                                [str(path)]).fetchall())  # fmt: skip
    assert (types["load"], types["stage"], types["verdict"]) == ("DOUBLE", "BIGINT", "VARCHAR")
    assert (types["pareto"], types["ttft_p99_low_ms"]) == ("BOOLEAN", "DOUBLE")
    assert metadata(path)["columns"]["took_s"] == {"unit": "s"}
    assert metadata(path)["columns"]["requests_per_s"] == {}


def test_series_of_the_server_may_be_missing_and_have_any_name(tmp_path: Path) -> None:
    stages = [
        made_sweep.make_stage(1, 10, server={'x"; drop': 1.5}),
        made_sweep.make_stage(2, 20, point=None),
        made_sweep.make_stage(3, 30, verdict="INVALID"),
    ]
    path = tmp_path / "it's.parquet"
    write_stages(made_sweep.make_grid(stages=stages), path)
    assert asked(path, '"server_x""; drop", ttft_p50_ms is null') == [(1.5, False), (None, True), (None, False)]


def test_a_sweep_without_stages_gives_an_empty_file(tmp_path: Path) -> None:
    assert write_stages(made_sweep.make_grid(stages=[]), tmp_path / "s.parquet") == 0
    assert asked(tmp_path / "s.parquet", "count(*), max(load)") == [(0, None)]


# --- trouble ---------------------------------------------------------------------------------------------------------


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


def test_a_disk_without_room_is_said_and_the_old_file_stays(make: Make, tmp_path: Path) -> None:
    recording = make([ok_request(0)])
    result = build_result(recording)
    path = tmp_path / "r.parquet"
    path.write_text("old")
    with no_room(), pytest.raises(RecordingError, match=r"cannot write .*r\.parquet"):
        write_requests(recording, result, path)
    assert path.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.parquet"]


def test_a_part_that_was_damaged_since_is_said(make: Make, tmp_path: Path) -> None:
    recording = make([ok_request(0)])
    result = build_result(recording)
    Path(recording.request_parts[0]).write_bytes(b"PAR1")
    with pytest.raises(RecordingError, match=r"cannot write .*requests-0-00000"):
        write_requests(recording, result, tmp_path / "r.parquet")
    assert not (tmp_path / "r.parquet").exists()


def test_no_part_of_a_recording_is_overwritten(make: Make) -> None:
    recording = make([ok_request(0)])
    before = Path(recording.request_parts[0]).read_bytes()
    with pytest.raises(UsageError, match="never changed"):
        write_requests(recording, build_result(recording), Path(recording.request_parts[0]))
    assert Path(recording.request_parts[0]).read_bytes() == before
    write_requests(recording, build_result(recording), recording.path / "per-request.parquet")
