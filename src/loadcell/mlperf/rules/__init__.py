"""The rules of MLPerf Inference's rounds and of MLPerf Endpoints: YAML files beside this one, with their sources.

The submission checker decides where sources disagree; what the others say stands in `Rules.notes`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.errors import UsageError
from loadcell.mlperf.model import OFFICIAL, SCENARIOS, Gate, Rules, Scenario
from loadcell.mlperf.rules.forms import (
    EndpointsRules,
    EndpointsSubmission,
    Files,
    Layout,
    Submission,
)
from loadcell.mlperf.rules.names import benchmark_named, round_named, scenario_named
from loadcell.rounds import ROUNDS, Tree, benchmarks_of, table
from loadcell.spec import Seeds

__all__ = [
    "all_rules",
    "benchmarks",
    "endpoints_rules",
    "endpoints_submission",
    "find_rules",
    "layout",
    "rounds",
    "seeds_of",
]


def rounds() -> tuple[str, ...]:
    """The rounds that are known, oldest first."""
    return ROUNDS


def benchmarks(round: str) -> tuple[str, ...]:
    """The benchmarks of a round; UsageError if it is unknown."""
    return tuple(benchmarks_of(round_named(round)))


def find_rules(round: str | None, benchmark: str, scenario: str) -> Rules:
    """The rules of a benchmark in a scenario of a round; without a round of the newest that has the benchmark.

    Names are forgiving: llama3_1-8b, 6.1, single-stream. Any benchmark may be run as single- or multistream, as an
    exercise that says so in its notes. UsageError for what there is not lists what there is.
    """
    edition = None if round is None else round_named(round)
    edition, name = benchmark_named(edition, benchmark)
    asked = scenario_named(scenario)
    apart = table(edition).get("interactive_benchmarks", {})
    if asked == "interactive" and (name in apart or name in apart.values()):
        return _rules(edition, apart.get(name, name), asked, "Server")
    official = OFFICIAL[asked]
    if official not in (scenarios := benchmarks_of(edition)[name]["scenarios"]) and official not in _exercises():
        where = [other for other in ROUNDS if official in benchmarks_of(other).get(name, {}).get("scenarios", {})]
        raise UsageError(
            f"{name} has no {asked} scenario in {edition}: it has {', '.join(_own(s) for s in scenarios)}"
            + (f"; --round {where[-1]} has it" if where else "")
            + "; singlestream and multistream can be run as exercises"
        )
    return _rules(edition, name, asked, official)


def all_rules(round: str) -> list[Rules]:
    """The rules of every benchmark and scenario that a round asks for."""
    edition = round_named(round)
    apart = table(edition).get("interactive_benchmarks", {}).values()
    return [
        find_rules(edition, name, "interactive" if name in apart and official == "Server" else _own(official))
        for name, tree in benchmarks_of(edition).items()
        for official in tree["scenarios"]
    ]


def seeds_of(round: str) -> Seeds:
    """The three seeds of a round."""
    seeds = table(round_named(round))["seeds"]
    return Seeds(
        qsl=seeds["qsl_rng_seed"], sample_index=seeds["sample_index_rng_seed"], schedule=seeds["schedule_rng_seed"]
    )


def endpoints_rules() -> EndpointsRules:
    """The rules of MLPerf Endpoints v1.0."""
    return msgspec.convert(table("endpoints-v1.0"), EndpointsRules)


def endpoints_submission() -> EndpointsSubmission:
    """How v6.1 reads the Endpoints client's output."""
    return msgspec.convert(table("submission")["v6_1_endpoints_submission"], EndpointsSubmission)


def layout(round: str) -> Submission:
    """What a submission of a round holds; UsageError if the round is unknown."""
    edition, tree = round_named(round), table("submission")
    (found,) = (entry for entry in tree["layouts"] if edition in entry["rounds"])
    return Submission(
        layout=msgspec.convert(found, Layout),
        files=msgspec.convert(tree["files"], Files),
    )


def _own(official: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if OFFICIAL[scenario] == official)


def _exercises() -> Tree:
    exercises: Tree = table("common")["exercises"]
    return exercises


def _rules(edition: str, name: str, scenario: Scenario, official: str) -> Rules:
    """The rules of `name` in its entry `official`, or as an exercise where it has none."""
    tree, common = benchmarks_of(edition)[name], table("common")
    exercise = official not in tree["scenarios"]
    entry: Tree = _exercises()[official] if exercise else tree["scenarios"][official]
    multi = scenario == "multistream"
    return msgspec.convert(
        {field: tree[field] for field in Rules.__struct_fields__ if field in tree}
        | {field: entry[field] for field in Rules.__struct_fields__ if field in entry}
        | {
            "round": edition,
            "benchmark": name,
            "scenario": scenario,
            "suites": entry.get("suites", {}),
            "seeds": seeds_of(edition),
            "accuracy_sample_count": _of_scenario(tree["accuracy_sample_count"], official),
            "min_duration_s": tree["min_duration_ms"] / 1000,
            "min_queries": common["min_queries"]["Server" if scenario == "interactive" else official],
            "samples_per_query": common["defaults"]["multi_stream_samples_per_query"] if multi else 1,
            "sampling": common["sampling"][tree["decoding"]] if tree["decoding"] else {},
            "max_cached_share": common["max_cached_share"],
            "gates": [_gate(gate) for gate in _of_scenario(tree["accuracy"], official)],
            "notes": _notes(edition, name, OFFICIAL[scenario], exercise=exercise),
        },
        Rules,
    )


def _of_scenario(value: Any, official: str) -> Any:
    """What stands for all scenarios, or for this one; exercises take what Offline has."""
    return value.get(official, value["Offline"]) if isinstance(value, dict) else value


def _gate(tree: Tree) -> Gate:
    return Gate(**{field: tree[field] for field in Gate.__struct_fields__})


def _notes(edition: str, name: str, official: str, *, exercise: bool) -> list[str]:
    """What one must know of a benchmark: its notes, and where sources disagree, in words."""
    common = table("common")
    notes = []
    if exercise:
        notes.append(
            f"{_own(official)} is not a scenario of {name} in {edition}: an exercise, no published figure compares"
        )
    notes += [entry["note"] for entry in common["notes"] if _concerns(entry, name, official)]
    return notes + [_disagreement(entry) for entry in common["conflicts"] if _concerns(entry, name, official)]


def _concerns(entry: Tree, name: str, official: str) -> bool:
    return name in entry.get("of", [name]) and official in entry.get("in", [official])


def _disagreement(entry: Tree) -> str:
    """A conflict in words: each source and what it says."""
    said = {key: value for key, value in entry.items() if key not in ("topic", "of", "in", "note")}
    parts = [f"{key.replace('_', ' ')}: {_words(value)}" for key, value in said.items()]
    note = f"; {entry['note']}" if "note" in entry else ""
    return f"sources disagree on {entry['topic']} ({'; '.join(parts)}{note})"


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
