"""Which requests belong together, and what each of them waits for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadcell.traces import Ragged


@dataclass(frozen=True, eq=False)
class Sessions:
    """Of each row of a schedule. The rows of a session stand together, and each after all that it waits for."""

    session: NDArray[np.int32]
    """Its session, numbered from 0 in the order of rows."""
    turn: NDArray[np.int32]
    """Its place on the longest way from a first request of its session, from 0."""
    waits: Ragged
    """Rows, all of its session, whose replies must have ended before it is sent, `Schedule.delay_ns` later; empty for
    the first requests of a session, which a plan or a user sends."""

    @property
    def first(self) -> NDArray[np.bool_]:
        """Whether each waits for none."""
        first: NDArray[np.bool_] = self.waits.counts == 0
        return first


def chains(turns: NDArray[np.int64]) -> Sessions:
    """Sessions of so many turns each, every turn waiting for the one before it."""
    rows = int(turns.sum())
    starts = np.cumsum(turns) - turns
    turn = (np.arange(rows) - np.repeat(starts, turns)).astype(np.int32)
    waiting = turn > 0
    return Sessions(
        np.repeat(np.arange(len(turns)), turns).astype(np.int32),
        turn,
        Ragged(np.flatnonzero(waiting) - 1, np.cumsum(waiting, dtype=np.int64)),
    )
