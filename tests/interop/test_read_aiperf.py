"""What is read of AIPerf's files."""

import json
import math

import numpy as np
import pytest
from made_peers import (
    FORM_FILES,
    PEERS,
    aiperf_failure,
    aiperf_record,
    aiperf_summary_of_2025,
    real,
    real_rows,
    written,
)

from loadcell.errors import UsageError
from loadcell.interop.readers import aiperf

FOLDER = PEERS / "aiperf"


@pytest.fixture(scope="module")
def run():
    (run,) = aiperf.read(FOLDER)
    return run


def test_it_is_known_by_what_is_in_it(tmp_path):
    assert aiperf.matches(FOLDER)
    assert [aiperf.matches(file) for file in sorted(FOLDER.iterdir())] == [True, False, True]
    for folder in PEERS.iterdir():
        assert folder.name == "aiperf" or not aiperf.matches(folder)
    (tmp_path / "x").write_bytes(b"\x1f\x8b broken")
    assert not aiperf.matches(tmp_path)


def test_the_real_run_says_what_it_was(run):
    assert (run.version, run.schema, run.tested) == ("0.13.0", "summary 1.4 and records", True)
    assert (run.loop, run.concurrency, run.requests, run.rate) == ("closed", 8, 64, None)
    assert (run.ok, run.failed, run.cancelled) == (64, 0, 0)
    assert (run.model, run.api, run.stream, run.url) == ("truth", "chat", True, "http://127.0.0.1:8901")
    assert (run.input_tokens, run.output_tokens) == ("128", "50")
    assert run.window_s == pytest.approx(55.413689 - 50.983328)  # end_time and start_time
    assert len(run.files) == 2 and run.placed


def test_requests_have_the_times_of_the_records(run):
    rows = real_rows("aiperf/profile_export.jsonl.gz")
    requests = list(run.details())
    assert len(requests) == len(list(run.details())) == 64
    start = min(row["metadata"]["request_start_ns"] for row in rows)
    for row, request in zip(rows, requests, strict=True):
        told = {tag: metric["value"] for tag, metric in row["metrics"].items()}
        assert request.sent_s == pytest.approx((row["metadata"]["request_start_ns"] - start) / 1e9, abs=1e-9)
        assert (request.first_s - request.sent_s) * 1e3 == pytest.approx(told["time_to_first_token"])
        assert (request.last_s - request.sent_s) * 1e3 == pytest.approx(told["request_latency"])
        tpot_ms = (request.last_s - request.first_s) * 1e3 / (request.output_tokens - 1)
        assert tpot_ms == pytest.approx(told["inter_token_latency"])
        assert np.diff(request.chunks_s) * 1e3 == pytest.approx(told["inter_chunk_latency"])
        assert request.prompt_tokens == told["usage_prompt_tokens"] and request.token_source == "tokenizer"


def test_its_summary_is_told_figure_by_figure(run):
    summary = real("aiperf/profile_export_aiperf.json")
    expected = {
        f"{tag}.{key}": value
        for tag, metric in summary.items()
        if isinstance(metric, dict) and "unit" in metric
        for key, value in metric.items()
        if key != "unit"
    }
    assert {told.key: told.value for told in run.told} == expected
    by_meaning = {(told.metric, told.stat): told for told in run.told if told.metric}
    assert by_meaning["tpot_ms", "p99"].key == "inter_token_latency.p99"
    assert by_meaning["itl_ms", "mean"].key == "inter_chunk_latency.avg"
    assert by_meaning["requests_per_s", None].unit == "requests/s"


def test_what_was_told_follows_from_the_requests(run):
    told = {told.key: told.value for told in run.told}
    requests = list(run.details())
    ttft = np.array([r.first_s - r.sent_s for r in requests]) * 1e3
    gaps = np.concatenate([np.diff(r.chunks_s) for r in requests]) * 1e3
    for percent in (50, 90, 99):
        assert told[f"time_to_first_token.p{percent}"] == pytest.approx(np.percentile(ttft, percent))
        assert told[f"inter_chunk_latency.p{percent}"] == pytest.approx(np.percentile(gaps, percent))
    window = max(r.last_s for r in requests) - min(r.sent_s for r in requests)
    assert told["benchmark_duration.avg"] == pytest.approx(window)
    assert told["request_throughput.avg"] == pytest.approx(64 / run.window_s)
    assert told["output_token_throughput.avg"] == pytest.approx(3200 / run.window_s)


def test_it_is_near_the_truth(run):
    truth = real("truth.json")["aiperf"]["truth"]
    requests = list(run.details())
    ttft = np.median([r.first_s - r.sent_s for r in requests]) * 1e3
    tpot = np.median([(r.last_s - r.first_s) / (r.output_tokens - 1) for r in requests]) * 1e3
    assert 0 <= ttft - truth["ttft_ms"]["p50"] < 5
    assert tpot == pytest.approx(truth["tpot_ms"]["p50"], rel=0.01)
    assert sum(r.output_tokens for r in requests) == truth["tokens"]


def test_one_file_alone(tmp_path):
    (summary,) = aiperf.read(FOLDER / "profile_export_aiperf.json")
    assert summary.details is None and summary.ok == 64 and summary.told
    assert [missing.field for missing in summary.missing] == ["requests"] and summary.started_at.tzinfo is None
    (records,) = aiperf.read(FOLDER / "profile_export.jsonl.gz")
    assert len(list(records.details())) == 64 and not records.told
    assert (records.model, records.url, records.loop) == (None, None, None)
    assert {r.token_source for r in records.details()} == {"unknown"}


def test_warm_up_failures_and_cancelled_rows(tmp_path):
    """No JSON where all failed: the records alone are a run."""
    written(
        tmp_path / "profile_export.jsonl",
        aiperf_record(0, phase="warmup"),
        aiperf_record(1000, ttft_ms=40.0),
        aiperf_failure(900),
        aiperf_record(1100, cancelled=True),
    )
    (run,) = aiperf.read(tmp_path)
    assert (run.ok, run.failed, run.cancelled) == (1, 1, 1)
    assert run.notes == ["rows of the warm-up, left out: 1"]
    ok, failed, cancelled = run.details()
    assert (ok.sent_s, failed.sent_s, cancelled.sent_s) == pytest.approx((0.1, 0.0, 0.2))
    assert ok.last_s == pytest.approx(0.17) and ok.error is None
    assert (failed.end_s, failed.first_s, failed.http_status, failed.error_kind) == (None, None, 500, "http")
    assert failed.error == "Internal Server Error: out of luck" and failed.input_tokens == 128
    assert cancelled.status == "cancelled" and failed.output_tokens is None and failed.token_source is None


def test_a_summary_of_2025(tmp_path):
    path = written(tmp_path / "profile_export_aiperf.json", aiperf_summary_of_2025())
    assert aiperf.matches(path)
    (run,) = aiperf.read(path)
    assert (run.version, run.tested, run.loop, run.rate, run.arrivals) == (None, True, "open", 5.0, "poisson")
    assert (run.seed, run.input_tokens, run.api, run.failed) == (0, "normal:100,10", "completions", 0)
    told = {told.key: told.value for told in run.told}
    assert told["adj_request_latency.p50"] == 80.0 and told["adj_request_latency.p99"] is None
    assert any("infinite" in note for note in run.notes)
    assert "adj_request_latency.std" not in told and told["adj_request_latency.count"] == 3
    assert "pw" not in run.url and "abc" not in run.url and "sk-secret" not in repr(run)
    assert any("cut short" in note for note in run.notes)


def test_a_real_run_of_2025():
    """0.2.0: no version, rates over benchmark_duration, no time to the first answer; tokens by a local tokenizer."""
    (run,) = aiperf.read(FORM_FILES / "aiperf_0_2")
    summary = json.loads((FORM_FILES / "aiperf_0_2" / "profile_export_aiperf.json").read_text())
    assert (run.version, run.schema, run.tested) == (None, "summary of 2025 and records", True)
    assert (run.loop, run.concurrency, run.requests, run.ok, run.failed) == ("closed", 4, 16, 16, 0)
    assert run.window_s == pytest.approx(summary["benchmark_duration"]["avg"])
    requests = list(run.details())
    ttft = np.array([r.first_s - r.sent_s for r in requests]) * 1e3
    tpot = np.array([(r.last_s - r.first_s) / (r.output_tokens - 1) for r in requests]) * 1e3
    assert summary["time_to_first_token"]["p99"] == pytest.approx(np.percentile(ttft, 99))
    assert summary["inter_token_latency"]["p50"] == pytest.approx(np.median(tpot))
    assert {r.answer_s for r in requests} == {None} and "first_answer_ns" in {m.field for m in run.missing}
    assert [says.partition(":")[0] for says in run.derived] == ["first_any_ns", "last_ns", "chunks"]


def test_a_real_run_with_failures():
    """Failed records end when they begin, or where they were cut; adj_* is infinite beyond the share that was ok."""
    (run,) = aiperf.read(FORM_FILES / "aiperf_failures")
    requests = list(run.details())
    assert (run.ok, run.failed, run.planned, len(requests)) == (21, 19, 40, 40)
    assert "rows of the warm-up, left out: 4" in run.notes and any("infinite" in note for note in run.notes)
    assert {(r.error_kind, r.http_status, r.end_s is None) for r in requests if r.status == "failed"} == {
        ("http", 500, True),
        ("cut", None, False),
    }
    told = {told.key: told.value for told in run.told}
    ttft = np.sort([r.first_s - r.sent_s for r in requests if r.status == "ok"]) * 1e3
    assert told["adj_time_to_first_token.p50"] == pytest.approx(ttft[20])  # of 40, by nearest rank
    assert told["adj_time_to_first_token.p75"] is None and told["time_to_first_token.p75"] < 1000
    assert told["request_throughput.avg"] == pytest.approx(21 / run.window_s)


def test_repeats_are_runs(tmp_path):
    for number in (1, 2):
        folder = tmp_path / "profile_runs" / f"run_000{number}"
        written(folder / "my_aiperf.json", real("aiperf/profile_export_aiperf.json"))
        written(folder / "my.jsonl", aiperf_record(), aiperf_record(5))
    written(tmp_path / "aggregate" / "profile_export_aiperf_aggregate.json", {"x": {"unit": "ms", "mean": 1}})
    runs = aiperf.read(tmp_path)
    assert [run.name for run in runs] == ["profile_runs-run_0001", "profile_runs-run_0002"]
    assert all(len(list(run.details())) == 2 for run in runs)


def test_what_lies_beside_is_not_read(tmp_path):
    metric = {"unit": "ms", "avg": 1.0}
    beside = {
        "profile_export_aiperf_timeslices.json": {
            "aiperf_version": "0.13.0",
            "timeslices": [{"request_latency": metric}],
        },
        "server_metrics_export.json": {"aiperf_version": "0.13.0", "metrics": {"m": {"series": [metric]}}},
        "profile_export_aiperf_aggregate.json": {"aiperf_version": "0.13.0", "m": {"unit": "ms", "mean": 1, "cv": 2}},
        "inputs.json": {"data": [{"session_id": "s", "payloads": ["a secret prompt"]}]},
    }
    for name, tree in beside.items():
        assert not aiperf.matches(written(tmp_path / name, tree)), name
    assert not aiperf.matches(tmp_path)
    oldest = aiperf_summary_of_2025()
    oldest["records"] = {tag: oldest.pop(tag) for tag in ("request_latency", "request_count")}
    (run,) = aiperf.read(written(tmp_path / "profile_export_aiperf.json", oldest))
    assert run.ok == 2 and "request_latency.p99" in {told.key for told in run.told}


def test_turns_name_their_session(tmp_path):
    path = written(tmp_path / "a.jsonl", aiperf_record(conversation="a"), aiperf_record(9, conversation="a", turn=1))
    assert [(r.session, r.turn) for r in aiperf.read(path)[0].details()] == [("a", 0), ("a", 1)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": {"time_to_first_token": {"value": "x", "unit": "ms"}}}, "metrics.time_to_first_token.value"),
        ({"metrics": {"request_latency": {"value": 1, "unit": "ly"}}}, "metrics.request_latency.unit: 'ly' is no unit"),
        ({"metadata": {"request_start_ns": None}}, "line 2: metadata.request_start_ns: Expected int, got null"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, said):
    path = written(tmp_path / "profile_export.jsonl", aiperf_record(), aiperf_record() | change)
    with pytest.raises(UsageError, match="line 2: ") as error:
        aiperf.read(path)
    assert said in str(error.value) and str(path) in str(error.value)


def test_a_record_that_is_cut(tmp_path):
    path = written(tmp_path / "profile_export.jsonl", aiperf_record(), aiperf_record())
    path.write_text(path.read_text()[:-40])
    with pytest.raises(UsageError, match=r"profile_export\.jsonl:2"):
        aiperf.read(path)


def test_nan_is_missing(tmp_path):
    row = aiperf_record()
    row["metrics"]["time_to_first_token"]["value"] = math.nan
    row["metrics"]["output_sequence_length"]["value"] = math.nan
    (request,) = aiperf.read(written(tmp_path / "a.jsonl", row))[0].details()
    assert request.first_s is None and request.chunks_s is None and request.output_tokens is None
    row = aiperf_record()
    row["metrics"]["inter_chunk_latency"]["value"] = [10.0, math.nan]
    (request,) = aiperf.read(written(tmp_path / "b.jsonl", row))[0].details()
    assert request.first_s is not None and request.chunks_s is None
