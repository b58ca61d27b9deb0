"""Loadcell: a benchmark for LLM inference that says how wrong it may be.

`loadcell.run` puts a load on a Python callable or a server; docs/python.md tells how.
"""

from importlib import import_module

__version__ = "0.1.0"
_FROM = {
    "LoadcellError": "errors", "Piece": "protocol.callable", "ShownResult": "report.notebook", "run": "python",
}  # fmt: skip
"""What scripts ask for, and where it is written."""


def __getattr__(name: str) -> object:
    """Loaded when it is asked for: the command needs none of it to start."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"loadcell.{_FROM[name]}"), name)


def __dir__() -> list[str]:
    """What there is, for those who look."""
    return [*globals(), *_FROM]
