"""What the child is told, what it tells, and what is kept beside LoadGen's logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.apis import Api
from loadcell.load.target import Address, Target
from loadcell.mlperf.model import RunPlan
from loadcell.spec import Spec

Doc = msgspec.Meta


@dataclass(frozen=True, kw_only=True)
class Drive:
    """What a run of LoadGen is to do, as the parent knows it."""

    plan: RunPlan
    spec: Spec
    accuracy: bool
    settings: dict[str, Any]
    """LoadGen's TestSettings by attribute; scenario and mode by name."""
    loadgen: str
    """Version of the package."""
    started_at: str

    @property
    def cap(self) -> int | None:
        """Most requests in flight; None for no limit."""
        return self.spec.load.concurrency if self.plan.rules.scenario == "offline" else None

    @property
    def tells_first(self) -> bool:
        """Whether LoadGen wants to be told of first tokens."""
        return self.plan.rules.token_latencies and self.plan.rules.scenario != "offline"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the child is to do; it comes through its standard input, secrets included."""

    settings: dict[str, Any]
    """LoadGen's TestSettings by attribute; scenario and mode by name."""
    samples: int
    logs: str
    """Folder of LoadGen's logs."""
    target: Target
    addresses: list[Address]
    api: Api
    stream: bool
    reuse: bool
    """Whether a connection may carry more than one request."""
    cap: int | None
    """Most requests in flight; None for no limit."""
    pool: int
    """Connections to open before LoadGen starts."""
    timeout_s: float
    connect_timeout_s: float
    tell_first: bool
    """Whether LoadGen wants to be told of first tokens."""
    keep: bool
    """Accuracy mode: whether LoadGen is given the replies."""
    tokenizer: str
    run_id: str
    bodies_fd: int
    """File of the request bodies, one a sample, then where each starts and where the last stops (int64)."""
    rows_fd: int
    """File that takes the rows, see ROW."""
    messages_fd: int
    """Pipe that takes the messages, a JSON line each."""


ROW = (
    "query", "sample", "issued_ns", "sent_ns", "first_ns", "told_first_ns", "end_ns", "told_end_ns", "tokens", "ok",
)  # fmt: skip
"""Columns of the rows, int64 each, a row a sample in issue order; times are monotonic, MISSING where there is none."""


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the child tells: how far it is; at the end, that it is done or why it cannot be."""

    issued: int = 0
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    started: bool = False
    ended: Ended | None = None
    error: str | None = None
    """The endpoint cannot be measured."""
    gave_up: str | None = None
    """Why the run was cut off."""


class Ended(msgspec.Struct, kw_only=True):
    """What the rows do not say."""

    failures: dict[str, int]
    errors: dict[str, str]
    """By kind of failure, the words of the first."""
    token_sources: dict[str, int]
    id_sources: dict[str, int]


@dataclass
class Heard:
    """What the parent has heard of the child."""

    state: str = "running"
    why: str | None = None
    error: str | None = None
    last: Message | None = None
    """The last that told how far it is."""
    rows: NDArray[np.int64] | None = None
    """See ROW; None where the child did not come to its end."""
    ended: Ended = field(default_factory=lambda: Ended(failures={}, errors={}, token_sources={}, id_sources={}))

    def take(self, message: Message) -> None:
        """The child said something."""
        if message.error is not None:
            self.error = message.error
        elif message.gave_up is not None:
            self.state, self.why = "gave-up", message.gave_up
        elif not message.started:
            self.last = message
        if message.ended is not None:
            self.state, self.ended = "complete", message.ended
