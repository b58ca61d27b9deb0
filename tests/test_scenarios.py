"""Named scenarios: each can be run, nothing that it fixes changes unsaid, and no version changes once it is out."""

from __future__ import annotations

import hashlib
from importlib import resources
from operator import attrgetter
from typing import Any

import msgspec
import pytest

from loadcell.errors import UsageError
from loadcell.scenarios import Scenario, describe_scenarios, find_scenario, is_fixed, newest, scenarios
from loadcell.spec import (
    Spec,
    build_spec,
    changes,
    field_from_text,
    says_changed,
    scenario_of,
    spec_fields,
    with_defaults,
    with_fields,
)

LOCKED = {
    "agentx@1": "0bc9a29d49dbd843",
    "agent@1": "c3a7d13a2c602c3b",
    "batch@1": "b4435cb3b330cc11",
    "chat@1": "d420db37608d15ed",
    "code@1": "f7267790b1ab90f2",
    "rag@1": "4fc7756245ba89a6",
    "summarise@1": "096d507e22e6722f",
    "tokens-per-second@1": "e9ca98d0bc65c8ac",
}
"""Of each version the begin of the SHA-256 of what it fixes: what differs is a new version, with a line here."""

EACH = pytest.mark.parametrize("scenario", scenarios(), ids=lambda one: one.id)


def level(scenario: Scenario) -> dict[str, Any]:
    """A load of the scenario by what it is meant to be asked for."""
    return {"rate": 3.0} if "--rate" in scenario.level else {"concurrency": 7}


def asked(name: str, **sections: dict[str, Any]) -> Spec:
    tree = {"endpoint": {"url": "http://a:1"}, "load": level(find_scenario(name)), **sections}
    tree["workload"] = {"scenario": name, **tree.get("workload", {})}
    for path in find_scenario(name).chosen:
        section, _, key = path.partition(".")
        tree[section] = {key: "tracelab", **tree.get(section, {})}
    return with_defaults(build_spec(tree))


def changed(spec: Spec, effective: dict[str, Any] | None = None) -> list[str]:
    scenario = scenario_of(spec)
    assert scenario is not None
    return [one.path for one in changes(spec, scenario, effective or {})]


def digest(scenario: Scenario) -> str:
    return hashlib.sha256(msgspec.json.encode(scenario.fixed, order="sorted")).hexdigest()[:16]


def test_no_version_changes_once_it_is_out() -> None:
    assert {one.id: digest(one) for one in scenarios()} == LOCKED


def test_those_that_people_ask_for_are_there() -> None:
    names = {one.name for one in newest()}
    assert names >= {"chat", "rag", "code", "summarise", "agent", "agentx", "batch", "tokens-per-second"}
    mix = asked("tokens-per-second").workload
    assert (mix.input_tokens, mix.output_tokens) == ("2048", "256")


@EACH
def test_each_can_be_run_and_shown(scenario: Scenario) -> None:
    spec = asked(scenario.name)
    assert spec.workload.scenario == scenario.id
    assert changed(spec) == []
    for key in ("concurrency", "rate"):
        assert changed(asked(scenario.id, load={key: 5})) == ([] if f"--{key}" in scenario.level else [f"load.{key}"])
    assert scenario.about in describe_scenarios() and scenario.source.split()[0] in describe_scenarios(scenario.id)
    assert spec.load.duration_s is not None or spec.load.requests is not None, "its end is fixed"


@EACH
def test_what_is_chosen_changes_nothing(scenario: Scenario) -> None:
    spec = asked(
        scenario.name,
        endpoint={"url": "https://b/v1", "headers": {"X": "y"}, "http": "2"},
        load=level(scenario),
        observe={"every_s": 0},
        run={"workers": 2, "salt": "s", "repetition": 3, "keep_text": True},
        classes={"models": "a=0.5,b=0.5"},
    )
    assert changed(spec) == []


@EACH
def test_what_was_recorded_is_as_it_was(scenario: Scenario) -> None:
    """A recorded Spec is whole: what it says of itself stands, whatever its scenario fixes."""
    spec = asked(scenario.name, load=level(scenario) | {"duration_s": 9.0})
    again = with_defaults(build_spec(msgspec.to_builtins(spec)))
    assert again == spec and changed(again) == ["load.duration_s"]


def test_every_other_field_is_fixed_whether_it_is_named_or_not() -> None:
    others = {bool: lambda v: not v, int: lambda v: v + 1, float: lambda v: v + 1.0, str: lambda v: f"{v}1"}
    spec, seen = asked("chat"), 0
    for path in spec_fields():
        value = attrgetter(path)(spec)
        kind = type(value)
        if kind not in others or path.startswith(("loadgen.", "media.")) or path == "workload.scenario":
            continue
        found = changed(with_fields(spec, {path: others[kind](value)}))
        assert found == ([path] if is_fixed(path) else []), path
        seen += is_fixed(path)
    assert seen > 10
    assert changed(with_fields(spec, {"behaviour.patience": "2s"})) == ["behaviour.patience"]
    assert changed(with_fields(spec, {"media.images": "1"})) == ["media.images"]


def test_what_the_server_did_not_take_is_a_change() -> None:
    assert changed(asked("rag"), {"ignore_eos": False}) == ["endpoint.ignore_eos"]
    assert changed(asked("rag"), {"ignore_eos": True}) == []


def test_a_change_is_told_with_what_it_was() -> None:
    spec = asked("tokens-per-second", workload={"output_tokens": "100"})
    scenario = find_scenario("tokens-per-second")
    assert says_changed(scenario, changes(spec, scenario, {})) == (
        "not comparable with scenario tokens-per-second v1: changed workload.output_tokens 100 (was 256)"
    )


def test_a_load_by_the_other_loop_is_a_change() -> None:
    """A closed loop has no bursts, an open one does not wait; and a trace at its own times has no level at all."""
    for spec, says in (
        (asked("code", load={"concurrency": 4}), "load.concurrency 4 (was none)"),
        (asked("code", load={}), "load.concurrency 16 (was none)"),
        (asked("batch", load={"rate": 2.5}), "load.rate 2.5 (was none)"),
        (asked("agentx", load={}), "load.concurrency none (was N)"),
    ):
        scenario = scenario_of(spec)
        assert scenario is not None and says in says_changed(scenario, changes(spec, scenario, {}))


@pytest.mark.parametrize(
    ("name", "sections", "path"),
    [
        ("rag", {"prefix": {"hit_share": 0.5}}, "prefix.tokens"),
        ("summarise", {"workload": {"input_tokens": "100", "output_tokens": "5"}}, "workload.lengths"),
    ],
)
def test_what_a_scenario_brings_can_be_taken_away_and_is_named(name: str, sections: dict[str, Any], path: str) -> None:
    """An error that tells people to leave out what they never gave would help nobody."""
    with pytest.raises(UsageError, match=rf"scenario {name} brings {path}: --set {path}=null takes it away"):
        asked(name, **sections)
    section, _, key = path.partition(".")
    sections[section] = {**sections.get(section, {}), key: field_from_text(path, "null", "--set")}
    assert path in changed(asked(name, **sections))


def test_what_a_person_gave_is_not_put_on_the_scenario() -> None:
    with pytest.raises(UsageError, match=r"leave one out$"):
        asked("rag", prefix={"hit_share": 0.5, "tokens": "100"})
    with pytest.raises(UsageError, match="is not true or false"):
        field_from_text("endpoint.stream", "null", "--set")


def test_names_and_versions() -> None:
    assert find_scenario("Chat") == find_scenario("chat@1") == find_scenario("chat@v1")
    with pytest.raises(UsageError, match=r"agentx needs trace.name: give --trace FILE"):
        build_spec({"endpoint": {"url": "http://a:1"}, "workload": {"scenario": "agentx"}})
    with pytest.raises(UsageError, match=r"did you mean summarise\?"):
        build_spec({"endpoint": {"url": "http://a:1"}, "workload": {"scenario": "summarize"}})
    with pytest.raises(UsageError, match="chat has no version 99: write chat@1"):
        build_spec({"endpoint": {"url": "http://a:1"}, "workload": {"scenario": "chat@99"}})
    spec = msgspec.convert(msgspec.to_builtins(asked("chat")) | {"workload": {"scenario": "later@7"}}, Spec)
    assert scenario_of(spec) is None, "one that a newer version recorded"


def test_every_file_is_a_scenario() -> None:
    files = [file.name for file in resources.files("loadcell").joinpath("scenarios").iterdir()]
    assert sorted(name for name in files if name.endswith(".yaml")) == [f"{one.id}.yaml" for one in scenarios()]
