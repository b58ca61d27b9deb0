"""What a worker is to send next, and when: by the plan of an open loop, by the users of a closed one, or by what it
waited for."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from time import monotonic_ns
from typing import Protocol

from loadcell.load.audit import Audit
from loadcell.load.call import Call
from loadcell.load.course import Course
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
    """The requests of one worker that are to be sent. `request` is called for each that is due, with its row and
    (planned, ready), either of them MISSING, both since the start."""

    def __init__(
        self,
        job: Slice,
        live: Live,
        tail: Tail,
        planned_ns: array[int],
        timer: Alarm,
        audit: Audit,
        request: Callable[[int, int, int], None],
        pauses_ns: Sequence[int] | None = None,
        course: Course | None = None,
        settle: Callable[[int], None] = lambda _: None,
        over: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`pauses_ns`: how long users pause before each request, where each is alone.

        With a `course`, `settle` is called for a row that is ready, before it is sent: then it is known whether what it
        waited for ended well. `over` is called with a session that is over, before its user goes on.
        """
        self._job, self._live, self._tail, self._planned_ns = job, live, tail, planned_ns
        self._timer, self._audit, self._request = timer, audit, request
        self._pauses_ns, self._course, self._settle, self._over = pauses_ns, course, settle, over
        self._count = live.cells(job.worker)
        self._mine: Sequence[int] = range(job.worker, min(job.rows, job.requests or job.rows), job.workers)
        if course is not None:
            self._mine = course.firsts(job.worker, job.workers)
            if job.users is None:
                self._mine.sort(key=planned_ns.__getitem__)
            begins = [job.rows, *map(course.begin_of, reversed(self._mine))]
            self._lowest = [*accumulate(begins, min)][::-1]
            """Of what has not begun before each place, the lowest row."""
        self._reached = 0
        self._later: list[tuple[int, int]] = []
        """(time, row) of requests that will be due then: a heap."""
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
        if self._later and (not self.at_ns or self._later[0][0] <= self.at_ns):
            self.at_ns = self._later[0][0]
        wake_ns = self.at_ns
        if self.starved_ns:
            again_ns = monotonic_ns() + STARVED_NS
            wake_ns = min(wake_ns or again_ns, again_ns)
        if wake_ns:
            self._timer.arm(wake_ns)

    def _take(self) -> int:
        """The next row of this worker's."""
        self._next += 1
        row = self._mine[self._next - 1]
        if self._course is not None:
            self._course.begins(row)
            self._reached = max(self._reached, self._course.end_of(row))
        return row

    def send(self, now: int) -> None:
        """Send all that is due, in the order of its plan."""
        while self.at_ns and self.at_ns <= now and not self.past_end():
            if self._later and self._later[0][0] == self.at_ns:
                self._send_later(*heapq.heappop(self._later))
            elif self._job.users is not None:
                self.user_ready(heapq.heappop(self._users) - self._t0)
            else:
                row = self._take()
                self._request(row, self._planned_ns[row], MISSING)
            self.arm()

    def _send_later(self, when_ns: int, row: int) -> None:
        if self._course is not None:
            self._settle(row)
            if not self._course.may(row):
                return
        self._request(row, MISSING, when_ns - self._t0)

    def past_end(self) -> bool:
        """Whether what is due next is not to be sent any more: then nothing more is due."""
        due_ns = self.at_ns - self._t0
        end = self._job.end_ns if self._course is not None and not self._job.keep else None
        if not self._is_past(due_ns) and (end is None or due_ns < end):
            return False
        self.none()
        return True

    def none(self) -> None:
        """Nothing more is due, but for users whose requests are in the air."""
        self._users.clear()
        self._later.clear()
        self._next = len(self._mine) if self._job.users is None else self._next
        self.at_ns = 0

    def end(self) -> None:
        """Nothing more is sent."""
        self._users.clear()
        self._later.clear()
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
        if self._next < len(self._mine) and self._course is not None:
            self._begin_session(self._course, ready_ns)
        elif self._next < len(self._mine):
            self._request(self._take(), MISSING, ready_ns)
        elif self._job.requests is None and self._tail.counts(ready_ns):
            self._audit.exhausted = True

    def _begin_session(self, course: Course, ready_ns: int) -> None:
        """A user begins its next session: all of it that waits for nothing is sent."""
        rows = [self._take()]
        session = course.session_of(rows[0])
        while self._next < len(self._mine) and course.session_of(self._mine[self._next]) == session:
            rows.append(self._take())
        for row in rows:
            self._request(row, MISSING, ready_ns)

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
        """A flight has landed. What waited for it becomes ready after its delay, as far as it ended well. Its user is
        ready again, once all of its session is over: at once, after its pause, or, where the request failed, after one
        that a reply would have taken; in lockstep all are, when nothing else is on its way (`alone`)."""
        ready_ns = flight.end_ns if known_ns is None else known_ns
        failed = bool(flight.failure or flight.reply.failure) and not flight.gave_up
        if self._course is not None:
            for later in self._course.ended(flight.request, ready_ns, failed=failed or bool(flight.gave_up)):
                heapq.heappush(self._later, later)
            self.arm()
            self._go_on_after(self._course.session_of(flight.request), flight, now, ready_ns, failed=failed)
        elif self._job.users is None:
            return
        elif self._job.lockstep:
            self._paused = self._paused or failed
            if alone and not self._users:
                ready_ns, self._paused = self._after_failure_ns(flight, now) if self._paused else ready_ns, False
                self._users = [ready_ns] * (self._job.users or 0)
                self.arm()
        elif self._pauses_ns is not None and self._next < len(self._mine):
            row = self._take()
            least_ns = self._after_failure_ns(flight, now) if failed else ready_ns
            heapq.heappush(self._later, (max(least_ns, ready_ns + self._pauses_ns[row]), row))
            self.arm()
        elif failed:
            heapq.heappush(self._users, self._after_failure_ns(flight, now))
            self.arm()
        else:
            self.user_ready(ready_ns - self._t0)

    def failed_late(self, flight: Flight, now: int) -> None:
        """A flight that has landed had failed, as is known now: what is ready by it is not sent."""
        assert self._course is not None
        session = self._course.session_of(flight.request)
        if not self._course.is_over(session):
            self._course.failed_late(flight.request)
            self._go_on_after(session, flight, now, flight.end_ns, failed=True)

    def _go_on_after(self, session: int, flight: Flight | Call, now: int, ready_ns: int, *, failed: bool) -> None:
        """The user of a session goes on, if that is over."""
        assert self._course is not None
        if not self._course.is_over(session):
            return
        self._over(session)
        if self._job.users is None:
            return
        if failed:
            heapq.heappush(self._users, self._after_failure_ns(flight, now))
            self.arm()
        else:
            self.user_ready(ready_ns - self._t0)

    def reach(self, waiting: Iterable[int]) -> tuple[int, int]:
        """(row before which all of this worker's were sent or never will be, row from which on none was), where they
        are not sent in their order; `waiting` are those that are due and were not sent."""
        if self._course is not None:
            oldest, lowest = self._course.oldest(), self._lowest[self._next]
            return lowest if oldest is None else min(lowest, oldest), self._reached
        end = self._mine[self._next] if self._next < len(self._mine) else self._job.rows
        return min([end, *waiting, *(row for _, row in self._later)]), end

    def _after_failure_ns(self, flight: Flight | Call, now: int) -> int:
        """When the user of a flight that failed sends again."""
        ok = self._count[Count.OK]
        usual = self._count[Count.E2E_NS] // ok if ok else self._job.e2e_ns
        began = now if flight.send_start_ns == MISSING else flight.send_start_ns
        return max(now + PAUSE_NS, began + min(usual, PAUSE_MOST_NS))
