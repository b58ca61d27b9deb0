"""One request in the air."""

from __future__ import annotations

from loadcell.core import make_tape
from loadcell.kinds import KIND_OUTPUT
from loadcell.load.wire import Connection
from loadcell.protocol import Dialect, reply_to
from loadcell.recording.schema import MISSING

SLICE_READS = 64
"""Reads parsed at a time (about 0.2 ms), so that a send or a read is never kept waiting for long."""


class Flight:
    """A request from its send to its record. Times are monotonic; MISSING until known."""

    __slots__ = (
        "air_reads",
        "asked_tokens",
        "begun_ns",
        "body",
        "bytes_sent",
        "cancelled",
        "connection",
        "counted",
        "end_ns",
        "failure",
        "first_sought",
        "first_told",
        "fresh",
        "gave_up",
        "heard_ns",
        "input_tokens",
        "kind",
        "leave_tokens",
        "output_events",
        "output_tokens",
        "planned_ns",
        "reads_slowly",
        "ready_ns",
        "reply",
        "request",
        "send_end_ns",
        "send_start_ns",
        "sought",
        "sought_ns",
        "tape",
    )  # fmt: skip

    def __init__(
        self,
        dialect: Dialect,
        request: int,
        planned_ns: int,
        ready_ns: int,
        input_tokens: int,
        asked_tokens: int,
        wanted: tuple[int, int] | None = None,
        kind: int = 0,
    ) -> None:
        self.request = request
        self.kind = kind
        """Number of its class."""
        self.planned_ns = planned_ns
        self.ready_ns = ready_ns
        self.input_tokens = input_tokens
        self.asked_tokens = asked_tokens
        self.connection: Connection | None = None
        self.fresh = False
        self.send_start_ns = MISSING
        self.send_end_ns = MISSING
        self.begun_ns = MISSING
        """When the kernel had taken a first part of it, where it did not take all at once."""
        self.end_ns = MISSING
        self.bytes_sent = 0
        self.body: bytes | None = None
        """What was sent, where text is recorded and it is not what was made ahead."""
        self.failure: tuple[str, str] | None = None
        self.cancelled = False
        self.gave_up: str | None = None
        """Why its user gave it up, as planned: time, tokens or patience."""
        self.leave_tokens: int | None = None
        """Output tokens after which its user is going to."""
        self.output_events = 0
        """Events of its reply whose tokens `count_output` has counted, and"""
        self.output_tokens = 0
        """these."""
        self.reads_slowly = False
        """Whether its client reads at a pace of its own."""
        self.counted = True
        """False for a request beyond the end of the load."""
        self.air_reads = 0
        """Its reads so far, as those who look on were told."""
        self.heard_ns = 0
        """When they had become more."""
        self.first_sought = False
        """Whether its reads wait to be parsed for its first output."""
        self.first_told = False
        """Whether its first output was counted for those who look on."""
        self.sought = False
        """Whether its reads wait to be parsed while it is in the air."""
        self.sought_ns = 0
        """Since when they did, the last time."""
        self.tape = make_tape()
        """What came, and when."""
        self.reply = reply_to(dialect, wanted)

    @property
    def watched(self) -> bool:
        """Whether each read of its reply is to be looked at as it comes."""
        return self.leave_tokens is not None or self.reads_slowly

    def count_output(self) -> int:
        """Output tokens of its reply so far, as its events tell, else one each; an event is looked at once."""
        reply = self.reply
        for place in range(self.output_events, len(reply.kinds)):
            if reply.kinds[place] & KIND_OUTPUT:
                tokens = reply.tokens[place]
                self.output_tokens += 1 if tokens is None else tokens
        self.output_events = len(reply.kinds)
        return self.output_tokens

    def parse(self, most: int = SLICE_READS) -> bool:
        """Parse about so many of the stored reads; True when none is left."""
        self.reply.take(self.tape, most)
        return not self.tape.stored

    def parse_all(self) -> None:
        """Parse every stored read."""
        while self.tape.stored:
            self.reply.take(self.tape, self.tape.stored)

    def close(self) -> None:
        """No more comes: the reply is judged by what did."""
        self.reply.close(max(self.tape.reads - 1, 0))

    def give_up(self) -> None:
        """No more is waited for, though its server leaves it open."""
        self.reply.give_up(max(self.tape.reads - 1, 0))

    def weight(self) -> int:
        """Bytes of memory that its reply takes, about."""
        return self.reply.weight() + self.tape.weight()

    def forget(self) -> None:
        """Let go of the reads that are not parsed: nobody will look at them."""
        self.reply.bytes += self.tape.drop()
