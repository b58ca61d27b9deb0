"""A streaming server of the APIs of OpenAI and Anthropic that knows its own truth.

It serves demos, tests and calibration. It imports nothing from the rest of Loadcell, so that what it says about
a load is the word of an independent witness. `Server` is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadcell.engine.options import EngineOptions

if TYPE_CHECKING:
    from loadcell.engine.server import Server

__all__ = ["EngineOptions", "Server"]


def __getattr__(name: str) -> Any:
    if name == "Server":
        from loadcell.engine.server import Server

        return Server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
