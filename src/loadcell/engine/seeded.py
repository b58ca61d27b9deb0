"""Everything random, as pure functions of the seed and of the request's number: no order of events changes it."""

from __future__ import annotations

import math
import random

from loadcell.engine.options import TROUBLES, EngineOptions

_MASK = 2**64 - 1
FATE, OFFSET, NAME, NAME2 = range(4)
"""Salts: one independent number each for a request."""


def mix(seed: int, seq: int, salt: int) -> int:
    """64 well-mixed bits (the finaliser of SplitMix64, Steele et al., OOPSLA 2014, over a Weyl sequence)."""
    z = (seed * 0xD1342543DE82EF95 + (seq * 8 + salt + 1) * 0x9E3779B97F4A7C15) & _MASK
    for _ in range(2):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        z ^= z >> 31
    return z


def fate(options: EngineOptions, seq: int) -> str | None:
    """The trouble that request `seq` meets, one of TROUBLES, or None."""
    if seq < options.trouble_after:
        return None
    u = mix(options.seed, seq, FATE) / 2**64
    for trouble in TROUBLES:
        u -= options.rate(trouble)
        if u < 0:
            return trouble
    return None


def step_factors(seed: int, cv: float, n: int) -> list[float]:
    """`n` factors for decode steps: lognormal with mean 1 and coefficient of variation `cv`; empty if there is none."""
    if cv == 0:
        return []
    sigma = math.sqrt(math.log1p(cv * cv))
    rng = random.Random(seed)
    return [rng.lognormvariate(-sigma * sigma / 2, sigma) for _ in range(n)]


def accepted_counts(seed: int, draft_tokens: int, acceptance: float, n: int) -> list[int]:
    """How many of `draft_tokens` guesses hold, in each of `n` steps: each holds by `acceptance` if all before it do."""
    rng = random.Random(seed)
    guesses = range(draft_tokens)
    return [next((k for k in guesses if rng.random() >= acceptance), draft_tokens) for _ in range(n)]


def text_indices(seed: int, words: int, n: int) -> list[int]:
    """`n` positions in a list of `words` words."""
    rng = random.Random(seed)
    return [rng.randrange(words) for _ in range(n)]
