"""Stalls: gaps far above the usual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loadcell.metrics.rows import Ids
from loadcell.report.detail.model import Stall, Stalls

_TIMES_MEDIAN, _LEAST_NS = 10.0, 100e6
_WORST = 20
_TOGETHER_NS = 10_000_000
_CLIENT_LAG_NS = 1_000_000
_COMPARED = 4_000_000
"""Stalls whose times are kept, to tell which came together."""


def threshold_ns(median_ns: float) -> float:
    """A gap from here on is a stall."""
    return max(_TIMES_MEDIAN * median_ns, _LEAST_NS)


class _One(NamedTuple):
    """A stall, and where in the recording the event that ended it lies."""

    gap_ns: int
    request: int
    t_ns: int
    event: int
    part: int
    place: int


@dataclass
class Stalled:
    """Stalls as the events are read."""

    threshold_ns: float
    stalls: int = 0
    requests: int = 0
    with_gaps: int = 0
    total_ns: int = 0
    """Of the stalls."""
    worst: list[_One] = field(default_factory=list)
    times: list[Ids] = field(default_factory=list)

    def add(self, part: int, request: Ids, t_ns: Ids, starts: Ids, gaps: Ids, origin: Ids | None) -> None:
        """Look at the gap before each event of whole requests: when the event came, where each request starts.

        The events are those at the places `origin` of the part (all of it if None), which `request` is of.
        """
        long = np.flatnonzero(gaps >= self.threshold_ns)
        if not long.size:
            return
        run = np.searchsorted(starts, long, side="right") - 1
        self.stalls += long.size
        self.requests += int(np.unique(run).size)
        self.total_ns += int(gaps[long].sum())
        if self.stalls <= _COMPARED:
            self.times.append(t_ns[long])
        # Of equal ones the earlier comes first, so that the same recording gives the same.
        for i in np.lexsort((long, -gaps[long]))[:_WORST].tolist():
            at = int(long[i])
            place = at if origin is None else int(origin[at])
            event = at - int(starts[run[i]]) + 1
            self.worst.append(_One(int(gaps[at]), int(request[place]), int(t_ns[at]), event, part, place))
        self.worst = sorted(self.worst, key=lambda one: (-one.gap_ns, one.t_ns, one.request))[:_WORST]

    def told(self, gaps: int, time_ns: float, lags: Iterable[tuple[int, npt.NDArray[Any]]]) -> Stalls:
        """Of `gaps` gaps, `time_ns` long together; `lags` of the reads of each part that holds one of the worst."""
        late = dict(lags)
        times = np.sort(np.concatenate(self.times)) if self.times and self.stalls <= _COMPARED else None
        return Stalls(
            threshold_ms=self.threshold_ns / 1e6,
            gaps=gaps,
            stalls=self.stalls,
            requests=self.requests,
            of=self.with_gaps,
            share_of_time=self.total_ns / time_ns if time_ns > 0 else None,
            worst=[_stall(one, times, float(late[one.part][one.place])) for one in self.worst],
        )


def _stall(one: _One, times: Ids | None, lag_ns: float) -> Stall:
    others = None
    if times is not None:
        low, high = np.searchsorted(times, (one.t_ns - _TOGETHER_NS, one.t_ns + _TOGETHER_NS + 1))
        others = int(high - low) - 1
    return Stall(
        request=one.request,
        at_s=one.t_ns / 1e9,
        gap_ms=one.gap_ns / 1e6,
        event=one.event,
        others=others,
        by_client=lag_ns > _CLIENT_LAG_NS,
    )
