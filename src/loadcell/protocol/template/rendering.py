"""Requests of an API that a template describes: body and headers by Jinja, in its sandbox, checked before use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple, NoReturn

import jinja2
import jinja2.meta
import jinja2.nodes
import jinja2.sandbox
import msgspec

from loadcell.api_template import Template
from loadcell.errors import UsageError, nearest
from loadcell.protocol.head import FRAMING, can_be_sent
from loadcell.protocol.values import NOT_JSON
from loadcell.secrets import of_body

ABOUT = ("model", "max_tokens", "stream", "ignore_eos", "extra")
"""What a body may name beside the prompt; `extra` holds the further fields, of the spec and of the request."""
_SAMPLE = 'a "word" \\ and\nanother {{ é'
"""Characters that spoil JSON where they are not quoted."""
_SHOWN = 40
_BEARER = {"Authorization": "Bearer {{ key }}"}
_NO_SUCH = re.compile(r"No (filter|test) named '(\w+)'")

_ENVIRONMENT = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)


def _to_json(value: Any) -> str:
    """A value as JSON: Jinja's own filter is for HTML."""
    if isinstance(value, jinja2.Undefined):
        str(value)  # raises in words
    return msgspec.json.encode(value).decode()


_ENVIRONMENT.filters["tojson"] = _to_json


class Part(NamedTuple):
    """A piece of Jinja."""

    where: str
    used: frozenset[str]
    """The variables that it names."""
    template: jinja2.Template

    def render(self, values: Mapping[str, Any]) -> str:
        """What it makes; UsageError names the line."""
        try:
            return self.template.render(values)
        except Exception as error:  # noqa: BLE001 - whatever its expressions raise
            raise UsageError(f"{self.where}{_line_of(error)}: {' '.join(str(error).split())}") from None


def part_of(source: str, where: str, known: tuple[str, ...]) -> Part:
    """The piece, which may name the variables in `known`; UsageError says what cannot be, and in which line."""
    try:
        tree = _ENVIRONMENT.parse(source)
        template = _ENVIRONMENT.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        found = _NO_SUCH.search(error.message or "")
        hint = nearest(found[2], _ENVIRONMENT.filters if found[1] == "filter" else _ENVIRONMENT.tests) if found else ""
        raise UsageError(f"{where}, line {error.lineno}: {error.message}{hint}") from None
    used = jinja2.meta.find_undeclared_variables(tree) - set(_ENVIRONMENT.globals)
    for name in sorted(used - set(known)):
        line = next(node.lineno for node in tree.find_all(jinja2.nodes.Name) if node.name == name)
        raise UsageError(
            f"{where}, line {line}: there is no {name}{nearest(name, known)}; there are: {', '.join(known)}"
        )
    return Part(where, frozenset(used), template)


def _line_of(error: Exception) -> str:
    """Where in a template it was raised: Jinja puts its own lines into the traceback."""
    trace, line = error.__traceback__, ""
    while trace is not None:
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            line = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return line


# --- bodies -----------------------------------------------------------------------------------------------------------


def body_part(template: Template) -> Part:
    """The body of a template, as far as it can be checked without its further fields."""
    prompt, other = ("messages", "prompt") if template.messages else ("prompt", "messages")
    where = f"{template.name}: body"
    part = part_of(template.body, where, (prompt, other, *ABOUT))
    if other in part.used:
        says = "true: prompts are messages" if template.messages else "false: a prompt is a text"
        raise UsageError(f"{where} names {other}, and messages is {says}; change one of them")
    if prompt not in part.used:
        raise UsageError(f"{where} names no {prompt}: all requests would be alike; write {{{{ {prompt} | tojson }}}}")
    if "extra" not in part.used:
        check_body(part, template, {})
    return part


def check_body(part: Part, template: Template, extra: Mapping[str, Any]) -> None:
    """UsageError unless bodies are JSON whatever the prompt, and hold no key: they are recorded as the template is."""
    asked: Any = [{"role": "user", "content": _SAMPLE}] if template.messages else _SAMPLE
    for stream, ignore_eos in product((True, False), repeat=2):
        values = {"model": _SAMPLE, "max_tokens": 16, "stream": stream, "ignore_eos": ignore_eos, "extra": extra}
        values["messages" if template.messages else "prompt"] = asked
        found = set(of_body(msgspec.json.decode(body_of(part, values, {}, sample=True)))) - set(of_body(extra))
        if any(_SAMPLE not in value for value in found):
            raise UsageError(f"{part.where} holds a key, and is recorded: send the key in a header, as {{{{ key }}}}")


def body_of(part: Part, values: Mapping[str, Any], further: Mapping[str, Any], *, sample: bool = False) -> bytes:
    """A body with the `further` fields at its top; UsageError if it is no object. Of a `sample` that shows the line:
    prompts are no one's to read."""
    text = part.render(values)
    try:
        fields = msgspec.json.decode(text)
    except NOT_JSON as error:
        _no_json(part.where, text, error, sample)
    if not isinstance(fields, dict):
        raise UsageError(f"{part.where} makes JSON, but no object: write {{ and }} around it")
    return msgspec.json.encode({**fields, **further})


def _no_json(where: str, text: str, error: Exception, sample: bool) -> NoReturn:
    """Raise with the line of a text that is no JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as found:
        line = text.split("\n")[found.lineno - 1]
        shown = f" is `{line[max(0, found.colno - _SHOWN) : found.colno + _SHOWN].strip()}`" if sample else ""
        raise UsageError(
            f"{where} makes no JSON: line {found.lineno} of it{shown} ({found.msg}); write values as "
            "{{ NAME | tojson }}, without quotes around"
        ) from None
    raise UsageError(f"{where} makes no JSON: {error}") from None


# --- headers ----------------------------------------------------------------------------------------------------------


def headers_of(template: Template) -> Callable[[str | None], dict[str, str]]:
    """Of a template: the key, if there is one, to headers. One that names the key is left out without one."""
    parts = dict(_header_parts(template))

    def headers(key: str | None) -> dict[str, str]:
        wanted = {name: part for name, part in parts.items() if key or "key" not in part.used}
        made = {name: part.render({"key": key or ""}).strip() for name, part in wanted.items()}
        return {name: value for name, value in made.items() if value}

    for name, value in headers("key").items():
        if not can_be_sent(name, value) or name.lower() in FRAMING:
            raise UsageError(f"{template.name}: headers.{name} cannot be sent: names and values are ASCII on one line")
    return headers


def _header_parts(template: Template) -> Iterator[tuple[str, Part]]:
    for name, source in (_BEARER if template.headers is None else template.headers).items():
        part = part_of(source, f"{template.name}: headers.{name}", ("key",))
        if "key" not in part.used and any(of_body({name: source})):
            raise UsageError(
                f"{part.where} holds a key, and is recorded: write {{{{ key }}}}, which comes from --api-key-env"
            )
        yield name, part
