"""The Detail of a run: its distributions and its course, small enough to draw, with their extremes kept.

Latencies in milliseconds, times in seconds since the start of the load. What could not be measured is null, never 0.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Doc = msgspec.Meta
POINTS = 400
"""Points of an ECDF, at most."""
BINS = 240
"""Steps of a timeline, at most."""
DOTS = 2_000
"""Requests that are drawn one by one, at most."""


class Ecdf(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of one latency over the ok requests (ITL: gaps) of the window, as the Result counts them."""

    n: Annotated[int, Doc(description="samples")]
    x_ms: Annotated[list[float], Doc(description="ascending; the smallest and the largest sample are among them")]
    share: Annotated[list[float], Doc(description="share of the samples at or below each")]
    exact: Annotated[bool, Doc(description="true: every sample is a point; false: thinned, or binned")] = True


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """One latency over time, step by step; null in a step without a sample."""

    n: list[int]
    min_ms: list[float | None]
    p50_ms: list[float | None]
    p99_ms: Annotated[list[float | None], Doc(description="null below 100 samples in the step")]
    max_ms: list[float | None]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run, warm-up and drain included, in equal steps; lists have one entry a step."""

    step_s: float
    t_s: Annotated[list[float], Doc(description="start of each step")]
    latency: Annotated[
        dict[str, Course],
        Doc(description="ttft_ms and e2e_ms (by anchor time, ok requests), itl_ms (by the time of the later event)"),
    ]
    output_tokens_per_s: list[float | None]
    arrivals_per_s: Annotated[list[float], Doc(description="requests sent")]
    ok_per_s: Annotated[list[float], Doc(description="ok requests by their end")]
    failed: Annotated[list[int], Doc(description="failures by their end")]
    in_flight: Annotated[list[float | None], Doc(description="time-weighted mean of requests in flight")]


class Dots(msgspec.Struct, frozen=True, kw_only=True):
    """Requests one by one: all, or a sample of them with the extremes of every latency and every failure kept."""

    of: Annotated[int, Doc(description="requests that it was taken from")]
    request: Annotated[list[int], Doc(description="position in the schedule")]
    t_s: Annotated[list[float], Doc(description="anchor: planned (open loop) or sent")]
    status: Annotated[list[str], Doc(description="ok, failed, cancelled or abandoned")]
    inside: Annotated[list[bool], Doc(description="counts in the window")]
    extreme: Annotated[
        list[bool],
        Doc(description="kept because it is an extreme or failed, not drawn by lot; false where all are kept"),
    ]
    input_tokens: list[int | None]
    output_tokens: list[int | None]
    ttft_ms: list[float | None]
    tpot_ms: list[float | None]
    e2e_ms: list[float | None]


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """The gaps between tokens (ITL) while about so many requests were in flight."""

    concurrency: Annotated[float, Doc(description="mean in flight while these gaps ended")]
    low: Annotated[float, Doc(description="fewest in flight of this level")]
    high: float
    n: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: Annotated[float | None, Doc(description="null below 100 gaps")]


class Stall(msgspec.Struct, frozen=True, kw_only=True):
    """One long gap between two tokens of a request."""

    request: int
    at_s: Annotated[float, Doc(description="when it ended")]
    gap_ms: float
    event: Annotated[int, Doc(description="number of the event that ended it, from 1: gaps before it are event - 1")]
    others: Annotated[
        int | None, Doc(description="other stalls that ended within 10 ms of it; null: too many stalls to compare")
    ]
    by_client: Annotated[bool, Doc(description="the client itself read more than 1 ms late: not the server's")]


class Stalls(msgspec.Struct, frozen=True, kw_only=True):
    """Gaps far above the usual, of ok requests of the window."""

    threshold_ms: Annotated[float, Doc(description="a gap from here on is a stall: 10 x the median, at least 100 ms")]
    gaps: int
    stalls: int
    requests: Annotated[int, Doc(description="requests with at least one")]
    of: Annotated[int, Doc(description="ok requests of the window with gaps")]
    share_of_time: Annotated[float | None, Doc(description="of the time between first and last token")]
    worst: Annotated[list[Stall], Doc(description="longest first, at most 20")]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the mean E2E of the ok requests of the window; the parts add up to it."""

    name: Annotated[
        str,
        Doc(
            description="send (planned to sent, open loop), connect (new connections), queue and prefill (as the "
            "server tells), first (rest of TTFT, or all of it), stalls (gaps that are stalls), stream (the rest: the "
            "flow of tokens), reply (send to end of replies that were not streamed); those that are nothing are absent"
        ),
    ]
    mean_ms: float
    share: float


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures of a Result leave out: a pure function of the recording and the window of its Result."""

    ecdf: Annotated[dict[str, Ecdf], Doc(description="ttft_ms, itl_ms, tpot_ms, e2e_ms; by the anchor of the SLO")]
    anchor: Annotated[str, Doc(description="response (open loop) or service (closed loop): of ttft_ms and e2e_ms")]
    timeline: Timeline | None
    dots: Dots | None
    levels: Annotated[list[Level], Doc(description="by rising concurrency, at most 12; empty if there is only one")]
    stalls: Annotated[Stalls | None, Doc(description="null without gaps")]
    parts: list[Part]
    missing: Annotated[list[str], Doc(description="what could not be made and why, in words")]
    thinned: Annotated[list[str], Doc(description="what was thinned or binned for drawing, in words")]
