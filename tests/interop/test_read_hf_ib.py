"""Hugging Face inference-benchmarker: files made after its own names, a run for each result but the warm-up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from foreign import PEERS, sound, value_of

from loadcell.errors import UsageError
from loadcell.interop.readers import hf_ib


def spread(base: float) -> dict[str, float]:
    return {"p50": base, "p60": base + 1, "p70": base + 2, "p80": base + 3, "p90": base + 4, "p95": base + 5,
            "p99": base + 9, "avg": base + 0.5}  # fmt: skip


def result(name: str, kind: str, rate: float | None = None, **change: Any) -> dict[str, Any]:
    return {
        "id": name, "executor_type": kind, "config": {"max_vus": 128, "duration_secs": 60, "rate": rate},
        "total_requests": 100, "total_tokens": 5000, "token_throughput_secs": 83.3, "duration_ms": 60000,
        "time_to_first_token_ms": spread(50.0), "inter_token_latency_ms": spread(10.0), "failed_requests": 4,
        "successful_requests": 96, "request_rate": 1.6, "total_tokens_sent": 20000, "e2e_latency_ms": spread(600.0),
    } | change  # fmt: skip


def tree(*results: dict[str, Any]) -> dict[str, Any]:
    options = {"num_tokens": 200, "min_tokens": 180, "max_tokens": 220, "variance": 100}
    return {
        "config": {
            "max_vus": 128, "duration_secs": 60, "benchmark_kind": "Sweep", "warmup_duration_secs": 30, "rates": None,
            "num_rates": 10, "prompt_options": options, "decode_options": options | {"variance": 0}, "tokenizer": "t/t",
            "model_name": "m/m", "profile": None, "meta": {"engine": "x"}, "run_id": "abc",
        },
        "results": [result("warmup", "ConstantVUs"), *results], "start_time": "2025-01-02T03:04:05.678Z",
        "end_time": "2025-01-02T03:14:05Z", "system": {"os_name": "Linux"},
    }  # fmt: skip


def put(folder: Path, made: Any) -> Path:
    (folder / "t_t_2025-01-02-03-04-05.json").write_text(made if isinstance(made, str) else json.dumps(made))
    return folder


def test_each_result_but_the_warm_up_is_a_run(tmp_path: Path) -> None:
    put(tmp_path, tree(result("throughput", "ConstantVUs"), result("constant@2.50req/s", "ConstantArrivalRate", 2.5)))
    closed, opened = map(sound, hf_ib.read(tmp_path))
    assert (closed.name, closed.loop, closed.rate, closed.concurrency) == ("throughput", "closed", None, 128)
    assert (opened.name, opened.loop, opened.rate, opened.arrivals) == ("constant-2.50", "open", 2.5, "constant")
    for run in (closed, opened):
        assert not run.tested
        assert (run.ok, run.failed, run.window_s, run.duration_s) == (96, 4, 60.0, 60.0)
        assert (run.input_tokens, run.output_tokens) == ("normal:200,10,180..220", "200")
        assert run.started_at is not None and run.started_at.isoformat() == "2025-01-02T03:04:05.678000+00:00"
        assert (value_of(run, "ttft_ms", "p99"), value_of(run, "tpot_ms", "mean")) == (59.0, 10.5)
        assert (value_of(run, "e2e_ms", "p50"), value_of(run, "requests_per_s")) == (600.0, 1.6)
        assert value_of(run, "output_tokens_per_s") == 83.3
        assert len(run.told) == 3 * 8 + 8
        assert any("warm-up" in note for note in run.notes)
    assert any("dropped" in note for note in opened.notes)
    assert not any("dropped" in note for note in closed.notes)


def test_zeros_of_runs_without_success_are_missing(tmp_path: Path) -> None:
    none = dict.fromkeys(spread(0.0), 0.0)
    put(tmp_path, tree(result("throughput", "ConstantVUs", successful_requests=0, time_to_first_token_ms=none)))
    (run,) = map(sound, hf_ib.read(tmp_path))
    assert {told.value for told in run.told if told.metric == "ttft_ms"} == {None}


def test_odd_files_are_refused_by_file_and_field(tmp_path: Path) -> None:
    put(tmp_path, tree())
    with pytest.raises(UsageError, match=r"\.json: results: no run but the warm-up"):
        hf_ib.read(tmp_path)
    put(tmp_path, tree(result("throughput", "ConstantVUs", failed_requests="many")))
    with pytest.raises(UsageError, match=r"results\[1\]\.failed_requests"):
        hf_ib.read(tmp_path)
    put(tmp_path, tree(result("throughput", "ConstantVUs")) | {"results": {"executor_type": 3}})
    with pytest.raises(UsageError, match=r"\.json: results"):
        hf_ib.read(tmp_path)
    put(tmp_path, json.dumps(tree(result("throughput", "ConstantVUs")))[:-50])
    with pytest.raises(UsageError, match=r"is no whole JSON"):
        hf_ib.read(tmp_path)
    nan = tree(result("throughput", "ConstantVUs", request_rate=float("nan")))
    put(tmp_path, nan)
    (run,) = map(sound, hf_ib.read(tmp_path))
    assert {told.key: told.value for told in run.told}["request_rate"] is None


def test_it_is_found_by_its_content(tmp_path: Path) -> None:
    assert hf_ib.matches(put(tmp_path, tree(result("throughput", "ConstantVUs"))))
    assert not any(hf_ib.matches(folder) for folder in PEERS.iterdir())
