"""EvalScope perf: its table is read as it stands, and gives the figures that the tool printed."""

from __future__ import annotations

import gzip
import json
import math
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import PEERS, requests_of, sound, value_of

from loadcell.errors import UsageError
from loadcell.interop.readers import evalscope

REAL = PEERS / "evalscope"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The real files, writable, the table unpacked."""
    home = tmp_path / "parallel_8_number_64"
    home.mkdir()
    for file in REAL.glob("*.json"):
        if file.name != "truth.json":
            shutil.copy(file, home)
    (home / "benchmark_data.db").write_bytes(gzip.decompress((REAL / "benchmark_data.db.gz").read_bytes()))
    return home


def rows(folder: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(folder / "benchmark_data.db") as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM result ORDER BY start_time")]


def change(folder: Path, sql: str, *values: Any) -> None:
    with sqlite3.connect(folder / "benchmark_data.db") as database:
        database.execute(sql, values)
    database.close()


def nearest_rank(values: list[float], percent: int) -> float:
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def test_the_real_run_is_read_as_its_table_stands(folder: Path) -> None:
    (run,) = evalscope.read(folder)
    sound(run)
    assert run.tested
    assert (run.ok, run.failed, run.requests, run.concurrency, run.loop, run.api) == (64, 0, 64, 8, "closed", "chat")
    assert run.url == "http://127.0.0.1:8903/v1/chat/completions"
    raw = rows(folder)
    zero = min(row["start_time"] for row in raw)
    for request, row in zip(requests_of(run), raw, strict=True):
        assert request.sent_s == row["start_time"] - zero
        assert request.end_s == row["completed_time"] - zero
        assert request.first_s is not None and request.chunks_s is not None
        assert request.first_s - request.sent_s == pytest.approx(row["first_chunk_latency"], abs=1e-9)
        assert np.diff(request.chunks_s) == pytest.approx(json.loads(row["inter_token_latencies"]), abs=1e-9)
        assert (request.input_tokens, request.output_tokens) == (row["prompt_tokens"], row["completion_tokens"])


def test_the_rows_give_the_figures_that_the_tool_printed(folder: Path) -> None:
    (run,) = evalscope.read(folder)
    requests = requests_of(run)
    ttft = [1e3 * (request.first_s - request.sent_s) for request in requests]  # type: ignore[operator]
    e2e = [request.end_s - request.sent_s for request in requests]  # type: ignore[operator]
    gaps = [1e3 * gap for request in requests for gap in np.diff(request.chunks_s)]  # type: ignore[arg-type]
    tpot = [(1e3 * one - first) / 49 for one, first in zip(e2e, ttft, strict=True)]
    for percent in (1, 5, 10, 25, 50, 75, 90, 95, 99):
        at = f"p{percent}"
        assert nearest_rank(ttft, percent) == pytest.approx(value_of(run, "ttft_ms", at), abs=1e-4)
        assert nearest_rank(gaps, percent) == pytest.approx(value_of(run, "itl_ms", at), abs=1e-4)
        assert nearest_rank(tpot, percent) == pytest.approx(value_of(run, "tpot_ms", at), abs=1e-4)
        assert nearest_rank(e2e, percent) == pytest.approx(value_of(run, "e2e_ms", at), abs=1e-4)
        slow = 1e3 / nearest_rank(sorted(tpot), 100 - percent)
        assert slow == pytest.approx(value_of(run, "user_tokens_per_s", f"p{100 - percent}"), rel=5e-3)
    assert np.mean(ttft) == pytest.approx(value_of(run, "ttft_ms", "mean"), abs=6e-3)
    span = max(r.end_s for r in requests) - min(r.sent_s for r in requests)  # type: ignore[type-var,operator]
    assert span == pytest.approx(run.window_s, abs=1e-4)
    assert 64 / span == pytest.approx(value_of(run, "requests_per_s"), abs=1e-3)
    truth = json.loads((REAL / "truth.json").read_text())
    assert 0 < np.percentile(ttft, 50) - truth["ttft_ms"]["p50"] < 10  # connect, queue and parse are inside
    assert np.percentile(gaps, 50) == pytest.approx(truth["itl_ms"]["p50"], abs=0.1)


def test_zeros_for_missing_are_missing_and_what_the_files_cannot_say_is_named() -> None:
    (run,) = evalscope.read(REAL)
    (figure,) = [told for told in run.told if told.key == "Input Throughput (tok/s)"]
    assert figure.value is None
    assert {m.field for m in run.missing} >= {"planned_ns", "error", "token_source", "version"}


def test_it_is_found_by_its_content(folder: Path, tmp_path: Path) -> None:
    assert evalscope.matches(folder)
    assert evalscope.matches(tmp_path)  # a folder of runs
    assert evalscope.matches(folder / "benchmark_data.db")
    assert evalscope.matches(REAL / "benchmark_data.db.gz")
    assert not evalscope.matches(PEERS)
    assert not evalscope.matches(PEERS / "genai_bench")
    (folder / "benchmark_summary.json").write_text("{}")
    assert not evalscope.matches(folder / "benchmark_summary.json")


def test_summaries_alone_are_told_without_requests(folder: Path) -> None:
    (folder / "benchmark_data.db").unlink()
    (run,) = evalscope.read(folder)
    sound(run)
    assert run.details is None
    assert value_of(run, "ttft_ms", "mean") == 74.12


def test_several_runs_are_one_each(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "parallel_16_number_64")
    runs = evalscope.read(tmp_path)
    assert [run.name for run in runs] == ["parallel_16_number_64", "parallel_8_number_64"]


def test_failures_unstreamed_and_odd_rows(folder: Path) -> None:
    change(folder, "UPDATE result SET success = 0, latency = NULL, first_chunk_latency = NULL, prompt_tokens = NULL, "
                   "completion_tokens = NULL, inter_token_latencies = '[]' WHERE rowid = 3")  # fmt: skip
    change(folder, "UPDATE result SET is_stream = 0, first_chunk_latency = latency, inter_token_latencies = '[]' "
                   "WHERE rowid = 4")  # fmt: skip
    change(folder, "UPDATE result SET completion_tokens = 0 WHERE rowid = 5")
    change(folder, "UPDATE result SET completed_time = 0 WHERE rowid = 6")
    (run,) = evalscope.read(folder)
    sound(run)
    odd = [r for r in requests_of(run) if r.first_s is None or r.output_tokens is None or r.end_s is None]
    assert len(odd) == 4
    assert sum(r.status == "failed" for r in odd) == 1
    assert sum(r.end_s is None for r in odd) == 1


def test_older_tables_without_newer_columns_are_read(folder: Path) -> None:
    change(folder, "ALTER TABLE result DROP COLUMN is_stream")
    change(folder, "ALTER TABLE result DROP COLUMN request_id")
    (run,) = evalscope.read(folder)
    assert sum(r.first_s is not None for r in requests_of(run)) == 64


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("ALTER TABLE result DROP COLUMN first_chunk_latency", "no column first_chunk_latency"),
        ("ALTER TABLE result RENAME TO results", "no column start_time"),
        ("UPDATE result SET inter_token_latencies = 'x' WHERE rowid = 9", r"inter_token_latencies: no list"),
        ("UPDATE result SET start_time = NULL", "start_time: no times"),
        ("UPDATE result SET latency = 'soon' WHERE rowid = 9", r"result\[\d+\]\.latency: Expected"),
    ],
)
def test_other_tables_are_refused_by_file_and_field(folder: Path, sql: str, said: str) -> None:
    change(folder, sql)
    with pytest.raises(UsageError, match=rf"benchmark_data\.db.*{said}"):
        requests_of(evalscope.read(folder)[0])


def test_cut_files_are_refused_and_nothing_is_left_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = folder.parent / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    packed = (REAL / "benchmark_data.db.gz").read_bytes()
    (folder / "benchmark_data.db").unlink()
    (folder / "benchmark_data.db.gz").write_bytes(packed)
    requests = evalscope.read(folder)[0].details()  # type: ignore[misc]
    next(requests)
    requests.close()  # type: ignore[attr-defined]
    (folder / "benchmark_data.db.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UsageError, match=r"cannot unpack .*benchmark_data\.db\.gz"):
        evalscope.read(folder)
    whole = gzip.decompress(packed)
    (folder / "benchmark_data.db.gz").unlink()
    (folder / "benchmark_data.db").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"benchmark_data\.db is damaged"):
        requests_of(evalscope.read(folder)[0])
    (folder / "benchmark_percentile.json").write_text('[{"Percentiles": 3, "Latency (s)": 3}]')
    with pytest.raises(UsageError, match=r"benchmark_percentile\.json: 0\.Percentiles"):
        evalscope.read(folder)
    assert list(scratch.iterdir()) == []


def test_keys_and_texts_stay_behind(folder: Path) -> None:
    path = folder / "benchmark_args.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {
        "api_key": "sk-very-secret", "headers": {"x-api-key": "sk-very-secret"}, "url": "http://u:sk-very-secret@h/v1",
    }))  # fmt: skip
    (run,) = evalscope.read(folder)
    assert "sk-very-secret" not in repr(run) + repr(requests_of(run))
    assert "missnonose" not in repr(requests_of(run))
