"""Exports: what is read from them equals the run's own figures, and our own check takes them for what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from example_logs import edit
from made_queries import made_plan, made_rules
from made_run import row, write_recording, write_run

from loadcell.cli.main import main
from loadcell.errors import RecordingError, UsageError
from loadcell.mlperf.files.accuracy_log import read_accuracy_log, read_accuracy_text
from loadcell.mlperf.files.checking import check_folder
from loadcell.mlperf.files.endpoints import read_config, read_summary
from loadcell.mlperf.files.export import FORMATS, export
from loadcell.mlperf.files.loadgen_logs import read_detail
from loadcell.mlperf.files.loadgen_logs import read_summary as read_log_summary
from loadcell.mlperf.model import FOOTNOTE, Accuracy, Finding, Outcome, Rules
from loadcell.mlperf.outcome import outcome
from loadcell.mlperf.rules import find_rules
from loadcell.recording.read import dump_json
from loadcell.workload.loadgen import accuracy_traffic, offline_traffic, server_traffic, single_stream_traffic

pytestmark = pytest.mark.usefixtures("thorough")

SMALL = 16
RATE = 7.3


def spec_of(rules: Rules, **loadgen: Any) -> dict[str, Any]:
    """Sections of a Spec with the traffic of `rules`."""
    kind = "server" if rules.scenario == "interactive" else rules.scenario
    seeds = rules.seeds
    return {
        "loadgen": {
            "scenario": kind, "qsl_seed": seeds.qsl, "sample_index_seed": seeds.sample_index,
            "schedule_seed": seeds.schedule, "min_queries": rules.min_queries,
            "min_duration_s": rules.min_duration_s, "equal_issue": rules.equal_issue,
        } | loadgen,
    }  # fmt: skip


def server_run(folder: Path, rules: Rules, *, rate: float = RATE, **more: Any) -> Path:
    """A run by the rules, with LoadGen's traffic; replies differ a little in their lengths."""
    n = rules.performance_sample_count
    traffic = server_traffic(
        rules.seeds, n, rate, min_queries=rules.min_queries, min_duration_s=rules.min_duration_s,
        equal_issue=rules.equal_issue,
    )  # fmt: skip
    assert traffic.scheduled_ns is not None
    rows = [row(i, at / 1e6, tokens=5 + i % 3, gap_ms=8) for i, at in enumerate(traffic.scheduled_ns.tolist())]
    for each, at in zip(rows, traffic.scheduled_ns.tolist(), strict=True):
        each["planned_ns"] = at
    plan = made_plan(rules, target_qps=rate, shortened=["less"] if rules.performance_sample_count == SMALL else [])
    tree = spec_of(rules) | {"load": {"rate": rate}}
    return write_run(folder, plan, rows, traffic.samples.tolist(), tree=tree, **more)


def offline_run(folder: Path, rules: Rules, *, samples: int, last_ms: float) -> Path:
    traffic = offline_traffic(rules.seeds, rules.performance_sample_count, samples=samples)
    count = len(traffic.samples)
    rows = [row(i, 0, ttft_ms=50 + i * last_ms / count, tokens=6) for i in range(count)]
    plan = made_plan(rules, expected_qps=samples / (1.1 * rules.min_duration_s))
    return write_run(folder, plan, rows, traffic.samples.tolist(), loop="closed", tree=spec_of(rules))


def stream_run(folder: Path, rules: Rules, *, queries: int) -> Path:
    traffic = single_stream_traffic(
        rules.seeds, rules.performance_sample_count, rows=queries, min_queries=rules.min_queries
    )
    rows = [row(i, i * 300.0, tokens=6 + i % 2) for i in range(queries)]
    return write_run(folder, made_plan(rules), rows, traffic.samples.tolist(), loop="closed", tree=spec_of(rules))


def scored(folder: Path, rules: Rules, scores: dict[str, float | None], **more: Any) -> None:
    """accuracy.json of a pass over the whole data set."""
    n = rules.accuracy_sample_count
    values: dict[str, Any] = {
        "loadcell": "0.1.0", "round": rules.round, "benchmark": rules.benchmark, "scenario": rules.scenario,
        "look_alike": False, "samples": n, "scored": n, "empty": 0, "missing": 0, "scores": scores,
        "tokens_per_sample": None, "passed": True, "findings": [],
    } | more  # fmt: skip
    dump_json(folder / "accuracy.json", Accuracy(**values))


def recorded_replies(folder: Path, rules: Rules) -> None:
    """An accuracy pass with its texts, in LoadGen's order."""
    from loadcell.recording.schema import TEXT
    from loadcell.recording.write import write_table

    kind = "server" if rules.scenario == "interactive" else rules.scenario
    order = accuracy_traffic(rules.seeds, rules.accuracy_sample_count, kind).samples.tolist()
    lines = "".join(json.dumps({"prompt": "x", "sample": i}) + "\n" for i in range(len(order)))
    (folder / "accuracy-prompts.jsonl").write_text(lines)
    rows = [row(i, i * 10.0) for i in range(len(order))]
    write_recording(folder / "accuracy", rows, order, loop="closed")
    columns = {column.name: [None] * len(order) for column in TEXT}
    columns["request"] = list(range(len(order)))
    columns["content"] = [f"answer {sample}" for sample in order]
    write_table(folder / "accuracy" / "text-0-00000.parquet", TEXT, columns)


def failing(folder: Path) -> list[Finding]:
    return [finding for finding in check_folder(folder).findings if finding.ok is False]


def test_an_export_of_a_whole_server_run_passes_our_own_check(tmp_path: Path) -> None:
    rules = find_rules("v6.1", "deepseek-r1", "server")
    run = server_run(tmp_path / "run", rules)
    scored(run, rules, {"exact_match": 81.4, "TOKENS_PER_SAMPLE": 3800.0}, tokens_per_sample=3800.0)
    recorded_replies(run, rules)
    found = outcome(run)
    assert found.verdict == "VALID", [f for f in found.findings if f.ok is False]
    dump_json(run / "outcome.json", found)
    assert failing(run) == []
    for form in FORMATS:
        export(run, form, tmp_path / form)
        checked = check_folder(tmp_path / form)
        assert [f for f in checked.findings if f.ok is False] == []
        assert [f.rule for f in checked.findings if f.rule == "load-generator" and f.ok is None]
    # The figures, as they come back.
    score, summary = found.score, read_summary(tmp_path / "endpoints/performance/result_summary.json", [])
    assert summary.qps == score.samples_per_s_loadgen
    assert summary.tps == score.tokens_per_s_loadgen
    assert summary.legacy_loadgen_window_duration_ns == score.last_issued_done_ns
    assert summary.duration_ns == score.end_ns
    detail = read_detail(tmp_path / "loadgen-like/performance/run_1/mlperf_log_detail.txt")
    assert detail.number("result_completed_tokens_per_second") == score.tokens_per_s_loadgen
    assert detail.number("loadcell_tokens_per_second_full_run") == score.tokens_per_s_run
    assert detail.number("result_scheduled_samples_per_sec") == score.scheduled_samples_per_s
    for name, words in (("ttft", "first_token_{}"), ("latency", "{}")):
        block, stats = getattr(score, name), getattr(summary, name)
        assert stats.percentiles["99.0"] == block.percentiles_ns["99.00"]
        assert (stats.min, stats.max, stats.total // block.n) == (block.min_ns, block.max_ns, block.mean_ns)
        key = f"result_{words.format('99.00')}_percentile_latency_ns"
        assert detail.integer(key) == block.percentiles_ns["99.00"]
    assert score.tpot is not None
    assert detail.integer("result_time_per_output_token_99.00_percentile_ns") == score.tpot.percentiles_ns["99.00"]
    log = read_accuracy_log(tmp_path / "loadgen-like/accuracy/mlperf_log_accuracy.json")
    assert {r.sample: r.data.decode() for r in log.replies} == {i: f"answer {i}" for i in range(4388)}
    assert read_accuracy_text(tmp_path / "loadgen-like/accuracy/accuracy.txt").scores["exact_match"] == 81.4


def test_an_export_of_a_whole_offline_run_passes_our_own_check(tmp_path: Path) -> None:
    rules = find_rules("v6.1", "llama3.1-8b-edge", "offline")
    run = offline_run(tmp_path / "run", rules, samples=5000, last_ms=620_000)
    scored(
        run, rules,
        {"ROUGE1": 39.1, "ROUGE2": 16.2, "ROUGEL": 24.7, "ROUGELSUM": 36.2, "GEN_LEN": 3051113.0},
    )  # fmt: skip
    recorded_replies(run, rules)
    found = outcome(run)
    assert found.verdict == "VALID", [f for f in found.findings if f.ok is False]
    for form in FORMATS:
        export(run, form, tmp_path / form)
        assert failing(tmp_path / form) == []
    summary = read_summary(tmp_path / "endpoints/performance/result_summary.json", [])
    assert (summary.tps, summary.qps) == (found.score.tokens_per_s_run, found.score.samples_per_s_run)
    assert summary.legacy_loadgen_window_duration_ns is None
    detail = read_detail(tmp_path / "loadgen-like/performance/run_1/mlperf_log_detail.txt")
    assert detail.number("result_tokens_per_second") == found.score.headline


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A server run of few samples by small rules; official ones call it too small."""
    return server_run(tmp_path / "small", small_rules(), rate=20.0)


def small_rules(**more: Any) -> Rules:
    """The rules of a benchmark for a run that is smaller than they ask."""
    rules = find_rules("v6.1", "llama3.1-8b", "server")
    less = {"performance_sample_count": SMALL, "min_queries": 20, "min_duration_s": 1.0, "seeds": made_rules().seeds}
    return msgspec.structs.replace(rules, **less | more)


@pytest.mark.parametrize("form", FORMATS)
def test_every_file_names_loadcell_and_says_that_it_is_unverified(form: str, small: Path, tmp_path: Path) -> None:
    scored(small, made_rules(benchmark="llama3.1-8b", accuracy_sample_count=SMALL), {"ROUGE1": 30.0})
    written = export(small, form, tmp_path / "out")
    assert len(written) == (4 if form == "endpoints" else 6)
    for path in written:
        text = path.read_text()
        assert "loadgen_version" not in text
        assert "loadgen_file_sha1" not in text
        assert ":::MLLOG" not in text
        if path.name != "mlperf_log_accuracy.json":  # a list of replies has no room for it
            assert FOOTNOTE in text.replace("\n", " ").replace("  ", " ")
            assert "Loadcell" in text
    assert not list((tmp_path / "out").rglob("submission*"))


@pytest.mark.parametrize("form", FORMATS)
def test_a_small_run_fails_for_its_size(form: str, small: Path, tmp_path: Path) -> None:
    export(small, form, tmp_path / "out")
    rules = {finding.rule for finding in failing(tmp_path / "out")}
    assert "min-duration" in rules
    assert rules <= {
        "min-duration", "performance-sample-count", "min-query-count", "file-present", "seeds", "result-valid",
        "early-stopping", "ttft-limit", "tpot-limit",
    }  # fmt: skip


def test_single_stream_logs(tmp_path: Path) -> None:
    rules = made_rules("singlestream", benchmark="llama3.1-8b", performance_sample_count=SMALL, min_queries=64)
    run = stream_run(tmp_path / "run", rules, queries=100)
    export(run, "loadgen-like", tmp_path / "logs")
    detail = read_detail(tmp_path / "logs/performance/run_1/mlperf_log_detail.txt")
    score = outcome(run).score
    assert detail.integer("generated_query_count") == 112  # whole passes over 16 samples
    assert detail.text("loadcell_early_stopping_estimate_ns") == str(score.early_stopping[0].estimate_ns)
    summary = read_log_summary(tmp_path / "logs/performance/run_1/mlperf_log_summary.txt")
    assert summary.valid is (outcome(run).verdict == "VALID")
    rules_failed = {finding.rule for finding in failing(tmp_path / "logs")}
    assert "generated-traffic" not in rules_failed
    assert "summary-agrees" not in rules_failed


def test_the_window_is_chosen_and_named(small: Path, tmp_path: Path) -> None:
    score = outcome(small).score
    export(small, "endpoints", tmp_path / "run", window="run")
    summary = read_summary(tmp_path / "run/performance/result_summary.json", [])
    assert (summary.legacy_loadgen_window_duration_ns, summary.tps) == (None, score.tokens_per_s_run)
    assert read_config(tmp_path / "run/config.yaml", []).type == "online"
    with pytest.raises(UsageError, match="--window"):
        export(small, "loadgen-like", tmp_path / "logs", window="run")


def test_too_few_samples_have_no_estimate(small: Path, tmp_path: Path) -> None:
    export(small, "endpoints", tmp_path / "out")
    summary = read_summary(tmp_path / "out/performance/result_summary.json", [])
    assert summary.ttft is not None
    n = summary.n_samples_completed or 0
    assert 11 <= n < 662
    assert summary.ttft.early_stopping_percentiles["99.0"] is None
    assert summary.ttft.early_stopping_percentiles["50.0"] is not None


def test_failed_requests_are_counted_and_prove_nothing(tmp_path: Path) -> None:
    rules = made_rules(benchmark="llama3.1-8b", performance_sample_count=SMALL)
    rows = [row(i, i * 10.0) for i in range(64)]
    rows[5] = rows[5] | {"status": "failed", "error_kind": "http_500", "error": "no", "output_tokens": None}
    run = write_run(
        tmp_path / "run", made_plan(rules, target_qps=100.0), rows, [i % SMALL for i in range(64)],
        tree=spec_of(rules) | {"load": {"rate": 100.0}},
    )  # fmt: skip
    export(run, "endpoints", tmp_path / "out")
    summary = read_summary(tmp_path / "out/performance/result_summary.json", [])
    assert (summary.n_samples_issued, summary.n_samples_completed, summary.n_samples_failed) == (64, 63, 1)
    export(run, "loadgen-like", tmp_path / "logs")
    assert {"errors", "result-valid"} <= {finding.rule for finding in failing(tmp_path / "logs")}
    assert "errors" in {finding.rule for finding in failing(tmp_path / "out")}


# --- our own folder ---------------------------------------------------------------------------------------------------


def test_our_own_folder_is_judged_again(small: Path) -> None:
    dump_json(small / "outcome.json", outcome(small))
    assert "outcome" not in {finding.rule for finding in failing(small)}
    assert "generated-traffic" in {f.rule for f in check_folder(small).findings if f.ok}
    told = json.loads((small / "outcome.json").read_text())
    told["score"]["tokens_per_s_loadgen"] *= 2
    (small / "outcome.json").write_text(json.dumps(told))
    (wrong,) = [finding for finding in failing(small) if finding.rule == "outcome"]
    assert "tokens_per_s_loadgen" in wrong.says


def test_a_plan_with_rules_of_its_own_is_told(tmp_path: Path) -> None:
    run = server_run(tmp_path / "run", small_rules(ttft_ms=9000.0), rate=20.0)
    (wrong,) = [finding for finding in failing(run) if finding.rule == "rules"]
    assert "ttft_ms 9000.0 instead of 2000.0" in wrong.says
    other = server_run(tmp_path / "other", small_rules(benchmark="made-8b"), rate=20.0)
    assert [finding.rule for finding in failing(other) if "made-8b" in finding.says] == ["recording"]


def test_a_score_below_the_gate_that_says_passed_is_told(small: Path) -> None:
    scored(small, find_rules("v6.1", "llama3.1-8b", "server"), {"ROUGE1": 12.0})
    assert "accuracy-gate" in {finding.rule for finding in failing(small)}


def test_a_schedule_that_is_not_loadgens_is_told(tmp_path: Path) -> None:
    rules = made_rules(benchmark="llama3.1-8b", performance_sample_count=SMALL)
    rows = [row(i, i * 10.0) for i in range(64)]
    run = write_run(
        tmp_path / "run", made_plan(rules, target_qps=100.0), rows, [i % SMALL for i in range(64)],
        tree=spec_of(rules) | {"load": {"rate": 100.0}},
    )  # fmt: skip
    assert "generated-traffic" in {finding.rule for finding in failing(run)}


@pytest.mark.parametrize("name", ["mlperf.json", "performance/schedule.parquet", "performance/recording.json"])
@pytest.mark.parametrize("how", ["cut", "gone", "other"])
def test_a_damaged_folder_of_ours_is_diagnosed(name: str, how: str, small: Path, tmp_path: Path) -> None:
    path = small / name
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if how == "cut" else b"{}")
    if name == "mlperf.json" and how == "gone":
        with pytest.raises(UsageError, match="nothing to check"):
            check_folder(small)
    else:
        assert [finding.rule for finding in failing(small)] == ["recording"]
    with pytest.raises(RecordingError):
        export(small, "endpoints", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_edited_export_fails(small: Path, tmp_path: Path) -> None:
    export(small, "loadgen-like", tmp_path / "out")
    before = {finding.rule for finding in failing(tmp_path / "out")}
    edit(tmp_path / "out/performance/run_1", "generated_query_duration", lambda v: v + 1)
    assert {finding.rule for finding in failing(tmp_path / "out")} - before == {"generated-traffic"}


def test_the_command(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mlperf", "export", str(small), "--format", "endpoints"]) == 0
    shown = capsys.readouterr().out
    assert str(small / "export-endpoints" / "config.yaml") in shown
    assert FOOTNOTE in shown
    assert main(["mlperf", "export", str(small), "--format", "endpoints"]) == 1
    assert "already holds files" in capsys.readouterr().err
    assert main(["mlperf", "export", str(small), "--format", "endpoint"]) == 2
    assert "did you mean endpoints" in capsys.readouterr().err
    assert main(["mlperf", "export", str(tmp_path), "--format", "endpoints"]) == 1
    assert "mlperf.json" in capsys.readouterr().err


def test_what_comes_back_is_what_was_judged(small: Path, tmp_path: Path) -> None:
    """The verdict in the logs is the outcome's, also where LoadGen would not see it."""
    found: Outcome = outcome(small)
    export(small, "loadgen-like", tmp_path / "out")
    assert (
        read_detail(tmp_path / "out/performance/run_1/mlperf_log_detail.txt").text("result_validity") == found.verdict
    )
