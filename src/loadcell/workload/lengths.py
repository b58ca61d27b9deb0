"""How many tokens a prompt has and how many are asked for in return."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.spec import Lengths

MAX_TOKENS = 10_000_000
"""Longest prompt or output that a schedule takes: above it, a distribution has been mistyped."""


def sample_lengths(
    lengths: Lengths, n: int, rng: np.random.Generator, most: int = MAX_TOKENS, of: str = "tokens"
) -> NDArray[np.int32]:
    """`n` counts `of` something, each rounded to the nearest integer and at least 1; count i does not depend on `n`.

    `uniform` takes every integer from LO to HI, both included, equally often. The floor of 1 raises the mean of a
    `normal` whose spread reaches it. UsageError for a count above `most`.
    """
    with np.errstate(over="ignore"):  # an overflow is infinite, and refused below
        drawn = np.maximum(np.rint(_draw(lengths, n, rng)), 1)
    if n and drawn.max() > most:
        raise UsageError(f"a length of {drawn.max():,.0f} {of} was drawn; the most is {most:,}: choose shorter ones")
    return drawn.astype(np.int32)


def _draw(lengths: Lengths, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if lengths.kind == "normal":
        return lengths.a + lengths.b * rng.standard_normal(n)
    if lengths.kind == "uniform":
        low, high = float(round(lengths.a)), float(round(lengths.b))
        return np.minimum(np.floor(low + (high - low + 1) * rng.random(n)), high)
    if lengths.kind == "lognormal":
        return np.exp(math.log(lengths.a) + lengths.b * rng.standard_normal(n))
    return np.full(n, lengths.a)
