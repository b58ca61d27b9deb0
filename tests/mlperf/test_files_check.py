"""Published logs pass as what they are; edited ones fail by the name of the rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from example_logs import DETAIL, INTERACTIVE, OFFLINE, SERVER, STREAM, SUMMARY, edit, put

from loadcell.cli.main import main
from loadcell.errors import UsageError
from loadcell.mlperf.files.checking import check, check_folder
from loadcell.mlperf.files.judging import Asked

AS = {
    SERVER: Asked(benchmark="deepseek-r1", scenario="server"),
    OFFLINE: Asked(benchmark="llama3.1-8b", scenario="offline"),
    STREAM: Asked(benchmark="llama3.1-8b-edge", scenario="singlestream"),
    INTERACTIVE: Asked(benchmark="llama2-70b-99.9", scenario="interactive"),
}


def failing(folder: Path, asked: Asked) -> set[str]:
    return {finding.rule for finding in check_folder(folder, asked).findings if finding.ok is False}


@pytest.mark.parametrize("example", AS)
def test_published_logs_pass_as_what_they_are(example: str, tmp_path: Path) -> None:
    checked = check_folder(put(example, tmp_path / example), AS[example])
    assert [finding for finding in checked.findings if finding.ok is False] == []
    assert checked.passed
    rules = {finding.rule for finding in checked.findings if finding.ok}
    assert rules >= {"seeds", "generated-traffic", "loaded-set", "summary-agrees", "early-stopping", "min-duration"}


def test_the_round_is_found_by_the_seeds_and_said(tmp_path: Path) -> None:
    found = [f for f in check_folder(put(STREAM, tmp_path / "logs"), AS[STREAM]).findings if f.rule == "round"]
    assert [(f.ok, "v5.1" in f.says) for f in found] == [(None, True)]


def test_a_log_of_an_old_round_is_told_as_one(tmp_path: Path) -> None:
    folder = put(STREAM, tmp_path / "logs")
    asked = Asked(round="v6.1", benchmark="llama3.1-8b-edge", scenario="singlestream")
    found = [f for f in check_folder(folder, asked).findings if f.ok is False]
    assert {f.rule for f in found} == {"round", "seeds"}
    assert any("the log has the seeds of v5.1" in f.says for f in found)


def test_server_limits_do_not_save_an_interactive_run(tmp_path: Path) -> None:
    """The log says Server for both: the scenario that it is submitted in decides."""
    folder = put(INTERACTIVE, tmp_path / "logs")
    edit(folder, "result_first_token_99.00_percentile_latency_ns", lambda _: 460_000_000)
    assert "ttft-limit" in failing(folder, AS[INTERACTIVE])
    server = Asked(benchmark="llama2-70b-99.9", scenario="server")
    assert "ttft-limit" not in failing(folder, server)


def test_an_interactive_run_judged_by_server_limits_fails(tmp_path: Path) -> None:
    folder = put(INTERACTIVE, tmp_path / "logs")
    edit(folder, "requested_server_ttft_latency", lambda _: 2_000_000_000)
    assert "limits-used" in failing(folder, AS[INTERACTIVE])


Edit = Callable[[Any], Any] | None
EDITS: list[tuple[str, str, Edit, str]] = [
    (SERVER, "effective_schedule_rng_seed", lambda v: v + 1, "seeds"),
    (SERVER, "effective_schedule_rng_seed", lambda v: v + 1, "generated-traffic"),
    (SERVER, "effective_schedule_rng_seed", None, "seeds"),
    (SERVER, "effective_target_qps", lambda v: 61, "generated-traffic"),
    (SERVER, "generated_query_duration", lambda v: v + 1, "generated-traffic"),
    (SERVER, "generated_query_count", lambda v: v - 4388, "generated-traffic"),
    (SERVER, "result_scheduled_samples_per_sec", lambda v: v * 1.001, "generated-traffic"),
    (SERVER, "result_query_count", lambda v: v - 1, "query-count"),
    (SERVER, "loaded_qsl_set", lambda v: [v[1], v[0], *v[2:]], "loaded-set"),
    (SERVER, "loaded_qsl_set", lambda v: v[:-1], "loaded-set"),
    (SERVER, "loaded_qsl_set", None, "loaded-set"),
    (SERVER, "result_first_token_99.00_percentile_latency_ns", lambda v: 2_000_000_000, "ttft-limit"),
    (SERVER, "result_first_token_99.00_percentile_latency_ns", lambda v: 1_000_000_000, "ttft-order"),
    (SERVER, "result_first_token_99.00_percentile_latency_ns", lambda v: v - 1, "summary-agrees"),
    (SERVER, "result_first_token_99.00_percentile_latency_ns", None, "ttft-limit"),
    (SERVER, "result_time_per_output_token_99.00_percentile_ns", lambda v: "fast", "tpot-limit"),
    (SERVER, "result_completed_tokens_per_second", lambda v: v * 1.01, "token-count"),
    (SERVER, "result_mean_latency_ns", lambda v: v // 2, "token-count"),
    (SERVER, "result_validity", lambda v: "INVALID", "result-valid"),
    (SERVER, "result_validity", None, "result-valid"),
    (SERVER, "early_stopping_met", lambda v: False, "early-stopping"),
    (SERVER, "early_stopping_met", None, "early-stopping"),
    (SERVER, "num_errors", lambda v: 3, "errors"),
    (SERVER, "effective_performance_sample_count", lambda v: 100, "performance-sample-count"),
    (SERVER, "effective_min_duration_ms", lambda v: 60_000, "min-duration"),
    (SERVER, "effective_min_duration_ms", None, "min-duration"),
    (SERVER, "effective_scenario", lambda v: "Offline", "scenario"),
    (SERVER, "effective_test_mode", lambda v: "FindPeakPerformance", "test-mode"),
    (SERVER, "effective_sample_concatenate_permutation", lambda v: False, "equal-issue"),
    (SERVER, "loadgen_version", None, "load-generator"),
    (SERVER, "power_end", lambda v: "07-29-2025 21:18:20.359", "run-span"),
    (OFFLINE, "generated_samples_per_query", lambda v: v + 1, "generated-traffic"),
    (OFFLINE, "generated_samples_per_query", lambda v: 8000, "offline-samples"),
    (OFFLINE, "result_samples_per_second", lambda v: v * 1.1, "samples-rate"),
    (OFFLINE, "result_max_latency_ns", lambda v: 500_000_000_000, "min-duration"),
    (OFFLINE, "result_tokens_per_second", lambda v: v * 9, "output-length"),
    (STREAM, "generated_query_count", lambda v: v + 1, "generated-traffic"),
    (STREAM, "early_stopping_ttft_result", lambda v: v.replace("449", "500"), "early-stopping-discards"),
    (STREAM, "result_90.00_percentile_latency_ns", lambda v: v - 1, "summary-agrees"),
]


@pytest.mark.parametrize(("example", "key", "change", "rule"), EDITS)
def test_an_edited_log_fails_by_the_name_of_the_rule(
    example: str, key: str, change: Edit, rule: str, tmp_path: Path
) -> None:
    folder = put(example, tmp_path / "logs", DETAIL, SUMMARY)
    edit(folder, key, change)
    assert rule in failing(folder, AS[example])


def test_a_key_that_comes_twice_is_told(tmp_path: Path) -> None:
    folder = put(SERVER, tmp_path / "logs")
    lines = (folder / DETAIL).read_text().splitlines(keepends=True)
    again = next(line for line in lines if '"result_completed_tokens_per_second"' in line)
    (folder / DETAIL).write_text("".join(lines) + again.replace("209328", "309328"))
    found = [f for f in check(folder) if f.rule == "log-repeated"]
    assert len(found) == 1
    assert "with another value" in found[0].says


def test_a_log_cut_at_its_end_says_so(tmp_path: Path) -> None:
    folder = put(SERVER, tmp_path / "logs")
    data = (folder / DETAIL).read_bytes()
    (folder / DETAIL).write_bytes(data[: data.index(b"result_validity") + 40])
    found = {f.rule: f.says for f in check_folder(folder, AS[SERVER]).findings if f.ok is False}
    assert "its last line, 81, is incomplete" in found["log-complete"]
    assert "before its results" in found["result-valid"]


def test_a_summary_of_another_run_is_told(tmp_path: Path) -> None:
    folder = put(SERVER, tmp_path / "logs")
    put(INTERACTIVE, folder, SUMMARY)
    assert failing(folder, AS[SERVER]) == {"summary-agrees"}


def test_logs_that_do_not_name_their_benchmark_are_checked_as_far_as_that_goes(tmp_path: Path) -> None:
    folder = put(SERVER, tmp_path / "logs")
    found = check(folder)
    assert [f.rule for f in found if f.ok is False] == ["benchmark"]
    assert "generated-traffic" in {f.rule for f in found if f.ok}


def test_an_invalid_run_with_errors_fails_though_the_checker_would_pass_it(tmp_path: Path) -> None:
    folder = put("loadgen-6.0.17_server_invalid_one-token", tmp_path / "logs")
    rules = failing(folder, Asked(benchmark="llama3.1-8b", scenario="server"))
    assert {"result-valid", "errors", "early-stopping", "tpot-limit", "limits-used", "tpot-order"} <= rules


def test_a_bare_nan_is_read_as_missing_and_told(tmp_path: Path) -> None:
    folder = put("loadgen-6.0.17_server_nan", tmp_path / "logs")
    notes = [f.says for f in check(folder) if f.rule == "log-form"]
    assert notes == ["result_scheduled_samples_per_sec is nan or inf, which is no JSON: read as missing"]


def test_logs_of_a_loadgen_that_loadcell_drove_need_no_names(tmp_path: Path) -> None:
    folder = put(SERVER, tmp_path / "logs")
    rules = {"round": "v5.1", "benchmark": "deepseek-r1", "scenario": "server"}
    for failures, verdict, failed in (({}, "VALID", set()), ({"timeout": 3}, "INVALID", {"errors", "result-valid"})):
        beside = {"plan": {"rules": rules}, "verdict": verdict, "failures": failures}
        (folder / "loadcell.json").write_text(json.dumps(beside))
        assert {finding.rule for finding in check(folder) if finding.ok is False} == failed
    (folder / "loadcell.json").write_text("[")
    assert {"file-form", "benchmark"} <= {finding.rule for finding in check(folder) if finding.ok is False}


def test_the_rate_of_user_conf_is_that_of_the_log(tmp_path: Path) -> None:
    folder = put(INTERACTIVE, tmp_path / "logs")
    assert "user-conf" not in {f.rule for f in check_folder(folder, AS[INTERACTIVE]).findings}
    (folder / "user.conf").write_text("*.Server.target_qps = 64\n")
    (told,) = [f for f in check_folder(folder, AS[INTERACTIVE]).findings if f.rule == "user-conf"]
    assert (told.ok, "64" in told.says, "63" in told.says) == (None, True, True)


# --- accuracy --------------------------------------------------------------------------------------------------------


def test_a_whole_accuracy_log_is_of_the_samples_that_were_sent(tmp_path: Path) -> None:
    folder = put("loadgen-6.0.17_server_accuracy", tmp_path / "logs")
    asked = Asked(benchmark="llama3.1-8b", scenario="server")
    assert "accuracy-order" in {f.rule for f in check_folder(folder, asked).findings if f.ok}
    log = folder / "mlperf_log_accuracy.json"
    entries = json.loads(log.read_text())
    entries[3]["qsl_idx"], entries[4]["qsl_idx"] = entries[4]["qsl_idx"], entries[3]["qsl_idx"]
    log.write_text(json.dumps(entries))
    assert "accuracy-order" in failing(folder, asked)


def test_a_reply_that_is_there_twice_is_told(tmp_path: Path) -> None:
    folder = put("loadgen-6.0.17_server_accuracy", tmp_path / "logs")
    log = folder / "mlperf_log_accuracy.json"
    entries = json.loads(log.read_text())
    log.write_text(json.dumps([*entries[:-1], entries[0]]))
    found = [f.says for f in check(folder) if f.rule == "accuracy-complete" and f.ok is False]
    assert found == ["15 of 16 samples answered in mlperf_log_accuracy.json, 1 twice"]


def test_the_hash_in_accuracy_txt_is_that_of_the_log(tmp_path: Path) -> None:
    folder = put("loadgen-6.0.17_server_accuracy", tmp_path / "logs")
    log, text = folder / "mlperf_log_accuracy.json", folder / "accuracy.txt"
    import hashlib

    right = hashlib.sha256(log.read_bytes()).hexdigest()
    for digest, ok in ((right, True), ("0" * 64, False), ("00", False)):
        text.write_text(f"{{'rouge1': 40.0, 'gen_len': 1}}\nhash={digest}\n")
        assert [f.ok for f in check(folder) if f.rule == "accuracy-hash"] == [ok]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_exits_by_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = put(STREAM, tmp_path / "logs")
    words = ["mlperf", "check", str(folder), "--benchmark", "llama3.1-8b-edge", "--scenario", "singlestream"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "every rule holds" in shown
    assert "not verified by MLCommons" in shown
    assert "no MLPerf result" in " ".join(shown.split())
    edit(folder, "effective_qsl_rng_seed", lambda v: 1)
    assert main([*words, "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert report["verified"] is False
    assert report["findings"][0]["ok"] is False
    assert report["findings"][0]["where"] == DETAIL


def test_nothing_to_check_says_what_was_looked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    assert main(["mlperf", "check", str(tmp_path)]) == 2
    assert "mlperf_log_detail.txt" in capsys.readouterr().err
    assert main(["mlperf", "check", str(tmp_path / "nowhere")]) == 2
    assert main(["mlperf", "check", str(tmp_path / "notes.txt")]) == 2


def test_names_that_are_not_list_the_valid_ones(tmp_path: Path) -> None:
    folder = put(STREAM, tmp_path / "logs")
    with pytest.raises(UsageError, match=r"v5\.0, v5\.1, v6\.0, v6\.1"):
        check_folder(folder, Asked(round="v9"))
    with pytest.raises(UsageError, match="singlestream"):
        check_folder(folder, Asked(scenario="burst"))
    with pytest.raises(UsageError, match="deepseek-r1"):
        check_folder(folder, Asked(benchmark="nonesuch", scenario="server"))
