"""LoadGen's traffic, bit for bit: which sample is sent when, from three seeds.

One 32-bit Mersenne Twister a seed, and the shuffle and bounded integers of one C++ standard library (GCC 11 and later):
the recipe here is the definition, checked against published logs and the wheel.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.spec import LoadGen


class Seeds(msgspec.Struct, frozen=True, kw_only=True):
    """The three seeds of a round; their low 32 bits count."""

    qsl: int
    sample_index: int
    schedule: int


@dataclass(frozen=True, eq=False)
class Traffic:
    """What is sent, in issue order."""

    samples: NDArray[np.int64]
    """Index in the data set, one a sample."""
    scheduled_ns: NDArray[np.int64] | None = None
    """Server: when each is due, since the first at 0."""
    duration_ns: int | None = None
    """Server: LoadGen's generated_query_duration, one gap more than the last scheduled time."""


def traffic_of(loadgen: LoadGen, n: int, *, rate: float | None, rows: int) -> Traffic:
    """The traffic of a Spec over `n` samples: at least `rows` rows in closed loops, as many as follow in the server one.

    UsageError if it cannot be.
    """
    raise UsageError("not yet")
