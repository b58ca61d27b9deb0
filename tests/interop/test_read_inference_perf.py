"""inference-perf: stages are runs; rows are given to the stage that they bear out; what 0 stands for is missing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import PEERS, requests_of, sound, value_of
from made_lifecycle import SECRET_TEXT, put

from loadcell.errors import UsageError
from loadcell.interop.readers import inference_perf

REAL = PEERS / "inference_perf"


def numbers(tree: Any, at: tuple[str, ...] = ()) -> dict[str, float]:
    if isinstance(tree, dict):
        return {k: v for key, value in tree.items() for k, v in numbers(value, (*at, key)).items()}
    return {".".join(at): tree} if isinstance(tree, int | float) else {}


def test_the_real_stage_is_told_figure_by_figure() -> None:
    (run,) = inference_perf.read(REAL)
    sound(run)
    raw = numbers(json.loads((REAL / "stage_0_lifecycle_metrics.json").read_text()))
    gone = {f"{g}.prompt_tokens.{k}" for g in ("successes", "failures") for k in ("cached", "uncached")}
    assert {told.key: told.value for told in run.told} == {k: None if k in gone else v for k, v in raw.items()}
    assert run.tested
    assert (run.loop, run.concurrency, run.rate, run.requests, run.ok, run.failed) == ("closed", 8, None, 64, 64, 0)
    assert (run.api, run.stream, run.model, run.input_tokens, run.output_tokens) == (
        "completions", True, "truth", "128", "50",
    )  # fmt: skip
    units = {told.metric: told.unit for told in run.told if told.metric}
    assert units == dict.fromkeys(("ttft_ms", "tpot_ms", "ntpot_ms", "itl_ms", "e2e_ms"), "s") | {
        "requests_per_s": "requests/s", "output_tokens_per_s": "tokens/s", "input_tokens_per_s": "tokens/s",
        "total_tokens_per_s": "tokens/s",
    }  # fmt: skip
    truth = json.loads((PEERS / "truth.json").read_text())["inference_perf"]["truth"]
    for metric in ("ttft", "itl", "tpot", "e2e"):
        ms = 1e3 * value_of(run, f"{metric}_ms", "p50")
        assert ms == pytest.approx(truth[f"{metric}_ms"]["p50"], abs=2)
    assert any("schedule_delay" in note for note in run.notes)  # of a queue that was filled at once


def test_a_file_alone_tells_the_same() -> None:
    for name in ("stage_0_lifecycle_metrics.json", "summary_lifecycle_metrics.json"):
        (run,) = inference_perf.read(REAL / name)
        sound(run)
        assert value_of(run, "ttft_ms", "p50") == 0.05064389100016342


def test_rows_go_to_their_stages_and_give_their_figures(tmp_path: Path) -> None:
    stages = put(tmp_path)
    runs = inference_perf.read(tmp_path)
    assert [run.name for run in runs] == ["stage-0-rate-5", "stage-1-rate-20"]
    for run, rows, rate in zip(runs, stages, (5.0, 20.0), strict=True):
        sound(run)
        assert not run.tested
        assert (run.loop, run.rate, run.failed, run.duration_s) == ("open", rate, 1, 4)
        assert run.input_tokens == "normal:100,10,50..150"
        zero = min(row["start_time"] for row in rows)
        found = requests_of(run)
        assert len(found) == len(rows) == (run.ok or 0) + 1
        for request, row in zip(sorted(found, key=lambda r: r.sent_s or 0), rows, strict=True):
            answer = row["info"]["response_metrics"]
            assert request.sent_s == row["start_time"] - zero
            assert request.end_s == row["end_time"] - zero
            if answer is None:
                assert (request.status, request.error_kind, request.http_status) == ("failed", "http", 503)
                continue
            times = answer["output_token_times"]
            assert request.chunks_s is not None and request.chunk_tokens is not None
            assert list(np.repeat(request.chunks_s, request.chunk_tokens)) == [at - zero for at in times]
            assert (request.output_tokens, request.token_source) == (len(times), "usage")
            assert (request.prompt_tokens, request.input_tokens) == (100, 101)
        done = [r for r in found if r.status == "ok"]
        first = [r.first_s - r.sent_s for r in done]  # type: ignore[operator]
        tpot = [(r.last_s - r.first_s) / (r.output_tokens - 1) for r in done]  # type: ignore[operator]
        assert np.percentile(first, 99) == pytest.approx(value_of(run, "ttft_ms", "p99"))
        assert np.percentile(tpot, 99.9) == pytest.approx(value_of(run, "tpot_ms", "p99.9"))
        assert value_of(run, "send_lateness", "p99") == pytest.approx(0.001)
        assert all(told.value is None for told in run.told if told.metric == "ntpot_ms")  # 0.0 stands for none
        assert any("summary of all stages" in note for note in run.notes)


def test_rows_that_no_stage_bears_out_are_given_to_none(tmp_path: Path) -> None:
    put(tmp_path)
    path = tmp_path / "stage_1_lifecycle_metrics.json"
    tree = json.loads(path.read_text())
    tree["benchmark_time_seconds"] += 0.5
    path.write_text(json.dumps(tree))
    runs = inference_perf.read(tmp_path)
    assert [run.details for run in runs] == [None, None]
    assert all(any("other stages" in m.why for m in run.missing if m.field == "requests") for run in runs)


def test_rows_alone_are_a_run_with_its_own_counts(tmp_path: Path) -> None:
    stages = put(tmp_path, rates=(5.0,))
    path = tmp_path / "per_request_lifecycle_metrics.json"
    (run,) = inference_perf.read(path)
    sound(run)
    assert (run.ok, run.failed, len(requests_of(run))) == (19, 1, len(stages[0]))


def test_older_rows_and_none_and_nan(tmp_path: Path) -> None:
    rows = [
        {"start_time": 5.0, "end_time": 6.0, "request": "x", "response": "y", "error": None,
         "info": {"input_tokens": 7, "output_tokens": 3, "output_token_times": [5.1, math.nan, 5.3]}},
        {"start_time": 5.5, "end_time": 6.5, "request": "x", "response": None, "info": None,
         "error": {"error_type": "TimeoutError", "error_msg": "Request timed out"}},
    ]  # fmt: skip
    path = tmp_path / "renamed.json"
    path.write_text(json.dumps(rows))
    assert inference_perf.matches(path)
    (run,) = inference_perf.read(path)
    sound(run)
    one, two = requests_of(run)
    assert (one.input_tokens, one.output_tokens, one.token_source) == (7, 3, "tokenizer")
    assert one.chunks_s is not None and list(one.chunks_s) == pytest.approx([0.1, 0.3])
    assert (two.error_kind, two.first_s, two.output_tokens) == ("timeout", None, None)


def test_texts_and_keys_stay_behind(tmp_path: Path) -> None:
    put(tmp_path)
    runs = inference_perf.read(tmp_path)
    said = repr(runs) + repr([requests_of(run) for run in runs])
    assert SECRET_TEXT not in said
    assert "sk-very-secret" not in said


def test_a_slice_of_an_llm_d_report_tells_when_it_began(tmp_path: Path) -> None:
    put(tmp_path, rates=(5.0,))
    (tmp_path / "inference-perf.partial.stage_0.yaml").write_text(
        "version: 0.2.1\nrun: {uid: a, time: {start: '2026-11-29T13:16:45+00:00'}}\nresults: {}\n"
    )
    (run,) = inference_perf.read(tmp_path)
    assert run.started_at is not None
    assert run.started_at.isoformat() == "2026-11-29T13:16:45+00:00"


def test_odd_files_are_refused_by_file_and_field(tmp_path: Path) -> None:
    put(tmp_path, rates=(5.0,))
    path = tmp_path / "stage_0_lifecycle_metrics.json"
    good = path.read_text()
    path.write_text(good.replace('"count": 20', '"count": "many"', 1))
    with pytest.raises(UsageError, match=r"stage_0_lifecycle_metrics\.json: load_summary\.count: "):
        inference_perf.read(tmp_path)
    path.write_text(good[:-200])
    with pytest.raises(UsageError, match=r"stage_0_lifecycle_metrics\.json is no whole JSON"):
        inference_perf.read(tmp_path)
    path.write_text(good)
    rows = tmp_path / "per_request_lifecycle_metrics.json"
    rows.write_text(rows.read_text().replace('"end_time": 1', '"end_time": "soon", "x": 1', 3))
    with pytest.raises(UsageError, match=r"per_request_lifecycle_metrics\.json.*end_time: "):
        inference_perf.read(tmp_path)
    (tmp_path / "config.yaml").write_text("api: {\nload:\nserver:\n")
    with pytest.raises(UsageError, match=r"config\.yaml is no whole YAML in line 3"):
        inference_perf.read(tmp_path)


def test_it_is_found_by_its_content(tmp_path: Path) -> None:
    assert inference_perf.matches(REAL)
    assert not any(inference_perf.matches(PEERS / name) for name in ("evalscope", "genai_bench", "aiperf", "guidellm"))
    server = {"load_summary": {}, "successes": {"queue_len": {}}, "failures": {}}
    (tmp_path / "summary_prometheus_metrics.json").write_text(json.dumps(server))
    assert not inference_perf.matches(tmp_path)
