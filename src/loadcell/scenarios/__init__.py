"""Named scenarios: workloads that are fixed to the last field, so that runs of them can be compared by their name.

A file `NAME@VERSION.yaml` each. What it says is under `fixed`, in the sections of a Spec; every field that it does not
name has its default, and is fixed too, but for those that a person still chooses (`CHOSEN`): where the load goes, how
large it is, and how it is watched. A version never changes once it is out: what is to be different is a new version.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from loadcell.errors import UsageError, nearest
from loadcell.packaged import packaged_names, packaged_yaml

CHOSEN = frozenset(
    (
        *(f"endpoint.{key}" for key in (
            "url", "path", "http", "model", "headers", "api_key_env", "auth", "ca_file", "verify_tls", "cert_file",
            "key_file", "resolve", "metrics_url", "gpus",
        )),
        *(f"load.{key}" for key in (
            "concurrency", "rate", "ramp_s", "duration_most_s", "connect_timeout_s", "wait_ready_s", "max_failures",
            "stop_when_saturated", "cache_reset",
        )),
        *(f"workload.{key}" for key in ("scenario", "tokenizer", "template_tokens", "token_ratio", "context_tokens")),
        *(f"run.{key}" for key in ("workers", "salt", "memory_mb", "repetition", "keep_text", "shared_host")),
    )
)  # fmt: skip
"""Fields that no scenario fixes: the endpoint, its key and model, the level of the load, the instrument."""
CHOSEN_SECTIONS = frozenset(("classes", "observe"))
"""Sections of which that is so of every field."""
_NAME = re.compile(r"([a-z-]+)@(\d+)")


class Scenario(NamedTuple):
    """One version of one scenario."""

    name: str
    version: int
    about: str
    source: str
    """Why its numbers are what they are."""
    level: str
    """How its load is meant to be asked for, as flags."""
    fixed: Mapping[str, Mapping[str, Any]]
    """Fields of a Spec by section, as a person would write them."""
    chosen: tuple[str, ...] = ()
    """Fields that are chosen here beside those that always are: the file of a trace."""

    @property
    def id(self) -> str:
        """As in "chat@1"."""
        return f"{self.name}@{self.version}"


@cache
def scenarios() -> tuple[Scenario, ...]:
    """All of them, by name, the oldest version first."""
    found = []
    for stem in packaged_names("loadcell", "scenarios"):
        match = _NAME.fullmatch(stem)
        assert match is not None, stem
        told = packaged_yaml("loadcell", "scenarios", f"{stem}.yaml")
        found.append(
            Scenario(
                match[1],
                int(match[2]),
                told["about"],
                told["source"],
                told["level"],
                told["fixed"],
                tuple(told.get("chosen", ())),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.name, one.version)))


def newest() -> list[Scenario]:
    """The last version of each."""
    return list({one.name: one for one in scenarios()}.values())


def known_scenario(text: str) -> Scenario | None:
    """The scenario of "chat@1"; None where this version has it not."""
    return next((one for one in scenarios() if one.id == text), None)


def find_scenario(text: str, flag: str = "workload.scenario") -> Scenario:
    """The scenario of "chat" (its newest version) or "chat@1"; UsageError else."""
    name, mark, wanted = text.strip().lower().partition("@")
    versions = [one for one in scenarios() if one.name == name]
    if not versions:
        names = [one.name for one in newest()]
        raise UsageError(
            f"{flag}: there is no scenario {name!r}{nearest(name, names)}: there are {', '.join(names)}; "
            "loadcell scenarios shows them"
        )
    if not mark:
        return versions[-1]
    for one in versions:
        if wanted.removeprefix("v") == str(one.version):
            return one
    raise UsageError(f"{flag}: {name} has no version {wanted}: write {' or '.join(one.id for one in versions)}")


def under_scenario(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The plain tree of a Spec with what its scenario fixes, where the tree does not say otherwise itself."""
    asked = (tree.get("workload") or {}).get("scenario")
    if not isinstance(asked, str):
        return dict(tree)
    scenario = find_scenario(asked)
    found = {section: dict(values) for section, values in tree.items()}
    for section, values in scenario.fixed.items():
        found[section] = {**values, **found.get(section, {})}
    found["workload"]["scenario"] = scenario.id
    for path in scenario.chosen:
        section, _, key = path.partition(".")
        if found.get(section, {}).get(key) is None:
            raise UsageError(f"scenario {scenario.name} needs {path}: give {scenario.level}")
    return found


def brought_by_scenario(tree: Mapping[str, Any], error: str) -> str:
    """Behind an error of a Spec: which of the fields that it names nobody gave but the scenario; empty if none."""
    scenario = next((one for one in scenarios() if one.id == _asked_id(tree)), None)
    paths = [
        f"{section}.{key}"
        for section, values in (scenario.fixed.items() if scenario else ())
        for key in values
        if key not in (tree.get(section) or {})
        and re.search(rf"(?<![\w.])(?:{section}\.{key}|--{section}-{key})(?![\w.])".replace("_", "[_-]"), error)
    ]
    if not paths or scenario is None:
        return ""
    return f"; scenario {scenario.name} brings {' and '.join(paths)}: --set {paths[0]}=null takes it away"


def _asked_id(tree: Mapping[str, Any]) -> str | None:
    asked = (tree.get("workload") or {}).get("scenario")
    try:
        return find_scenario(asked).id if isinstance(asked, str) else None
    except UsageError:  # the error itself
        return None


def is_fixed(path: str, scenario: Scenario | None = None) -> bool:
    """Whether scenarios fix a field, by its dotted path; or this one does."""
    free = path in CHOSEN or path.partition(".")[0] in CHOSEN_SECTIONS
    return not (free or (scenario is not None and path in scenario.chosen))


def describe_scenarios(wanted: str | None = None) -> str:
    """The scenarios for a person, a line each; or one of them, with all that it fixes."""
    if wanted is not None:
        return _described(find_scenario(wanted, "scenarios"))
    width = max(len(one.id) for one in newest())
    lines = ["Scenarios: --scenario NAME fixes the workload; you choose the endpoint and the level of the load.", ""]
    lines += [f"  {one.id:<{width}}  {one.about}" for one in newest()]
    last = "loadcell scenarios NAME shows all that one fixes. A run that changes a part of it says so, and is not "
    return "\n".join([*lines, "", *textwrap.wrap(f"{last}comparable with it.", 80), ""])


def _described(scenario: Scenario) -> str:
    lines = [f"{scenario.id}: {scenario.about}", "", *textwrap.wrap(f"Source: {scenario.source}", 80), ""]
    for section, values in scenario.fixed.items():
        lines.append(f"{section}:")
        lines += [f"  {key}: {_written(value)}" for key, value in values.items()]
    everything_else = (
        "All other fields have their defaults, and are fixed too. Yours to choose: the endpoint (URL, model, key), the "
        f"level of the load ({scenario.level}), and how it is watched."
    )
    return "\n".join([*lines, "", *textwrap.wrap(everything_else, 80), ""])


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "[" + ", ".join(map(_written, value)) + "]" if isinstance(value, list) else str(value)
