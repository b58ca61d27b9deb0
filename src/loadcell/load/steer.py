"""What one who steers a load sees of it while it runs, and how it is told to end.

The parent asks a few times a second. All that is known of a request by then is its outcome: pending, or how it ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray


class Outcome(IntEnum):
    """What became of a request, one byte each in shared memory."""

    PENDING = 0
    MET = 1
    """Ok, and within every limit of the SLO (or there is none)."""
    MISSED = 2
    """Ok, but beyond a limit."""
    FAILED = 3
    """Failed or cancelled."""


@dataclass(frozen=True)
class View:
    """The load as it stands. Arrays are by request, in the order of the schedule."""

    now_ns: int
    """Since the start of the load."""
    planned_ns: NDArray[np.int64] | None
    """Planned times of the whole schedule; None in a closed loop."""
    output_tokens: NDArray[np.int32]
    """Output tokens asked for, of the whole schedule."""
    outcomes: NDArray[np.uint8]
    """`Outcome` of each request of the schedule, as a copy that does not change any more."""
    issued: int
    """Requests sent."""
    ended: int
    """Requests that ended, well or not."""
    in_system: int
    """Open loop: requests planned by now that have not ended. Closed loop: those in flight."""


@dataclass(frozen=True)
class Stop:
    """The order to end a load: nothing planned after it is sent any more."""

    kind: Literal["saturated", "decided"]
    reason: str
    """In words, for the result."""
    cancel: bool
    """Give up what is in the air; else it is awaited."""
    window_end_ns: int | None = None
    """Where what is in the air is given up: the time before which every planned request's outcome is known."""


Steer = Callable[[View], Stop | None]
"""Looks at a load some times a second; returns how it is to end, once that is to be."""
