from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_queries import MS, made_plan, made_queries, made_rules
from made_run import row, write_run

from loadcell.errors import RecordingError
from loadcell.mlperf.facts import Facts
from loadcell.mlperf.judge import PROVEN, fails, judge, verdict
from loadcell.mlperf.model import FOOTNOTE, Finding, Outcome, Queries, Rules, RunPlan
from loadcell.mlperf.outcome import outcome
from loadcell.mlperf.score import score
from loadcell.recording.read import dump_json
from loadcell.spec import LoadGen

GOOD = Facts(
    state="complete", planned=500, recorded=500, cancelled=0, instrument="VALID", instrument_reasons=[], errors=[],
    error_advice=None, distinct_samples=10, fewest_sends=50, most_sends=50, shortest_output=11, longest_output=11,
    mean_output=11.0, cached_share=0.0, sampling={"temperature": 0}, ignore_eos=False, stream=True,
    model="meta/Made-8B", loadgen=LoadGen(scenario="server", qsl_seed=1, sample_index_seed=2, schedule_seed=3),
)  # fmt: skip


def _judge(queries: Queries, plan: RunPlan, **facts: Any) -> dict[str, Finding]:
    known = replace(GOOD, planned=len(queries), recorded=len(queries), **facts)
    return {finding.rule: finding for finding in judge(plan, score(queries, plan.rules), known)}


def _of(found: dict[str, Finding]) -> list[str]:
    return [rule for rule, finding in found.items() if fails(finding)]


GOOD_QUERIES = made_queries([200.0] * 500)  # TTFT 10 ms, TPOT 19 ms, limits 500 and 30 ms


def test_a_good_run_is_valid_and_every_finding_holds() -> None:
    found = _judge(GOOD_QUERIES, made_plan(made_rules()))
    assert verdict(found.values()) == "VALID"
    assert all(finding.ok is True and finding.advice is None for finding in found.values())
    assert found["ttft-limit"].says == "TTFT at p99 is 10.00 ms, below 500 ms asked"
    assert found["early-stopping-tpot"].says == "none of 500 beyond 30 ms TPOT, up to 0 prove 99 % with 99 % confidence"
    assert PROVEN - {"offline-samples", "latency-limit", "early-stopping-latency"} <= set(found)


# --- one thing wrong at a time ---------------------------------------------------------------------------------------

_WRONG: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    # rule, changes of the queries, of the rules, of the facts, words
    ("min-duration", {}, {"min_duration_s": 600.0}, {}, "scheduled at 49.90 s, at least 600 s asked"),
    ("min-query-count", {}, {"min_queries": 501}, {}, "500 queries, at least 501 asked"),
    ("ttft-limit", {"ttft_ms": [10.0] * 490 + [600.0] * 10, "tokens": [11] * 490 + [1] * 10}, {}, {}, "600.00 ms"),
    ("tpot-limit", {"tokens": [11] * 490 + [2] * 10}, {}, {}, "190.00 ms, below 30 ms"),
    ("early-stopping-tpot", {"tokens": [11] * 498 + [2] * 2}, {}, {}, "338 more queries are needed"),
    ("early-stopping-ttft", {}, {"ttft_ms": 9.0}, {}, "500 of 500 beyond 9 ms"),
    ("errors", {"failed": [7]}, {}, {"errors": ["timeout 1"]}, "1 of 500 samples failed, none may: timeout 1"),
    ("complete", {}, {}, {"state": "interrupted"}, "the run was interrupted: 500 of 500"),
    ("complete", {}, {}, {"cancelled": 2}, "498 of 500"),
    ("instrument", {}, {}, {"instrument": "INVALID", "instrument_reasons": ["busy"]}, "INVALID: busy"),
    ("seeds", {}, {}, {"loadgen": LoadGen(scenario="server", qsl_seed=1)}, "sample index seed 0, asked 2"),
    ("seeds", {}, {}, {"loadgen": LoadGen()}, "order and times are not LoadGen's"),
    ("equal-issue", {}, {}, {"fewest_sends": 49}, "49 to 50 times each"),
    ("equal-issue", {}, {}, {"distinct_samples": 9}, "9 of 10 samples were sent"),
    ("decoding", {}, {}, {"sampling": {"temperature": 1}}, "temperature 1, asked 0"),
    ("decoding", {}, {}, {"sampling": {}}, "temperature not sent, asked 0"),
    ("decoding", {}, {}, {"ignore_eos": True}, "ignore_eos"),
    ("streaming", {"ttft_ms": None}, {}, {"stream": False}, "not streamed"),
    ("output-length", {}, {"max_output_tokens": 10}, {}, "outputs of 11 to 11 tokens, 1 to 10 allowed"),
    ("output-length", {}, {}, {"shortest_output": 0}, "outputs of 0 to 11 tokens"),
    ("token-count", {"tokens": [11] * 499 + [float("nan")]}, {}, {}, "not known"),
    ("kv-reuse", {}, {}, {"cached_share": 0.25}, "25.0% of the prompt tokens"),
    ("tpot-limit", {"tokens": 1}, {}, {}, "TPOT at p99 is not known"),
    ("early-stopping-tpot", {"tokens": 1}, {}, {}, "nothing can be proved"),
]


@pytest.mark.parametrize(("rule", "queries", "rules", "facts", "words"), _WRONG)
def test_what_is_wrong_fails_with_both_figures_and_advice(
    rule: str, queries: dict[str, Any], rules: dict[str, Any], facts: dict[str, Any], words: str
) -> None:
    found = _judge(made_queries([200.0] * 500, **queries), made_plan(made_rules(**rules)), **facts)
    assert rule in _of(found) and verdict(found.values()) == "INVALID"
    assert words in found[rule].says
    assert found[rule].advice or rule in ("errors", "early-stopping-tpot")
    assert list(found)[: len(_of(found))] == _of(found), "failed ones come first"


_NOTED: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    # rule, changes of the plan, of the rules, of the facts, words
    ("quick", {"quick": True, "shortened": ["64 samples instead of 13,368"]}, {}, {}, "64 samples instead of 13,368"),
    ("look-alike", {"look_alike": True}, {}, {}, "not comparable"),
    ("scenario", {}, {"suites": {}}, {}, "v6.1 does not ask made-8b for server"),
    ("model", {}, {}, {"model": "SmolLM2-135M"}, "the server's model is SmolLM2-135M"),
    ("kv-reuse", {}, {}, {"cached_share": None}, "does not tell"),
    ("instrument", {}, {}, {"instrument": "SUSPECT", "instrument_reasons": ["no core"]}, "SUSPECT: no core"),
]


@pytest.mark.parametrize(("rule", "plan", "rules", "facts", "words"), _NOTED)
def test_what_must_be_known_fails_nothing(
    rule: str, plan: dict[str, Any], rules: dict[str, Any], facts: dict[str, Any], words: str
) -> None:
    found = _judge(GOOD_QUERIES, made_plan(made_rules(**rules), **plan), **facts)
    assert verdict(found.values()) == "VALID"
    assert found[rule].ok is None and words in found[rule].says
    assert next(iter(found)) == rule


def test_a_small_data_set_fails_and_a_mean_outside_the_gate_is_noted() -> None:
    gates = [{"metric": "TOKENS_PER_SAMPLE", "op": ">=", "reference": 100, "factor": 0.9, "threshold": 90.0}]
    found = _judge(GOOD_QUERIES, made_plan(made_rules(gates=gates), samples=9), distinct_samples=9)
    assert _of(found) == ["performance-sample-count"]
    assert found["tokens-per-sample"].ok is None
    assert found["tokens-per-sample"].says == "11.0 output tokens a sample; the accuracy gate asks >= 90"


def test_reuse_is_not_looked_at_where_it_is_allowed() -> None:
    assert "kv-reuse" not in _judge(GOOD_QUERIES, made_plan(made_rules(max_cached_share=None)), cached_share=0.9)


# --- advice ----------------------------------------------------------------------------------------------------------


def test_an_offline_run_that_was_too_short_says_which_guess_would_do() -> None:
    rules = made_rules("offline", min_duration_s=600.0, min_queries=1, offline_min_samples=500)
    queries = made_queries([50_000.0] * 500, scheduled_ms=0.0, one_query=True)
    found = _judge(queries, made_plan(rules))
    assert _of(found) == ["min-duration"]
    assert found["min-duration"].says == "the longest latency is 50.00 s, at least 600 s asked"
    assert "--expected-qps 10" in (found["min-duration"].advice or "")
    assert found["offline-samples"].ok is True


def test_few_late_samples_ask_for_more_queries() -> None:
    found = _judge(made_queries([200.0] * 500, tokens=[11] * 499 + [2]), made_plan(made_rules(), target_qps=10.0))
    advice = found["early-stopping-tpot"].advice or ""
    assert found["early-stopping-tpot"].says.endswith("162 more queries are needed if all of them are in time")
    assert "--set loadgen.min_queries=1000" in advice and "--target-qps 9.5" in advice


def test_a_server_that_cannot_keep_up_is_told_a_rate_that_it_kept() -> None:
    """Each query takes 100 ms more than the one before, so that 5 of 10 queries/s are completed."""
    queries = made_queries([200.0 + 100 * i for i in range(500)], ttft_ms=[100.0 * i for i in range(500)])
    found = _judge(queries, made_plan(made_rules(), target_qps=10.0))
    assert "completed 4.9" in (found["ttft-limit"].advice or "")
    assert "--target-qps 4.49," in (found["ttft-limit"].advice or "")


def test_too_few_queries_for_any_proof() -> None:
    found = _judge(made_queries([200.0] * 100), made_plan(made_rules()), fewest_sends=10, most_sends=10)
    assert _of(found) == ["early-stopping-ttft", "early-stopping-tpot"]
    assert found["early-stopping-ttft"].advice == "give at least 459 queries: --set loadgen.min_queries=459"


def test_single_stream_needs_enough_queries_for_a_bound() -> None:
    plan = made_plan(made_rules("singlestream"))
    found = _judge(made_queries([200.0] * 60), plan)
    assert found["early-stopping-latency"].says == "p90 of the latency cannot be bounded by 60 queries, 64 are needed"
    found = _judge(made_queries([200.0] * 64), plan)
    assert found["early-stopping-latency"].says.startswith("p90 of the latency is at most 200.00 ms")


def test_a_limit_itself_is_no_longer_below_it() -> None:
    at_limit = made_queries([810.0] * 500, ttft_ms=500.0)
    assert _of(_judge(at_limit, made_plan(made_rules(tpot_ms=40.0)))) == ["ttft-limit"]


# --- from a folder ---------------------------------------------------------------------------------------------------


def _run(tmp_path: Path, rows: list[dict[str, Any]], rules: Rules, **more: Any) -> Outcome:
    prompts = [i % 10 for i in range(len(rows))]
    return outcome(write_run(tmp_path / "run", made_plan(rules, target_qps=10.0), rows, prompts, **more))


def test_the_outcome_of_a_folder(tmp_path: Path) -> None:
    found = _run(tmp_path, [row(i, i * 100.0) for i in range(500)], made_rules())
    failed = [finding.rule for finding in found.findings if fails(finding)]
    assert failed == [] and found.verdict == "VALID"
    assert found.score.tokens == 5_500 and found.score.tpot is not None
    assert found.score.tpot.percentiles_ns["99.00"] == 20 * MS
    assert found.verified is False and found.footnote == FOOTNOTE
    assert msgspec.json.decode(msgspec.json.encode(found), type=Outcome) == found


def test_a_run_that_was_cut_off_is_diagnosed(tmp_path: Path) -> None:
    rows = [row(i, i * 100.0) for i in range(100)]
    found = outcome(
        write_run(tmp_path / "run", made_plan(made_rules()), rows, [i % 10 for i in range(500)], state="interrupted")
    )
    assert found.verdict == "INVALID" and found.findings[0].rule == "complete"
    assert found.findings[0].says == "the run was interrupted: 100 of 500 samples ended"


def _no_plan(folder: Path) -> None:
    (folder / "mlperf.json").unlink()


def _torn_plan(folder: Path) -> None:
    (folder / "mlperf.json").write_text('{"format": 1, "loadcell": "0.1.0"')


def _newer_plan(folder: Path) -> None:
    dump_json(folder / "mlperf.json", {"format": 99, "loadcell": "9.9"})


def _no_recording(folder: Path) -> None:
    (folder / "performance").rename(folder / "elsewhere")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_plan, "has no mlperf.json"),
        (_torn_plan, "damaged"),
        (_newer_plan, "upgrade loadcell"),
        (_no_recording, "performance is not a recording"),
    ],
)
def test_a_folder_that_is_no_run_is_diagnosed(tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    folder = write_run(tmp_path / "run", made_plan(made_rules()), [row(0, 0)], [0])
    spoil(folder)
    with pytest.raises(RecordingError, match=words):
        outcome(folder)
