"""What a run is to do, from the rules and what a person asks for: nothing here speaks to a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.mlperf.datasets import Dataset, Sample
from loadcell.mlperf.folder import RUN
from loadcell.mlperf.model import SCENARIOS, RunPlan
from loadcell.mlperf.planning import Planned, make_plan
from loadcell.mlperf.rules import all_rules, find_rules, rounds
from loadcell.mlperf.settings import default_timeout_s, expected_tokens, spec_by_rules
from loadcell.mlperf.shorten import QUICK_DURATION_S, QUICK_SAMPLES, needed_queries, shorten
from loadcell.mlperf.wish import Probed, Wish
from loadcell.spec import Spec, build_spec
from loadcell.workload.loadgen import server_traffic

PROMPTS = Path("run") / "prompts.jsonl"
URL = "http://127.0.0.1:9"


def data(count: int = 13368, **fields: Any) -> Dataset:
    """So many samples."""
    sample = Sample(prompt="Summarise.", reference="A summary.")
    whole: dict[str, Any] = {
        "benchmark": "llama3.1-8b", "name": "made", "path": None, "sha256": "ab" * 32, "look_alike": False,
        "samples": [sample] * count, "whole": 13368, "max_tokens": 128,
    }  # fmt: skip
    return Dataset(**whole | fields)


def spec_of(**sections: Any) -> Spec:
    return build_spec({"endpoint": {"url": URL}} | sections)


def plan(
    scenario: str, wish: Wish | None = None, *, count: int = 13368, spec: Spec | None = None,
    probed: Probed | None = None, benchmark: str = "llama3.1-8b",
) -> Planned:  # fmt: skip
    rules = find_rules("v6.1", benchmark, scenario)
    return make_plan(rules, data(count), spec or spec_of(), PROMPTS, wish or Wish(), probed)


# --- the rules in full -----------------------------------------------------------------------------------------------


def test_a_server_run_by_the_rules() -> None:
    made = plan("server", Wish(target_qps=100))
    rules, spec = made.plan.rules, made.spec
    assert (made.plan.quick, made.plan.shortened, made.notes) == (False, [], [])
    assert rules.min_queries == 459  # LoadGen's 100, and what early stopping needs
    assert made.plan.queries == 5 * 13368  # 600 s at 100/s, filled up to whole passes
    traffic = server_traffic(rules.seeds, 13368, 100, min_queries=459, min_duration_s=600)
    assert made.plan.eta_s == traffic.duration_ns / 1e9 and len(traffic.samples) == made.plan.queries
    assert (spec.load.rate, spec.load.concurrency, spec.load.duration_s, spec.load.ramp_s) == (100, None, None, 0)
    assert (spec.slo.ttft_ms, spec.slo.tpot_ms) == (2000, 100)
    assert spec.endpoint.extra_body == {"temperature": 0} and spec.endpoint.ignore_eos is False
    assert spec.endpoint.stream and spec.workload.output_tokens == "128" and spec.workload.prompts == str(PROMPTS)
    assert spec.loadgen.schedule_seed == 16159082839903944936 and spec.loadgen.min_duration_s == 600
    assert spec.load.timeout_s == pytest.approx(600 + 0.15 * 128)


def test_interactive_is_the_same_traffic_with_tighter_limits() -> None:
    server, interactive = plan("server", Wish(target_qps=100)), plan("interactive", Wish(target_qps=100))
    assert server.spec.loadgen == interactive.spec.loadgen and server.spec.load == interactive.spec.load
    assert (interactive.spec.slo.ttft_ms, interactive.spec.slo.tpot_ms) == (500, 30)


def test_an_offline_run_is_sized_by_its_guess() -> None:
    least = plan("offline")
    assert (least.spec.load.requests, least.spec.load.concurrency, least.plan.eta_s) == (13368, 1024, None)
    guessed = plan("offline", Wish(expected_qps=100, concurrency=64))
    assert guessed.spec.load.requests == 5 * 13368  # 1.1 x 600 s x 100/s = 66,000, in whole passes
    assert guessed.spec.load.concurrency == 64 and guessed.plan.eta_s == pytest.approx(668.4)
    assert guessed.plan.queries == 1 and guessed.spec.load.duration_s is None


def test_a_probe_sizes_what_nobody_guessed() -> None:
    probed = Probed(requests_per_s=100, latency_s=0.5)
    assert plan("offline", probed=probed).plan.expected_qps == 100
    assert plan("offline", Wish(expected_qps=50), probed=probed).plan.expected_qps == 50
    single = plan("singlestream", probed=probed)
    assert single.spec.load.min_requests == 13368  # 2 x 600 s / 0.5 s = 2400, then to the next whole pass
    assert single.plan.eta_s == 13368 * 0.5


def test_single_stream_is_one_query_after_the_other() -> None:
    load = plan("singlestream", probed=Probed(10, 0.1)).spec.load
    assert (load.concurrency, load.rate, load.lockstep) == (1, None, False)
    assert load.duration_s == 600
    assert plan("singlestream").plan.queries is None  # a time ends it


def test_multi_stream_sends_eight_at_once() -> None:
    made = plan("multistream", probed=Probed(10, 0.1))
    load = made.spec.load
    assert (load.concurrency, load.lockstep, load.min_requests) == (8, True, 8 * 662)
    assert load.duration_s == 600
    assert made.spec.loadgen.min_queries == 662


@pytest.mark.parametrize("round", rounds())
def test_every_benchmark_of_a_round_can_be_planned(round: str) -> None:
    for rules in all_rules(round):
        dataset = data(rules.dataset_size)
        made = make_plan(rules, dataset, spec_of(), PROMPTS, Wish(target_qps=50) if _open(rules.scenario) else Wish())
        assert made.plan.shortened == [] and made.plan.samples == rules.performance_sample_count
        assert msgspec.json.decode(msgspec.json.encode(made.plan), type=RunPlan) == made.plan
        assert default_timeout_s(rules) >= 600
        assert (expected_tokens(rules) or 0) <= (rules.max_output_tokens or 0)


def _open(scenario: str) -> bool:
    return scenario in ("server", "interactive")


def test_reasoning_is_expected_to_be_shorter_than_its_maximum() -> None:
    rules = find_rules("v6.1", "deepseek-r1", "offline")
    assert expected_tokens(rules) == pytest.approx(3886.2274) and rules.max_output_tokens == 20000
    assert expected_tokens(find_rules("v6.1", "llama3.1-8b", "offline")) == 128


# --- smaller on purpose ----------------------------------------------------------------------------------------------


def test_quick_says_in_what_it_is_smaller() -> None:
    made = plan("server", Wish(target_qps=50, quick=True))
    assert made.plan.quick and made.plan.samples == QUICK_SAMPLES
    assert made.plan.shortened == ["64 samples instead of 13,368", "10 s at least instead of 600 s"]
    assert made.plan.queries == 512  # 459 for early stopping, in whole passes; 10 s at 50/s are 500
    assert made.plan.rules.min_duration_s == QUICK_DURATION_S
    assert any("512 queries prove p99 only if none is late" in note for note in made.notes)


def test_quick_streams_and_offline() -> None:
    single = plan("singlestream", Wish(quick=True, expected_qps=2))
    assert single.plan.rules.min_queries == 64 and single.spec.load.min_requests == 128
    assert "at least 64 queries instead of 100" in single.plan.shortened
    multi = plan("multistream", Wish(quick=True))
    assert multi.plan.rules.min_queries == 662  # without so many there is no bound of p99
    offline = plan("offline", Wish(quick=True, expected_qps=1))
    assert (offline.spec.load.requests, offline.spec.load.concurrency) == (64, 64)
    assert "at least 64 samples sent instead of 13,368" in offline.plan.shortened


def test_fewer_samples_alone_keep_the_duration() -> None:
    made = plan("server", Wish(target_qps=100), count=100)
    assert made.plan.shortened == ["100 samples instead of 13,368"] and made.plan.quick
    assert made.plan.rules.min_duration_s == 600 and (made.plan.queries or 0) % 100 == 0


def test_what_a_person_sets_by_hand_is_said() -> None:
    spec = spec_of(
        loadgen={"min_duration_s": 1, "min_queries": 20, "qsl_seed": 5, "equal_issue": False},
        workload={"output_tokens": "8"},
    )
    given = {"loadgen.min_duration_s", "loadgen.min_queries", "loadgen.qsl_seed", "loadgen.equal_issue",
             "workload.output_tokens"}  # fmt: skip
    made = plan("server", Wish(target_qps=100, given=given), spec=spec)
    rules = made.plan.rules
    assert (rules.min_duration_s, rules.min_queries, rules.max_output_tokens, rules.equal_issue) == (1, 20, 8, False)
    assert rules.seeds.qsl == 5 == made.spec.loadgen.qsl_seed
    assert rules.seeds.schedule == made.spec.loadgen.schedule_seed == 16159082839903944936
    assert made.spec.workload.output_tokens == "8"
    for words in ("8 output tokens at most instead of 128", "1 s at least", "at least 20 queries instead of 100",
                  "seeds of its own", "unequally often"):  # fmt: skip
        assert any(words in said for said in made.plan.shortened), words
    assert any("early stopping needs 459" in note for note in made.notes)


@settings(max_examples=60, deadline=None)
@given(
    scenario=st.sampled_from(SCENARIOS),
    benchmark=st.sampled_from(["llama3.1-8b", "deepseek-r1", "gpt-oss-120b", "llama2-70b-99.9"]),
    count=st.integers(1, 30000),
    quick=st.booleans(),
)
def test_nothing_is_made_smaller_in_silence(scenario: str, benchmark: str, count: int, quick: bool) -> None:
    rules = find_rules("v6.1", benchmark, scenario)
    applied, said = shorten(rules, count, spec_of(), Wish(quick=quick))
    smaller = [
        name
        for name in ("performance_sample_count", "min_queries", "min_duration_s", "offline_min_samples")
        if (getattr(applied, name) or 0) < (getattr(rules, name) or 0)
    ]
    assert len(said) == len(smaller)
    assert applied.performance_sample_count <= count
    if scenario != "offline":
        assert applied.min_queries >= needed_queries(rules)
    assert (applied.seeds, applied.percentile, applied.ttft_ms) == (rules.seeds, rules.percentile, rules.ttft_ms)


# --- foreseen --------------------------------------------------------------------------------------------------------


def test_a_rate_at_which_whole_passes_never_end_is_refused() -> None:
    rules = find_rules("v6.0", "llama2-70b-99", "server")
    with pytest.raises(UsageError) as caught:
        make_plan(rules, data(24576), spec_of(), PROMPTS, Wish(target_qps=0.1))
    for words in ("24,576 queries in whole passes", "68.3 h", "0.29 queries/s or more", "--quick", "--longest 69h"):
        assert words in str(caught.value)
    allowed = make_plan(rules, data(24576), spec_of(), PROMPTS, Wish(target_qps=0.1, longest_s=70 * 3600))
    assert allowed.plan.eta_s == pytest.approx(68.3 * 3600, rel=0.02)


def test_a_slow_stream_is_refused_after_its_probe() -> None:
    with pytest.raises(UsageError, match=r"about 37\.1 h"):
        plan("singlestream", probed=Probed(0.1, 10))


@pytest.mark.parametrize(
    ("scenario", "wish", "said"),
    [
        ("server", Wish(), "--target-qps 12, or let --find-peak"),
        ("interactive", Wish(target_qps=1, expected_qps=3), "--expected-qps"),
        ("offline", Wish(target_qps=3), "--expected-qps"),
        ("singlestream", Wish(find_peak=True), "no rate to find"),
        ("server", Wish(target_qps=1, concurrency=4), "--concurrency is for offline"),
        ("offline", Wish(concurrency=0), "1 or more"),
        ("server", Wish(target_qps=float("nan")), "more than 0"),
        ("server", Wish(target_qps=1e9), "10,000,000"),
        ("offline", Wish(expected_qps=1e9), "10,000,000"),
        ("server", Wish(target_qps=1, given={"load.rate"}), "load.rate is what the rules"),
        ("server", Wish(target_qps=1, given={"slo.ttft_ms"}), "slo.ttft_ms is what the rules"),
        ("server", Wish(target_qps=1, given={"workload.prompts"}), "workload.prompts"),
    ],
)
def test_what_cannot_be_is_said_in_words(scenario: str, wish: Wish, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(scenario, wish)
    assert said in str(caught.value)


def test_an_output_of_varying_length_is_none_of_a_benchmark() -> None:
    spec = spec_of(workload={"output_tokens": "uniform:4,8"})
    with pytest.raises(UsageError, match="write a number"):
        plan("server", Wish(target_qps=1, given={"workload.output_tokens"}), spec=spec)


# --- the spec --------------------------------------------------------------------------------------------------------


def test_what_the_endpoint_needs_is_kept_and_secrets_are_not_written() -> None:
    endpoint = {"url": URL, "headers": {"x-key": "secret-value"}, "extra_body": {"top_k": 1}}
    made = plan("server", Wish(target_qps=100), spec=build_spec({"endpoint": endpoint, "run": {"shared_host": True}}))
    assert made.spec.endpoint.headers == {"x-key": "secret-value"} and made.spec.run.shared_host
    assert made.spec.endpoint.extra_body == {"temperature": 0, "top_k": 1}
    assert "secret-value" not in json.dumps(msgspec.to_builtins(made.plan))


def test_a_person_may_set_a_timeout_and_force_outputs() -> None:
    spec = spec_of(load={"timeout_s": 30}, endpoint={"url": URL, "ignore_eos": True})
    made = spec_by_rules(find_rules("v6.1", "llama3.1-8b", "server"), spec, PROMPTS,
                         {"load.timeout_s", "endpoint.ignore_eos"})  # fmt: skip
    assert made.load.timeout_s == 30 and made.endpoint.ignore_eos is True


def test_the_data_set_says_which_api_sends_it() -> None:
    rules = find_rules("v6.1", "llama3.1-8b", "server")
    made = make_plan(rules, data(api="completions"), spec_of(), PROMPTS, Wish(target_qps=100))
    assert made.spec.endpoint.api == "completions"
    wish = Wish(target_qps=100, given={"endpoint.api"})
    assert make_plan(rules, data(api="completions"), spec_of(), PROMPTS, wish).spec.endpoint.api == "chat"


def test_a_peak_that_is_still_to_be_found_has_no_rate() -> None:
    made = plan("interactive", Wish(find_peak=True, quick=True))
    assert made.plan.find_peak and made.plan.target_qps is None and made.plan.queries is None
    assert made.plan.spec.loadgen.scenario is None


# --- going on --------------------------------------------------------------------------------------------------------


def test_only_what_a_person_asks_for_makes_another_plan() -> None:
    before = plan("offline", probed=Probed(100, 1)).plan
    assert RUN.differences(before, plan("offline").plan) == []  # a probe sized it
    other = plan("offline", spec=spec_of(endpoint={"url": URL, "model": "m"})).plan
    assert RUN.differences(before, other) == ["endpoint.model none -> m"]
    server = plan("server", Wish(target_qps=100)).plan
    assert RUN.differences(server, plan("server", Wish(target_qps=101)).plan) == ["target_qps 100 -> 101"]
    assert RUN.differences(server, plan("server", Wish(target_qps=100), count=100).plan)
    found = msgspec.structs.replace(plan("server", Wish(find_peak=True)).plan, target_qps=7.0, history=["x"])
    assert RUN.differences(found, plan("server", Wish(find_peak=True)).plan) == []
