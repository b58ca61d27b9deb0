"""The traces that come with the package, by their names."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

import msgspec

from loadcell.packaged import packaged_yaml


class Named(msgspec.Struct, frozen=True):
    """A packaged trace."""

    file: str
    about: str
    requests: int
    span_s: float | None
    rate: float | None
    """Requests a second on average; None, like the span, where a few sessions are all there is."""
    licence: str
    source: str
    """Whom to credit, with the licence."""


@cache
def named_traces() -> dict[str, Named]:
    """All of them."""
    return msgspec.convert(packaged_yaml("loadcell.traces", "data", "traces.yaml"), dict[str, Named])


def path_of(name: str) -> Path:
    """Where the file, or the folder, of a packaged trace lies."""
    return Path(str(resources.files("loadcell.traces"))) / "data" / named_traces()[name].file
