"""A sentence stands in one place of report/: what two formats say, they say by one builder."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from english import SRC, labels

WORDS = 4
"""A text of fewer words is no sentence."""


def test_no_sentence_stands_in_two_places() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted((SRC / "report").rglob("*")):
        if path.suffix == ".py" and "words" not in path.parts:
            for line, text in said(ast.parse(path.read_text(encoding="utf-8"))):
                places[text].append(f"{path.relative_to(SRC)}:{line}")
        elif path.suffix == ".html":
            for text in labels(path):
                places[text].append(str(path.relative_to(SRC)))
    twice = {text: where for text, where in places.items() if len(where) > 1 and is_sentence(text)}
    assert not twice


def is_sentence(text: str) -> bool:
    words = re.sub(r"\{[^{}]*\}", "", text).split()
    return sum(re.search("[a-z]{2}", word) is not None for word in words) >= WORDS


def said(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every string but docstrings, values as {}."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | docs:
            yield node.lineno, node.value
