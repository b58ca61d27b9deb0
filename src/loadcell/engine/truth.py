"""What the engine itself saw of every request: the truth that a client's figures are held against."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from itertools import islice

import msgspec

MAX_REQUESTS = 200_000
MAX_STAMPS = 32_000_000
"""256 MB of stamps."""


class Truth(msgspec.Struct, kw_only=True, gc=False):
    """One finished request. All times in ns on CLOCK_MONOTONIC."""

    id: str | None
    """Value of the request's X-Request-Id header."""
    seq: int
    """Number of the request, from 0, in the order in which requests were understood."""
    arrival_ns: int
    """Kernel receive time of the read that completed the request (user time where the kernel gives none)."""
    admitted_ns: int | None
    """When it got its slot; None if it never did."""
    tokens_ns: array[int]
    """A stamp for each token, just before the send of its event; equal within an event. A token that waits for a slow
    reader is stamped when it is offered. In a response that is not streamed: when the token was made."""
    end_ns: int
    """Just before the send that ended the response, or when it was given up."""
    prompt_tokens: int
    completion_tokens: int
    """Tokens made: len(tokens_ns)."""
    cached_tokens: int = 0
    """Prompt tokens that its prefix cache had."""
    pooled: bool = False
    """Whether it asked for results of inputs: then no token is made, and all of its reply is sent at its end."""
    said: tuple[int, ...] = ()
    """CRC-32 of each message of a chat, in their order."""
    session: str | None = None
    """Value of the request's X-Session-Id header."""
    peer: int | None = None
    """Port of the client's end of its connection; None without one."""
    gone_ns: int | None = None
    """When its client was seen to have closed the connection before the end; None if it did not. A deaf engine goes on,
    and its tokens after that were made for nobody."""
    outcome: str
    """ok, error, rejected, cut, short or disconnected."""


class TruthLog:
    """The last requests, at most MAX_REQUESTS of them and MAX_STAMPS stamps."""

    def __init__(self) -> None:
        self._records: deque[Truth] = deque()
        self._stamps = 0

    def add(self, record: Truth) -> None:
        records = self._records
        records.append(record)
        self._stamps += len(record.tokens_ns)
        while len(records) > MAX_REQUESTS or (self._stamps > MAX_STAMPS and len(records) > 1):
            self._stamps -= len(records.popleft().tokens_ns)

    def clear(self) -> None:
        self._records.clear()
        self._stamps = 0

    def ndjson(self, per_piece: int = 64) -> Iterator[bytes]:
        """The requests that have ended by now, one JSON line each, in pieces of `per_piece` lines."""
        encode = msgspec.json.Encoder(enc_hook=list).encode
        records = iter(list(self._records))
        while piece := list(islice(records, per_piece)):
            yield b"".join(encode(record) + b"\n" for record in piece)
