"""The Schedule: every request of a run, made before the first byte is sent.

It follows from the spec alone: neither the number of workers nor anything of the machine has a part in it. (NumPy
promises the same draws within one of its versions; should a new one draw otherwise, the hash says so.)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.media import STEPS_A_SECOND
from loadcell.phrases import phrase
from loadcell.spec import LEAST_DURATION_S, RAMP_SHARE, Load, parse_arrivals, parse_series
from loadcell.workload.arrivals import MAX_REQUESTS, planned_ns
from loadcell.workload.behaving import Behaved
from loadcell.workload.sessions import Sessions, counts_within

Loop = Literal["open", "closed"]

_SELF_ENDED_S = LEAST_DURATION_S + 5.0
"""Time for which the rows of a closed loop that ends by itself suffice on the fastest server, a short ramp included."""

FASTEST_S = 0.005
FASTEST_TOKEN_S = 0.001
"""No server ends a request sooner than in 5 ms and 1 ms a token: bounds what a closed loop can send in a time."""
_FASTEST_WHOLE_S, _MOST_A_S = 0.001, 20_000
"""Nor one that generates nothing sooner than in 1 ms, or more than so many a second."""
_OFF_MEAN = 0.05
"""A plan whose mean rate chance moves further than this says so."""
MOST_TEXTS = 20_000_000
"""Synthetic inputs that a run may plan."""


class MediaColumns(NamedTuple):
    """What each request carries; None where none carries any."""

    images: NDArray[np.int32] | None
    pixels: NDArray[np.int64] | None
    """Of all its images."""
    audio_ms: NDArray[np.int64] | None

    @property
    def audio_s(self) -> NDArray[np.float64] | None:
        """Seconds of audio of each."""
        return None if self.audio_ms is None else self.audio_ms / STEPS_A_SECOND


NO_MEDIA = MediaColumns(None, None, None)


@dataclass(frozen=True, eq=False)
class Schedule:
    """Columns with one row a request."""

    loop: Loop
    planned_ns: NDArray[np.int64] | None
    """When each is to be sent, since the start of the load; None in a closed loop."""
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    planned: int | None
    """How many the run means to send and to count; None where a time ends a closed loop. Rows after them are there to
    keep the load on."""
    hash: str
    """SHA-256 in hex of times and lengths, and of which line of a file each request sends, whatever keeps the load on
    after them; not of the texts."""
    beyond: int = 0
    """Rows at its end that are there to keep the load on alone."""
    wanted: NDArray[np.int32] | None = None
    """Where the API generates nothing: the inputs of each request (0), and the results that its reply must hold (1)."""
    kinds: NDArray[np.int32] | None = None
    """The class of each request, as numbered in `Spec.dealt`; None where there is one."""
    media: MediaColumns = NO_MEDIA
    sessions: Sessions | None = None
    """Which requests belong together; None where each is alone. `planned_ns` is then of their first requests, and -1 of
    the others."""
    delay_ns: NDArray[np.int64] | None = None
    """How long after the last that it waits for has ended each is to be sent: think time, tools; None: at once."""
    shared_tokens: NDArray[np.int32] | None = None
    """Input tokens of each that a prefix cache without bounds would have by then, as planned; None: not planned."""
    behaved: Behaved | None = None
    """What their users do beside waiting; None where they wait."""

    def __len__(self) -> int:
        return len(self.input_tokens)

    @property
    def times_ns(self) -> NDArray[np.int64] | None:
        """`planned_ns` where every request has one; None in a closed loop, and where some wait for others."""
        return None if self.sessions is not None else self.planned_ns

    @property
    def starts_ns(self) -> NDArray[np.int64] | None:
        """In an open loop, of each request, in order, the time from which on it may be sent; None in a closed one."""
        times = self.planned_ns
        return times if times is None or self.sessions is None else np.maximum.accumulate(times)

    def rows_of(self, users: int) -> int:
        """Rows that so many users of a closed loop begin with: a request each, or a session."""
        return users if self.sessions is None else int(np.searchsorted(self.sessions.session, users))


@dataclass(frozen=True, eq=False)
class Slots:
    """Places for requests, before it is known what they ask."""

    loop: Loop
    planned_ns: NDArray[np.int64] | None
    rows: int
    planned: int | None
    notes: list[str]
    beyond: int = 0
    """The last of the rows, of an open loop, that only keep the load on."""


def lay_out(
    load: Load, *, seed: int, mean_output_tokens: float, mean_inputs: float | None = None, beyond_s: float = 0.0
) -> Slots:
    """The slots of a load whose concurrency or rate, and whose end, are known.

    A closed loop that a duration alone ends gets more rows than any server can use: concurrency * duration /
    (5 ms + 1 ms a mean output token; with `mean_inputs`, of an API that generates nothing, 1 ms), plus one a user. One
    that ends by itself gets them for the time that it takes where requests are so short: where they are longer it lasts
    longer, and uses fewer. An open loop gets the arrivals
    of `beyond_s` more: its first rows are the same with and without. UsageError if the load has no end, or no arrival
    before it.
    """
    if load.rate is None:
        return _closed(load, mean_output_tokens, mean_inputs)
    return _open(load, load.rate, seed, beyond_s)


def slots_of_sessions(
    load: Load,
    turns: Callable[[int], NDArray[np.int64]],
    *,
    seed: int,
    mean_output_tokens: float,
    beyond_s: float = 0.0,
) -> tuple[Slots, NDArray[np.int64]]:
    """The slots of a load of sessions, and the turns of each; `turns` draws those of the first n.

    Its `requests` are turns: the last session ends with them. Users of a closed loop run a session each, an open loop
    begins sessions at its rate: how many requests there are before a time follows from the server, and none is planned.
    UsageError as `lay_out`, and for more turns than a run may plan.
    """
    if load.rate is None:
        slots = lay_out(load, seed=seed, mean_output_tokens=mean_output_tokens)
        return slots, counts_within(turns(slots.rows), slots.rows)
    if load.requests is not None and load.requests > MAX_REQUESTS:
        raise UsageError(f"{load.requests:,} requests are more than the {MAX_REQUESTS:,} that one run may plan")
    counts = None if load.requests is None else counts_within(turns(load.requests), load.requests)
    begins = load if counts is None else msgspec.structs.replace(load, requests=len(counts))
    slots = lay_out(begins, seed=seed, mean_output_tokens=mean_output_tokens, beyond_s=beyond_s)
    counts = turns(slots.rows) if counts is None else counts[: slots.rows]
    rows = int(counts.sum())
    if rows > MAX_REQUESTS:
        raise UsageError(
            f"{len(counts):,} sessions are {rows:,} requests, more than the {MAX_REQUESTS:,} that one run may plan: "
            "give fewer --turns, a lower rate or a shorter run"
        )
    assert slots.planned_ns is not None
    times = np.full(rows, -1, np.int64)
    times[np.cumsum(counts) - counts] = slots.planned_ns
    planned = rows if load.requests is not None and load.duration_s is None else None
    beyond = int(counts[len(counts) - slots.beyond :].sum()) if slots.beyond else 0
    return Slots("open", times, rows, planned, slots.notes, beyond), counts


def _open(load: Load, rate: float, seed: int, beyond_s: float) -> Slots:
    whole_s = None if load.requests is not None and load.duration_s is None else load.duration_most_s or load.duration_s

    process = parse_arrivals(load.arrivals)

    def arriving(until_s: float | None) -> NDArray[np.int64]:
        return planned_ns(
            process,
            rate,
            seed=seed,
            requests=load.requests,
            duration_s=until_s,
            ramp_s=load.ramp_s or 0.0,
            series=None if load.rate_series is None else parse_series(load.rate_series),
            hold_s=math.inf if whole_s is None else whole_s,
        )

    times = arriving(whole_s)
    end_s = load.duration_s or whole_s
    planned = len(times) if end_s is None else int(np.searchsorted(times, round(end_s * 1e9)))
    notes = []
    if process.kind == "bursts" and end_s is not None and abs(planned / (rate * end_s) - 1) > _OFF_MEAN:
        notes.append(
            phrase(
                "{:,} requests are planned, {:.4g} a second: in so few bursts chance moves the mean away from the "
                "{:g} asked for",
                planned,
                planned / end_s,
                rate,
            )
        )
    if not planned:
        raise UsageError(f"no request arrives within {end_s:g} s at {rate:g} requests/s: raise one of them")
    counted = len(times)
    if whole_s is not None and load.requests is None:
        beyond_s = min(beyond_s, 0.9 * (MAX_REQUESTS - counted) / rate)  # what may be planned without it may be with it
        times = arriving(whole_s + beyond_s) if beyond_s > 0 else times
    return Slots("open", times, len(times), planned, notes, beyond=len(times) - counted)


def _closed(load: Load, mean_output_tokens: float, mean_inputs: float | None) -> Slots:
    if load.concurrency is None:
        raise UsageError("the load has neither a concurrency nor a rate: give one of them")
    if load.requests is not None:
        if load.requests > MAX_REQUESTS:
            raise UsageError(f"{load.requests:,} requests are more than the {MAX_REQUESTS:,} that one run may plan")
        return Slots("closed", None, load.requests, load.requests if load.duration_s is None else None, [])
    fastest_s, most = FASTEST_S + FASTEST_TOKEN_S * mean_output_tokens, MAX_REQUESTS
    if mean_inputs is not None:
        fastest_s = max(_FASTEST_WHOLE_S, load.concurrency / _MOST_A_S)
        most = min(most, int(MOST_TEXTS / (1 + mean_inputs)))
    if load.duration_most_s is not None:  # the same where its end is known by now: it is run again
        ramp_s = max(0.0, (load.ramp_s or 0.0) - RAMP_SHARE * load.duration_most_s)  # a ramp by default adds no rows
        length_s = min(load.duration_most_s, _SELF_ENDED_S + ramp_s + (load.warmup_s or 0.0))
    elif load.duration_s is not None:
        length_s = load.duration_s
    else:
        raise UsageError("the run has no end: give a number of requests or a duration")
    rows = math.ceil(load.concurrency * length_s / fastest_s) + load.concurrency + (load.min_requests or 0)
    if load.lockstep:  # whole rounds
        rows = math.ceil(rows / load.concurrency) * load.concurrency
    if rows <= most:
        return Slots("closed", None, rows, None, [])
    return Slots(
        "closed",
        None,
        most,
        None,
        [phrase("the run ends after {:,} requests, should it get there", most)],
    )


def schedule_of(
    slots: Slots,
    input_tokens: NDArray[np.int32],
    output_tokens: NDArray[np.int32],
    lines: NDArray[np.int64] | None = None,
    wanted: NDArray[np.int32] | None = None,
    kinds: NDArray[np.int32] | None = None,
    media: MediaColumns = NO_MEDIA,
    sessions: Sessions | None = None,
    delay_ns: NDArray[np.int64] | None = None,
    shared_tokens: NDArray[np.int32] | None = None,
    behaved: Behaved | None = None,
) -> Schedule:
    """The Schedule of filled slots; `lines` says which prompt of a file each request sends, where that is not their
    own order, `kinds` its class, where there are several."""
    rows = slots.rows - slots.beyond
    digest = hashlib.sha256(f"loadcell schedule 2 {slots.loop} {rows}\n".encode())
    lengths = (input_tokens, "<i4"), (output_tokens, "<i4")
    carried = ((one, "<i8") for one in media)
    columns = (
        (slots.planned_ns, "<i8"), *lengths, (lines, "<i8"), (wanted, "<i4"), (kinds, "<i4"), *carried,
        (delay_ns, "<i8"), (shared_tokens, "<i4"),
    )  # fmt: skip
    for values, form in columns:
        if values is not None:
            digest.update(np.ascontiguousarray(values[:rows], form).data)
    for name, column in ({} if behaved is None else behaved._asdict()).items():
        if column is not None:
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(column[:rows], column.dtype.newbyteorder("<")).data)
    if sessions is not None:
        waits = sessions.waits.take(np.arange(rows))
        for values in (sessions.session[:rows], waits.ends, waits.values):
            digest.update(np.ascontiguousarray(values, "<i8").data)
    return Schedule(
        slots.loop,
        slots.planned_ns,
        input_tokens,
        output_tokens,
        slots.planned,
        digest.hexdigest(),
        slots.beyond,
        None if wanted is None else np.ascontiguousarray(wanted.T),
        kinds,
        media,
        sessions,
        delay_ns,
        shared_tokens,
        behaved,
    )
