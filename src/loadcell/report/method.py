"""How a run was done, and how to do it again, as text."""

from __future__ import annotations

import shlex
from typing import Any

from loadcell.metrics import Result
from loadcell.report.words import Words


def command_of(result: Result) -> str | None:
    """The command line that made the recording; None where it is not known or cannot be shown to be copied."""
    typed = result.methodology.environment.get("command")
    if not isinstance(typed, list) or not typed or not all(isinstance(word, str) for word in typed):
        return None
    return typed_command(*typed)


def typed_command(*words: str) -> str | None:
    """A command to copy, quoted for a shell; None if it holds what no person would see (control characters)."""
    return shlex.join(words) if all(word.isprintable() for word in words) and sum(map(len, words)) < 4000 else None


def setting(value: Any, words: Words) -> str:
    """A setting as text; a dash where it was left out."""
    if value is None or value == {} or value == [] or value == "":
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return words.say("yes") if value else words.say("no")
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
