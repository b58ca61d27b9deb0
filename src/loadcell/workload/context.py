"""Requests that are longer than the model's context: which they are, and what is done about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import phrase

LEAST_ASKED = 1024
"""Tokens of a request, prompt and output, up to which nobody asks how long one may be."""
Remedy = Literal["refuse", "drop", "clip"]
Counts = NDArray[np.int32]


@dataclass(frozen=True)
class Context:
    """How many tokens a request may have, its prompt, the template around it and its output together."""

    tokens: int
    by: str
    """Who says so, in words: a page of the server, or --context-tokens."""
    input_tokens: int | None = None
    """Most of the prompt and the template alone, where the server limits that too."""


@dataclass(frozen=True)
class Server:
    """What a server can tell of lengths, asked where that matters. None of it where it does not tell."""

    context: Callable[[], Context | None]
    count: Callable[[str], int | None]
    """Its tokens of a prompt, with those of the template."""
    template_tokens: int | None = None
    """Those alone."""


class Fit(NamedTuple):
    """What became of requests that were held against a context."""

    keep: NDArray[np.bool_]
    """Which are sent."""
    input_tokens: Counts
    """Of each, cut where it was clipped."""
    dropped: int
    clipped: int


def room_of(output_tokens: NDArray[Any], context: Context) -> NDArray[np.int64]:
    """Most tokens of a prompt, template included, beside so many of output."""
    room = context.tokens - np.asarray(output_tokens, np.int64)
    return room if context.input_tokens is None else np.minimum(room, context.input_tokens)


def fit(input_tokens: NDArray[Any], output_tokens: NDArray[Any], context: Context, remedy: Remedy, what: str) -> Fit:
    """Hold requests of these lengths against a context, and do as asked with those that are longer.

    `input_tokens` are the server's, its template included. A clipped prompt has what its output leaves. UsageError
    with the arithmetic where they are refused, and where an output leaves nothing to its prompt; `what` they are
    called, as in "prompts".
    """
    room = room_of(output_tokens, context)
    over = np.asarray(input_tokens, np.int64) > room
    cut = np.where(over, room, input_tokens).astype(np.int32)
    many = int(np.count_nonzero(over))
    if not many or remedy == "drop":
        return Fit(~over, np.asarray(input_tokens, np.int32), many, 0)
    if remedy == "clip" and (room[over] >= 1).all():
        return Fit(np.ones(len(over), bool), cut, 0, many)
    worst = int(np.argmax(np.where(over, np.asarray(input_tokens, np.int64) - room, -1)))
    raise UsageError(
        f"{many:,} of {len(over):,} {what} are longer than the model's context, as in "
        f"{arithmetic(int(input_tokens[worst]), int(output_tokens[worst]), context)}"
    )


def arithmetic(input_tokens: int, output_tokens: int, context: Context) -> str:
    """Why a request is too long, as in "4,000 tokens in + 200 out = 4,200 > 4,096 (max_model_len of ...)"."""
    if context.input_tokens is not None and input_tokens > context.input_tokens:
        return phrase("{:,} tokens in > {:,} ({})", input_tokens, context.input_tokens, context.by)
    total = input_tokens + output_tokens
    return phrase(
        "{:,} tokens in + {:,} out = {:,} > {:,} ({})", input_tokens, output_tokens, total, context.tokens, context.by
    )
