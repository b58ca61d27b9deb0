"""The Result: the metrics of one recording, with a published JSON schema.

Latencies leave in milliseconds, spans in seconds. What could not be measured is null, never 0.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Doc = msgspec.Meta
FORMAT = 1
"""Version of the Result's JSON."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One percentile with its 95 % interval."""

    value: Annotated[float | None, Doc(description="null if it cannot be estimated: see `needs`")] = None
    low: Annotated[float | None, Doc(description="lower end of the interval; null if the samples give none")] = None
    high: Annotated[float | None, Doc(description="upper end of the interval; null if the samples give none")] = None
    needs: Annotated[int | None, Doc(description="samples needed, where there are fewer")] = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution: percentiles are nearest-rank order statistics."""

    n: Annotated[int, Doc(description="samples")]
    mean: float | None
    p50: Estimate
    p90: Estimate
    p95: Estimate
    p99: Estimate
    p99_9: Annotated[Estimate, Doc(description="the 99.9th percentile")]
    max: float | None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One latency metric from both anchors; a metric without an anchor (ITL, TPOT) stands under `service`."""

    title: str
    unit: str
    service: Annotated[Summary, Doc(description="from the actual send")]
    response: Annotated[Summary | None, Doc(description="from the planned time; null in a closed loop")] = None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of the instrument's own delays."""

    n: int
    min_ms: float | None
    p50_ms: float | None
    p99_ms: Annotated[float | None, Doc(description="null below 299 samples")]
    max_ms: float | None


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A proportion with its 95 % Wilson interval."""

    value: float | None
    low: float | None
    high: float | None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Which run this is and how it ended."""

    id: str
    started_at: str
    state: Annotated[str, Doc(description="complete, interrupted, broken, or running (it never said that it ended)")]
    duration_s: Annotated[float | None, Doc(description="from the start of the load to its end")]
    loadcell: Annotated[str, Doc(description="version that recorded the run")]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the run that counts."""

    start_s: float
    end_s: float
    reason: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the planned requests: planned = ok + failed + cancelled + unsent."""

    planned: int
    ok: int
    failed: int
    cancelled: int
    unsent: int


class CountsOf(msgspec.Struct, frozen=True, kw_only=True):
    """The accounting of the whole run and of the window."""

    run: Counts
    window: Counts


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """Rates inside the window; null where the window has no length."""

    requests_per_s: float | None
    output_tokens_per_s: float | None
    input_tokens_per_s: float | None
    chunks_per_token: Annotated[float | None, Doc(description="events with output over output tokens, ok requests")]
    user_tokens_per_s: Annotated[
        dict[str, Estimate], Doc(description="1 / TPOT; percentiles from the slow end: p99 is what 99 % reach")
    ]


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of the SLO."""

    limit_ms: float
    met: Annotated[int | None, Doc(description="requests that kept to it; null if it cannot be judged")]
    attainment: Share
    note: str | None = None


class Goodput(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that kept to every limit, over all planned requests of the window."""

    anchor: Annotated[str, Doc(description="response (open loop) or service (closed loop)")]
    planned: int
    good: int | None
    goodput_per_s: float | None
    attainment: Share
    limits: dict[str, Limit]


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """Requests in flight."""

    asked: int | None
    mean: Annotated[float | None, Doc(description="time-weighted, between ramp and drain")]
    mean_from_s: float | None
    mean_to_s: float | None
    max: int
    series_step_s: float | None
    series: Annotated[list[float], Doc(description="time-weighted mean of each step, from 0")]


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
    workers: list[WorkerAudit]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of failure, over the whole run."""

    kind: str
    count: int
    sample: str | None
    advice: str | None


class Methodology(msgspec.Struct, frozen=True, kw_only=True):
    """How the figures came to be."""

    spec: Annotated[dict[str, Any], Doc(description="everything asked for, secrets removed")]
    effective: Annotated[dict[str, Any], Doc(description="settings after defaults and negotiation")]
    loop: str
    seed: int
    workers: int
    schedule_hash: str
    tokenizer: str
    clock: str
    window: Window
    token_source: Annotated[dict[str, int], Doc(description="ok requests by the source of their output count")]
    prompt_token_source: Annotated[dict[str, int], Doc(description="requests by the source of their input count")]
    percentile: str
    interval: str
    environment: dict[str, Any]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics of one recording: a pure function of it."""

    format: int = FORMAT
    loadcell: Annotated[str, Doc(description="version that computed the result")]
    run: Run
    invalid: Annotated[list[str], Doc(description="reasons why no figure may be trusted")]
    notes: Annotated[list[str], Doc(description="what a reader must know")]
    counts: CountsOf
    latency: Annotated[dict[str, Latency], Doc(description="by metric, in milliseconds")]
    throughput: Throughput
    goodput: Annotated[Goodput | None, Doc(description="null without an SLO")]
    concurrency: Concurrency
    instrument: Instrument
    errors: list[Failure]
    methodology: Methodology


def result_schema() -> dict[str, Any]:
    """JSON Schema of the Result."""
    schema = msgspec.json.schema(Result)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Loadcell result", **schema}
