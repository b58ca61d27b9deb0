"""Requests by the part of their life inside a window.

Users of a closed loop whose requests are alike answer in bursts, one a round: how many ends a window holds depends on
where it begins. A request that is counted by the part of its life inside, |life and window| / life, has no such edge.
Its rate keeps Little's law over any window, to the last digit: requests/s x their mean life = mean in flight, lives
weighted as they are counted (Little 1961; the estimator is the time average of the sum of 1 / life in flight).
"""

from __future__ import annotations

import math

import numpy as np

from loadcell.metrics.dependence import BATCHES
from loadcell.metrics.interval import batch_slots
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.window import Span


def life_ends(rows: Rows) -> Floats:
    """End of the response, else its last output."""
    return np.where(np.isnan(rows.end), rows.last, rows.end)


def batched(span: Span, starts: Floats, ends: Floats, amounts: Floats | None = None) -> Floats:
    """What each of 20 batches of the window holds of `amounts` (1 each) spread evenly from their start to their end.

    One without a length is where it starts. A stamp that is missing, or an end before its start, is in no batch.
    """
    amounts = np.ones(starts.size) if amounts is None else amounts
    spread, instant = ends > starts, (ends == starts) & span.holds(starts)
    edges = np.linspace(span.start, span.end, BATCHES + 1)
    starts_of, lengths, weights = starts[spread], (ends - starts)[spread], amounts[spread]
    reached = [float((weights * np.clip((edge - starts_of) / lengths, 0, 1)).sum()) for edge in edges]
    at_once = np.bincount(
        batch_slots(starts[instant], span.start, span.end), weights=amounts[instant], minlength=BATCHES
    )
    held: Floats = np.diff(reached) + at_once
    return held


def requests_in(rows: Rows, chosen: Mask, span: Span, amounts: Floats | None = None) -> Floats:
    """The chosen requests, sent ones, by batches of the window; by their ends where the lives are not all known.

    With `amounts`, of every row, so much of each instead of 1.
    """
    ends = life_ends(rows)[chosen]
    return batched(
        span, ends if span.by_end else rows.send_start[chosen], ends, None if amounts is None else amounts[chosen]
    )


def deviation_of_lives(rows: Rows, chosen: Mask, span: Span, amounts: Floats | None = None) -> float:
    """Standard deviation of what `requests_in` finds, by how much the lives differ, and the amounts if they are given.

    With p the part of a life inside, times its amount, and r the sum of p per time in flight: the root of sum
    (p - r x time inside)^2, the residuals of a ratio (Cochran, Sampling Techniques, 3rd ed., 6.3). In a closed loop,
    independent lives make all of the variance; batches of time are too alike to show it where a life is longer than
    they are.
    0 where all lives are alike; NaN where requests count by their end.
    """
    starts, ends = rows.send_start[chosen], life_ends(rows)[chosen]
    inside = np.minimum(ends, span.end) - np.maximum(starts, span.start)
    held = (inside > 0) & (ends > starts)
    inside, parts = inside[held], inside[held] / (ends - starts)[held]
    parts = parts if amounts is None else parts * amounts[chosen][held]
    if span.by_end or not held.any():
        return math.nan
    rest = parts - parts.sum() / inside.sum() * inside
    return math.sqrt(float((rest * rest).sum()))
