"""What a template finds in replies: its expressions in JMESPath."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from loadcell.api_template import Expressions
from loadcell.errors import UsageError
from loadcell.kinds import KIND_ANSWER, KIND_REASONING
from loadcell.phrases import phrase
from loadcell.protocol.dialect import Heard, Usage
from loadcell.protocol.refusal import error_message
from loadcell.protocol.values import as_count, read_as

ANY = msgspec.json.Decoder(Any)
_COUNTS = Usage.__struct_fields__
_STEPS = ("field", "subexpression", "index_expression", "index", "slice", "projection", "flatten", "pipe", "identity")
"""What a path is made of."""
_OF_PATHS = (
    "or_expression", "and_expression", "not_expression", "comparator", "literal", "function_expression", "expref",
    "multi_select_list",
)  # fmt: skip
"""What is made of the values at the ends of paths."""


class Finder(NamedTuple):
    """A JMESPath."""

    key: str
    """Where the template has it."""
    text: str
    tree: dict[str, Any]
    find: Callable[[Any], Any]


Finders = Mapping[str, Finder]
"""By what they find, as in "text" and "usage.prompt_tokens"."""


def finders(name: str, part: str, said: Expressions) -> Iterator[tuple[str, Finder]]:
    """Of the expressions of a template that is called `name`; UsageError for what is no JMESPath."""
    told = msgspec.structs.asdict(said)
    counts = msgspec.structs.asdict(told.pop("usage"))
    for key, text in (*told.items(), *((f"usage.{count}", text) for count, text in counts.items())):
        if text is not None:
            yield key, finder(name, f"{part}.{key}", text)


def finder(name: str, key: str, text: str) -> Finder:
    """One of them."""
    try:
        import jmespath
    except ImportError:
        raise UsageError(f"{name}: an API by a template needs jmespath: pip install 'loadcell[template]'") from None
    try:
        found = jmespath.compile(text)
    except jmespath.exceptions.JMESPathError as error:
        why = " ".join(str(error).split("\n")[0].split())
        raise UsageError(f"{name}: {key} is no JMESPath: {text!r} ({why})") from None
    return Finder(key, text, found.parsed, found.search)


def reader(found_by: Finders) -> Callable[[bytes], Heard]:
    """What an event or a reply says: a function that raises one of NOT_JSON for what is none."""
    text, thought, finish, done, error = (
        found_by[key].find if key in found_by else lambda _: None
        for key in ("text", "reasoning", "finish_reason", "done", "error")
    )
    counts = [(name, found_by[f"usage.{name}"].find) for name in _COUNTS if f"usage.{name}" in found_by]

    def read(payload: bytes) -> Heard:
        value = read_as(ANY, payload)
        found = text(value), thought(value), finish(value)
        answer, thoughts = _as_text(found[0], "text"), _as_text(found[1], "reasoning")
        kind = (KIND_ANSWER if answer else 0) | (KIND_REASONING if thoughts else 0)
        heard = Heard(kind, answer, thoughts, found[2], done=_holds(done(value)))
        told = {name: as_count(find(value)) for name, find in counts}
        if any(count is not None for count in told.values()):
            heard.usage = Usage(**told)
        if _holds(wrong := error(value)):
            heard.failure = ("stream_error", error_message(msgspec.json.encode(wrong)))
        heard.known = heard.done or heard.usage is not None or any(one is not None for one in found)
        return heard

    return read


def _as_text(value: Any, key: str) -> str | None:
    """What an expression for text found, pieces in a row; ValueError where it is none."""
    if isinstance(value, list):
        value = "".join(piece for one in value if (piece := _as_text(one, key)))
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError(phrase("what {} finds is no text", key))


def _holds(value: Any) -> bool:
    """Whether a value is one: what is empty, false or 0 is none."""
    return value is not None and value not in (False, "", [], {})


def mark_of(end_mark: str | None, done: Finder | None) -> bytes:
    """What the last event alone has: its mark, or the value with which `done` compares, as in type == 'end'."""
    if end_mark is not None:
        return end_mark.encode()
    if done is None or (done.tree["type"], done.tree.get("value")) != ("comparator", "eq"):
        return b""
    literals = [one["value"] for one in done.tree["children"] if one["type"] == "literal"]
    return json.dumps(literals[0]).encode() if len(literals) == 1 and isinstance(literals[0], str) else b""


def text_alone_differs(found_by: Finders) -> bool:
    """Whether no expression but that of the text can depend on what the text is: each names fields alone, and in each
    of its paths one that no path to the text has."""
    text = _paths(found_by["text"].tree)
    if text is None:
        return False
    known = frozenset[str]().union(*text)
    others = [_paths(finder.tree) for key, finder in found_by.items() if key != "text"]
    return all(paths is not None and all(path - known for path in paths) for paths in others)


def _paths(tree: Mapping[str, Any]) -> list[frozenset[str]] | None:
    """The names of the fields in each path of an expression; None where it is more than paths and what is made of
    their ends."""
    kind, children = tree["type"], tree["children"]
    parts = [_paths(part) for part in children]
    goes_on = kind in _STEPS and any(part["type"] in _OF_PATHS for part in children)
    if None in parts or kind not in (*_STEPS, *_OF_PATHS) or goes_on:
        return None
    if kind == "field":
        return [frozenset([tree["value"]])]
    found = [path for paths in parts for path in paths or ()]
    return [frozenset[str]().union(*found)] if found and kind in _STEPS else found
