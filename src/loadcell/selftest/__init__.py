"""The self-test: the client against an engine that knows its own truth, and what this machine can measure so."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadcell.selftest.climb import run_selftest
    from loadcell.selftest.store import keep_selftest, known_selftest, state_folder, stored_selftests

__all__ = ["keep_selftest", "known_selftest", "run_selftest", "state_folder", "stored_selftests"]


def __getattr__(name: str) -> Any:
    """Load what is asked for: a run wants to know of a self-test, but none of what makes one."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{'climb' if name == 'run_selftest' else 'store'}"), name)
