"""What a Spec has changed of the scenario that it names."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from loadcell.phrases import joined, phrase
from loadcell.scenarios import Scenario, is_fixed, known_scenario
from loadcell.spec.build import build_spec, spec_fields
from loadcell.spec.defaults import with_defaults
from loadcell.spec.model import Spec


class Change(NamedTuple):
    """A field that is not as the scenario has it."""

    path: str
    is_now: str
    was: str


def changes(spec: Spec, scenario: Scenario, effective: Mapping[str, Any]) -> list[Change]:
    """Every part of the scenario that the Spec changed, or that the server did not take (`effective`)."""
    endpoint = {"url": "http://localhost", "api": "chat"}
    tree = {**scenario.fixed, "endpoint": {**endpoint, **scenario.fixed.get("endpoint", {})}}
    tree["workload"] = {**scenario.fixed.get("workload", {}), "scenario": scenario.id}
    for path in scenario.chosen:
        section, _, key = path.partition(".")
        tree[section] = {**tree.get(section, {}), key: attrgetter(path)(spec)}
    tree["load"] = {**scenario.fixed.get("load", {}), "rate": spec.load.rate, "concurrency": spec.load.concurrency}
    fixed = with_defaults(build_spec(tree))
    found = []
    for path in spec_fields():
        if is_fixed(path, scenario):
            now, was = attrgetter(path)(spec), attrgetter(path)(fixed)
            if now != was:
                found.append(Change(path, written(now), written(was)))
    levels = {key: f"--{key}" in scenario.level for key in ("rate", "concurrency")}
    for key, meant in levels.items():  # a closed loop has no bursts, and an open one does not wait
        level = getattr(spec.load, key)
        if level is not None and not meant:
            found.append(Change(f"load.{key}", written(level), written(None)))
        elif (spec.load.rate, spec.load.concurrency) == (None, None) and meant:  # a trace at its own times
            found.append(Change(f"load.{key}", written(None), "N"))
    if fixed.endpoint.ignore_eos and effective.get("ignore_eos") is False and spec.endpoint.ignore_eos:
        found.append(Change("endpoint.ignore_eos", phrase("not taken by the server"), written(True)))
    return found


def scenario_of(spec: Spec) -> Scenario | None:
    """The scenario that a Spec names; None where it names none, or one that this version has not."""
    return None if spec.workload.scenario is None else known_scenario(spec.workload.scenario)


def says_changed(scenario: Scenario, found: list[Change]) -> str:
    """That a run is not comparable with its scenario, and why."""
    parts = joined("; ", [phrase("{} {} (was {})", one.path, one.is_now, one.was) for one in found])
    return phrase("not comparable with scenario {} v{}: changed {}", scenario.name, scenario.version, parts)


def written(value: Any) -> str:
    """A value as people write it."""
    if value is None or value == {} or value == []:
        return phrase("none")
    if isinstance(value, bool):
        return phrase("yes") if value else phrase("no")
    if isinstance(value, Mapping):
        return ",".join(f"{key}={written(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return "+".join(map(written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
