"""The end of a load that nobody asked an end for: the parent orders it once it has seen enough."""

from __future__ import annotations

import time

import numpy as np

from loadcell.load.live import Count, Live
from loadcell.load.steering import AHEAD_NS
from loadcell.phrases import phrase
from loadcell.recording.schema import Manifest
from loadcell.spec import LEAST_DURATION_S, LEAST_E2E, Spec, keeps_load
from loadcell.workload.schedule import Schedule


class OwnEnd:
    """Ends one load within its planned time; the manifest tells when. Its load has its ramp."""

    def __init__(self, spec: Spec, live: Live, schedule: Schedule, manifest: Manifest) -> None:
        load, self._live, self._manifest = spec.load, live, manifest
        self._planned_ns = schedule.times_ns
        self._keep = keeps_load(spec)
        self._bound_ns = int((load.duration_most_s or 0.0) * 1e9)
        self._start_ns = int(max(load.ramp_s or 0.0, load.warmup_s or 0.0) * 1e9)
        self._warmup_requests = load.warmup_requests
        self._open = load.duration_s is None and load.requests is None and load.duration_most_s is not None
        """Whether the end is still to be found."""

    @property
    def unknown(self) -> bool:
        """Whether nothing tells yet when the load ends."""
        return self._open and self._manifest.stopped is None and self.likely_ns() is None

    def likely_ns(self) -> int | None:
        """When sending ends by what is known now; None where no reply has told yet how long one takes."""
        live, counts = self._live, self._live.total
        if not self._open or live.stop or self._manifest.stopped is not None:
            return None
        ok, failed = counts(Count.OK), counts(Count.FAILED) + counts(Count.ABANDONED)
        if not ok + failed or ok + failed + counts(Count.CANCELLED) <= self._warmup_requests:
            return None
        least_ns = self._start_ns + int(LEAST_DURATION_S * 1e9)  # failures tell nothing of how long a reply takes
        enough_ns = self._start_ns + LEAST_E2E * counts(Count.E2E_NS) / ok if ok else 0.0
        return min(self._bound_ns, max(least_ns, int(enough_ns)))

    def look(self) -> None:
        """To be called often while the load runs: orders the end a little before it comes."""
        end = self.likely_ns()
        soonest = time.monotonic_ns() - self._live.t0_ns + AHEAD_NS
        if end is None or end > soonest:
            return
        self._open = False
        end = max(end, soonest)
        if end >= self._bound_ns:  # it is planned to end there
            return
        live, manifest = self._live, self._manifest
        if self._keep:
            live.counted_end_ns = end
        else:
            live.end_ns = end
        manifest.window_end_ns = end
        if self._planned_ns is not None:
            manifest.planned = int(np.searchsorted(self._planned_ns, end))

    def close(self) -> None:
        """When all workers have ended: the length that was is a setting like one that was asked for."""
        manifest, cut = self._manifest, self._open and self._live.stop  # by a person, before its end was found
        if manifest.effective["duration_s"] is not None or manifest.stopped is not None or cut:
            return
        if self._open and manifest.ended_ns is not None and manifest.ended_ns < self._bound_ns:
            manifest.window_end_ns = manifest.ended_ns  # it had no more requests, or no more workers
        if manifest.window_end_ns is not None:
            manifest.effective["duration_s"] = manifest.window_end_ns / 1e9


def ran_out(live: Live) -> str:
    """What it means that the schedule of a closed loop held fewer requests than its time had room for."""
    if live.total(Count.OK) >= live.total(Count.FAILED):
        return phrase("the schedule ran out before the time did: give --requests with more than this run sent")
    return phrase("the schedule ran out before the time did: most requests failed, and took no time")
