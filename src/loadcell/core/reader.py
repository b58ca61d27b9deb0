"""Waiting for many sockets and reading what comes into tapes; what needs the caller is told as events."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from time import monotonic_ns, time_ns
from typing import NamedTuple

from loadcell.core.clock import OFFSET_SLACK_NS, STAMP_BYTES, Message, clock_offset
from loadcell.core.poller import WRITABLE, Poller
from loadcell.core.records import Sealed
from loadcell.core.tape import BULK_BYTES, LOOK_NS, READ_BYTES, STALL_NS, Tape, Turn

ReadOnce = Callable[[int, int], Message]
"""As `socket.recvmsg`: BlockingIOError when there is nothing, OSError when the connection is lost."""


class What(enum.IntEnum):
    """Why a descriptor is told of."""

    READY = 0
    """Nobody reads it here."""
    WRITABLE = 1
    READ = 2
    """It was read, and that read is to be looked at."""
    ENDED = 3
    """There is no more to read."""
    LOST = 4


class Event(NamedTuple):
    """What the caller has to see to."""

    fd: int
    what: What
    mask: int = 0
    """Of one that is READY."""
    error: OSError | None = None
    """Of one that is LOST."""


class Note(NamedTuple):
    """A time without a look at the sockets."""

    late: bool
    """A wait that came back late; else a turn that took longer than any before."""
    began_ns: int
    length_ns: int


class Reader:
    """Reads sockets into tapes, of each all that one turn finds. Descriptors that it does not know it only tells of."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._watched: dict[int, tuple[ReadOnce, Tape]] = {}
        self._offset, self._looked = clock_offset(), monotonic_ns()
        self.woke_ns = 0
        """When the last wait returned."""
        self.ready = 0
        """How much it found."""
        self.busy_ns = 0
        """From the ends of waits to the next ones, but for the last."""
        self.clock_steps = 0
        """Times that the wall clock was moved against the monotonic one."""
        self.tell_above_ns = 0
        """A turn that is longer is noted."""
        self.may_rest = False
        """Whether reads with stamps of the kernel may be taken a little later, more at a time: nothing else waits."""
        self.notes: list[Note] = []
        """Of the last turn."""

    @property
    def offset(self) -> int:
        """Wall clock less monotonic clock, as of late."""
        return self._offset

    def begin(self, at_ns: int) -> None:
        """The load starts: what comes did not come before."""
        self._looked = at_ns

    def watch(self, fd: int, tape: Tape, read: ReadOnce, *, plain: bool, sealed: Sealed | None = None) -> None:
        """Read a descriptor into a tape from now on; `plain` if `read` is no more than the system's.

        `sealed`: what it does beside that, which may then be done later and for many reads at a time.
        """
        self._watched[fd] = (read, tape)

    def leave(self, fd: int) -> None:
        """Do not read it any more."""
        self._watched.pop(fd, None)

    def overdue(self, fd: int) -> Event | None:
        """What was to be seen to of a descriptor that has fallen silent, and was not told: it came sealed."""
        return None

    def turn(self, until_ns: int, *, wait: bool) -> list[Event]:
        """Wait up to a time, or with `wait` false not at all, and read what is ready; what is to be seen to.

        It may go on for as long as there is nothing to tell, less where nothing is ready and it does not wait.
        """
        self.notes = []
        asked = monotonic_ns()
        ready = self._poller.poll(max(0, until_ns - asked) / 1e9 if wait else 0)
        woke = monotonic_ns()
        late = woke - (max(asked, until_ns) if wait else asked)
        if late > STALL_NS:
            self.notes.append(Note(True, woke - late, late))
        if not -OFFSET_SLACK_NS < time_ns() - woke - self._offset < OFFSET_SLACK_NS:
            self._new_offset()
        self.woke_ns, self.ready = woke, len(ready)
        events = self._served(ready, (self._offset, self._looked, asked, woke))
        if len(ready) < self._poller.most:  # what was not told was not there: what the next wait tells came later
            self._looked = woke - LOOK_NS if woke - asked > LOOK_NS else asked
        return events

    def _served(self, ready: Iterable[tuple[int, int]], turn: Turn) -> list[Event]:
        """Read what is ready of those that are watched here; what is to be seen to."""
        events: list[Event] = []
        watched = self._watched
        for fd, mask in ready:
            found = watched.get(fd)
            if found is None:
                events.append(Event(fd, What.READY, mask))
                continue
            if mask & WRITABLE:
                events.append(Event(fd, What.WRITABLE, mask))
                if mask == WRITABLE:
                    continue
            event = _read_once(fd, *found, turn)
            if event is not None:
                events.append(event)
        return events

    def _new_offset(self) -> None:
        """After two readings that disagree with the old one."""
        found = clock_offset()
        if abs(found - self._offset) > OFFSET_SLACK_NS:
            self._offset = found
            self.clock_steps += 1


def _read_once(fd: int, read: ReadOnce, tape: Tape, turn: Turn) -> Event | None:
    """Store what a descriptor has; what is to be seen to."""
    try:
        data, ancillary, _, _ = read(READ_BYTES, STAMP_BYTES)
    except BlockingIOError:
        return None
    except OSError as error:
        return Event(fd, What.LOST, error=error)
    if not data:
        return Event(fd, What.ENDED)
    tape.append(data, ancillary[0][2] if ancillary else b"", monotonic_ns(), turn)
    return Event(fd, What.READ) if is_odd(data, tape) else None


def is_odd(data: bytes, tape: Tape) -> bool:
    """Whether a read is to be looked at: a token is a few hundred bytes, and no end of a reply."""
    return tape.watchful or not 3 < len(data) < BULK_BYTES or data[-4:] == b"\r\n\r\n"
