"""Whether the users of a closed loop are in step: replies of one length keep them together, round after round."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.rows import Mask, Rows
from loadcell.metrics.window import Span
from loadcell.phrases import phrase

IN_STEP = 0.9
"""Mean resultant length from which on users are said to be in step."""
_LEAST_USERS = 8
"""Fewer are together by chance: the resultant length of n that are spread evenly is about 1 / sqrt(n)."""
_LEAST_ROUNDS = 2.0


def in_step(rows: Rows, members: Mask, span: Span, loop: str, users: int | None) -> float | None:
    """Mean resultant length (Rayleigh 1919) of the sends within a round, 0 spread evenly to 1 all at once.

    A round is the mean stay of a request. None for an open loop, for lengths that vary, for fewer than 8 users and for
    less than two rounds.
    """
    lengths = rows.asked_tokens[members & rows.ok]
    if loop == "open" or users is None or users < _LEAST_USERS or not lengths.size:
        return None
    if np.isnan(lengths).any() or lengths.min() != lengths.max():
        return None
    chosen = members & rows.ok & rows.sent
    sends = np.sort(rows.send_start[chosen])
    length = float((rows.end - rows.send_start)[chosen].mean()) if chosen.any() else 0.0
    if length <= 0 or span.end - span.start < _LEAST_ROUNDS * length:
        return None
    rounds = (sends - span.start) / length
    number = np.floor(rounds).astype(np.int64)
    turned = np.exp(2j * np.pi * rounds)
    together = sum(abs(turned[number == k].sum()) for k in np.unique(number))
    return float(together) / sends.size


def says_in_step(found: float, tokens: int) -> str:
    """What that hides, and what spreads them."""
    low, high = max(1, tokens // 2), tokens + tokens // 2
    return phrase(
        "users are in step (R = {:.2f}): TTFT shows no collisions; --output-tokens uniform:{},{} spreads them",
        found,
        low,
        high,
    )
