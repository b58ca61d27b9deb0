"""genai-bench: rows without times, in the unit that the file declares and its own rows bear out; no key gets in."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import PEERS, requests_of, sound, value_of

from loadcell.errors import UsageError
from loadcell.interop.readers import genai_bench

REAL = PEERS / "genai_bench"
FILE = "D128_50_text-to-text_num_concurrency_8_time_5s.json"
RAW = json.loads(gzip.decompress((REAL / f"{FILE}.gz").read_bytes()))


def put(folder: Path, change: Callable[[Any], Any] = lambda tree: None, **about: Any) -> Path:
    """The real run, changed, and what it says of itself."""
    tree = json.loads(json.dumps(RAW))
    change(tree)
    (folder / FILE).write_text(json.dumps(tree))
    told = json.loads((REAL / "experiment_metadata.json").read_text())
    (folder / "experiment_metadata.json").write_text(json.dumps(told | about))
    return folder


def in_seconds(tree: Any, unit: str | None) -> None:
    names = ("ttft", "tpot", "e2e_latency", "output_latency")
    for row in tree["individual_request_metrics"]:
        row.update({name: row[name] / 1000 for name in names})
    for name in names:
        stats = tree["aggregated_metrics"]["stats"][name]
        stats.update({key: value / 1000 for key, value in stats.items()})
    tree.pop("_time_unit")
    if unit:
        tree["_time_unit"] = unit


def test_the_real_run_is_read_as_its_rows_stand() -> None:
    (run,) = genai_bench.read(REAL)
    sound(run)
    assert run.tested and not run.placed
    assert (run.version, run.ok, run.failed, run.concurrency, run.loop, run.api) == (
        "0.0.5",
        64,
        0,
        8,
        "closed",
        "chat",
    )
    assert (run.input_tokens, run.output_tokens, run.requests, run.duration_s) == ("128", "50", 64, 300)
    assert run.url == "http://127.0.0.1:8901"
    for request, row in zip(requests_of(run), RAW["individual_request_metrics"], strict=True):
        assert request.first_s == row["ttft"] * 1e-3
        assert request.end_s == row["e2e_latency"] * 1e-3
        assert (request.input_tokens, request.output_tokens) == (row["num_input_tokens"], row["num_output_tokens"])
        assert request.sent_s is None and request.last_s is None and request.chunks_s is None


def test_the_rows_give_the_figures_that_the_tool_printed() -> None:
    (run,) = genai_bench.read(REAL)
    requests = requests_of(run)
    ttft = [1e3 * r.first_s for r in requests]  # type: ignore[operator]
    e2e = [1e3 * r.end_s for r in requests]  # type: ignore[operator]
    tpot = [(e - t) / (r.output_tokens - 1) for e, t, r in zip(e2e, ttft, requests, strict=True)]  # type: ignore[operator]
    for percent in (25, 50, 75, 90, 95, 99):
        for values, metric in ((ttft, "ttft_ms"), (e2e, "e2e_ms"), (tpot, "tpot_ms")):
            assert np.percentile(values, percent) == pytest.approx(value_of(run, metric, f"p{percent}"), rel=1e-9)
        speed = np.percentile([1e3 / one for one in tpot], percent)
        assert speed == pytest.approx(value_of(run, "user_tokens_per_s", f"p{100 - percent}"), rel=1e-9)
    assert np.std(ttft) == pytest.approx(value_of(run, "ttft_ms", "std"), rel=1e-9)
    assert run.window_s is not None
    assert 64 / run.window_s == pytest.approx(value_of(run, "requests_per_s"))
    out = sum(r.output_tokens for r in requests)  # type: ignore[misc]
    assert out / run.window_s == pytest.approx(value_of(run, "output_tokens_per_s"))
    truth = json.loads((PEERS / "truth.json").read_text())["genai_bench"]["truth"]
    assert 0 < np.percentile(ttft, 50) - truth["ttft_ms"]["p50"] < 30  # it connects anew for each request
    assert np.percentile(tpot, 50) == pytest.approx(truth["tpot_ms"]["p50"], rel=0.03)
    units = {told.key: told.unit for told in run.told}
    assert units["stats.ttft.p50"] == "ms"
    assert units["run_duration"] == "s"


@pytest.mark.parametrize("unit", ["s", None])
def test_seconds_are_seconds_told_or_shown_by_the_rows(tmp_path: Path, unit: str | None) -> None:
    put(tmp_path, lambda tree: in_seconds(tree, unit))
    (run,) = genai_bench.read(tmp_path)
    (real,) = genai_bench.read(REAL)
    for one, other in zip(requests_of(run), requests_of(real), strict=True):
        assert one.first_s == pytest.approx(other.first_s)
        assert one.end_s == pytest.approx(other.end_s)
    assert {told.key: told.unit for told in run.told}["stats.ttft.p50"] == "s"


def test_seconds_called_milliseconds_are_refused(tmp_path: Path) -> None:
    put(tmp_path, lambda tree: in_seconds(tree, "ms"))
    with pytest.raises(UsageError, match=rf"{FILE}: _time_unit: it says ms, but .* agree in s only"):
        genai_bench.read(tmp_path)
    put(tmp_path, lambda tree: tree.update(_time_unit="min"))
    with pytest.raises(UsageError, match="_time_unit: 'min' is none of s, ms"):
        genai_bench.read(tmp_path)


def test_failures_are_counted_and_the_error_rate_is_not_believed(tmp_path: Path) -> None:
    def fail(tree: Any) -> None:
        rows = tree["individual_request_metrics"]
        for row, code, words in (
            (rows[3], 503, "Connection error: refused"), (rows[9], 429, "slow down"), (rows[12], 500, "x" * 5000),
            (rows[20], 408, "Request timed out: http://u:pw@h/"),
        ):  # fmt: skip
            row.update(dict.fromkeys(row), error_code=code, error_message=words)
        tree["aggregated_metrics"].update(num_error_requests=4, num_completed_requests=60)

    put(tmp_path, fail)
    (run,) = genai_bench.read(tmp_path)
    sound(run)
    failed = {i: r for i, r in enumerate(requests_of(run)) if r.status == "failed"}
    assert {i: (r.error_kind, r.http_status) for i, r in failed.items()} == {
        3: ("connect", None), 9: ("http", 429), 12: ("told", None), 20: ("timeout", None),
    }  # fmt: skip
    assert all(r.end_s is None and r.first_s is None and len(r.error or "") < 400 for r in failed.values())
    assert "pw" not in (failed[20].error or "")
    assert any("6.25 %" in note for note in run.notes)
    (rate,) = [told for told in run.told if told.key == "error_rate"]
    assert rate.value is None


def test_the_key_in_the_command_is_not_kept(tmp_path: Path) -> None:
    cmd = "genai-bench --api-key sk-very-secret --api-base http://user:sk-very-secret@host:1/v1 --warmup-ratio 0.1"
    put(tmp_path, cmd=cmd)
    (run,) = genai_bench.read(tmp_path)
    assert "sk-very-secret" not in repr(run) + repr(requests_of(run))
    assert run.url is not None and run.url.endswith("@host:1/v1")
    assert any("warm-up" in note for note in run.notes)


def test_embeddings_have_no_first_token(tmp_path: Path) -> None:
    def embed(tree: Any) -> None:
        for row in tree["individual_request_metrics"]:
            row.update(dict.fromkeys(("tpot", "output_latency", "output_inference_speed", "num_output_tokens"), 0))
            row["ttft"] = row["e2e_latency"]
        for name in ("tpot", "output_inference_speed"):
            stats = tree["aggregated_metrics"]["stats"][name]
            stats.update(dict.fromkeys(stats, 0.0))

    put(tmp_path, embed, task="text-to-embeddings")
    (run,) = genai_bench.read(tmp_path)
    sound(run)
    assert (run.api, run.stream, run.tested) == ("embeddings", False, False)
    assert all(r.first_s is None and r.output_tokens is None and r.end_s for r in requests_of(run))
    assert all(told.value is None for told in run.told if told.metric in ("tpot_ms", "user_tokens_per_s"))


def test_several_files_are_runs_with_names_of_their_own(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "again.json").write_text(json.dumps(RAW))
    other = json.loads(json.dumps(RAW))
    other["aggregated_metrics"].update(num_concurrency=16, scenario="N(480,240)/(300,150)")
    (tmp_path / "other.json").write_text(json.dumps(other))
    names = [run.name for run in genai_bench.read(tmp_path)]
    assert sorted(names) == ["D_128_50-concurrency-8-1", "D_128_50-concurrency-8-2", "N_480_240_300_150-concurrency-16"]
    (run,) = genai_bench.read(tmp_path / "other.json")
    assert (run.input_tokens, run.output_tokens) == ("normal:480,240", "normal:300,150")


def test_nan_none_and_wrong_types(tmp_path: Path) -> None:
    def odd(tree: Any) -> None:
        rows = tree["individual_request_metrics"]
        rows[0].update(ttft=math.nan, e2e_latency=math.inf, num_output_tokens=None)
        tree["aggregated_metrics"]["stats"]["ttft"]["p99"] = math.nan

    put(tmp_path, odd)
    (run,) = genai_bench.read(tmp_path)
    sound(run)
    assert (requests_of(run)[0].first_s, requests_of(run)[0].end_s) == (None, None)
    assert {told.key: told.value for told in run.told}["stats.ttft.p99"] is None
    put(tmp_path, lambda tree: tree["individual_request_metrics"][5].update(ttft="soon"))
    with pytest.raises(UsageError, match=rf"{FILE}: individual_request_metrics\[5\]\.ttft: "):
        genai_bench.read(tmp_path)
    put(tmp_path, lambda tree: tree.update(aggregated_metrics=[{"scenario": 1, "error_rate": 1}]))
    with pytest.raises(UsageError, match="aggregated_metrics: no object"):
        genai_bench.read(tmp_path)
    (tmp_path / FILE).write_text(json.dumps(RAW)[:-3000])
    with pytest.raises(UsageError, match=f"{FILE} is no whole JSON"):
        genai_bench.read(tmp_path)


def test_it_is_found_by_its_content() -> None:
    assert genai_bench.matches(REAL)
    assert genai_bench.matches(REAL / f"{FILE}.gz")
    assert not any(genai_bench.matches(PEERS / name) for name in ("evalscope", "inference_perf", "aiperf", "guidellm"))
