"""`vllm bench serve`: each of its forms, and that its rows in a recording are the arrays of the file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from vllm_files import vllm_result, write_json

from loadcell.interop.read import read_runs
from loadcell.kinds import KIND_ANSWER
from loadcell.recording.read import open_recording

PEERS = Path(__file__).parents[1] / "data" / "peers"
DETAILED = PEERS / "vllm_bench_detailed" / "r.json.gz"


def rows(folder: Path, sql: str) -> Any:
    """A query over the Parquet of a recording, which shares no code with what wrote it."""
    for table in ("requests", "chunks", "schedule"):
        sql = sql.replace(f"${table}", f"read_parquet('{folder}/{table}*.parquet')")
    return duckdb.sql(sql).fetchnumpy()


def told(imported: Any, key: str) -> Any:
    return next(each for each in imported["told"] if each["key"] == key)


def test_the_rows_are_the_arrays_of_the_file(imported):
    folder, _ = imported(DETAILED)
    tree = json.loads(gzip.decompress(DETAILED.read_bytes()))
    found = rows(folder, "select * from $requests order by request")
    starts = np.array(tree["start_times"]) - min(tree["start_times"])
    assert np.abs(found["send_start_ns"] - starts * 1e9).max() <= 0.5
    assert np.abs(found["first_any_ns"] - (starts + tree["ttfts"]) * 1e9).max() <= 0.5
    assert np.abs(found["last_ns"] - (starts + tree["latencies"]) * 1e9).max() <= 1
    assert found["output_tokens"].tolist() == tree["output_lens"]
    assert found["input_tokens"].tolist() == tree["input_lens"]
    assert found["output_chunks"].tolist() == [len(each) + 1 for each in tree["itls"]]
    assert set(found["status"]) == {"ok"} and set(found["token_source"]) == {"unknown"}
    gaps = rows(
        folder,
        "select * from (select t_ns - lag(t_ns) over (partition by request order by read) gap from $chunks) "
        "where gap is not null order by gap",
    )["gap"]
    assert np.abs(gaps - np.sort(np.concatenate(tree["itls"])) * 1e9).max() <= 1.5
    assert set(rows(folder, "select kind from $chunks")["kind"]) == {KIND_ANSWER}


@pytest.mark.parametrize("stat", ["mean", "p50", "p90", "p99", "std"])
def test_percentiles_over_the_parquet_are_those_the_tool_printed(imported, stat):
    """vLLM takes the median and percentiles by linear interpolation, and the population's standard deviation."""
    folder, said = imported(DETAILED)
    of = {"mean": "avg({})", "std": "stddev_pop({})"}.get(stat, f"quantile_cont({{}}, 0.{stat[1:]})")
    ms = {
        "ttft": "(first_any_ns - send_start_ns) / 1e6", "e2el": "(last_ns - send_start_ns) / 1e6",
        "tpot": "(last_ns - first_any_ns) / 1e6 / (output_tokens - 1)",
    }  # fmt: skip
    for name, value in ms.items():
        ((found,),) = duckdb.sql(
            f"select {of.format(value)} from read_parquet('{folder}/requests*.parquet')"
        ).fetchall()
        each = told(said["recordings"][0], f"{stat}_{name}_ms")
        assert found == pytest.approx(each["value"], abs=2e-6)
        metric = {"ttft": "ttft_ms", "e2el": "e2e_ms", "tpot": "tpot_ms"}[name]
        assert (each["metric"], each["stat"], each["unit"]) == (metric, stat, "ms")


def test_a_recording_says_where_it_comes_from(imported):
    folder, _ = imported(DETAILED)
    recording = open_recording(folder)
    assert recording.damaged == [] and recording.altered == []
    said = recording.imported
    assert said is not None
    assert (said.tool, said.tested, said.placed, said.details, said.loop) == ("vllm", True, True, True, "closed")
    assert (said.ok, said.failed, said.window_s) == (64, 0, 4.352437255000041)
    assert list(said.files) == ["r.json.gz"]
    named = {each.field for each in said.missing}
    assert {"endpoint.url", "run.seed", "planned_ns", "version", "chunks.tokens"} <= named
    assert any(each.startswith("chunks:") for each in said.derived)
    spec, manifest = recording.spec, recording.manifest
    assert (spec.load.concurrency, spec.load.requests, spec.endpoint.model) == (8, 64, "truth")
    assert (manifest.planned, manifest.state, manifest.core) == (64, "complete", None)
    assert manifest.started_at == "2026-11-29T14:14:17+00:00"


def test_importing_twice_gives_the_same_recording(imported):
    first, second = (open_recording(imported(DETAILED)[0]) for _ in range(2))
    assert first.manifest.id == second.manifest.id
    files = {name: sum for name, sum in (first.manifest.files or {}).items() if name != "imported.json"}
    assert files == {name: sum for name, sum in (second.manifest.files or {}).items() if name != "imported.json"}


def test_a_summary_keeps_the_latencies_that_python_leaves_in_it(imported):
    folder, said = imported(PEERS / "vllm_bench")
    tree = json.loads((PEERS / "vllm_bench" / "r.json").read_text())
    found = rows(folder, "select * from $requests order by request")
    assert found["send_start_ns"].tolist() == [0] * 64
    assert np.abs(found["last_ns"] - np.array(tree["latencies"]) * 1e9).max() <= 0.5
    assert np.ma.count(found["first_any_ns"]) == 0
    (one,) = said["recordings"]
    assert one["placed"] is False and one["details"] is True
    assert told(one, "p99_ttft_ms") == {"key": "p99_ttft_ms", "value": tree["p99_ttft_ms"], "unit": "ms",
                                        "metric": "ttft_ms", "stat": "p99"}  # fmt: skip
    assert told(one, "request_throughput")["metric"] == "requests_per_s"


def test_a_summary_of_the_rust_client_has_figures_and_no_requests(imported):
    folder, said = imported(PEERS / "vllm_rs" / "r.json")
    (one,) = said["recordings"]
    assert (one["tool"], one["details"], one["tested"]) == ("vllm-rs", False, True)
    assert {"requests", "chunks"} <= {each["field"] for each in one["missing"]}
    steady = told(one, "steady_state.percentiles_ttft_ms.2.1")
    assert (steady["value"], steady["stat"], steady["metric"]) == (52.847084319999986, "p99", None)
    assert told(one, "steady_state.window.duration_s")["unit"] == "s"
    assert told(one, "rtfx")["value"] == 0
    recording = open_recording(folder)
    assert recording.request_parts == [] and recording.manifest.planned == 64
    assert recording.manifest.started_at.startswith("2026-11-29T13:12:13")


def test_every_figure_of_a_file_is_told_once(imported):
    for name in ("vllm_bench", "vllm_rs"):
        tree = json.loads((PEERS / name / "r.json").read_text())
        asked = {"num_prompts", "burstiness", "max_concurrency", "request_rate", "max_model_len"}
        numbers = {key for key, value in tree.items() if isinstance(value, int | float)} - asked
        keys = [each["key"] for each in imported(PEERS / name)[1]["recordings"][0]["told"]]
        assert len(keys) == len(set(keys)) and numbers <= set(keys)


def test_an_append_result_file_is_as_many_runs(tmp_path, imported):
    trees = [vllm_result(request_rate=rate, max_concurrency=None) for rate in (1.0, 2.0, 2.0)]
    folder, said = imported(write_json(tmp_path / "all.json", *trees))
    names = [Path(each["folder"]).name for each in said["recordings"]]
    assert names == ["openai-chat-1qps", "02-openai-chat-2qps", "03-openai-chat-2qps"]
    for each, rate in zip(said["recordings"], (1.0, 2.0, 2.0), strict=True):
        recording = open_recording(each["folder"])
        assert (recording.spec.load.rate, recording.manifest.loop) == (rate, "open")
        assert len(recording.requests(["request"])["request"]) == 6
    chosen, said = imported(tmp_path / "all.json", "--name", "openai-chat-1qps")
    assert open_recording(chosen).spec.load.rate == 1.0 and len(said["recordings"]) == 1
    assert folder != chosen


@pytest.mark.parametrize(
    ("more", "arrivals"),
    [({"burstiness": 1.0}, "poisson"), ({"burstiness": 4.0}, "gamma:0.5"), ({"burstiness": float("inf")}, "constant")],
)
def test_burstiness_becomes_the_law_of_the_gaps(tmp_path, imported, more, arrivals):
    folder, _ = imported(write_json(tmp_path / "a.json", vllm_result(request_rate=5.0, max_concurrency=None, **more)))
    assert open_recording(folder).spec.load.arrivals == arrivals


def test_a_load_without_rate_and_cap_has_as_many_users_as_requests(tmp_path, imported):
    folder, _ = imported(write_json(tmp_path / "a.json", vllm_result(max_concurrency=None)))
    recording = open_recording(folder)
    assert (recording.spec.load.concurrency, recording.manifest.loop) == (6, "closed")
    assert "all requests were sent at once: as many users as requests" in recording.manifest.notes


def test_failures_are_seen_by_their_error_or_by_their_latency(tmp_path, imported):
    tree = vllm_result(completed=3, failed=3)
    tree["errors"][0] = "Traceback (most recent call last):\n  ...\nTimeoutError: too late"
    for row in (0, 1, 2):
        tree["latencies"][row], tree["output_lens"][row] = 0.0, 0
    tree["ttfts"][2], tree["itls"][2], tree["start_times"][2] = 0.0, [], 0.0
    folder, said = imported(write_json(tmp_path / "a.json", tree))
    found = rows(folder, "select * from $requests order by request")
    assert found["status"].tolist() == ["failed"] * 3 + ["ok"] * 3
    assert found["error"].tolist()[:2] == ["TimeoutError: too late", "no reason told"]
    assert found["error_kind"].tolist()[:3] == ["told"] * 3
    assert not np.ma.getmaskarray(found["first_any_ns"])[:2].any()  # partial events stay
    assert np.ma.getmaskarray(found["send_start_ns"])[2] and np.ma.getmaskarray(found["last_ns"])[2]
    assert found["send_start_ns"][3] == pytest.approx(0.3e9, abs=1)  # no zero of a failed one begins the run
    assert (said["recordings"][0]["ok"], said["recordings"][0]["failed"]) == (3, 3)


def test_a_run_of_failures_alone_has_no_figures(tmp_path, imported):
    tree = vllm_result(completed=0, failed=6, output_lens=[0] * 6, latencies=[0.0] * 6, ttfts=[0.0] * 6, itls=[[]] * 6)
    tree |= {key: 0.0 for key in tree if key.endswith(("_ms", "throughput"))}
    _, said = imported(write_json(tmp_path / "a.json", tree))
    (one,) = said["recordings"]
    assert all(each["value"] is None for each in one["told"] if each["metric"])
    assert (one["ok"], one["failed"]) == (0, 6)


def test_the_rust_client_tells_its_failures_apart(tmp_path, imported):
    lost = {"index": 6, "error": "HTTP 500", "prompt_len": 9, "start_time": 0.25, "latency": 0.0, "ttft": None,
            "output_tokens": 0, "itl": []}  # fmt: skip
    tree = vllm_result(date="2026-01-02T03:04:05Z", max_model_len=None, num_prompts=7, failed=1,
                       start_times=[i / 10 for i in range(6)], failed_requests=[lost])  # fmt: skip
    del tree["queue_times"]
    folder, said = imported(write_json(tmp_path / "a.json", tree))
    found = rows(folder, "select * from $requests order by request")
    assert found["status"].tolist() == ["ok"] * 6 + ["failed"]
    assert (found["error"][6], found["send_start_ns"][6], found["input_tokens"][6]) == ("HTTP 500", 250_000_000, 9)
    assert found["send_start_ns"][1] == 100_000_000
    assert said["recordings"][0]["tested"] is False


def test_a_sweep_is_a_recording_a_run(tmp_path, imported):
    home = tmp_path / "sweep" / "exp"
    for name in ("SERVE--tp=1-BENCH--rate=1", "SERVE--tp=2-BENCH--rate=1"):
        for number in (0, 1):
            write_json(home / name / f"run={number}.json", vllm_result(run_number=number))
        write_json(home / name / "summary.json", [vllm_result(), vllm_result()])
    write_json(home / "SERVE--tp=2-BENCH--rate=1" / "run=2.failure.json", vllm_result())
    (tmp_path / "sweep" / "summary.csv").write_text("a,b\n")
    _, said = imported(tmp_path / "sweep")
    assert [Path(each["folder"]).name for each in said["recordings"]] == [
        f"exp-SERVE--tp={tp}-BENCH--rate=1-run={number}" for tp in (1, 2) for number in (0, 1)
    ]
    assert {Path(each).name for each in said["ignored"]} == {"summary.json", "run=2.failure.json", "summary.csv"}
    assert all(each["tested"] is False for each in said["recordings"])


def test_a_list_of_runs_is_read_as_the_runs(tmp_path):
    runs = read_runs(write_json(tmp_path / "summary.json", [vllm_result(request_rate=rate) for rate in (1, 2)]))
    assert [run.rate for run in runs] == [1, 2]
    assert all(run.details is not None and len(list(run.details())) == 6 for run in runs)


def test_pooling_has_e2e_alone(tmp_path, imported):
    tree = vllm_result(detailed=False, endpoint_type="openai-embeddings", total_input_sequences=6,
                       input_sequence_throughput=10.0, latencies=[0.1] * 6)  # fmt: skip
    for key in [key for key in tree if any(part in key for part in ("ttft", "tpot", "itl", "output"))]:
        del tree[key]
    folder, said = imported(write_json(tmp_path / "a.json", tree))
    recording = open_recording(folder)
    assert (recording.spec.endpoint.api, recording.spec.workload.output_tokens) == ("embeddings", None)
    assert said["recordings"][0]["schema"] == "bench serve, Python client, pooling"
    assert recording.requests(["last_ns"])["last_ns"].tolist() == [100_000_000] * 6


def test_files_before_2025_are_known_by_what_they_have(tmp_path, imported):
    tree = vllm_result(backend="vllm", best_of=1)
    for key in ("endpoint_type", "failed", "start_times", "latencies", "label", "burstiness"):
        del tree[key]
    folder, said = imported(write_json(tmp_path / "a.json", tree))
    (one,) = said["recordings"]
    assert (one["schema"], one["placed"], one["tested"]) == ("bench serve, before 2025, --save-detailed", False, False)
    found = open_recording(folder).requests(["send_start_ns", "last_ns", "first_any_ns"])
    assert found["send_start_ns"].tolist() == [0] * 6
    assert found["last_ns"][0] == pytest.approx(90_000_000, abs=1)


def test_turns_keep_what_is_told_of_each(tmp_path, imported):
    turns = [{"turn": 0, "mean_ttft_ms": 50.0, "note": "x"}, {"turn": 1, "mean_ttft_ms": 20.0}]
    tree = vllm_result(detailed=False, mode="multi_turn", multi_turn_concurrency=3, num_conversations=2,
                       max_model_len=100, per_turn_metrics=turns)  # fmt: skip
    folder, said = imported(write_json(tmp_path / "a.json", tree))
    (one,) = said["recordings"]
    assert one["schema"] == "bench serve, Rust client, several turns" and one["tested"] is False
    assert told(one, "per_turn_metrics.1.mean_ttft_ms")["value"] == 20.0
    assert open_recording(folder).spec.load.concurrency == 3


def test_metadata_of_users_is_no_figure_of_ours(tmp_path, imported):
    tree = vllm_result(detailed=False, tp="8", gpus=4)
    _, said = imported(write_json(tmp_path / "a.json", tree))
    each = told(said["recordings"][0], "gpus")
    assert (each["value"], each["metric"], each["unit"]) == (4, None, "")


@pytest.mark.parametrize("zero", [0.0, 100.0])
def test_a_start_at_zero_of_a_request_that_was_answered_is_a_time(imported, tmp_path, zero):
    tree = vllm_result(rows=4)
    starts = [zero + 0.1 * row for row in range(4)]
    folder, _ = imported(write_json(tmp_path / "a.json", tree | {"start_times": starts}))
    assert rows(folder, "select send_start_ns // 1000000 ms from $requests order by request")["ms"].tolist() == [
        0, 100, 200, 300
    ]  # fmt: skip


def test_a_zero_of_a_clock_with_another_zero_is_no_time(imported, tmp_path):
    tree = vllm_result(rows=3)
    lost = {"start_times": [100.0, 0.0, 100.1], "ttfts": [0.05, 0.0, 0.05], "latencies": [0.09, 0.0, 0.09],
            "output_lens": [5, 0, 5], "errors": ["", "refused", ""], "itls": [[0.01] * 4, [], [0.01] * 4]}  # fmt: skip
    folder, _ = imported(write_json(tmp_path / "a.json", tree | lost | {"completed": 2, "failed": 1}))
    found = rows(folder, "select send_start_ns // 1000000 ms, status from $requests order by request")
    assert np.ma.getmaskarray(found["ms"]).tolist() == [False, True, False]
    assert found["ms"].compressed().tolist() == [0, 100]


def test_a_figure_of_zero_that_the_tool_printed_is_told(imported, tmp_path):
    _, said = imported(write_json(tmp_path / "a.json", vllm_result(rows=2)))
    assert told(said["recordings"][0], "rtfx")["value"] == 0


def test_keys_in_an_error_do_not_reach_a_recording(imported, tmp_path):
    words = "Traceback\n401 from http://me:hunter22@h:1/v1?key=hunter23: Authorization: Bearer sk-hunter24hunter24"
    tree = vllm_result(rows=2) | {"errors": ["", words], "completed": 1, "failed": 1}
    folder, said = imported(write_json(tmp_path / "a.json", tree))
    (error,) = rows(folder, "select error from $requests where error is not null")["error"]
    assert error == "401 from http://<redacted>@h:1/v1?<redacted> Authorization: Bearer <redacted>"
    assert "hunter" not in json.dumps(said)
    assert not any(b"hunter" in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_half_a_surrogate_in_an_error_is_replaced(imported, tmp_path):
    tree = vllm_result(rows=2) | {"errors": ["", "cut \ud83d"], "completed": 1, "failed": 1}
    folder, _ = imported(write_json(tmp_path / "a.json", tree))
    assert rows(folder, "select error from $requests where error is not null")["error"].tolist() == ["cut ?"]
