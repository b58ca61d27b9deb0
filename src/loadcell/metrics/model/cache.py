"""What the server's prefix cache had of the prompts."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from loadcell.prefix import CacheState

Doc = msgspec.Meta


class HitShare(msgspec.Struct, frozen=True, kw_only=True):
    """Prompt tokens that a cache had, by one witness."""

    source: Annotated[
        Literal["usage", "page"],
        Doc(description="usage: what replies say, of the window's ok requests; page: the server's counters, whole run"),
    ]
    requests: Annotated[int, Doc(description="requests of this run that it tells of")]
    share: Annotated[float, Doc(description="tokens from the cache over prompt tokens")]
    intended: Annotated[float | None, Doc(description="what a cache without bounds would have of the same requests")]
    difference: Annotated[
        float | None,
        Doc(description="share less intended; 0 where the chat template's tokens, in a cache or not, explain it"),
    ]


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """The server's prefix cache: what prompts share by plan, and what came of it."""

    state: Annotated[CacheState, Doc(description="in which it was to be before the load")]
    intended_share: Annotated[
        float | None,
        Doc(
            description="input tokens that a cache without bounds would have, over those of the window's ok requests, "
            "as planned; null where prompts are a file's"
        ),
    ]
    intended_in_blocks: Annotated[
        float | None, Doc(description="the same where it has whole blocks of `block_tokens` alone, as vLLM's does")
    ]
    block_tokens: Annotated[int, Doc(description="as the server's page tells, else those of vLLM by default")] = 16
    reported: Annotated[list[HitShare], Doc(description="by what the server tells; empty where it tells nothing")]
