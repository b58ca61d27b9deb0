"""Beginnings that prompts share: what a Spec may ask of them, and the state in which the server's cache is to be."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from loadcell.apis import CALLABLE, Api, find_api
from loadcell.errors import UsageError
from loadcell.lengths import parse_lengths

Doc = msgspec.Meta
CacheState = Literal["as-is", "cold", "warm"]
MOST_GROUPS = 1_000_000
_MOST_ZIPF = 10.0


class Prefix(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Beginnings that synthetic prompts share; their lengths are part of `workload.input_tokens`."""

    system_tokens: Annotated[
        int | None, Doc(description="synthetic prompts: all begin with the same system prompt of so many tokens")
    ] = None
    groups: Annotated[
        int | None,
        Doc(description="synthetic prompts: each belongs to one of so many groups, which have a beginning in common"),
    ] = None
    tokens: Annotated[
        str | None, Doc(description="length of the beginning that a group has in common, in the forms of lengths")
    ] = None
    zipf: Annotated[
        float, Doc(description="group k is drawn with weight 1/k^S: 0 is each alike, 1 the law of words and pages")
    ] = 0.0
    hit_share: Annotated[
        float | None,
        Doc(
            description="share of the input tokens that a prefix cache without bounds would have: the beginnings of "
            "the groups get the length that it takes (60%; without --prefix-groups, one group)"
        ),
    ] = None

    @property
    def any(self) -> bool:
        """Whether prompts are to share anything."""
        return (self.system_tokens, self.groups, self.hit_share) != (None, None, None)


def check_prefix(prefix: Prefix, api: Api, *, generates: bool, own: str | None) -> None:
    """UsageError if no load can have these beginnings; `own` names what its prompts are, where they are not made."""
    given = {
        "--system-tokens": prefix.system_tokens, "--prefix-groups": prefix.groups, "--prefix-tokens": prefix.tokens,
        "--prefix-zipf": prefix.zipf or None, "--hit-share": prefix.hit_share,
    }  # fmt: skip
    flags = [flag for flag, value in given.items() if value is not None]
    if not flags:
        return
    if not generates:
        name = api if isinstance(api, str) else "template's"
        raise UsageError(f"the {name} API generates no text, and has no prompts with beginnings: leave {flags[0]} out")
    if own is not None:
        wrong = next((flag for flag in flags if flag not in own), flags[0])  # sessions may have a system prompt
        raise UsageError(f"{wrong} is of synthetic prompts, and {own} have beginnings of their own: leave it out")
    if prefix.hit_share is not None:
        if prefix.tokens is not None:
            raise UsageError(
                "--hit-share gives the beginnings of groups their length, and so does --prefix-tokens: leave one out"
            )
        if not 0 < prefix.hit_share < 1:
            raise UsageError(
                f"prefix.hit_share is {prefix.hit_share:g}: write a share of input tokens, as in 60% or 0.6"
            )
    elif (prefix.groups is None) != (prefix.tokens is None):
        lacks, why = ("--prefix-tokens", "how much the prompts of a group share") if prefix.tokens is None else (
            "--prefix-groups", "how many groups there are")  # fmt: skip
        raise UsageError(f"{flags[0]} goes with {lacks}, which says {why}")
    if prefix.zipf and prefix.groups is None:
        raise UsageError("--prefix-zipf is of the groups that --prefix-groups N makes: give that too")
    if not (0 <= prefix.zipf <= _MOST_ZIPF and math.isfinite(prefix.zipf)):
        raise UsageError(f"prefix.zipf is {prefix.zipf:g}: it must be 0 to {_MOST_ZIPF:g}")
    for name, value, most in (("system_tokens", prefix.system_tokens, None), ("groups", prefix.groups, MOST_GROUPS)):
        if value is not None and (value < 1 or (most is not None and value > most)):
            bound = "1 or more" if most is None else f"1 to {most:,}"
            raise UsageError(f"prefix.{name} is {value}: it must be {bound}")
    if prefix.tokens is not None:
        parse_lengths(prefix.tokens)


def check_cache(state: CacheState, reset: str | None, api: Api) -> None:
    """UsageError if the cache of such a server cannot be brought into a state."""
    if reset is not None and state != "cold":
        raise UsageError(f"--cache-reset is what empties the cache for --cache cold: the cache is to be {state}")
    if state != "as-is" and api == CALLABLE:
        raise UsageError(f"load.cache {state}: nobody knows how a Python callable's cache is reached: leave it out")
    if state == "warm" and not find_api(api).generates:
        raise UsageError("load.cache warm sends the beginnings that prompts share; this API has none: leave it out")
