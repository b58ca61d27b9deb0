"""What the code says in English: the keys of its sentences and the labels of its pages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
from jinja2 import nodes

import loadcell

SRC = Path(loadcell.__file__).parent
_SAYS = ("say", "t")
_NOT_SHOWN = ("Doc", "UsageError", "RecordingError", "EndpointError")
_SQL = re.compile(r"\s*(select|describe|copy|where|from|with) ")
_PATTERN = re.compile(r"[{|\\]|^(INVALID|SUSPECT) where")
"""Of table entries that no reader of a result sees: patterns, and what the documentation says."""
_PLACE = re.compile(r"\{[^{}]*\}")


_TABLES = ("advice", "compiled", "tls_words", "limits")
"""Modules whose tables hold sentences: there each of three words or more is one."""


def keys(path: Path) -> set[str]:
    """The literal keys that a module hands to `phrase`, and of what it hands to `joined` the words between."""
    found = {text for text in _plain(path) if words_in(text) >= 3} if path.stem in _TABLES else set()
    for name, literal in _handed(ast.parse(path.read_text(encoding="utf-8")), ("phrase", "joined")):
        found.add(_PLACE.sub("{}", literal) if name == "phrase" else f"{{}}{literal}{{}}")
    return {key for key in found if re.search("[a-z]", key)}


def words_in(text: str) -> int:
    return sum(bool(re.search("[a-z]{2}", word)) for word in text.replace("{}", "").split())


def _plain(path: Path) -> Iterator[str]:
    """The literals of a module that are neither docstrings nor patterns, nor parts of f-strings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    other = [n for n in ast.walk(tree) if isinstance(n, ast.Raise | ast.Expr | ast.JoinedStr | ast.Subscript)]
    hidden = {id(part) for node in other for part in ast.walk(node)}
    shown = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in hidden)
    yield from (node.value for node in shown if isinstance(node.value, str) and not _PATTERN.search(node.value))


def formatted(path: Path) -> Iterator[str]:
    """The f-strings of a module that are no error and no part of a query, values as {}."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    other = [n for n in ast.walk(tree) if isinstance(n, ast.Raise | ast.Assert) or _called(n) in _NOT_SHOWN]
    hidden = {id(part) for node in other for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in hidden:
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            if not _SQL.match("".join(parts)):
                yield "".join(parts)


def literals(path: Path) -> set[str]:
    """Every literal text of a module, values as {}."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return texts | {_PLACE.sub("{}", text) for text in texts}


def labels(path: Path) -> set[str]:
    """The literals that a module or a template hands to `words.say` (in templates also `t`)."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        return set(_of_template(jinja2.Environment(autoescape=True).parse(text)))
    return {literal for _, literal in _handed(ast.parse(text), _SAYS)}


def _handed(tree: ast.AST, functions: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The literals that are handed first to functions of these names, each with the name."""
    for node in ast.walk(tree):
        name = _called(node)
        if name in functions and isinstance(node, ast.Call) and node.args:
            yield from ((name, literal) for literal in _literals(node.args[0]))


def _called(node: ast.AST) -> str:
    """The name of the function that is called, without what it belongs to; empty for no call."""
    return getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""


def _literals(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


def _of_template(tree: nodes.Template) -> Iterator[str]:
    for call in tree.find_all(nodes.Call):
        said = isinstance(call.node, nodes.Name) and call.node.name == "t"
        if (said or (isinstance(call.node, nodes.Getattr) and call.node.attr == "say")) and call.args:
            yield from _template_literals(call.args[0])


def _template_literals(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, nodes.CondExpr):
        yield from _template_literals(node.expr1)
        if node.expr2 is not None:
            yield from _template_literals(node.expr2)
