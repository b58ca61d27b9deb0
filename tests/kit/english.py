"""What the code says in English: finished sentences by the shape of their f-strings, labels by their literals."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
from jinja2 import nodes

import loadcell

SRC = Path(loadcell.__file__).parent
_SAYS = ("say", "t")
_NOT_SAID = ("Doc", "Literal", "UsageError", "RecordingError", "EndpointError", "TypeVar", "AttributeError")


def sentences(path: Path, *, errors: bool = False) -> set[str]:
    """Every text of a module that may be a sentence or a part of one, values as {}; one for each branch inside it.

    With `errors` also what it raises.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            found |= set(_of_scope(scope, errors))
    return found


def _of_scope(scope: ast.AST, errors: bool) -> Iterator[str]:
    branches: dict[str, list[str]] = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp) and isinstance(node.targets[0], ast.Name):
            branches[node.targets[0].id] = _branches(node.value, {})
    hidden = _hidden(scope, errors)
    for node in ast.walk(scope):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Constant | ast.JoinedStr):
            yield from (re.sub(r"\{[^{}]*\}", "{}", text) for text in _shapes(node, branches))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and isinstance(node.right, ast.IfExp):
            yield from ("".join(pair) for pair in itertools.product(_shapes(node.left, {}), _branches(node.right, {})))


def _shapes(node: ast.AST, branches: dict[str, list[str]]) -> list[str]:
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if not isinstance(node, ast.JoinedStr):
        return ["{}"]
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append([str(part.value)])
        elif isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.IfExp):
            parts.append(_branches(part.value, branches))
        elif isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) and part.format_spec is None:
            parts.append(branches.get(part.value.id, ["{}"]))
        else:
            parts.append(["{}"])
    return ["".join(texts) for texts in itertools.product(*parts)]


def _branches(node: ast.AST, branches: dict[str, list[str]]) -> list[str]:
    if isinstance(node, ast.IfExp):
        return _branches(node.body, branches) + _branches(node.orelse, branches)
    return _shapes(node, branches)


def _hidden(tree: ast.AST, errors: bool) -> set[int]:
    """What no reader sees: docstrings, descriptions of fields, keys of look-ups, errors, parts of f-strings."""
    hidden: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                hidden.add(id(statement.value))
        name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
        if name in _NOT_SAID or (isinstance(node, ast.Raise | ast.Assert) and not errors):
            hidden |= {id(part) for part in ast.walk(node)}
        elif isinstance(node, ast.Subscript):
            hidden |= {id(part) for part in ast.walk(node.slice)}
        elif isinstance(node, ast.JoinedStr):
            hidden |= {id(part) for value in node.values for part in ast.walk(value)}
            hidden -= {
                id(word)
                for value in node.values
                for part in ast.walk(value)
                if isinstance(part, ast.BoolOp)
                for word in part.values
            }
    return hidden


def labels(path: Path) -> set[str]:
    """The literals that a module or a template hands to `words.say` (in templates also `t`)."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        return set(_of_template(jinja2.Environment(autoescape=True).parse(text)))
    return {
        literal
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and node.args
        if getattr(node.func, "id", getattr(node.func, "attr", "")) in _SAYS
        for literal in _literals(node.args[0])
    }


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
