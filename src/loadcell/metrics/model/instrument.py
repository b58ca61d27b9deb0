"""What the instrument says of itself."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from loadcell.metrics.model.estimates import Spread
from loadcell.metrics.model.outcome import Arrivals, TokenClosure

Doc = msgspec.Meta
Word = Literal["VALID", "SUSPECT", "INVALID"]
CheckWord = Literal["VALID", "SUSPECT", "INVALID", "NOTED"]


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """How the requests of the window travelled."""

    new: Annotated[int, Doc(description="requests on a connection of their own opening")]
    reused: int
    tcp: Annotated[Spread, Doc(description="TCP connect")]
    tls: Annotated[Spread, Doc(description="TLS handshake")]
    resets: Annotated[int, Doc(description="requests whose connection was lost or cut")]
    failed: Annotated[int | None, Doc(description="connections that could not be opened, whole run")]
    no_ports: Annotated[int | None, Doc(description="of these: no local port was left")]
    no_descriptors: Annotated[int | None, Doc(description="of these: no file descriptor was left")]
    min_rtt_ms: Annotated[
        float | None,
        Doc(description="least round trip by the kernel, else of the TCP handshake; median of connections"),
    ]
    closed_by_server: Annotated[
        int | None, Doc(description="connections that the server ended, whole run; null in older recordings")
    ] = None
    closed_after_failure: Annotated[
        int | None, Doc(description="connections that were closed for their request had failed, whole run")
    ] = None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine did to the instrument."""

    steal_share: Annotated[float | None, Doc(description="CPU time that the hypervisor took")]
    server: Annotated[
        str | None, Doc(description="elsewhere, other cores, same cores, or this machine (cores unknown)")
    ]
    declared: Annotated[bool, Doc(description="the spec says that the server shares this machine")]
    taken_share: Annotated[
        float | None, Doc(description="the most that the load can have taken of the time of a server on this machine")
    ] = None
    taken_by: Annotated[str | None, Doc(description="what bounds it, in words")] = None
    throttled_share: Annotated[
        float | None, Doc(description="periods in which the container's quota of CPU time was used up")
    ] = None
    throttled_s: Annotated[float | None, Doc(description="time for which its processes were put aside for that")] = None


class Feeding(msgspec.Struct, frozen=True, kw_only=True):
    """The requests that were made while the load ran, by a process of the lowest priority."""

    made: Annotated[int, Doc(description="requests that it made")]
    bytes: int
    cpu_s: float
    late: Annotated[int | None, Doc(description="requests of the whole run that were not made when they were due")]
    wait_s: Annotated[float | None, Doc(description="time in which a send waited for its request to be made")]


class Bias(msgspec.Struct, frozen=True, kw_only=True):
    """Reported less true, as a share of the truth."""

    p50: float | None
    p99: float | None
    p50_ms: float | None
    p99_ms: float | None


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The entry of this machine's self-test that is nearest to the load of this run."""

    measured_at: str
    streams: int
    tokens_per_s: float
    workers: int
    bias: Annotated[dict[str, Bias], Doc(description="by metric: ttft, itl, e2e")]
    cpu_us_per_token: float | None
    limits_tokens_per_s: Annotated[
        dict[str, float | None], Doc(description="highest load measured within 1 %, 2 %, 5 %; null: none")
    ]
    ratio: Annotated[float | None, Doc(description="this run's tokens/s over the entry's")]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit against its limits."""

    name: str
    word: Annotated[
        CheckWord | None,
        Doc(
            description="null: could not be judged; NOTED: a symptom beyond what is usual, which judges nothing but "
            "explains a figure whose budget is too wide"
        ),
    ]
    value: float | None
    unit: str
    limit: Annotated[float | None, Doc(description="VALID up to here (or down to here, for shares to be reached)")]
    invalid_beyond: float | None
    says: Annotated[str, Doc(description="the finding in words")]
    advice: Annotated[str | None, Doc(description="what to do next")] = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The worst of the checks."""

    word: Word
    reasons: Annotated[list[str], Doc(description="what is not VALID, worst first, with figure, limit and advice")]
    checks: list[Check]


class WorkerAudit(msgspec.Struct, frozen=True, kw_only=True):
    """What one load process says of itself; null where it does not say."""

    worker: int | None
    issued: int | None
    died: str | None
    cpu_s: float | None
    reads: int | None
    reads_without_stamp: int | None
    gc_pauses: int | None
    gc_pause_max_ms: float | None
    longest_turn_ms: Annotated[float | None, Doc(description="longest time between two looks at the sockets")]
    clock_steps: int | None
    connections_opened: int | None
    busy_share: Annotated[float | None, Doc(description="of the window spent reading and sending, parsing left out")]
    core_wait_share: Annotated[float | None, Doc(description="of the load spent ready to run but without a core")]
    switches_per_s: Annotated[float | None, Doc(description="involuntary context switches a second")]
    longest_stall_ms: Annotated[
        float | None, Doc(description="longest time in the window in which it did not look at its sockets")
    ]
    mixed_reads: Annotated[
        int | None, Doc(description="HTTP/2: reads that brought bytes of several requests; null in older recordings")
    ] = None


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """The instrument's own error."""

    clock: str
    read_lag: Spread
    send_lateness: Spread
    events: Annotated[int, Doc(description="events with output, of the window's requests")]
    merged_share: Annotated[float | None, Doc(description="events that came in the same read as the one before")]
    merged_by_client_share: Annotated[float | None, Doc(description="those read more than 1 ms late")]
    backward_stamps: Annotated[int, Doc(description="events stamped before the one they follow: gap taken as 0")]
    reads: int | None
    reads_without_stamp: int | None
    cpu_us_per_token: float | None
    on_time_share: Annotated[
        float | None, Doc(description="requests sent within 1 ms, or 1 % of the median TTFT, of their time")
    ]
    longest_stall_ms: Annotated[float | None, Doc(description="the worst worker's longest stall in the window")]
    arrivals: Arrivals
    connections: Connections
    tokens: TokenClosure
    host: Host
    workers: list[WorkerAudit]
    feeding: Annotated[
        Feeding | None, Doc(description="null where every request was made before the load, as in older recordings")
    ] = None
