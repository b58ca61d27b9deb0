"""The APIs that can be loaded, by name, and where each is spoken: a `Dialect` of `protocol`.

A new one stands here, or is brought by a package that names it as an entry point of the group `loadcell.apis`.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from loadcell.errors import UsageError, nearest

_OURS = {
    "chat": "loadcell.protocol.openai.dialect:CHAT",
    "completions": "loadcell.protocol.openai.dialect:COMPLETIONS",
    "messages": "loadcell.protocol.messages:MESSAGES",
    "responses": "loadcell.protocol.openai.responses:RESPONSES",
    "sglang": "loadcell.protocol.engines.sglang:SGLANG",
    "tgi": "loadcell.protocol.engines.tgi:TGI",
    "ollama": "loadcell.protocol.engines.ollama:CHAT",
    "ollama-generate": "loadcell.protocol.engines.ollama:GENERATE",
    "llamacpp": "loadcell.protocol.engines.llamacpp:LLAMACPP",
}
_GROUP = "loadcell.apis"


def our_apis() -> str:
    """The names of those that need no other package."""
    return ", ".join(_OURS)


def check_api(name: str, said: str) -> None:
    """UsageError, which begins with `said`, if there is no such API."""
    if name not in _OURS and name not in (others := _others()):
        names = [*_OURS, *others]
        raise UsageError(f"{said}: {name!r} is not one of {', '.join(names)}{nearest(name, names)}")


@cache
def find_api(name: str) -> Any:
    """The dialect of an API that was checked."""
    module, _, attribute = (_OURS.get(name) or _others()[name]).partition(":")
    return getattr(importlib.import_module(module), attribute)


def _others() -> dict[str, str]:
    """Those that installed packages bring; looked for only where another name is asked for, as it takes 20 ms."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group=_GROUP)}
