"""Failures in the order of their time: since when there are more of them, and whether their share is beyond doubt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_CLEAR = 10.0
"""A change is one where it makes what was seen e^10 times as likely: of 10,000 requests, chance shows none such."""
BEYOND_DOUBT = math.log(1000.0)
"""Log of how many times as likely what was seen must be."""

Counts = npt.NDArray[Any]


def onset(ok: Counts, failed: Counts) -> int | None:
    """Index from which failures are a clearly greater share than before; None where there is no such change.

    `ok` and `failed` count requests that ended, by equal or unequal steps of time, in its order.
    """
    good, bad = np.cumsum(ok, dtype=np.float64), np.cumsum(failed, dtype=np.float64)
    if good.size < 2 or not bad[-1] or not good[-1]:
        return None
    before = _likelihood(good[:-1], bad[:-1])
    after = _likelihood(good[-1] - good[:-1], bad[-1] - bad[:-1])
    more = (bad[-1] - bad[:-1]) * (good[:-1] + bad[:-1]) > bad[:-1] * (good[-1] + bad[-1] - good[:-1] - bad[:-1])
    gain = np.where(more, before + after - _likelihood(good[-1:], bad[-1:]), 0.0)
    best = int(np.argmax(gain))
    return best + 1 if gain[best] > _CLEAR else None


def _likelihood(good: Counts, bad: Counts) -> Counts:
    """Log likelihood of counts under their own share."""
    every = good + bad
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(part > 0, part * np.log(part / every), 0.0) for part in (good, bad)]
    return np.asarray(terms[0] + terms[1])


def evidence(ok: int, failed: int, share: float) -> float:
    """Log of how many times as likely so many failures are under an unknown share than under `share`; 0 where they are
    no more than it. It may be asked again and again while requests end: the mean over all shares pays for that."""
    every = ok + failed
    if not every or failed / every <= share:
        return 0.0
    if share <= 0:
        return math.inf
    mixed = math.lgamma(failed + 1) + math.lgamma(ok + 1) - math.lgamma(every + 2)
    return mixed - failed * math.log(share) - (ok * math.log1p(-share) if ok else 0.0)
