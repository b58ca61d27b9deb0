"""Levels of requests in flight: how the gaps between tokens depend on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadcell.metrics.concurrency import InFlight
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.report.detail.bins import percentile_ms
from loadcell.report.detail.model import Level
from loadcell.report.detail.steps import Steps

_FINE = 48
"""Levels that gaps are counted in, at most; they are then put together to those that are told."""
_TOLD = 12
_GAPS_EACH = 20
"""Gaps of a told level, about, at least."""
_VARIES, _VARIES_SHARE = 1.0, 0.1
"""Concurrency that does not vary by more than either, for 9 of 10 gaps, is one level."""
_P99_NEEDS = 100


@dataclass(frozen=True)
class Fine:
    """The level of each cell of time, and the in-flight requests of each level: mean, fewest and most."""

    of_cell: npt.NDArray[np.uint8]
    mean: Floats
    low: Floats
    high: Floats


def in_flight(rows: Rows) -> InFlight | None:
    """Requests in flight, of those whose send and end are known; None without any."""
    chosen = rows.sent & ~np.isnan(rows.end)
    return InFlight(rows.send_start[chosen], rows.end[chosen]) if chosen.any() else None


def fine_levels(flight: InFlight | None, steps: Steps, rows: Rows, ok: Mask) -> Fine:
    """Levels while the ok requests of the window streamed, such that each has about as many tokens; one if unknown."""
    streamed = ok & rows.streamed & ~np.isnan(rows.last)
    edges = steps.cells
    if flight is None or not streamed.any():
        none = np.zeros(1)
        return Fine(np.zeros(edges.size - 1, dtype=np.uint8), none, none, none)
    of_cell = np.maximum(flight.means(edges), 0.0).round(6)  # 8 is not 7.9999999
    first, last = steps.cell(np.array([rows.first_any[streamed].min(), rows.last[streamed].max()])).tolist()
    seen = of_cell[first : last + 1]
    ordered = np.sort(seen)
    weight = np.cumsum(ordered)  # each request in flight brings tokens at about the same pace
    cuts = np.searchsorted(weight, weight[-1] * np.arange(1, _FINE) / _FINE)
    bounds = np.unique(ordered[cuts])
    bounds = bounds[bounds > ordered[0]]  # so that each level is seen
    level = np.searchsorted(bounds, of_cell, side="right").astype(np.uint8)
    members = level[first : last + 1]
    n = np.bincount(members, minlength=bounds.size + 1)
    low, high = np.full(n.size, np.inf), np.full(n.size, -np.inf)
    np.minimum.at(low, members, seen)
    np.maximum.at(high, members, seen)
    squares, sums = (np.bincount(members, weights=seen**power, minlength=n.size) for power in (2, 1))
    mean = np.divide(squares, sums, out=np.zeros(n.size), where=sums > 0)
    return Fine(level, mean, low, high)


def levels(fine: Fine, counts: Ids, least_ns: float, most_ns: float) -> list[Level]:
    """At most 12 levels with about as many gaps each, of gaps by level and bin; none if concurrency hardly varies."""
    n = counts.sum(axis=1)
    present = np.flatnonzero(n)
    total = int(n.sum())
    if not total:
        return []
    middle = (np.cumsum(n) - n / 2)[present] / total
    usual = fine.mean[present[(middle > 0.05) & (middle < 0.95)]]
    if usual.size < 2 or np.ptp(usual) < max(_VARIES, _VARIES_SHARE * float(usual.max())):
        return []
    groups = _grouped(present, n[present], total / max(1, min(_TOLD, total // _GAPS_EACH)))
    if len(groups) == 1:
        return []
    return [_level(fine, counts[some], n[some], some, least_ns, most_ns) for some in groups]


def _grouped(present: Ids, n: Ids, each: float) -> list[Ids]:
    """Neighbours together until there are about `each` gaps; a rest of less than half of that joins the last."""
    groups, begun, held = [], 0, 0
    for i, more in enumerate(n.tolist()):
        held += more
        if held >= each * 0.999:
            groups.append(present[begun : i + 1])
            begun, held = i + 1, 0
    if held >= each / 2 or not groups:
        return [*groups, present[begun:]]
    return [*groups[:-1], np.concatenate((groups[-1], present[begun:]))]


def _level(fine: Fine, counts: Ids, n: Ids, some: Ids, least_ns: float, most_ns: float) -> Level:
    of_all, total = counts.sum(axis=0), int(n.sum())
    return Level(
        concurrency=round(float((fine.mean[some] * n).sum()) / total, 3),
        low=round(float(fine.low[some].min()), 3),
        high=round(float(fine.high[some].max()), 3),
        n=total,
        p50_ms=percentile_ms(of_all, 500, least_ns, most_ns),
        p90_ms=percentile_ms(of_all, 900, least_ns, most_ns),
        p99_ms=percentile_ms(of_all, 990, least_ns, most_ns) if total >= _P99_NEEDS else None,
    )
