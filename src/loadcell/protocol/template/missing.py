"""What a template does not find in a reply, and what that is made of: its keys and types, nothing of what it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from loadcell.phrases import phrase
from loadcell.protocol.template.finding import ANY, Finder, Finders
from loadcell.protocol.values import NOT_JSON, read_as

DEPTH = 3
"""Keys within keys that are told."""
_MOST_KEYS, _MOST_CHARACTERS = 20, 40
_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
_NOTED = ("finish_reason", "usage.prompt_tokens", "usage.output_tokens")
"""What is missed in a whole reply; a cache and reasoning are not everybody's."""


def missed(
    name: str, found_by: Finders, end: tuple[str, str] | None, payloads: Iterable[bytes], ended: bool | None
) -> tuple[list[str], list[str]]:
    """As `Dialect.missed`, of a template that is called `name`; `end` is what ends a stream, its key and how it is
    written, None where nothing has to."""
    values = list(_values(payloads))
    if not values:
        return [], []
    lacking = {key: finder for key, finder in found_by.items() if all(_lacks(finder, value) for value in values)}
    shape = shape_of(values)

    def words(key: str, text: str) -> str:
        return phrase("{}: {} ({}) matches nothing in the reply, which has {}", name, key, text, shape)

    if "text" in lacking and ("reasoning" in lacking or "reasoning" not in found_by):
        return [words(found_by["text"].key, found_by["text"].text)], []
    if end is not None and ended is False:
        return [words(*end)], []
    return [], [words(lacking[key].key, lacking[key].text) for key in _NOTED if key in lacking and ended is not None]


def _values(payloads: Iterable[bytes]) -> Iterator[Any]:
    for payload in payloads:
        try:
            yield read_as(ANY, payload)
        except NOT_JSON:
            continue


def _lacks(finder: Finder, value: Any) -> bool:
    try:
        return finder.find(value) is None
    except NOT_JSON:
        return False


def shape_of(values: Iterable[Any], depth: int = DEPTH) -> str:
    """Keys and types of some values together, as in {choices: [{delta: {content: string}}]}."""
    values = list(values)
    fields: dict[str, list[Any]] = {}
    for value in values:
        for key, inner in value.items() if isinstance(value, dict) else ():
            fields.setdefault(key, []).append(inner)
    shapes = []
    if any(isinstance(value, dict) for value in values):
        shapes.append("{" + (_fields(fields, depth) if depth else "…") + "}")
    if any(isinstance(value, list) for value in values):
        items = [item for value in values if isinstance(value, list) for item in value]
        shapes.append("[" + shape_of(items, depth) + "]")
    shapes += sorted({_TYPES[type(value)] for value in values if not isinstance(value, dict | list)})
    return " or ".join(shapes)


def _fields(fields: dict[str, list[Any]], depth: int) -> str:
    told = [f"{_key(key)}: {shape_of(inner, depth - 1)}" for key, inner in list(fields.items())[:_MOST_KEYS]]
    return ", ".join([*told, *(["…"] if len(fields) > _MOST_KEYS else [])])


def _key(key: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in key)
    return shown if len(shown) <= _MOST_CHARACTERS else shown[: _MOST_CHARACTERS - 1] + "…"
