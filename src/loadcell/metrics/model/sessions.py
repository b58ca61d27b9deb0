"""Sessions: talks of several turns, and tasks whose calls branch and join."""

from __future__ import annotations

from typing import Annotated

import msgspec

from loadcell.metrics.model.estimates import Interval, Latency, Summary

Doc = msgspec.Meta


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The window's requests of one turn, or of some turns in a row."""

    first: Annotated[int, Doc(description="first of these turns, from 0")]
    last: Annotated[int, Doc(description="last of them; the same for one turn")]
    requests: Annotated[int, Doc(description="ok requests")]
    failed: int
    latency: Annotated[
        dict[str, Latency],
        Doc(description="TTFT, TPOT and E2E; response times start when the turn could be sent: all that it waits for "
            "had ended, and its delay had passed"),
    ]  # fmt: skip
    input_tokens: Annotated[float | None, Doc(description="mean, by the server's usage, else as planned")]
    cached_share: Annotated[
        float | None, Doc(description="of their prompt tokens, what the server took from its cache; null: not told")
    ]


class UnsentTurns(msgspec.Struct, frozen=True, kw_only=True):
    """Planned turns of sessions that had begun, and that were never sent, by reason."""

    after_failure: Annotated[int, Doc(description="one that they waited for had failed, which ends a session")]
    after_abandoned: Annotated[int, Doc(description="their user had given up one that they waited for, as planned")]
    at_end: Annotated[int, Doc(description="the load ended, or was ended, before they could be sent")]


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """The critical paths of the window's whole sessions: from the last reply back to the first request, each time to
    the call that ended last of those that were waited for. The shares are of their summed time, and add up to 1."""

    calls: Annotated[float, Doc(description="in calls, from send to end")]
    delays: Annotated[float, Doc(description="think time and tools, and calls that were planned for later")]
    late: Annotated[float, Doc(description="the client's own: from when a call could be sent to its send")]
    length: Annotated[float, Doc(description="calls on a path, on average")]
    parallel: Annotated[
        float, Doc(description="time in all calls over time in those on the path: 1 where calls never overlap")
    ]


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that belong together. Counts are of the whole run, times of sessions that began in the window."""

    tasks: Annotated[bool, Doc(description="whether some branch: several calls wait for one, or one for several")]
    begun: int
    whole: Annotated[int, Doc(description="every planned turn was answered")]
    failed: Annotated[int, Doc(description="a turn failed, which ended it")]
    abandoned: Annotated[int, Doc(description="its user gave up a turn, as planned, which ended it; none failed")]
    unfinished: Annotated[int, Doc(description="still going on when the load ended, or was ended")]
    unsent_turns: UnsentTurns
    turns: Annotated[float | None, Doc(description="turns planned for a session that began, on average")]
    deepest: Annotated[int, Doc(description="most turns that wait for one another in a row")]
    from_s: Annotated[float, Doc(description="where figures of a settled load begin: most of the first had ended")]
    settled: Annotated[bool, Doc(description="the sending lasted at least three times as long as nine of ten sessions")]
    sessions_per_s: Annotated[
        float | None, Doc(description="whole sessions that ended in the window of rates, over its length")
    ]
    sessions_interval: Annotated[Interval | None, Doc(description="by batch means; null below 40")]
    in_progress: Annotated[float | None, Doc(description="sessions that had begun and not ended, mean over time")]
    time: Annotated[
        Summary | None,
        Doc(description="from the first request (when it was to be sent; closed loop: its send) to the last token, in "
            "ms; null without any"),
    ]  # fmt: skip
    busy: Annotated[
        Summary | None, Doc(description="the same without the delays on the critical path: think time and tools")
    ]
    censored: Annotated[
        int, Doc(description="of the sessions behind `time`, those that failed, were given up, had not ended, or had "
                 "a client who reads slowly: it is known how long they took at least (Kaplan and Meier 1958)")
    ]  # fmt: skip
    path: Annotated[Path | None, Doc(description="null without a whole session that began in the window")]
    by_turn: list[Turn]
