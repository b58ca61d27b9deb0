"""What a Result says of tokens that come several at a time, and of the guesses of speculative decoding."""

from __future__ import annotations

from typing import Annotated

import msgspec

Doc = msgspec.Meta


class TokensPerChunk(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens an event with output brings, over the window's ok streamed requests."""

    chunks: Annotated[int, Doc(description="events with output")]
    told_share: Annotated[
        float | None,
        Doc(description="events whose own tokens are known: the server tells, or its reply has as many as tokens"),
    ]
    mean: Annotated[float | None, Doc(description="output tokens over events, told or not")]
    p50: Annotated[int | None, Doc(description="null where fewer than 99 % of the events are known, as what follows")]
    p90: int | None
    max: int | None
    several_share: Annotated[float | None, Doc(description="events of more than one token")]
    several: Annotated[
        bool, Doc(description="after the first output there are fewer than 0.95 events a token: ITL is no time a token")
    ]


class ItlByToken(msgspec.Struct, frozen=True, kw_only=True):
    """Time per token within a stream, each token counting once: to one part in 65,536."""

    tokens: Annotated[float, Doc(description="tokens after the first output of their replies")]
    assumed_share: Annotated[
        float, Doc(description="of these: tokens whose event does not tell them, and has the even share of its reply")
    ]
    mean_ms: float
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: Annotated[float | None, Doc(description="null below 100 tokens")]
    max_ms: float


class Speculation(msgspec.Struct, frozen=True, kw_only=True):
    """What speculative decoding guessed and how much of it held, by one source; null: it does not tell."""

    source: Annotated[str, Doc(description="who tells: its replies, its counters, or its gauges as they were watched")]
    requests: Annotated[
        int | None, Doc(description="the window's ok replies that tell; null: of all that it served meanwhile")
    ] = None
    steps: Annotated[int | None, Doc(description="decode steps that had guessed tokens to verify")] = None
    draft_tokens: Annotated[int | None, Doc(description="tokens that were guessed")] = None
    accepted_tokens: Annotated[int | None, Doc(description="guessed tokens that held")] = None
    acceptance_rate: Annotated[float | None, Doc(description="accepted over guessed tokens")] = None
    acceptance_length: Annotated[
        float | None, Doc(description="tokens that such a step gave: 1 + accepted tokens over steps")
    ] = None
    by_position: Annotated[
        list[float], Doc(description="of the steps, those whose guess held at its first, second, ... token")
    ] = []
    note: str | None = None
