"""The endpoints of a run as a worker has them: of each its connections, and the requests that wait for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from itertools import count

from loadcell.core import Reader, make_reader
from loadcell.core.poller import Poller
from loadcell.load.audit import Audit
from loadcell.load.flight import Flight
from loadcell.load.job import Job
from loadcell.load.job import Lane as Way
from loadcell.load.pool import Handlers, Pool
from loadcell.phrases import phrase

SLOW_RECEIVE_BYTES = 4096
"""What the kernel is to buffer for a slow reader (it doubles this), so that its server feels it soon."""


class Lane:
    """One endpoint."""

    def __init__(self, way: Way, pool: Pool, *, slow: bool = False) -> None:
        self.pool = pool
        self.waiting: deque[Flight] = deque()
        self.reuse, self.left_open = way.reuse and not slow, way.left_open
        self.wanted = 0 if slow else way.pool


class Lanes:
    """All of them. `on_failed` is called with the lane to which a connection could not be opened, and why."""

    def __init__(
        self,
        job: Job,
        poller: Poller,
        handlers: Handlers,
        audit: Audit,
        on_ready: Callable[[], None],
        on_failed: Callable[[Lane, str], None],
        *,
        slow: bool = False,
    ) -> None:
        """`slow`: whether some clients read slowly; they have connections of their own, with a small buffer each."""
        self._all: list[Lane] = []
        numbers, self._http2 = count(1), job.lanes[0].target.http == "2"
        kind: type[Pool] = Pool
        if self._http2:
            from loadcell.load.streams import StreamPool  # most runs do without

            kind = StreamPool
        self._ways = [*job.lanes, *(job.lanes if slow else ())]
        for place, way in enumerate(self._ways):

            def failed(why: str, place: int = place) -> None:
                on_failed(self._all[place], why)

            slowly = place >= len(job.lanes)
            pool = kind(way, poller, handlers, audit, on_ready, failed, job.worker, numbers)
            pool.receive_bytes = SLOW_RECEIVE_BYTES if slowly else None
            self._all.append(Lane(way, pool, slow=slowly))
        self._of = [self._all[place] for place, _, _ in job.heads]
        """The lane of each class,"""
        self._slow_of = [self._all[len(job.lanes) + place] for place, _, _ in job.heads] if slow else []
        """and that of its slow readers."""
        self.heads = [head for _, head, _ in job.heads]
        self.signs = [signs for _, _, signs in job.heads]
        for target in filter(None, self.signs):
            target.signature("POST", "", b"")  # what signs is loaded now
        self._job = job

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._all)

    def lane(self, flight: Flight) -> Lane:
        """That of a request."""
        return (self._slow_of if flight.reads_slowly else self._of)[flight.kind]

    def reader(self, poller: Poller) -> Reader:
        """What reads them: HTTP is of one version in all."""
        if not self._http2:
            return make_reader(poller)
        from loadcell.load.streams import StreamPool, StreamReader

        return StreamReader(poller, [lane.pool for lane in self._all if isinstance(lane.pool, StreamPool)])

    def fill(self, stop: Callable[[], bool]) -> str | None:
        """Open the connections of all. Returns what went wrong where not one of a lane could be opened."""
        for lane, way in zip(self._all, self._ways, strict=True):
            error = lane.pool.fill(lane.wanted, stop)
            if error is not None:
                return error if len(self._job.lanes) == 1 else phrase("{}: {}", way.target.origin, error)
        return None

    def first(self, but: Collection[Lane]) -> Lane | None:
        """The lane of the request that waits longest, those in `but` left out; None where none waits."""
        found: Lane | None = None
        for lane in self._all:
            if lane.waiting and lane not in but and (
                found is None or lane.waiting[0].request < found.waiting[0].request
            ):  # fmt: skip
                found = lane
        return found

    @property
    def waits(self) -> bool:
        """Whether a request waits."""
        return any(lane.waiting for lane in self._all)

    @property
    def opening(self) -> bool:
        """Whether a connection is being opened."""
        return any(lane.pool.opening for lane in self._all)

    def waiting(self) -> Iterator[Flight]:
        """The requests that wait."""
        return (flight for lane in self._all for flight in lane.waiting)

    def clear(self) -> None:
        """Nothing waits any more."""
        for lane in self._all:
            lane.waiting.clear()

    def end_late(self, now: int) -> None:
        """Give up the connections that take too long to open."""
        for lane in self._all:
            lane.pool.end_late(now)

    def close(self) -> None:
        """Close every connection that carries no reply."""
        for lane in self._all:
            lane.pool.close()
