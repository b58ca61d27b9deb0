"""Values that were looked at now and then: what they were on average, and what counters gained, over a window.

Between two looks a value is taken to lie on the line between them. In a gap of more than three intervals, nobody knows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from loadcell.metrics.rows import Floats, Mask

LONGEST = 3.0
"""Intervals between looks beyond which a line between two of them is a guess."""
UNSEEN = 0.1
"""Share of the window that may be unseen: a mean over less is of another time."""
EDGE = 0.01
"""Share of the window that may lie before the first look or after the last."""


class Stretch(NamedTuple):
    """The window and the run around it, in ns since the start of the load."""

    start: float
    end: float
    extent: float
    """End of the run."""
    every: float
    """Planned time between two looks."""

    @property
    def length(self) -> float:
        return self.end - self.start

    @property
    def longest(self) -> float:
        """The longest gap that a line may bridge."""
        return LONGEST * self.every

    def holds(self, t: Floats) -> Mask:
        """Which times lie in the window."""
        return (t >= self.start) & (t <= self.end)


class Integral(NamedTuple):
    """A trapezoidal sum, and how much of the window it is over."""

    area: float
    """In the value's unit times ns."""
    seen: float
    """ns of the window."""


def trapezoid(t: Floats, values: Floats, stretch: Stretch) -> Integral:
    """The integral over the window of the lines between neighbouring known values."""
    known = np.isfinite(values)
    t, values = t[known], values[known]
    if t.size < 2:
        return Integral(0.0, 0.0)
    step = np.diff(t)
    low, high = np.clip(t[:-1], stretch.start, stretch.end), np.clip(t[1:], stretch.start, stretch.end)
    used = (high > low) & (step <= stretch.longest)
    slope = np.diff(values)[used] / step[used]
    length = (high - low)[used]
    middle = values[:-1][used] + slope * ((low + high)[used] / 2 - t[:-1][used])
    return Integral(float((middle * length).sum()), float(length.sum()))


def mean(t: Floats, values: Floats, stretch: Stretch) -> float | None:
    """Time-weighted over the window; None if more than a tenth of it was not seen."""
    area, seen = trapezoid(t, values, stretch)
    return area / seen if seen > 0 and seen >= (1 - UNSEEN) * stretch.length else None


def gains(values: Floats, told: Mask) -> Floats:
    """What a counter gained from each answered look to the next; NaN first and where it cannot be known.

    Told for the first time by a source that answered before, it began at 0. It cannot be known where the counter went
    down, or away, because the server started anew.
    """
    gained = np.full(values.size, np.nan)
    if values.size > 1:
        was, now = told[:-1], told[1:]
        step = np.where(was & now, np.diff(values), np.where(now, values[1:], np.where(was, np.nan, 0.0)))
        gained[1:] = np.where((step >= 0) & (step < np.inf), step, np.nan)
    return gained


def gain_inside(t: Floats, gained: Floats, stretch: Stretch) -> float | None:
    """What a counter gained in the window, by what it `gained` since the look before; None if it cannot be known.

    Of an interval that an edge of the window cuts, its part inside counts. It must not be a gap.
    """
    slack = EDGE * stretch.length
    if t.size < 2 or t[0] > stretch.start + slack or t[-1] < stretch.end - slack:
        return None
    step = np.diff(t)
    inside = np.clip(t[1:], stretch.start, stretch.end) - np.clip(t[:-1], stretch.start, stretch.end)
    touched = inside > 0
    if not touched.any() or (touched & (inside < step) & (step > stretch.longest)).any():
        return None
    total = float((gained[1:][touched] * (inside[touched] / step[touched])).sum())
    return total if np.isfinite(total) else None
