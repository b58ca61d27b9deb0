"""The parent's hand on a running load: it shows it to the one who steers, and ends it as that one says."""

from __future__ import annotations

import mmap
import time

import numpy as np

from loadcell.load.live import Count, Live
from loadcell.load.steer import Outcome, Steer, Stop, View
from loadcell.recording.schema import Manifest, Stopped
from loadcell.workload.schedule import Schedule

EVERY_NS = 250_000_000
"""Time between two looks."""
AHEAD_NS = 100_000_000
"""The end of sending is set this long before it comes, so that every worker can know it by then."""
_SETTLED_NS = 50_000_000
"""What is to be given up is so this long after the end of sending: by then the workers have seen to what was due."""


class Steering:
    """One load under one `Steer`; the manifest tells of the end that it orders."""

    def __init__(self, steer: Steer, live: Live, outcomes: mmap.mmap, schedule: Schedule, manifest: Manifest) -> None:
        self._steer, self._live, self._manifest = steer, live, manifest
        count = schedule.planned if schedule.planned is not None else len(schedule)
        self._outcomes = np.frombuffer(outcomes, np.uint8)[:count]  # what only keeps the load on is not shown
        self._planned_ns = None if schedule.times_ns is None else schedule.times_ns[:count]
        self._output_tokens = schedule.output_tokens[:count]
        self._next_ns = 0
        self._over = False
        """Nothing that a stop could still change."""

    def look(self) -> None:
        """To be called often while the load runs."""
        live, stopped = self._live, self._manifest.stopped
        now = time.monotonic_ns() - live.t0_ns
        if live.stop or now < self._next_ns:
            return
        ended = live.counted_end_ns or self._manifest.window_end_ns
        self._over = self._over or (stopped is None and ended is not None and now >= ended)
        if stopped is not None:
            if stopped.cancelled and now >= stopped.at_ns + _SETTLED_NS:
                live.stop = True
        elif not self._over:
            self._next_ns = now + EVERY_NS
            view = self._view(now)
            stop = self._steer(view)
            if stop is not None:
                self._obey(stop, view)

    def close(self) -> None:
        """When all workers have ended: a request that was sent past the end after all is a planned one."""
        if self._manifest.stopped is not None and self._manifest.planned is not None:
            ended = np.flatnonzero(self._outcomes)
            self._manifest.planned = max(self._manifest.planned, int(ended[-1]) + 1 if ended.size else 0)

    def _view(self, now: int) -> View:
        planned, live = self._planned_ns, self._live
        issued, in_flight = live.total(Count.ISSUED), live.total(Count.IN_FLIGHT)
        ended = issued - in_flight
        by_now = None if planned is None else int(np.searchsorted(planned, now, side="right"))
        return View(
            now_ns=now,
            planned_ns=planned,
            output_tokens=self._output_tokens,
            outcomes=self._outcomes.copy(),
            issued=issued,
            ended=ended,
            in_system=in_flight if by_now is None else max(0, by_now - ended),
        )

    def _obey(self, stop: Stop, view: View) -> None:
        """Set the end of sending, and say in the manifest what it means."""
        live, manifest, planned = self._live, self._manifest, self._planned_ns
        end = time.monotonic_ns() - live.t0_ns + AHEAD_NS
        last = manifest.window_end_ns
        if planned is not None:
            last = int(planned[-1]) + 1 if last is None else last
            self._over = bool(planned[-1] < end)
        else:
            self._over = view.issued >= len(self._outcomes) or (last is not None and last <= end)
        if self._over and not stop.cancel:
            return
        live.end_ns = end
        manifest.stopped = Stopped(kind=stop.kind, at_ns=end, reason=stop.reason, cancelled=stop.cancel)
        ends = (end, last, stop.window_end_ns if stop.cancel else None)
        manifest.window_end_ns = min(x for x in ends if x is not None)
        manifest.planned = None if planned is None else int(np.searchsorted(planned, end))


def first_pending_ns(view: View) -> int | None:
    """Planned time of the first request without an outcome; None where there is none, or no plan of times."""
    pending = np.flatnonzero(view.outcomes == Outcome.PENDING)
    return None if view.planned_ns is None or not pending.size else int(view.planned_ns[pending[0]])
