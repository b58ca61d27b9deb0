"""An API that a person describes in YAML: what such a file may say. `protocol.template` makes a `Dialect` of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from loadcell.errors import UsageError, nearest
from loadcell.secrets import of_url

ENDINGS = (".yaml", ".yml")
"""How the names of such files end."""
_PATH = re.compile(r"/[!-~]*")


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """JMESPath of what a reply's usage counts."""

    prompt_tokens: str | None = None
    output_tokens: str | None = None
    cached_tokens: str | None = None
    reasoning_tokens: str | None = None


class Expressions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """JMESPath of what an event says, or a whole reply."""

    text: str | None = None
    reasoning: str | None = None
    finish_reason: str | None = None
    usage: Counts = Counts()
    done: str | None = None
    """True of the last event, and of no other."""
    error: str | None = None


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """Where the models are listed, and the JMESPath of their names."""

    path: str
    names: str


class Template(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API by its own words; it is recorded whole, so that a recording needs no file to be run again."""

    name: str
    """What reports call it."""
    path: str
    """Below the URL."""
    messages: bool = False
    """Whether prompts are messages, else one text."""
    body: str
    """Jinja of a JSON object: `protocol.rendering` has its variables."""
    headers: dict[str, str] | None = None
    """Jinja of each, of the key; None: the key as a bearer token."""
    event: Expressions = Expressions()
    reply: Expressions = Expressions()
    """Of a reply that was not streamed, as far as it is other than an event."""
    end_mark: str | None = None
    """The data of the event that ends a stream, where that is no JSON."""
    models: Models | None = None

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """SHA-256 in hex over all that it says but its name."""
        return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(self, name=""))).hexdigest()


_PARTS: dict[str, type[msgspec.Struct]] = {
    "event": Expressions,
    "reply": Expressions,
    "models": Models,
    "usage": Counts,
}
_NEEDED = {
    "path": "the path below the URL, as in /v1/generate",
    "body": 'the JSON of a request by Jinja, as in {"prompt": {{ prompt | tojson }}}',
}


def read_template(path: str, said: str) -> Template:
    """The template in a file of YAML; UsageError names the file, the key, and what to do, or begins with `said`."""
    import yaml

    file = Path(path).expanduser()
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{said}: cannot read the template {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, Mapping):
        raise UsageError(f"{path} holds no template: write keys and values ({', '.join(Template.__struct_fields__)})")
    return template_of({"name": file.name, **tree}, path)


def template_of(tree: Mapping[str, Any], said: str) -> Template:
    """The template of plain keys and values; UsageError begins with `said`."""
    _check_keys(tree, Template, said, "")
    for key, what in _NEEDED.items():
        if not tree.get(key):
            raise UsageError(f"{said}: {key} is missing: {what}")
    try:
        found = msgspec.convert({"name": "template", **tree}, Template)
    except msgspec.ValidationError as error:
        raise UsageError(f"{said}: {error}; in YAML, quotes make a text".replace("$.", "")) from None
    if not (found.event.text or found.reply.text):
        raise UsageError(
            f"{said}: event.text is missing: the JMESPath of the text in an event, as in choices[0].delta.content"
        )
    for key, path in (("path", found.path), ("models.path", found.models.path if found.models else "/")):
        if not _PATH.fullmatch(path):
            raise UsageError(f"{said}: {key} is {path!r}: write {_NEEDED['path']}")
        if of_url(path):
            raise UsageError(
                f"{said}: {key} has a query, which may hold a key, and is recorded: send the key in a header, as "
                "{{ key }}, or give the query with the URL"
            )
    if found.end_mark is not None and (not found.end_mark.strip() or found.end_mark.lstrip().startswith("{")):
        raise UsageError(f"{said}: end_mark is {found.end_mark!r}: an end that is JSON is told by event.done")
    if (found.event.done or "").startswith("["):
        raise UsageError(
            f"{said}: event.done is {found.event.done}: it is a JMESPath; a mark that is no JSON goes to end_mark"
        )
    return found


def _check_keys(tree: Mapping[str, Any], kind: type[msgspec.Struct], said: str, lead: str) -> None:
    known = kind.__struct_fields__
    for key, value in tree.items():
        if key not in known:
            raise UsageError(
                f"{said}: unknown key {lead}{key}{nearest(str(key), known)}; there are: {', '.join(known)}"
            )
        if key in _PARTS and isinstance(value, Mapping):
            _check_keys(value, _PARTS[key], said, f"{lead}{key}.")
