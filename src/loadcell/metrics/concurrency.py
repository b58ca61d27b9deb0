"""Requests in flight over time, from the sends and ends of all requests that were sent."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.model import Concurrency
from loadcell.metrics.rows import Floats, Rows
from loadcell.metrics.window import Span

_STEPS = 200


class InFlight:
    """The step function of requests in flight, with its exact integral."""

    def __init__(self, starts: Floats, ends: Floats) -> None:
        self.starts, self.ends = np.sort(starts), np.sort(ends)
        self._sum_starts = np.concatenate(([0.0], np.cumsum(self.starts)))
        self._sum_ends = np.concatenate(([0.0], np.cumsum(self.ends)))

    def integral(self, t: Floats) -> Floats:
        """Request-nanoseconds spent up to t: every request counts for t - start, less t - end once it ended."""
        begun, ended = np.searchsorted(self.starts, t), np.searchsorted(self.ends, t)
        spent: Floats = (begun * t - self._sum_starts[begun]) - (ended * t - self._sum_ends[ended])
        return spent

    def means(self, edges: Floats) -> Floats:
        """Time-weighted mean between successive edges."""
        means: Floats = np.diff(self.integral(edges)) / np.diff(edges)
        return means

    def max(self) -> int:
        """Most requests in flight at once; one that starts as another ends does not overlap it."""
        if not self.starts.size:
            return 0
        begun = np.arange(1, self.starts.size + 1)
        return int((begun - np.searchsorted(self.ends, self.starts, side="right")).max())


def concurrency(rows: Rows, span: Span, extent: float, ramp_s: float, asked: int | None) -> Concurrency:
    """Concurrency of the run; its mean lies inside `span`, that of the rates, after the ramp and before the drain.

    A window that was chosen is taken as it is, as its rates are.
    """
    chosen = rows.sent & ~np.isnan(rows.end)
    flight = InFlight(rows.send_start[chosen], rows.end[chosen])
    low, high = max(span.start, ramp_s * 1e9), min(span.end, span.sent_until)
    if span.chosen:
        low, high = span.start, span.end
    steady = flight.starts.size > 0 and high > low
    step = extent / _STEPS
    series = flight.means(np.linspace(0, extent, _STEPS + 1)) if flight.starts.size and step else np.empty(0)
    return Concurrency(
        asked=asked,
        mean=float(flight.means(np.array([low, high]))[0]) if steady else None,
        mean_from_s=low / 1e9 if steady else None,
        mean_to_s=high / 1e9 if steady else None,
        max=flight.max(),
        series_step_s=step / 1e9 if series.size else None,
        series=[round(float(x), 3) for x in series],
    )
