"""The shape of a trace's traffic in figures, each a pure function of its columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.traces.model import Ragged, Trace

BINS_S = (1.0, 10.0, 60.0)
"""Lengths of time over which arrivals are counted for their dispersion."""
_LEAST = 20
_LEAST_STEPS = 20
_LEAST_SHARING = 1.5
_JITTER = 0.01
"""Of a step: Mooncake's of 3 s are 2,997 to 3,003 ms."""
_LEAST_BIN_S = 0.5
_DUST = 1e-9
"""What binary fractions leave of equal gaps."""


def arrivals(trace: Trace) -> NDArray[np.float64]:
    """Times of the requests that came by themselves, in order, in s."""
    return np.zeros(0) if trace.t_s is None else np.sort(trace.t_s[np.isfinite(trace.t_s)])


def bin_s(trace: Trace) -> float | None:
    """The width of the steps that the times come in, in s; None where they are not quantised.

    They are where 1.5 requests or more share a time on average, and the times are a whole number of steps apart, to 1 %
    of that number; a step is the median of the gaps between distinct times, and 0.5 s or more.
    """
    times, counts = np.unique(arrivals(trace), return_counts=True)
    if len(times) < _LEAST_STEPS or counts.mean() < _LEAST_SHARING:
        return None
    gaps = np.diff(times)
    step = float(np.median(gaps))
    steps = gaps / step
    regular = np.abs(steps - np.round(steps)) <= _JITTER * np.maximum(1, np.round(steps))
    if step < _LEAST_BIN_S or not regular.all():
        return None
    return round(float(gaps.sum() / np.round(steps).sum()), 3)


def counts(times: NDArray[np.float64], width_s: float) -> tuple[NDArray[np.int64], int]:
    """Arrivals in whole stretches of so many seconds from the first on, of those that have any, and how many stretches
    there are. The rest at the end is left out."""
    whole = int((times[-1] - times[0]) // width_s) if len(times) else 0
    places = (times - times[0]) // width_s if len(times) else times
    return np.unique(places[places < whole], return_counts=True)[1], whole


def dispersion(times: NDArray[np.float64], width_s: float) -> float | None:
    """Variance over mean of the counts: 1 for a Poisson process, more for bursts. None with fewer than 10 counts or 20
    arrivals."""
    seen, whole = counts(times, width_s)
    if whole < 10 or len(times) < _LEAST:
        return None
    mean = float(seen.sum()) / whole
    return float((seen**2).sum()) / whole / mean - mean


def peak_over_mean(times: NDArray[np.float64], width_s: float) -> float | None:
    """The highest count over the mean of all. None with fewer than 2 counts or 20 arrivals."""
    seen, whole = counts(times, width_s)
    return float(seen.max() * whole / seen.sum()) if whole >= 2 and len(times) >= _LEAST else None


def gap_cv(times: NDArray[np.float64]) -> float | None:
    """Standard deviation over mean of the gaps between successive arrivals; 1 for a Poisson process."""
    gaps = np.diff(times)
    if len(gaps) < 2 or gaps.mean() <= 0:
        return None
    cv = float(gaps.std() / gaps.mean())
    return cv if cv > _DUST else 0.0


def shared_blocks(blocks: Ragged) -> NDArray[np.int64]:
    """Of each prompt the blocks at its beginning that some earlier prompt began with too, block for block: what a
    prefix cache without bounds has already."""
    known: dict[tuple[int, int], int] = {}
    out = np.zeros(len(blocks), np.int64)
    values, start = blocks.values.tolist(), 0
    for row, end in enumerate(blocks.ends.tolist()):
        node, hits = -1, 0
        for place in range(start, end):
            key = (node, values[place])
            node = known.setdefault(key, len(known)) if (found := known.get(key)) is None else found
            hits += found is not None and hits == place - start
        out[row], start = hits, end
    return out


def turns_of(trace: Trace) -> NDArray[np.int64]:
    """Requests of each session."""
    return np.zeros(0, np.int64) if trace.session is None else np.bincount(trace.session)


def within(trace: Trace, low_s: float, high_s: float) -> Trace:
    """The requests that came from `low_s` until `high_s`, with those that waited for them. UsageError for none.

    A session is in where its first request is; without sessions each request is one.
    """
    if trace.t_s is None:
        raise UsageError(f"{trace.name} has no times to take a window of")
    came = np.where(np.isfinite(trace.t_s), trace.t_s, np.inf)
    if trace.session is not None:
        first = np.full(int(trace.session.max()) + 1, np.inf)
        np.minimum.at(first, trace.session, came)
        came = first[trace.session]
    rows = np.flatnonzero((came >= low_s) & (came < high_s))
    if not len(rows):
        raise UsageError(f"{trace.name} has no requests from {low_s:g} to {high_s:g} s")
    return taken(trace, rows)


def taken(trace: Trace, rows: NDArray[np.int64]) -> Trace:
    """Some rows of a trace, whole sessions of it, in their order."""
    new = np.full(len(trace), -1, np.int64)
    new[rows] = np.arange(len(rows))
    waits = None if trace.waits is None else trace.waits.take(rows)
    session = None if trace.session is None else np.unique(trace.session[rows], return_inverse=True)[1]
    return replace(
        trace,
        t_s=None if trace.t_s is None else trace.t_s[rows],
        input_tokens=trace.input_tokens[rows],
        output_tokens=trace.output_tokens[rows],
        session=None if session is None else session.astype(np.int32),
        delay_s=None if trace.delay_s is None else trace.delay_s[rows],
        waits=None if waits is None else Ragged(new[waits.values], waits.ends),
        blocks=None if trace.blocks is None else trace.blocks.take(rows),
    )
