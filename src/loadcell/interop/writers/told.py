"""Figures that a tool told, given back in its own words."""

from __future__ import annotations

from typing import Any

from loadcell.recording.imported import Imported

_COUNTS = ("completed", "failed", "total_input_tokens", "total_output_tokens", "max_concurrent_requests")
"""Whole numbers, of vLLM."""


def told_tree(told: Imported, *, units: bool = False) -> dict[str, Any]:
    """The figures by their keys, nested where these are joined by dots; with `units`, each beside its own.

    What stood in a list is left out: its place in it says nothing.
    """
    tree: dict[str, Any] = {}
    for figure in told.told:
        *path, name = figure.key.split(".")
        if any(part.isdecimal() for part in (*path, name)):
            continue
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        if units and path and figure.unit:
            place.setdefault("unit", figure.unit)
        whole = name in _COUNTS and figure.value is not None
        place[name] = int(figure.value or 0) if whole else figure.value
    return tree


def fill(tree: dict[str, Any], told: Imported) -> bool:
    """Put what the tool told where the tree has nothing; whether there was any."""
    found = {name: value for name, value in told_tree(told).items() if value is not None and tree.get(name) is None}
    tree |= {name: value for name, value in found.items() if name in tree}
    return bool(found.keys() & tree.keys())
