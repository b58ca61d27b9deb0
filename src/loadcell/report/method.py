"""How a run was done, and how to do it again, as text."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec

from loadcell.metrics import Result
from loadcell.report.words import Words
from loadcell.spec import Spec

Rows = list[tuple[str, str]]


def command_of(result: Result) -> str | None:
    """The command line that made the recording; None where it is not known or cannot be shown to be copied."""
    typed = result.methodology.environment.get("command")
    if not isinstance(typed, list) or not typed or not all(isinstance(word, str) for word in typed):
        return None
    return typed_command(*typed)


def typed_command(*words: str) -> str | None:
    """A command to copy, quoted for a shell; None if it holds what no person would see (control characters)."""
    return shlex.join(words) if all(word.isprintable() for word in words) and sum(map(len, words)) < 4000 else None


def settings(tree: dict[str, Any], words: Words) -> Rows:
    """The leaves of a tree of settings by their dotted path."""
    rows: Rows = []
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            rows += [(f"{name}.{path}", text) for path, text in settings(value, words)]
        else:
            rows.append((name, setting(value, words)))
    return rows


def sections(spec: Spec, words: Words) -> list[tuple[str, Rows]]:
    """The settings of a Spec by section."""
    return [(name, settings(tree, words)) for name, tree in msgspec.to_builtins(spec).items()]


def setting(value: Any, words: Words) -> str:
    """A setting as text; a dash where it was left out."""
    if value is None or value == {} or value == [] or value == "":
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return words.say("yes") if value else words.say("no")
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
