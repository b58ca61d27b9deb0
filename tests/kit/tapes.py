"""Both forms of the core, as far as this machine has them."""

from __future__ import annotations

from collections.abc import Callable

from loadcell.core import Tape
from loadcell.core.native import NativeTape, library


def tapes() -> list[Callable[[], Tape]]:
    """What makes a tape of each form."""
    return [Tape] if library()[0] is None else [Tape, NativeTape]
