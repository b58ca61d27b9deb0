"""The Schedule: every request of a run, made before the first byte is sent.

It follows from the spec alone: neither the number of workers nor anything of the machine has a part in it. (NumPy
promises the same draws within one of its versions; should a new one draw otherwise, the hash says so.)
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.spec import Load, parse_arrivals
from loadcell.workload.arrivals import MAX_REQUESTS, planned_ns

Loop = Literal["open", "closed"]

FASTEST_S = 0.005
FASTEST_TOKEN_S = 0.001
"""No server ends a request sooner than in 5 ms and 1 ms a token: bounds what a closed loop can send in a time."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """Columns with one row a request."""

    loop: Loop
    planned_ns: NDArray[np.int64] | None
    """When each is to be sent, since the start of the load; None in a closed loop."""
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    planned: int | None
    """How many the run means to send; None where a time ends a closed loop."""
    hash: str
    """SHA-256 in hex of all that is to be sent and when; equal for equal runs."""

    def __len__(self) -> int:
        return len(self.input_tokens)


@dataclass(frozen=True, eq=False)
class Slots:
    """Places for requests, before it is known what they ask."""

    loop: Loop
    planned_ns: NDArray[np.int64] | None
    rows: int
    planned: int | None
    notes: list[str]


def lay_out(load: Load, *, seed: int, mean_output_tokens: float) -> Slots:
    """The slots of a load whose concurrency or rate, and whose end, are known.

    A closed loop that a duration alone ends gets more rows than any server can use: concurrency * duration /
    (5 ms + 1 ms a mean output token), plus one a user. UsageError if the load has no end, or no arrival before it.
    """
    if load.rate is None:
        return _closed(load, mean_output_tokens)
    planned = planned_ns(
        parse_arrivals(load.arrivals),
        load.rate,
        seed=seed,
        requests=load.requests,
        duration_s=load.duration_s,
        ramp_s=load.ramp_s or 0.0,
    )
    if not len(planned):
        raise UsageError(
            f"no request arrives within {load.duration_s:g} s at {load.rate:g} requests/s: raise one of them"
        )
    return Slots("open", planned, len(planned), len(planned), [])


def _closed(load: Load, mean_output_tokens: float) -> Slots:
    if load.concurrency is None:
        raise UsageError("the load has neither a concurrency nor a rate: give one of them")
    if load.requests is not None:
        if load.requests > MAX_REQUESTS:
            raise UsageError(f"{load.requests:,} requests are more than the {MAX_REQUESTS:,} that one run may plan")
        return Slots("closed", None, load.requests, load.requests if load.duration_s is None else None, [])
    if load.duration_s is None:
        raise UsageError("the run has no end: give a number of requests or a duration")
    fastest_s = FASTEST_S + FASTEST_TOKEN_S * mean_output_tokens
    rows = math.ceil(load.concurrency * load.duration_s / fastest_s) + load.concurrency + (load.min_requests or 0)
    if load.lockstep:  # whole rounds
        rows = math.ceil(rows / load.concurrency) * load.concurrency
    if rows <= MAX_REQUESTS:
        return Slots("closed", None, rows, None, [])
    return Slots(
        "closed", None, MAX_REQUESTS, None, [f"the run ends after {MAX_REQUESTS:,} requests, should it get there"]
    )


def schedule_of(
    slots: Slots,
    input_tokens: NDArray[np.int32],
    output_tokens: NDArray[np.int32],
    prompts_digest: bytes,
    lines: NDArray[np.int64] | None = None,
) -> Schedule:
    """The Schedule of filled slots; `prompts_digest` stands for the texts of the prompts in its hash.

    `lines` says which of them each request sends, where that is not their own order.
    """
    digest = hashlib.sha256(f"loadcell schedule 1 {slots.loop} {slots.rows}\n".encode())
    columns = ((slots.planned_ns, "<i8"), (input_tokens, "<i4"), (output_tokens, "<i4"), (lines, "<i8"))
    for values, form in columns:
        if values is not None:
            digest.update(np.ascontiguousarray(values, form).data)
    digest.update(prompts_digest)
    return Schedule(slots.loop, slots.planned_ns, input_tokens, output_tokens, slots.planned, digest.hexdigest())
