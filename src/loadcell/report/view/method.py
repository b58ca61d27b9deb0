"""How something was measured, and how to do it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import msgspec

from loadcell.metrics import Result
from loadcell.places import Classes
from loadcell.report.view.blocks import Cell, Command, Fact, Facts, Fold, fact
from loadcell.report.words import Words
from loadcell.spec import Endpoint, Spec, build_spec


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


def target(endpoint: Endpoint, words: Words) -> Fact:
    """The server that was asked, by which API, for which model."""
    model = words.say("model {name}", name=endpoint.model or words.say("(the server's first)"))
    return words.say("Target"), [Cell(endpoint.url, kind="code"), Cell(str(endpoint.api)), Cell(model)]


def again(words: Words, source: str) -> list[Command]:
    """What to type to see it again; nothing without a source."""
    text = source and typed_command("loadcell", "report", source)
    return [Command(words.say("See these figures again, without any load"), text)] if text else []


def settings(
    spec: Spec, words: Words, effective: dict[str, Any] | None = None, *, told: bool = False
) -> Iterator[Fact]:
    """Everything that was asked for, and what it came to, a line a part of the spec; of an import what was `told`: a
    default of ours was asked of nobody."""
    single, parts = spec.classes == Classes(), msgspec.to_builtins(spec)
    if told:
        plain = msgspec.to_builtins(build_spec({"endpoint": {"url": spec.endpoint.url}}))
        plain["endpoint"]["url"] = ""
        parts = {
            part: {key: value for key, value in values.items() if value != plain[part].get(key)}
            for part, values in parts.items()
            if isinstance(values, dict)
        }
    for part, values in (*parts.items(), ("effective", effective)):
        if isinstance(values, dict) and values and not (single and part == "classes"):
            yield (
                part,
                [
                    Cell(f"{key}={setting(value, words)}", kind="code")
                    for key, value in values.items()
                    if (part, key) != ("effective", "trace")  # told in sentences
                ],
            )


def asked_for(spec: Spec, words: Words, effective: dict[str, Any] | None = None, *, told: bool = False) -> Fold:
    """`settings` to be opened."""
    return Fold(words.say("Everything asked for"), [Facts(list(settings(spec, words, effective, told=told)))])


def machine(result: Result, words: Words) -> Iterator[Fact]:
    """The machine that measured."""
    for name, value in result.methodology.environment.items():
        if name != "command" and value not in (None, "", {}, []):
            yield fact(name, setting(value, words))
