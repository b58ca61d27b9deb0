"""What the sessions of one worker have said: the bodies of their turns, where these carry the server's own replies.

A reply is parsed when there is time, as any; at the latest when something that waited for it is due.
"""

from __future__ import annotations

from collections.abc import Callable

from loadcell.load.course import Course
from loadcell.load.flight import Flight
from loadcell.load.splice import Talk, parted


class Talking:
    """Of the sessions that are open, and no others: what each turn that is gone on with said."""

    def __init__(
        self,
        course: Course,
        talk: Talk | None,
        header: bytes,
        parse: Callable[[Flight], None],
        failed: Callable[[Flight], None],
    ) -> None:
        """`talk` is how bodies hold what was said, None where they are whole. `header` is a line of each head, with a
        place for the number of its session; empty for none. `parse` reads and closes the reply of a flight that has
        landed, `failed` is told of one that turns out to have failed.
        """
        self._course, self._talk, self._header, self._parse, self._failed = course, talk, header, parse, failed
        self._unsettled: dict[int, Flight] = {}
        """Of those that landed, what is gone on with and was not parsed yet."""
        self._said: dict[int, dict[int, tuple[bytes, int]]] = {}
        """Of each open session, by row: what was said when it was sent, then, by the end of its reply; and how many
        rows are still to go on with that. A row goes on with the first that it waits for."""
        self.wordless = 0
        """Replies without visible text, which stand as empty ones in what is said later."""

    def session_of(self, row: int) -> int:
        """The session of a row."""
        return self._course.session_of(row)

    def header(self, row: int) -> bytes:
        """What the head of a request says of its session, as lines."""
        return self._header % self._course.session_of(row) if self._header else b""

    def body(self, row: int, kept: bytes) -> bytes:
        """The body of a row that is sent now, of what was made ahead."""
        if self._talk is None:
            return kept
        gap, talk, course = parted(kept), self._talk, self._course
        said, parents = self._said.setdefault(course.session_of(row), {}), course.parents(row)
        before = b""
        if parents:
            before, users = said[parents[0]]
            said[parents[0]] = before, users - 1
            if users == 1:  # nobody else goes on with it
                del said[parents[0]]
        by_now = talk.then(before, gap.brings)
        users = sum(course.parents(child)[0] == row for child in course.children(row))
        if users:
            said[row] = by_now, users
        return b"%b%b%b" % (gap.head, by_now, gap.tail)

    def landed(self, flight: Flight) -> None:
        """A flight has landed and was not parsed yet."""
        if flight.failure is None and not flight.cancelled and self._course.children(flight.request):
            self._unsettled[flight.request] = flight

    def settle(self, row: int) -> None:
        """A row is due: what it waited for is parsed now."""
        for parent in self._course.parents(row):
            flight = self._unsettled.get(parent)
            if flight is not None:
                self._parse(flight)
                self.settled(flight)

    def settled(self, flight: Flight) -> None:
        """A flight was parsed: what it says is gone on with, or nothing."""
        if self._unsettled.pop(flight.request, None) is None:
            return
        reply = flight.reply
        if flight.failure or reply.failure:
            self._failed(flight)
        elif self._talk is not None:
            said = self._said.get(self._course.session_of(flight.request))
            if said is not None and flight.request in said:
                text = "".join(reply.content)
                self.wordless += not text
                before, users = said[flight.request]
                said[flight.request] = self._talk.then(before, self._talk.reply(text)), users

    def over(self, session: int) -> None:
        """A session is over: what was said in it is not needed any more."""
        self._said.pop(session, None)
