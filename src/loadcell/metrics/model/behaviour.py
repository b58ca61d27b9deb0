"""What users did beside waiting, as they were planned to, and what that means for the figures."""

from __future__ import annotations

from typing import Annotated

import msgspec

from loadcell.metrics.model.estimates import Estimate, Spread

Doc = msgspec.Meta


class Abandoned(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of the window that their users gave up."""

    by: Annotated[dict[str, int], Doc(description="how many: after a time, after tokens, for want of patience")]
    before_first: Annotated[int, Doc(description="of them: before any output had come")]
    output_tokens: Annotated[float | None, Doc(description="output tokens that they had received")]
    late: Annotated[
        Spread | None, Doc(description="how long after the planned time the client closed the connection")
    ] = None
    ttft_anchor: Annotated[str, Doc(description="response or service: what `ttft_ms` runs from")] = "service"
    ttft_ms: Annotated[
        dict[str, Estimate],
        Doc(
            description="TTFT that all users would have seen, those who gave up before it counted as at least their "
            "patience (Kaplan-Meier); empty where nobody gave up before it"
        ),
    ] = {}


class SlowReading(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of the window whose clients read slowly. Their times are in no latency of the result."""

    requests: int
    ok: int
    e2e_s: Annotated[float | None, Doc(description="median of their E2E, at the pace of their clients")] = None
    alone_e2e_s: Annotated[float | None, Doc(description="median of the E2E of the others")] = None
    tokens_per_s: Annotated[float | None, Doc(description="median of the output tokens a second that they read")] = None


class Noticed(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server went on with requests that were given up, by its own page."""

    looks: Annotated[int, Doc(description="at its page, at which some would still have run")]
    expected: Annotated[float, Doc(description="requests given up that would run at a look if it noticed none, mean")]
    excess: Annotated[float, Doc(description="requests that it had beyond those in flight at a look, mean")]
    share: Annotated[float, Doc(description="excess over expected: 0 if it stops at once, 1 if it never does")]
    low: float
    high: Annotated[float, Doc(description="ends of its 95 % interval, from the differences between looks")]


class Behaved(msgspec.Struct, frozen=True, kw_only=True):
    """What users did beside waiting."""

    abandoned: Abandoned | None = None
    slow: SlowReading | None = None
    noticed: Annotated[
        Noticed | None, Doc(description="null where nobody gave up, or the server's page tells too little")
    ] = None
