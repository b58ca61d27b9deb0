"""One pass over the received events: gaps, tokens in the window, and what the instrument did to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.metrics.interval import spread_of, summarise
from loadcell.metrics.model import Spread, Summary
from loadcell.metrics.quantile import Histogram, order_statistics
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.metrics.window import Span
from loadcell.recording.read import Recording

_CLIENT_LAG_NS = 1_000_000
"""Events of one read that was this late were merged by the client; of an earlier read, by the server or network."""


@dataclass
class EventTotals:
    """What one pass over the events adds up, over the requests of the window unless said otherwise."""

    gaps: Histogram = field(default_factory=Histogram)
    lags: Histogram = field(default_factory=Histogram)
    requests_with_gaps: int = 0
    events: int = 0
    merged: int = 0
    merged_by_client: int = 0
    backward: int = 0
    tokens_in_window: float = 0.0
    """Tokens of any request that were received inside the window."""


class _Lookup:
    """Columns of the requests, found by the request's number; a request without a row finds the default."""

    def __init__(self, request: Ids) -> None:
        self.request = request
        self.size = int(request.max()) + 2 if request.size else 1

    def table(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """`values` by request number, with a last entry for all others."""
        table = np.zeros(self.size, dtype=values.dtype)
        table[self.request] = values
        return table

    def index(self, request: Ids) -> Ids:
        """Entries of these requests in such a table."""
        return np.minimum(request, self.size - 1)


def tokens_per_chunk(rows: Rows) -> Floats:
    """Each request's output tokens spread evenly over its output events; 0 where that is unknown or not streamed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = rows.output_tokens / rows.output_chunks
    return np.where(rows.streamed & np.isfinite(share), share, 0.0)


def scan_events(recording: Recording, rows: Rows, members: Mask, span: Span) -> EventTotals:
    """Read every event with output once."""
    totals = EventTotals()
    lookup = _Lookup(rows.request)
    is_member, is_ok = lookup.table(members), lookup.table(members & rows.ok)
    share, streamed = lookup.table(tokens_per_chunk(rows)), lookup.table(rows.streamed)
    for part in recording.chunks(("request", "read", "t_ns", "lag_ns", "tokens")):
        request, t_ns = part["request"], part["t_ns"]
        if not request.size:
            continue
        starts = _starts(request)
        runs = lookup.index(request[starts])
        lengths = np.diff(np.append(starts, request.size))
        _add_tokens(totals, part["tokens"], span.holds(t_ns), starts, lengths, share[runs], streamed[runs])
        _add_reads(totals, part["read"], part["lag_ns"], starts, _spread(is_member[runs], lengths))
        gaps = _gaps(t_ns, starts, lengths, is_ok[runs])
        totals.backward += int(np.count_nonzero(gaps < 0))
        totals.gaps.add(np.maximum(gaps, 0))
        totals.requests_with_gaps += int(np.count_nonzero(is_ok[runs] & (lengths > 1)))
    return totals


def itl_summary(recording: Recording, rows: Rows, members: Mask, totals: EventTotals) -> Summary:
    """Gaps of all ok members together; reads the events a second time for exact percentiles, if there are many."""

    def gap_parts() -> Iterator[npt.NDArray[Any]]:
        lookup = _Lookup(rows.request)
        is_ok = lookup.table(members & rows.ok)
        for part in recording.chunks(("request", "t_ns")):
            if part["request"].size:
                starts = _starts(part["request"])
                lengths = np.diff(np.append(starts, part["request"].size))
                gaps = _gaps(part["t_ns"], starts, lengths, is_ok[lookup.index(part["request"][starts])])
                yield np.maximum(gaps, 0)

    return summarise(
        totals.gaps.n,
        totals.gaps.mean,
        lambda ranks: {r: float(v) for r, v in order_statistics(totals.gaps, gap_parts(), list(ranks)).items()},
        independent=totals.requests_with_gaps,
        unit=1e6,
    )


def lag_spread(totals: EventTotals) -> Spread:
    """Spread of the read lag, to one part in 65,536."""
    return spread_of(totals.lags.n, lambda rank: totals.lags.at([rank])[0] / 1e6)


def _starts(request: Ids) -> Ids:
    """Where each request's block of events begins."""
    return np.concatenate(([0], np.flatnonzero(request[1:] != request[:-1]) + 1))


def _spread(of_run: Mask, lengths: Ids) -> Mask | None:
    """A mask of runs as a mask of events; None stands for all of them."""
    return None if of_run.all() else np.repeat(of_run, lengths)


def _gaps(t_ns: Ids, starts: Ids, lengths: Ids, wanted: Mask) -> Ids:
    """Gaps between successive events of one request, over the wanted requests."""
    keep = np.ones(t_ns.size, dtype=bool) if wanted.all() else np.repeat(wanted, lengths)
    keep[starts] = False  # the first event of a request follows nothing
    gaps: Ids = np.diff(t_ns)[keep[1:]]
    return gaps


def _add_tokens(
    totals: EventTotals,
    tokens: npt.NDArray[Any],
    inside: Mask,
    starts: Ids,
    lengths: Ids,
    share: Floats,
    streamed: Mask,
) -> None:
    """Add the tokens received inside the window: those an event tells, else the even share of its request."""
    if not streamed.all():
        inside &= np.repeat(streamed, lengths)
    known = ~np.isnan(tokens)
    if known.any():
        totals.tokens_in_window += float(tokens[inside & known].sum())
        inside &= ~known
    totals.tokens_in_window += float(np.add.reduceat(inside, starts, dtype=np.int64) @ share)


def _add_reads(
    totals: EventTotals, read: npt.NDArray[Any], lag_ns: npt.NDArray[Any], starts: Ids, wanted: Mask | None
) -> None:
    """Add the lag of each read once, and count the events that shared a read with the one before."""
    merged = np.concatenate(([False], read[1:] == read[:-1]))
    merged[starts] = False
    if wanted is not None:
        merged, lag_ns = merged[wanted], lag_ns[wanted]
    totals.events += merged.size
    totals.merged += int(np.count_nonzero(merged))
    totals.merged_by_client += int(np.count_nonzero(lag_ns[merged] > _CLIENT_LAG_NS))
    lags = lag_ns[~merged]
    if lags.dtype.kind == "f":
        lags = lags[~np.isnan(lags)]
    totals.lags.add(np.maximum(lags, 0))
