"""What a trace holds, in figures."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.traces.model import Trace
from loadcell.traces.shape import (
    BINS_S,
    arrivals,
    bin_s,
    dispersion,
    gap_cv,
    peak_over_mean,
    shared_blocks,
    turns_of,
)

_TOGETHER_S = 0.01
_PEAKS_S = (10.0, 60.0)


class Spread(msgspec.Struct, frozen=True):
    """A quantity over requests; percentiles are the smallest value that so many do not exceed."""

    mean: float
    p50: float
    p99: float
    max: float


class Arrivals(msgspec.Struct, frozen=True):
    """Requests that came by themselves: all, or those that waited for no other."""

    requests: int
    span_s: float
    """From the first to the last."""
    rate: float | None
    """Requests a second: their number over the span. None for fewer than 3."""
    gap_cv: float | None
    dispersion: dict[str, float | None]
    """Variance over mean of the counts in 1, 10 and 60 s."""
    peak_over_mean: dict[str, float | None]
    """Highest over mean count in 10 and 60 s."""
    together: float | None
    """Share of the gaps that are 10 ms or less."""
    longest_silence_s: float | None
    bin_s: float | None
    """Width of the steps that times come in, where they do."""


class SessionFigures(msgspec.Struct, frozen=True):
    """Requests that belong together."""

    sessions: int
    turns: Spread
    waiting: int
    """Requests that waited for others."""
    joins: int
    """Of them those that waited for several."""
    delay_s: Spread | None


class Sharing(msgspec.Struct, frozen=True):
    """What prompts have in common."""

    block_tokens: int
    blocks: int
    distinct: int
    hit_share: float
    """Of all blocks those that a prefix cache without bounds would have had; the first that it lacks ends a match."""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """A trace in figures."""

    name: str
    kind: str
    source: str
    requests: int
    arrivals: Arrivals | None
    """None for lengths without times."""
    input_tokens: Spread
    output_tokens: Spread
    correlation: float | None
    """Pearson's, of input and output tokens."""
    sessions: SessionFigures | None
    sharing: Sharing | None
    changes: list[str]
    """What was done to it while it was read."""


def describe(trace: Trace) -> Description:
    """The figures of a trace."""
    return Description(
        name=trace.name,
        kind=trace.kind,
        source=trace.source,
        requests=len(trace),
        arrivals=None if trace.t_s is None else _arrivals(trace),
        input_tokens=spread(trace.input_tokens),
        output_tokens=spread(trace.output_tokens),
        correlation=_correlation(trace),
        sessions=None if trace.session is None else _sessions(trace),
        sharing=None if trace.blocks is None else _sharing(trace),
        changes=[change.words for change in trace.changes],
    )


def spread(values: NDArray[np.int32] | NDArray[np.int64] | NDArray[np.float64]) -> Spread:
    """Its mean, median, 99th percentile and maximum."""
    p50, p99 = np.percentile(values, (50, 99), method="inverted_cdf")
    return Spread(float(values.mean()), float(p50), float(p99), float(values.max()))


def _arrivals(trace: Trace) -> Arrivals:
    times = arrivals(trace)
    gaps = np.diff(times)
    span = float(times[-1] - times[0]) if len(times) else 0.0
    return Arrivals(
        requests=len(times),
        span_s=span,
        rate=len(times) / span if span and len(times) > 2 else None,
        gap_cv=gap_cv(times),
        dispersion={f"{width:g}": dispersion(times, width) for width in BINS_S},
        peak_over_mean={f"{width:g}": peak_over_mean(times, width) for width in _PEAKS_S},
        together=float((gaps <= _TOGETHER_S).mean()) if len(gaps) else None,
        longest_silence_s=float(gaps.max()) if len(gaps) else None,
        bin_s=bin_s(trace),
    )


def _correlation(trace: Trace) -> float | None:
    pair = trace.input_tokens.astype(np.float64), trace.output_tokens.astype(np.float64)
    if len(trace) < 3 or not all(column.std() for column in pair):
        return None
    return float(np.corrcoef(*pair)[0, 1])


def _sessions(trace: Trace) -> SessionFigures:
    turns = turns_of(trace)
    waited = np.zeros(len(trace), np.int64) if trace.waits is None else trace.waits.counts
    delays = np.zeros(0) if trace.delay_s is None else trace.delay_s[np.isfinite(trace.delay_s)]
    return SessionFigures(
        sessions=len(turns),
        turns=spread(turns),
        waiting=int((waited > 0).sum()),
        joins=int((waited > 1).sum()),
        delay_s=spread(delays) if len(delays) else None,
    )


def _sharing(trace: Trace) -> Sharing:
    blocks = trace.blocks
    assert blocks is not None
    every = len(blocks.values)
    hits = int(shared_blocks(blocks).sum())
    return Sharing(trace.block_tokens, every, len(np.unique(blocks.values)), hits / every if every else 0.0)
