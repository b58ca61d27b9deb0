"""Figures that a tool told, given back in its own words."""

from __future__ import annotations

from typing import Any

from loadcell.recording.imported import Imported


def told_tree(told: Imported) -> dict[str, Any]:
    """The figures by their keys, nested where these are joined by dots."""
    tree: dict[str, Any] = {}
    for figure in told.told:
        *path, name = figure.key.split(".")
        place = tree
        for part in path:
            below = place.setdefault(part, {})
            if not isinstance(below, dict):  # the same word for a figure and for what holds others
                break
            place = below
        else:
            place[name] = figure.value
    return tree
