"""Rich's console, but for a reader that goes away, as `head` does."""

from __future__ import annotations

from rich.console import Console


class Terminal(Console):
    """A console that leaves a closed pipe to `main`; rich's own would end the process with 1."""

    def on_broken_pipe(self) -> None:
        """Raise what was caught."""
        raise BrokenPipeError
