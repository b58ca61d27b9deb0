"""What one who steers a load sees of it while it runs, and how it is told to end.

The parent asks a few times a second. All that is known of a request by then is its outcome: pending, or how it ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray


class Outcome(IntEnum):
    """What became of a request, one byte each in shared memory: one of these, or the grade of an ok request."""

    PENDING = 0
    FAILED = 255
    """Failed or cancelled."""


AT_LIMIT, WORST = 100, 254
"""Grades of a request exactly at its limit, and far beyond it; without a limit it has the grade 1."""
_GRADES_PER_E = 50


def grade(margin: float) -> int:
    """A graded outcome, 1 to 254: above 100 if and only if `margin`, the worst figure over its limit, is above 1.

    Half a hundred grades to each factor of e. How near requests come to their limit shows how long a queue stays high
    before any limit breaks.
    """
    if not margin > 0:
        return 1
    if math.isinf(margin):
        return WORST
    return min(max(math.ceil(AT_LIMIT + _GRADES_PER_E * math.log(margin)), 1), WORST)


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

    kind: Literal["saturated", "decided", "failures"]
    reason: str
    """In words, for the result."""
    cancel: bool
    """Give up what is in the air; else it is awaited."""
    window_end_ns: int | None = None
    """Where what is in the air is given up: the time before which every planned request's outcome is known."""


Steer = Callable[[View], Stop | None]
"""Looks at a load some times a second; returns how it is to end, once that is to be."""
