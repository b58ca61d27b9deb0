"""What a worker is told: everything it needs, through its standard input, secrets included."""

from __future__ import annotations

import msgspec

from loadcell.apis import Api
from loadcell.load.target import Address, Target
from loadcell.spec import Slo


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker has of a run: the requests w, w + W, w + 2W, ... of the schedule (or the sessions of these
    numbers), whatever they are sent to."""

    worker: int
    workers: int
    outcomes_fd: int
    """File of one byte a request: its `steer.Outcome`."""
    rows: int
    requests: int | None
    """Requests of the whole run, if their number ends it."""
    users: int | None
    """Closed loop: users of this worker; None in an open loop."""
    cap: int | None
    """Open loop: most requests of this worker in flight; None for no limit."""
    starts_ns: list[int]
    """Closed loop: when each user sends its first request, after t0."""
    end_ns: int | None
    """When sending stops, after t0."""
    keep: bool
    """Whether requests that are not counted are sent from then on, until the last counted reply has ended."""
    least: int
    """Closed loop: requests of the whole run that are sent even after `end_ns`."""
    lockstep: bool
    """Closed loop: users wait until all have their replies, then send together."""
    e2e_ns: int
    """What a request is likely to take, by the probe; 0 where it does not tell."""
    timeout_s: float
    slos: list[Slo]
    """Of each class."""
    keep_text: bool
    sessions: bool = False
    """Whether requests wait for others (`waits.parquet`): then session s belongs to worker s % W, whole."""
    pauses: bool = False
    """Whether users pause before each request (`delay_ns`), where each is alone."""


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint of a run, and how a load process reaches it."""

    target: Target
    addresses: list[Address]
    """Of the host to dial: connections go to each in turn."""
    connect_timeout_s: float
    reuse: bool
    """Whether a connection may carry more than one request."""
    left_open: bool
    """Whether the server leaves a stream open after its end mark, which ends it then."""
    pool: int
    """Connections to open before the clock starts."""


class Job(Slice, frozen=True, kw_only=True):
    """A slice of a run on a server, and how a load process sends it."""

    folder: str
    run_id: str
    lanes: list[Lane]
    heads: list[tuple[int, bytes, Target | None]]
    """Of each class the number of its lane, the head of its requests but for their lengths, and what signs them."""
    api: Api
    live_fd: int
    places_fd: int
    segments: list[int]
    """Files of the request bodies; `places_fd` tells where that of each row lies (`spool`)."""
    memory_bytes: int
    """What all replies of this worker may take together."""
    gaps: bool = False
    """Whether bodies have a gap for what the server said (`splice`)."""
    messages: bool = True
    """Whether that is messages, else one text."""
    sticky: str = "none"
    """What holds a session to a server: none, connection or header:NAME."""
    tokenizer: str
    secrets: list[str]
    cpu: int | None
    """Core to stay on."""
    behaves: bool = False
    """Whether users do more than wait: then the schedule has columns of it."""
