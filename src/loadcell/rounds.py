"""MLPerf's rounds as mlperf/rules/*.yaml has them, read and expanded: a tree of benchmarks for each.

They stand on the ground because an SLO may be that of a benchmark (`presets`).
"""

from __future__ import annotations

import copy
import re
from functools import cache
from typing import Any

from loadcell.packaged import packaged_names, packaged_yaml

Tree = dict[str, Any]

ROUNDS = tuple(sorted(
    (name for name in packaged_names("loadcell", "mlperf", "rules") if re.fullmatch(r"v\d+\.\d+", name)),
    key=lambda name: [int(part) for part in name[1:].split(".")],
))  # fmt: skip
"""Oldest first; a file each."""


@cache
def table(name: str) -> Tree:
    """The file NAME.yaml as it stands. Shared: not to be changed."""
    tree: Tree = packaged_yaml("loadcell", "mlperf", "rules", f"{name}.yaml")
    return tree


@cache
def benchmarks_of(edition: str) -> dict[str, Tree]:
    """The benchmarks of a round by name, with all that they take over from others. Shared: not to be changed."""
    measured = table(edition).get("measured_tokens_per_sample", {})
    trees = {name: expanded(edition, name) for name in table(edition)["benchmarks"]}
    for name, tree in trees.items():
        if name in measured:
            tree["measured_tokens_per_sample"] = measured[name]
        for gate in gates_in(tree):
            gate["threshold"] = round(gate["reference"] * gate["factor"], 6)
    return trees


def expanded(edition: str, name: str) -> Tree:
    """The entry of a benchmark, over what the one named by its `like` says."""
    entry = copy.deepcopy(table(edition)["benchmarks"][name])
    like = entry.pop("like", None)
    return merged(expanded(*like.split("/")), entry) if like else entry


def merged(base: Tree, over: Tree) -> Tree:
    """`base` with `over` on top: mappings are merged, all else is replaced."""
    nested = {key for key, value in over.items() if isinstance(value, dict) and isinstance(base.get(key), dict)}
    return base | {key: merged(base[key], value) if key in nested else value for key, value in over.items()}


def gates_in(tree: Tree) -> list[Tree]:
    """All gates of a benchmark: one list, or a list for each scenario."""
    lists = tree["accuracy"].values() if isinstance(tree["accuracy"], dict) else [tree["accuracy"]]
    return [gate for gates in [*lists, tree.get("accuracy_checker", [])] for gate in gates]
