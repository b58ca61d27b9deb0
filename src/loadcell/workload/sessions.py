"""Which requests belong together, and what each of them waits for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadcell.sessions import Times
from loadcell.traces import Ragged

_LONGEST_S = 86_400.0
"""No pause is longer: one of a wide law may be drawn as years."""


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


def grown(new: NDArray[np.integer[Any]], replies: NDArray[np.integer[Any]], sessions: Sessions) -> NDArray[np.int64]:
    """Of each turn of chains what is said by its end, its own reply left out: what it and those before it bring
    (`new`), and the `replies` to the latter."""
    said = np.cumsum(new, dtype=np.int64) + np.cumsum(replies, dtype=np.int64) - replies
    first = np.flatnonzero(sessions.first)
    before = said[first] - new[first]
    whole: NDArray[np.int64] = said - np.repeat(before, np.diff(first, append=len(new)))
    return whole


def counts_within(counts: NDArray[np.integer[Any]], rows: int) -> NDArray[np.int64]:
    """The first of these numbers of turns, as many as `rows` hold: the last session ends with them."""
    ends = np.cumsum(counts, dtype=np.int64)
    sessions = int(np.searchsorted(ends, rows)) + 1
    kept = counts[:sessions].astype(np.int64)
    kept[-1] -= max(0, int(ends[sessions - 1]) - rows)
    return kept


def pauses_ns(think: Times, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`rows` pauses of that law in ns, none above a day; pause i does not depend on their number."""
    if think.kind == "exponential":
        drawn = think.a * -np.log1p(-rng.random(rows))
    elif think.kind == "lognormal":
        drawn = np.exp(math.log(think.a) + think.b * rng.standard_normal(rows))
    elif think.kind == "uniform":
        drawn = think.a + (think.b - think.a) * rng.random(rows)
    else:
        drawn = np.full(rows, think.a)
    return np.rint(1e9 * np.minimum(drawn, _LONGEST_S)).astype(np.int64)
