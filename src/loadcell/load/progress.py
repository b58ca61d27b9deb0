"""What the parent shows of a running load: its counters, and what changed in them of late."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadcell.load.live import BINS, SLOTS, Count, Live, middle_ms

EVERY_NS = 250_000_000
"""Time between two snapshots of the counters."""
_RECENT_NS, _RECENT_MOST_NS = 10_000_000_000, 60_000_000_000
_ENOUGH = 100
"""Recent figures are of the last 10 s, or of as much up to 60 s as it takes to see so many requests end: p99 needs
them."""

Cells = NDArray[np.int64]


@dataclass(frozen=True)
class Figures:
    """A stretch of the load, by the requests that ended in it."""

    span_s: float
    ended: int = 0
    """Requests whose latency is counted: those whose first output came; where nothing is streamed, the ok ones."""
    p50_ms: float | None = None
    """TTFT, or E2E where nothing is streamed, within 1 %; None where no request counts."""
    p99_ms: float | None = None
    """Of fewer than 100 requests this is the greatest."""
    sent_per_s: float | None = None
    due_per_s: float | None = None
    """Open loop: what the schedule planned for this stretch."""
    ended_per_s: float | None = None
    """Requests that ended, however they did."""
    tokens_per_s: float | None = None
    """Output tokens as they arrive, also of replies that still come: reads, at the tokens a read of the ok requests;
    one a read until the first of them ended. Recent ones are of the last 10 s. None where nothing came."""
    busy_share: float | None = None
    """The busiest load process."""


@dataclass(frozen=True)
class Making:
    """How far the making of the first request bodies is."""

    rows: int
    of: int
    bytes: int
    left_s: float | None


@dataclass(frozen=True)
class Failing:
    """Failures of late."""

    failed: int
    """Requests that failed since then,"""
    ended: int
    """of so many that failed, or whose first output came."""
    since_s: float | None
    """Since when their share is what it is; None where it was so throughout, among successes."""
    why: str
    """The last failure: its kind and the server's words."""


@dataclass(frozen=True)
class Progress:
    """What a watcher is shown a few times a second."""

    stage: str
    """check, prepare, start (workers connect; nothing is measured yet), load or finish."""
    elapsed_s: float = 0.0
    planned: int | None = None
    duration_s: float | None = None
    issued: int = 0
    ok: int = 0
    failed: int = 0
    in_flight: int = 0
    events: int = 0
    cancelled: int = 0
    abandoned: int = 0
    """Given up by their users, as planned."""
    users: int | None = None
    """Closed loop: users asked for."""
    due: int | None = None
    """Open loop: requests planned by now."""
    sends_end_s: float | None = None
    """When sending (of what is counted) is to end, as far as is known; None where a closed loop ends with its last
    request."""
    awaited: int = 0
    """Counted requests that have begun and not ended."""
    kept: bool = False
    """Whether requests that are not counted keep the load on."""
    stopping: bool = False
    """Whether what is in flight is being given up."""
    streamed: bool = True
    """Whether latencies are TTFT; E2E else."""
    generates: bool = True
    """Whether there are output tokens."""
    recent: Figures | None = None
    whole: Figures | None = None
    """Of the whole load so far."""
    on_time_share: float | None = None
    """Sends within 1 ms of their time, of all so far that have ended; None where none could be judged, or where a cap
    makes them wait."""
    timed: int = 0
    """Sends that this is of."""
    says: str = ""
    """Stage check: why the server is waited for, `elapsed_s` of `duration_s` by now."""
    making: Making | None = None
    """While preparing: the bodies of the first requests."""
    failing: Failing | None = None
    """None where nothing failed of late."""
    silent: int = 0
    """Requests in the air of which nothing has come for a while (`live.SILENT_NS`)."""
    silent_s: float = 0.0
    """How long the one of them that is silent longest has been."""
    longest_stall_ms: float | None = None
    """Longest time so far in which a load process did not look at its sockets."""
    beside: int = 0
    """Loads of other commands on this machine."""

    @property
    def sent_all(self) -> bool:
        """Whether what is still in the air is all that is awaited."""
        over = self.sends_end_s is not None and self.elapsed_s >= self.sends_end_s
        return over or (self.planned is not None and self.issued >= self.planned)


@dataclass(frozen=True)
class _Look:
    """The counters at one moment."""

    at_ns: int
    total: Cells
    """By slot, summed over the workers."""
    busy_ns: Cells
    """By worker."""
    due: int | None


class Meter:
    """Reads the counters of a load; keeps its last minute, so that recent figures can be told from those of all."""

    def __init__(self, live: Live, planned_ns: NDArray[np.int64] | None) -> None:
        self._cells = np.frombuffer(live.all_cells(), np.int64).reshape(live.workers, SLOTS)
        self._planned_ns = planned_ns
        self._looks: deque[_Look] = deque()
        self._figures: tuple[Figures | None, Figures | None] = (None, None)

    @property
    def last_ns(self) -> int | None:
        """When the last request is planned; None in a closed loop."""
        return None if self._planned_ns is None or not len(self._planned_ns) else int(self._planned_ns[-1])

    def counts(self) -> list[int]:
        """Each counter, by `Count`, summed over the workers."""
        counts: list[int] = self._cells[:, : len(Count)].sum(axis=0).tolist()
        return counts

    def longest_stall_ms(self) -> float | None:
        """The longest that any worker tells; None before the first."""
        longest = int(self._cells[:, Count.STALL_NS].max())
        return longest / 1e6 if longest else None

    def longest_silence_s(self) -> float:
        """The longest that any worker tells of a request in the air."""
        return int(self._cells[:, Count.SILENT_NS].max()) / 1e9

    def due(self, now_ns: int, planned: int | None = None) -> int | None:
        """Requests planned before a moment since the start, of the first `planned`; None in a closed loop."""
        if self._planned_ns is None:
            return None
        due = int(np.searchsorted(self._planned_ns, now_ns))
        return due if planned is None else min(due, planned)

    def figures(self, now_ns: int) -> tuple[Figures | None, Figures | None]:
        """Figures of late, and of the whole load so far; new ones four times a second."""
        looks = self._looks
        if not looks:
            zero = np.zeros(SLOTS, np.int64)
            looks.append(_Look(0, zero, np.zeros(len(self._cells), np.int64), self.due(0)))
            self._first = looks[0]
        if now_ns - looks[-1].at_ns < EVERY_NS:
            return self._figures
        look = _Look(now_ns, self._cells.sum(axis=0), self._cells[:, Count.BUSY_NS].copy(), self.due(now_ns))
        looks.append(look)
        while len(looks) > 2 and now_ns - looks[1].at_ns >= _RECENT_MOST_NS:
            looks.popleft()
        near, enough = self._recent(look)
        tokens_per_s = between(near, look).tokens_per_s  # they need no hundred requests
        self._figures = replace(between(enough, look), tokens_per_s=tokens_per_s), between(self._first, look)
        return self._figures

    def _recent(self, now: _Look) -> tuple[_Look, _Look]:
        """The looks since which things are recent: 10 s ago, and where enough requests have ended since."""
        looks = self._looks
        near = [look for look in looks if now.at_ns - look.at_ns >= _RECENT_NS] or [looks[0]]
        enough = (look for look in reversed(near) if now.total[Count.OK] - look.total[Count.OK] >= _ENOUGH)
        return near[-1], next(enough, near[0])


def between(before: _Look, now: _Look) -> Figures:
    """What happened between two looks at the counters."""
    more, span_s = now.total - before.total, (now.at_ns - before.at_ns) / 1e9
    bins = more[SLOTS - BINS :]
    reads, ok_reads = int(more[Count.READS] + more[Count.AIR_READS]), int(now.total[Count.OK_READS])
    tokens_a_read = int(now.total[Count.TOKENS]) / ok_reads if ok_reads else 1.0
    ok = int(bins.sum())
    ended = int(more[[Count.OK, Count.FAILED, Count.CANCELLED, Count.ABANDONED]].sum())
    return Figures(
        span_s,
        ok,
        quantile_ms(bins, 0.5),
        quantile_ms(bins, 0.99),
        int(more[Count.ISSUED]) / span_s,
        None if now.due is None or before.due is None else (now.due - before.due) / span_s,
        ended / span_s,
        max(0, reads) * tokens_a_read / span_s if int(now.total[Count.READS] + now.total[Count.AIR_READS]) else None,
        min(1.0, float((now.busy_ns - before.busy_ns).max()) / (span_s * 1e9)),
    )


def quantile_ms(bins: Cells, share: float) -> float | None:
    """The latency of rank ceil(share * n) among the n that the bins count, within 1 %; None of none."""
    ranks = np.cumsum(bins)
    if not ranks[-1]:
        return None
    rank = max(1, math.ceil(share * int(ranks[-1]) - 1e-9))
    return middle_ms(int(np.searchsorted(ranks, rank)))
