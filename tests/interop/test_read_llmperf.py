"""What is read of LLMPerf's files."""

import math

import numpy as np
import pytest
from made_peers import PEERS, llmperf_failure, llmperf_row, real, written

from loadcell.errors import UsageError
from loadcell.interop.readers import llmperf

FOLDER = PEERS / "llmperf"
SUMMARY, ROWS = "llmperf/truth_200_50_summary.json", "llmperf/truth_200_50_individual_responses.json"


@pytest.fixture(scope="module")
def run():
    (run,) = llmperf.read(FOLDER)
    return run


def test_it_is_known_by_what_is_in_it():
    assert llmperf.matches(FOLDER) and all(llmperf.matches(file) for file in FOLDER.iterdir())
    for folder in PEERS.iterdir():
        assert folder.name == "llmperf" or not llmperf.matches(folder)


def test_the_real_run_says_what_it_was(run):
    assert (run.schema, run.tested, run.name) == (
        "summary 2023-08-31 and individual responses", True, "truth_200_50",
    )  # fmt: skip
    assert (run.loop, run.concurrency, run.planned, run.model) == ("closed", 8, 64, "truth")
    assert (run.ok, run.failed, run.input_tokens, run.output_tokens) == (64, 0, "200", "50")
    summary = real(SUMMARY)
    assert run.window_s == pytest.approx(3200 / summary["results_mean_output_throughput_token_per_s"])
    assert run.started_at.timestamp() == pytest.approx(summary["timestamp"] - run.window_s)
    assert {"version", "send_start_ns", "chunks"} <= {missing.field for missing in run.missing}


def test_requests_have_durations_and_no_times(run):
    rows = real(ROWS)
    requests = list(run.details())
    assert len(requests) == len(rows) == len(list(run.details())) and not run.placed
    for row, request in zip(rows, requests, strict=True):
        assert (request.sent_s, request.first_s, request.end_s) == (None, row["ttft_s"], row["end_to_end_latency_s"])
        assert (request.chunks_s, request.token_source) == (None, "tokenizer")
        assert request.last_s / request.events == pytest.approx(row["inter_token_latency_s"])
        assert request.end_s - row["inter_token_latency_s"] < request.last_s <= request.end_s
        assert (request.input_tokens, request.output_tokens) == (200, row["number_output_tokens"])


def test_its_figures_are_told(run):
    summary = real(SUMMARY)
    told = {told.key: told for told in run.told}
    expected = {key for key in summary if key.startswith("results_")} - {"results_error_code_frequency"}
    assert told.keys() == expected
    assert all(told[key].value == float(summary[key]) for key in expected)
    p99 = told["results_ttft_s_quantiles_p99"]
    assert (p99.metric, p99.stat, p99.unit) == ("ttft_ms", "p99", "s")
    assert told["results_number_output_tokens_min"].value == 50.0  # written as text
    assert {t.metric for t in run.told if "inter_token_latency" in t.key} == {None}
    assert told["results_num_completed_requests_per_min"].unit == "requests/min"


def test_what_was_told_follows_from_the_requests(run):
    told = {told.key: told.value for told in run.told}
    requests = list(run.details())
    for name, own in (("ttft_s", [r.first_s for r in requests]), ("end_to_end_latency_s", [r.end_s for r in requests])):
        assert told[f"results_{name}_quantiles_p90"] == pytest.approx(np.percentile(own, 90))
        assert told[f"results_{name}_stddev"] == pytest.approx(np.std(own, ddof=1))
    tokens = sum(r.output_tokens for r in requests)
    assert told["results_mean_output_throughput_token_per_s"] == pytest.approx(tokens / run.window_s)


def test_it_is_near_the_truth(run):
    truth = real("truth.json")["llmperf"]["truth"]
    requests = list(run.details())
    assert 0 <= np.median([r.first_s for r in requests]) * 1e3 - truth["ttft_ms"]["p50"] < 6
    assert 0 <= np.median([r.end_s for r in requests]) * 1e3 - truth["e2e_ms"]["p50"] < 6
    tpot = np.median([(r.end_s - r.first_s) / (r.output_tokens - 1) for r in requests]) * 1e3
    assert tpot == pytest.approx(truth["tpot_ms"]["p50"], rel=0.02)


def test_failed_rows_hold_nothing(tmp_path):
    rows = [llmperf_row(), llmperf_failure(), llmperf_failure(-1, "no answer"), llmperf_row(ttft_s=math.nan)]
    path = written(tmp_path / "x_individual_responses.json", rows)
    (run,) = llmperf.read(path)
    assert (run.name, run.ok, run.failed, run.told, run.window_s) == ("x", 2, 2, [], None)
    ok, http, other, odd = run.details()
    assert (http.status, http.http_status, http.error_kind, http.error) == ("failed", 500, "http", "boom")
    assert (http.first_s, http.end_s, http.output_tokens, http.token_source) == (None, None, None, None)
    assert (other.http_status, other.error_kind, other.error) == (None, "told", "no answer")
    assert ok.error is None and (odd.first_s, odd.end_s) == (None, 0.55)


def test_the_summary_alone(tmp_path):
    path = written(tmp_path / "x_summary.json", real(SUMMARY) | {"results_ttft_s_mean": math.nan, "user_key": 3})
    (run,) = llmperf.read(path)
    assert run.details is None and [m.field for m in run.missing] == ["version", "requests"]
    assert next(t.value for t in run.told if t.key == "results_ttft_s_mean") is None
    assert "user_key" not in {t.key for t in run.told}


def test_each_pair_is_a_run(tmp_path):
    for name in ("a", "b"):
        written(tmp_path / f"{name}_summary.json", real(SUMMARY))
        written(tmp_path / f"{name}_individual_responses.json", [llmperf_row()])
    assert [(run.name, len(run.files)) for run in llmperf.read(tmp_path)] == [("a", 2), ("b", 2)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (7, "1: expected an object"),
        (llmperf_row(ttft_s="soon"), "1.ttft_s: expected a number, got 'soon'"),
        (llmperf_row(number_output_tokens=[]), "1.number_output_tokens: expected a number"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, row, said):
    path = written(tmp_path / "x_individual_responses.json", [llmperf_row(), row])
    with pytest.raises(UsageError) as error:
        llmperf.read(path)
    assert str(error.value).startswith(f"{path}: {said}")


def test_a_file_that_is_cut(tmp_path):
    path = written(tmp_path / "x_individual_responses.json", [llmperf_row(), llmperf_row()])
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UsageError, match="no whole JSON"):
        llmperf.read(path)
