"""The APIs that can be loaded, by name, and where each is spoken: a `Dialect` of `protocol`.

A new one stands here, or is brought by a package that names it as an entry point of the group `loadcell.apis`; or a
person describes it in YAML, in a `Template`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from loadcell.api_template import ENDINGS, Template, read_template, template_of
from loadcell.errors import UsageError, nearest

Api = str | Template
"""The name of one, or what it says itself."""

_GENERATING = {
    "chat": "loadcell.protocol.openai.dialect:CHAT",
    "completions": "loadcell.protocol.openai.dialect:COMPLETIONS",
    "messages": "loadcell.protocol.messages:MESSAGES",
    "responses": "loadcell.protocol.openai.responses:RESPONSES",
    "sglang": "loadcell.protocol.engines.sglang:SGLANG",
    "tgi": "loadcell.protocol.engines.tgi:TGI",
    "ollama": "loadcell.protocol.engines.ollama:CHAT",
    "ollama-generate": "loadcell.protocol.engines.ollama:GENERATE",
    "llamacpp": "loadcell.protocol.engines.llamacpp:LLAMACPP",
    "triton": "loadcell.protocol.triton:TRITON",
    "transcriptions": "loadcell.protocol.openai.hearing:TRANSCRIPTIONS",
    "translations": "loadcell.protocol.openai.hearing:TRANSLATIONS",
}
_OURS = _GENERATING | {
    "embeddings": "loadcell.protocol.embeddings:EMBEDDINGS",
    "pooling": "loadcell.protocol.embeddings:POOLING",
    "rerank": "loadcell.protocol.rerank:RERANK",
    "score": "loadcell.protocol.rerank:SCORE",
    "tei-rerank": "loadcell.protocol.rerank:TEI_RERANK",
    "speech": "loadcell.protocol.speech:SPEECH",
    "images": "loadcell.protocol.images:IMAGES",
}
AUDIO, IMAGES = "speech", "images"
"""The APIs whose replies are sound, and pictures."""
CALLABLE, IN_PYTHON = "callable", "python:"
"""The API of a Python callable, which no server has, and what its URL begins with: only `loadcell.run` loads it."""
_INSIDE = {CALLABLE: "loadcell.protocol.callable:CALLABLE"}
_GROUP = "loadcell.apis"


def our_apis() -> str:
    """The names of those that need no other package."""
    return ", ".join(_OURS)


def given_api(value: Any, said: str) -> Any:
    """What names an API or describes it, as a Spec holds it: the file of a template is read. UsageError begins with
    `said`, or with the file."""
    if isinstance(value, str) and value.endswith(ENDINGS):
        return read_template(value, said)
    return template_of(value, said) if isinstance(value, Mapping) else value


def is_ours(name: str) -> bool:
    """Whether an API is of this package."""
    return name in _OURS or name in _INSIDE


def is_api(name: str) -> bool:
    """Whether there is such an API."""
    return name in _OURS or name in _others()


def check_api(name: Api, said: str) -> None:
    """UsageError, which begins with `said`, if there is no such API; or with its name, if its template cannot be."""
    if isinstance(name, Template):
        find_api(name)
    elif not is_api(name):
        names = api_names()
        listed = f"{', '.join(names)}{nearest(name, names)}"
        raise UsageError(f"{said}: {name!r} is not one of {listed}; a template of another is named as FILE.yaml")


def api_names() -> list[str]:
    """Every API that there is here."""
    return [*_OURS, *_others()]


def generates(api: Api) -> bool:
    """Whether an API that was checked generates text; of ours this is known without loading what speaks it (50 ms)."""
    known = isinstance(api, Template) or api in _GENERATING or api == CALLABLE
    return known or bool(find_api(api).generates)


@cache
def find_api(name: Api) -> Any:
    """The dialect of an API that was checked."""
    if isinstance(name, Template):
        return importlib.import_module("loadcell.protocol.template.dialect").dialect_from(name)
    module, _, attribute = (_OURS.get(name) or _INSIDE.get(name) or _others()[name]).partition(":")
    return getattr(importlib.import_module(module), attribute)


def _others() -> dict[str, str]:
    """Those that installed packages bring; looked for only where another name is asked for, as it takes 20 ms."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group=_GROUP)}
