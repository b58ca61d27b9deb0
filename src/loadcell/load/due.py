"""What a worker is to send next, and when: by the plan of an open loop, or by the users of a closed one."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable
from time import monotonic_ns
from typing import Protocol

from loadcell.load.audit import Audit
from loadcell.load.call import Call
from loadcell.load.flight import Flight
from loadcell.load.job import Slice
from loadcell.load.live import Count, Live
from loadcell.load.tail import Tail
from loadcell.recording.schema import MISSING

PAUSE_NS, PAUSE_MOST_NS = 100_000_000, 10_000_000_000
"""A closed-loop user whose request failed sends the next one when a reply would have ended, within these: so a refusing
server is not flooded, and failures weigh in a closed loop what they weigh in an open one."""
STARVED_NS = 1_000_000
"""A request whose body is not made yet looks for it this often."""


class Alarm(Protocol):
    """Wakes the loop at a time."""

    def arm(self, when_ns: int) -> None:
        """Wake it at a monotonic time."""


class Due:
    """The requests of one worker that are to be sent. `request` is called for each that is due, with (planned, ready),
    either of them MISSING, both since the start."""

    def __init__(
        self,
        job: Slice,
        live: Live,
        tail: Tail,
        planned_ns: array[int],
        timer: Alarm,
        audit: Audit,
        request: Callable[[int, int], None],
    ) -> None:
        self._job, self._live, self._tail, self._planned_ns = job, live, tail, planned_ns
        self._timer, self._audit, self._request = timer, audit, request
        self._count = live.cells(job.worker)
        self._mine = range(job.worker, min(job.rows, job.requests or job.rows), job.workers)
        self._t0 = 0
        self._next = 0
        self._users: list[int] = []
        """Closed loop: times at which users are ready; a heap."""
        self._last_ready_ns = -1
        """When the first user was ready after the planned end, once enough had been sent."""
        self._paused = False
        """Lockstep: a request of this round failed."""
        self.at_ns = 0
        """When the next planned thing is due; 0 for nothing."""
        self.starved_ns = 0
        """Since when the request that waits first has had no body; 0 where it has one."""

    def begin(self, t0_ns: int) -> None:
        """The clock starts."""
        self._t0 = t0_ns
        self._users = [t0_ns + start for start in self._job.starts_ns]
        heapq.heapify(self._users)
        self.arm()

    def arm(self) -> None:
        """See what is due next, and have the timer wake for it."""
        if self._job.users is not None:
            self.at_ns = self._users[0] if self._users else 0
        elif self._next < len(self._mine):
            self.at_ns = self._t0 + self._planned_ns[self._mine[self._next]]
        else:
            self.at_ns = 0
        wake_ns = self.at_ns
        if self.starved_ns:
            again_ns = monotonic_ns() + STARVED_NS
            wake_ns = min(wake_ns or again_ns, again_ns)
        if wake_ns:
            self._timer.arm(wake_ns)

    def take(self) -> int:
        """The number of the request that is sent now: the next of this worker's."""
        self._next += 1
        return self._mine[self._next - 1]

    def send(self, now: int) -> None:
        """Send all that is due, in the order of its plan."""
        while self.at_ns and self.at_ns <= now and not self.past_end():
            if self._job.users is not None:
                self.user_ready(heapq.heappop(self._users) - self._t0)
            else:
                self._request(self._planned_ns[self._mine[self._next]], MISSING)
            self.arm()

    def past_end(self) -> bool:
        """Whether what is due next is not to be sent any more: then nothing more is due."""
        if not self._is_past(self.at_ns - self._t0):
            return False
        self.none()
        return True

    def none(self) -> None:
        """Nothing more is due, but for users whose requests are in the air."""
        self._users.clear()
        self._next = len(self._mine) if self._job.users is None else self._next
        self.at_ns = 0

    def end(self) -> None:
        """Nothing more is sent."""
        self._users.clear()
        self._next = len(self._mine)
        self.at_ns = 0

    def _is_past(self, due_ns: int) -> bool:
        """Whether a request that is due at a time since the start comes after the end of all sending."""
        end = self._live.end_ns
        return bool(end and due_ns >= end) or (not self._tail.counts(due_ns) and self._tail.closed(due_ns))

    # --- users ---

    def user_ready(self, ready_ns: int) -> None:
        """A closed-loop user sends its next request, unless the run has sent all that it is to send."""
        if self._is_past(ready_ns) or self._past_plan(ready_ns):
            return
        if self._next < len(self._mine):
            self._request(MISSING, ready_ns)
        elif self._job.requests is None and self._tail.counts(ready_ns):
            self._audit.exhausted = True

    def _past_plan(self, ready_ns: int) -> bool:
        """Whether a user that is ready now sends no more by the plan.

        With a least number of requests both ends must be reached, and one request (one round, in lockstep) is sent at
        the end or later: so LoadGen ends its streams, whose last query must not be sent before their duration is over.
        """
        end = self._job.end_ns
        if end is None or ready_ns < end or self._job.keep:
            return False
        if not self._job.least:
            return True
        if self._next < len(self._mine) and self._mine[self._next] < self._job.least:
            return False
        if self._last_ready_ns < end:
            self._last_ready_ns = ready_ns
        return ready_ns > self._last_ready_ns

    def go_on(self, flight: Flight | Call, now: int, known_ns: int | None, *, alone: bool) -> None:
        """The user of a landed flight becomes ready again: at once, or after a pause if its request failed; in lockstep
        all do, when nothing else is on its way (`alone`)."""
        ready_ns = flight.end_ns if known_ns is None else known_ns
        failed = bool(flight.failure or flight.reply.failure) and not flight.gave_up
        if self._job.lockstep:
            self._paused = self._paused or failed
            if alone and not self._users:
                ready_ns, self._paused = self._after_failure_ns(flight, now) if self._paused else ready_ns, False
                self._users = [ready_ns] * (self._job.users or 0)
                self.arm()
        elif failed:
            heapq.heappush(self._users, self._after_failure_ns(flight, now))
            self.arm()
        else:
            self.user_ready(ready_ns - self._t0)

    def _after_failure_ns(self, flight: Flight | Call, now: int) -> int:
        """When the user of a flight that failed sends again."""
        ok = self._count[Count.OK]
        usual = self._count[Count.E2E_NS] // ok if ok else self._job.e2e_ns
        began = now if flight.send_start_ns == MISSING else flight.send_start_ns
        return max(now + PAUSE_NS, began + min(usual, PAUSE_MOST_NS))
