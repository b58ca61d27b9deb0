from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadcell.errors import UsageError
from loadcell.mlperf.model import OFFICIAL, SCENARIOS, Rules
from loadcell.mlperf.rules import (
    all_rules,
    benchmarks,
    endpoints_rules,
    endpoints_submission,
    find_rules,
    layout,
    rounds,
    seeds_of,
)
from loadcell.rounds import benchmarks_of, merged, table

REFERENCE = json.loads(gzip.decompress((Path(__file__).parent / "data" / "rules.json.gz").read_bytes()))
OURS = {"inferred_tokens_per_sample"}
"""Leaves of a benchmark that the reference does not have."""


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf with its path; an empty list or mapping is a leaf."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    if not items or not tree:
        yield path, tree
    for key, value in items:
        yield from leaves(value, (*path, key))


def same(ours: Any, theirs: Any, ignored: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Leaf by leaf, so that a difference names its place."""
    mine = {path: value for path, value in leaves(ours) if path[-1:] and path[-1] not in ignored}
    expected = dict(leaves(theirs))
    assert mine.keys() == expected.keys()
    wrong = {path: (mine[path], value) for path, value in expected.items() if mine[path] != value}
    assert not wrong


# --- nothing was lost ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edition", REFERENCE["rounds"])
def test_a_round_is_what_the_reference_says(edition: str) -> None:
    theirs = REFERENCE["rounds"][edition]
    assert list(benchmarks(edition)) == list(theirs["benchmarks"])
    same(benchmarks_of(edition), theirs["benchmarks"], OURS)
    assert table(edition)["seeds"] == theirs["seeds"]


@pytest.mark.parametrize("key", ["format", "about", "sources", "precedence", "comparison", "defaults"])
def test_what_holds_for_all_rounds(key: str) -> None:
    assert table("common")[key] == REFERENCE[key]


def test_every_conflict_is_kept_and_says_what_it_concerns() -> None:
    ours = [{k: v for k, v in entry.items() if k not in ("of", "in")} for entry in table("common")["conflicts"]]
    assert ours == REFERENCE["conflicts"]
    known = {name for edition in rounds() for name in benchmarks(edition)}
    for entry in [*table("common")["conflicts"], *table("common")["notes"]]:
        assert set(entry.get("of", [])) <= known
        assert set(entry.get("in", [])) <= {OFFICIAL[scenario] for scenario in SCENARIOS}


def test_the_other_tables() -> None:
    for name in ("compliance", "speculative_decoding"):
        assert table("compliance")[name] == REFERENCE[name]
    assert table("submission")["v6_1_endpoints_submission"] == REFERENCE["v6_1_endpoints_submission"]
    assert table("submission")["files"] == REFERENCE["files"]
    ours = table("endpoints-v1.0")
    assert {key: ours[key] for key in REFERENCE["endpoints_v1"]} == REFERENCE["endpoints_v1"]
    assert ours.keys() - REFERENCE["endpoints_v1"].keys() == {"metrics", "max_cached_share"}
    for read, tree in ((endpoints_rules(), ours), (endpoints_submission(), REFERENCE["v6_1_endpoints_submission"])):
        typed = msgspec.json.decode(msgspec.json.encode(read))
        same(
            typed,
            {key: tree[key] for key in typed}
            | (
                {}
                if "tolerances" not in typed
                else {"tolerances": {key: tree["tolerances"][key] for key in typed["tolerances"]}}
            ),
        )
    assert set(REFERENCE) == {
        "format", "about", "sources", "precedence", "comparison", "defaults", "conflicts", "rounds", "compliance",
        "speculative_decoding", "endpoints_v1", "v6_1_endpoints_submission", "files",
    }  # fmt: skip


def test_the_typed_rules_say_the_same() -> None:
    for edition in rounds():
        for rules in all_rules(edition):
            tree = REFERENCE["rounds"][edition]["benchmarks"][rules.benchmark]
            official = OFFICIAL[rules.scenario]
            entry = tree["scenarios"].get(official) or tree["scenarios"]["Server"]
            for field in ("ttft_ms", "tpot_ms", "latency_ms", "percentile"):
                assert getattr(rules, field) == entry.get(field)
            assert (rules.result_key, rules.unit, rules.suites) == (entry["result_key"], entry["unit"], entry["suites"])
            for field in ("task", "model", "dataset_size", "equal_issue", "token_latencies", "offline_min_samples"):
                assert getattr(rules, field) == tree[field]
            assert rules.min_duration_s * 1000 == tree["min_duration_ms"]
            gates = tree["accuracy"] if isinstance(tree["accuracy"], list) else tree["accuracy"][official]
            found = [msgspec.to_builtins(gate) for gate in rules.gates]
            assert found == [{key: gate[key] for key in found[0]} for gate in gates]


def test_all_rules_are_all_pairs_that_a_round_asks_for() -> None:
    for edition in rounds():
        asked = [
            (name, s) for name, tree in REFERENCE["rounds"][edition]["benchmarks"].items() for s in tree["scenarios"]
        ]
        found = [(rules.benchmark, rules.scenario) for rules in all_rules(edition)]
        assert len(found) == len(set(found)) == len(asked)
        assert all(rules == msgspec.convert(msgspec.to_builtins(rules), Rules) for rules in all_rules(edition))


# --- what was decided ------------------------------------------------------------------------------------------------


def test_the_rules_of_a_benchmark() -> None:
    rules = find_rules("v6.1", "llama3.1-8b", "interactive")
    assert (rules.ttft_ms, rules.tpot_ms, rules.percentile) == (500, 30, 0.99)
    assert (rules.dataset_size, rules.min_queries, rules.min_duration_s) == (13368, 100, 600)
    assert rules.sampling == {"temperature": 0} and rules.max_cached_share == 0
    assert rules.seeds == seeds_of("6.1") and rules.seeds.qsl == 2085463073848966840
    assert (rules.max_output_tokens, rules.max_output_tokens_accuracy) == (128, None)
    assert any("logs say Server" in note for note in rules.notes)


def test_offline_is_one_query_of_many_samples() -> None:
    rules = find_rules("v6.0", "qwen3-vl-235b-a22b", "offline")
    assert (rules.min_queries, rules.offline_min_samples, rules.percentile) == (1, 48289, None)
    assert find_rules("v6.1", "llama2-70b-99.9", "offline").offline_min_samples == 24576


def test_decoding_as_request_fields() -> None:
    assert find_rules(None, "gpt-oss-120b", "server").sampling == {"temperature": 1, "top_p": 1}
    assert find_rules(None, "qwen3.6-27b", "singlestream").sampling == {"temperature": 0, "seed": 42}
    gptj = find_rules(None, "gptj-99", "server")
    assert gptj.sampling == {"temperature": 0} and any("beam search" in note for note in gptj.notes)
    assert (gptj.latency_ms, gptj.ttft_ms, gptj.inferred_tokens_per_sample) == (20_000, None, 69)
    assert find_rules(None, "gpt-oss-120b", "server").max_output_tokens_accuracy == 32768


def test_every_decoding_has_request_fields() -> None:
    decodings = {tree["decoding"] for edition in rounds() for tree in benchmarks_of(edition).values()} - {None}
    assert decodings == set(table("common")["sampling"])


def test_values_that_differ_by_scenario() -> None:
    interactive = find_rules("v6.1", "qwen3-vl-235b-a22b", "interactive")
    assert (interactive.accuracy_sample_count, interactive.gates[0].threshold) == (8000, 0.779922)
    server = find_rules("v6.1", "qwen3-vl-235b-a22b", "server")
    assert (server.accuracy_sample_count, server.gates[0].threshold) == (48289, 0.782397)


def test_interactive_of_v5_0_was_a_benchmark() -> None:
    rules = find_rules("v5.0", "llama2-70b-99.9", "interactive")
    assert (rules.benchmark, rules.scenario) == ("llama2-70b-interactive-99.9", "interactive")
    assert (rules.ttft_ms, rules.tpot_ms, rules.suites) == (450, 40, {"datacenter": "required"})
    assert rules == find_rules("v5.0", "llama2-70b-interactive-99.9", "interactive")
    assert find_rules("v5.0", "llama2-70b-99.9", "server").ttft_ms == 2000
    assert {r.scenario for r in all_rules("v5.0") if "interactive" in r.benchmark} == {"interactive", "offline"}


def test_what_the_edge_headline_is() -> None:
    rules = find_rules(None, "llama3.1-8b-edge", "singlestream")
    assert rules.result_key == "result_90.00_percentile_latency_ns" and rules.suites == {"edge": "required"}
    assert any("raw p90" in note for note in rules.notes)
    assert not any("exercise" in note for note in rules.notes)


@pytest.mark.parametrize("edition", rounds())
def test_every_benchmark_can_be_exercised_as_a_stream(edition: str) -> None:
    for name in benchmarks(edition):
        multi = find_rules(edition, name, "multistream")
        assert (multi.samples_per_query, multi.percentile, multi.min_queries) == (8, 0.99, 662)
        assert multi.suites == {} and "exercise" in multi.notes[0] and multi.unit == "ms"
        single = find_rules(edition, name, "singlestream")
        assert (single.samples_per_query, single.percentile, single.min_queries) == (1, 0.9, 100)
        own = "SingleStream" in benchmarks_of(edition)[name]["scenarios"]
        assert own != ("exercise" in single.notes[0])


def test_where_sources_disagree_is_said() -> None:
    notes = find_rules("v6.1", "gpt-oss-120b", "interactive").notes
    assert any("gpt-oss-120b Interactive TPOT ms (rules: 20; conf: 15; checker: 15)" in note for note in notes)
    assert not any("TPOT" in note for note in find_rules("v6.1", "gpt-oss-120b", "server").notes)
    assert any("42.9865, 20.1235, 29.9881" in note for note in find_rules(None, "llama3.1-8b", "offline").notes)


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama3.1-8b", "LLAMA3_1-8B", "llama3-1-8b", " Llama3.1_8b "])
def test_names_are_forgiving(name: str) -> None:
    assert find_rules("6.1", name, "Single-Stream") == find_rules("v6.1", "llama3.1-8b", "singlestream")


def test_the_newest_round_that_has_it() -> None:
    for name, newest in [("llama3.1-8b", "v6.1"), ("mixtral-8x7b", "v6.0"), ("gptj-99", "v5.0")]:
        assert find_rules(None, name, "offline").round == newest


def test_an_accuracy_target_may_be_left_out_where_there_is_one() -> None:
    assert find_rules(None, "llama2-70b", "server").benchmark == "llama2-70b-99.9"
    with pytest.raises(UsageError, match=r"is llama2-70b-99 or llama2-70b-99\.9 in v6\.0: give one of them"):
        find_rules("v6.0", "llama2-70b", "server")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("v6.2", "llama3.1-8b", "server"), r"'v6.2' is not a round.*v5\.0, v5\.1, v6\.0, v6\.1"),
        (("", "llama3.1-8b", "server"), "is not a round"),
        ((None, "llama3.1-8", "server"), r"did you mean llama3\.1-8b\?\): give one of .*deepseek-r1.*e2e-rag-db"),
        ((None, "", "server"), "is not a benchmark"),
        (("v5.0", "deepseek-r1", "server"), r"not a benchmark of v5\.0: it is one of v5\.1, v6\.0, v6\.1.*gptj-99"),
        ((None, "deepseek-r1", "serve"), r"did you mean server\?\): give one of offline, server, interactive"),
        (("v5.1", "deepseek-r1", "interactive"), r"has server, offline; --round v6\.1 has it"),
        (("v6.1", "whisper", "server"), "whisper has no server scenario in v6.1: it has offline; singlestream"),
        (("v6.1", "qwen3.6-27b", "offline"), "it has singlestream"),
    ],
)
def test_unknown_names_list_the_valid_ones(asked: tuple[str | None, str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_rules(*asked)


@pytest.mark.parametrize("ask", [benchmarks, all_rules, layout, seeds_of])
def test_an_unknown_round(ask: Any) -> None:
    with pytest.raises(UsageError, match="not a round"):
        ask("v9")


# --- layouts and Endpoints -------------------------------------------------------------------------------------------


def test_the_layout_of_a_submission_by_round() -> None:
    old, new = layout("v5.1"), layout("6.1")
    assert old.layout.measurements == "measurements/{sys}/{model}/{scenario}" and old.layout.source == "code"
    assert new.layout.measurements == "results/{sys}/{model}/{scenario}" and new.layout.source == "src"
    assert new.files.max_accuracy_log_bytes == 10240 and len(new.files.system_json.required) == 35
    assert len(new.files.system_json.non_empty) == 26
    assert table("submission")["scenario_folders"] == {scenario: OFFICIAL[scenario] for scenario in SCENARIOS}


def test_the_least_duration_at_a_point_of_a_curve() -> None:
    rules = endpoints_rules()
    assert [rules.min_duration_at(c) for c in (1, 32, 33)] == [600, 600, 1200]
    assert [rules.min_duration_at(c, agentic=True) for c in (32, 33)] == [600, 2400]


def test_like_takes_over_all_that_is_not_written() -> None:
    base = {"a": 1, "b": {"x": 1, "y": [1, 2]}, "c": None}
    assert merged(base, {"b": {"y": [3]}, "c": {"z": 1}}) == {"a": 1, "b": {"x": 1, "y": [3]}, "c": {"z": 1}}
    assert base == {"a": 1, "b": {"x": 1, "y": [1, 2]}, "c": None}
