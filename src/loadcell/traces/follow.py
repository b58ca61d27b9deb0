"""Which requests of a session waited for which, by when they began and ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadcell.traces.model import Ragged

SLACK_S = 0.001
"""Clocks of logs are no better: what begins so much before another ended began after it."""


def follow(
    session: NDArray[np.int64], start_s: NDArray[np.float64], end_s: NDArray[np.float64]
) -> tuple[Ragged, NDArray[np.float64]]:
    """Each row waits for the one of its session that ended last before it began; and how long after that it began, in
    s.

    NaN for those that wait for none: the first, and those that began while all before them were in the air.
    """
    order = np.lexsort((start_s, session))
    same = np.concatenate(([False], session[order][1:] == session[order][:-1]))
    before = np.concatenate((order[:1], order[:-1]))
    with np.errstate(invalid="ignore"):
        chained = same & (end_s[before] <= start_s[order] + SLACK_S)
    after = np.full(len(order), -1, np.int64)
    delay = np.full(len(order), np.nan)
    after[order[chained]] = before[chained]
    delay[order[chained]] = np.maximum(0.0, start_s[order] - end_s[before])[chained]
    tangled = np.isin(session[order], np.unique(session[order][same & ~chained]))
    mine: list[int] = []
    for row in order[tangled].tolist():  # of sessions in which some overlap, who ended last is not who began last
        mine = mine if mine and session[row] == session[mine[-1]] else []
        over = [other for other in mine if end_s[other] <= start_s[row] + SLACK_S]
        last = max(over, key=lambda other: (end_s[other], other), default=-1)
        after[row], delay[row] = last, max(0.0, start_s[row] - end_s[last]) if over else np.nan
        mine = [*(other for other in mine if other == last or other not in over), row]
    waiting = after >= 0
    return Ragged(after[waiting], np.cumsum(waiting, dtype=np.int64)), delay


def reduced(waits: Sequence[set[int]]) -> list[list[int]]:
    """What rows wait for without what these wait for themselves. Rows wait for none of a higher number."""
    above: list[set[int]] = []
    out: list[list[int]] = []
    for mine in waits:
        known = set[int]().union(*(above[other] for other in mine)) if mine else set()
        out.append(sorted(mine - known))
        above.append(known | mine)
    return out


def joined(links: Sequence[Sequence[int]], names: Sequence[Sequence[object]]) -> NDArray[np.int64]:
    """Numbers of sessions: rows belong together that wait for each other or have a name in common."""
    root = list(range(len(links)))

    def top(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    holders: dict[object, int] = defaultdict(int)
    for row, (others, mine) in enumerate(zip(links, names, strict=True)):
        for other in (*others, *(holders.setdefault(name, row) for name in mine)):
            root[top(row)] = top(other)
    return np.array([top(row) for row in range(len(links))], np.int64)
