"""Putting a load on an endpoint and recording what comes back."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadcell.load.fleet import run_load
    from loadcell.load.progress import Progress

__all__ = ["Progress", "run_load"]


def __getattr__(name: str) -> Any:
    """Load the parent's side when it is asked for: workers come through this door too, and need none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from loadcell.load import fleet

    return getattr(fleet, name)
