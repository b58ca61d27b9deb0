"""How a run went: its window, and how many requests came to what."""

from __future__ import annotations

from typing import Annotated

import msgspec

from loadcell.metrics.model.estimates import Estimate

Doc = msgspec.Meta


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Which run this is and how it ended."""

    id: str
    started_at: str
    state: Annotated[str, Doc(description="complete, interrupted, broken, or running (it never said that it ended)")]
    duration_s: Annotated[float | None, Doc(description="from the start of the load to its end")]
    loadcell: Annotated[str, Doc(description="version that recorded the run")]
    stopped: Annotated[StoppedEarly | None, Doc(description="null if it was not ended before its time")] = None
    sealed: Annotated[
        bool, Doc(description="whether the recording has checksums; false: that it is as written cannot be told")
    ] = False


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the run that counts."""

    start_s: float
    end_s: float
    reason: str


class ColdStart(msgspec.Struct, frozen=True, kw_only=True):
    """Few requests at the start of the run that were far slower than any later one, in the window or outside."""

    metric: Annotated[str, Doc(description="ttft_ms, or e2e_ms of replies that are not streamed; service time")]
    slow: Annotated[int, Doc(description="slow requests")]
    of_first: Annotated[int, Doc(description="they are among so many first ones")]
    least_ms: float
    most_ms: float
    later_most_ms: Annotated[float, Doc(description="most of all requests after these")]
    in_window: Annotated[int, Doc(description="of the slow ones: those that the figures hold")]


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the run settled, and where its warm-up and drain lie."""

    method: Annotated[str, Doc(description="asked, found (from the data), whole (too short to find one) or chosen")]
    warmup_s: Annotated[
        float | None,
        Doc(description="from the start of the load to the window; null: imported, without a common clock"),
    ]
    drain_s: Annotated[float | None, Doc(description="from the window to the last reply; null likewise")]
    stable: Annotated[
        bool | None, Doc(description="false: the queue grows, or users are missing; null: too little to tell")
    ]
    growth_per_s: Annotated[Estimate, Doc(description="requests in flight gained a second inside the window")]
    drained_share: Annotated[
        float | None,
        Doc(
            description="ok requests of the window that ended after the load did, beside fewer and fewer others; null "
            "where that is by design, or without any"
        ),
    ] = None
    loaded_e2e: Annotated[
        float | None,
        Doc(description="closed loop: how many median E2E the full load lasted after the ramp; null for a user alone"),
    ] = None
    littles_ratio: Annotated[
        float | None, Doc(description="mean in the system over requests/s x mean time in it: 1 by Little's law")
    ] = None
    in_step: Annotated[
        float | None,
        Doc(description="closed loop of one output length: how much users send together, 0 to 1; null: not so, or few"),
    ] = None
    cold_start: Annotated[ColdStart | None, Doc(description="null: no few requests were slow at first")] = None
    says: Annotated[str, Doc(description="the finding in words")]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a latency through the window, by the medians of its requests."""

    kind: Annotated[
        str | None, Doc(description="none, trend (from end to end) or step (at one time); null: too little to tell")
    ]
    at_s: Annotated[float | None, Doc(description="a step: when, since the start of the load")]
    before_ms: Annotated[float | None, Doc(description="median before the step, or of the first fifth")]
    after_ms: Annotated[float | None, Doc(description="median after the step, or of the last fifth")]
    share: Annotated[float | None, Doc(description="after over before, less 1")]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the planned requests: planned = ok + failed + abandoned + cancelled + unsent."""

    planned: int
    ok: int
    failed: int
    cancelled: Annotated[int, Doc(description="in flight when the run was ended, and given up with it")]
    unsent: int
    abandoned: Annotated[int, Doc(description="given up by their users, as planned: neither ok nor failed")] = 0


class CountsOf(msgspec.Struct, frozen=True, kw_only=True):
    """The accounting of the whole run and of the window."""

    run: Counts
    window: Counts
    beyond: Annotated[
        int,
        Doc(description="requests sent beyond the end, to keep the load on until the last counted reply; not planned"),
    ] = 0
    beyond_failed: Annotated[int, Doc(description="of these: failed")] = 0


class StoppedEarly(msgspec.Struct, frozen=True, kw_only=True):
    """The run was ended before its time."""

    kind: Annotated[
        str,
        Doc(
            description="saturated (the queue grew beyond doubt), decided (a test had its answer) or failures (of more "
            "requests than load.max_failures, beyond doubt)"
        ),
    ]
    at_s: float
    reason: str
    cancelled: Annotated[bool, Doc(description="what was in flight was given up")]
