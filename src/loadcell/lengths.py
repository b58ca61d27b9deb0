"""Distributions of lengths, as a person writes them."""

from __future__ import annotations

import math
from typing import Literal, cast

import msgspec

from loadcell.errors import UsageError, nearest

FORMS = "N, normal:MEAN,SD, uniform:LO,HI or lognormal:MEDIAN,SIGMA"


class Lengths(msgspec.Struct, frozen=True):
    """A distribution of token counts; `a`, `b` are N,0 or MEAN,SD or LO,HI or MEDIAN,SIGMA, by kind."""

    kind: Literal["constant", "normal", "uniform", "lognormal"]
    a: float
    b: float = 0.0

    @property
    def mean(self) -> float:
        """Mean before rounding and the floor of one token."""
        if self.kind == "uniform":
            return (self.a + self.b) / 2
        if self.kind == "lognormal":
            return self.a * math.exp(self.b**2 / 2)
        return self.a


def parse_lengths(text: str, what: str = "a token length", steps: int = 1) -> Lengths:
    """The distribution that `text` names, in `steps` to one of its units, of which a length has one at least.

    UsageError with the valid forms else, which says `what` it is not.
    """
    forms = FORMS if steps == 1 else f"{FORMS}; the least is {1 / steps:g}, and N is in steps of that"
    kind, colon, rest = text.strip().rpartition(":")
    try:
        numbers = [float(x) for x in rest.split(",")]
    except ValueError:
        raise UsageError(f"{text!r} is not {what}: write {forms}") from None
    if not all(math.isfinite(x) for x in numbers):
        raise UsageError(f"{text!r} is not {what}: the numbers must be finite")
    a, *spread = (round(number * steps, 6) for number in numbers)
    if not colon and not spread and a.is_integer() and a >= 1:
        return Lengths("constant", a)
    if kind not in ("normal", "uniform", "lognormal") or len(numbers) != 2:
        raise UsageError(f"{text!r} is not {what}{nearest(kind, ('normal', 'uniform', 'lognormal'))}: write {forms}")
    b = numbers[1] if kind == "lognormal" else spread[0]  # the former's is of the logarithm
    if a < 1 or b < 0 or (kind == "uniform" and b < a):
        raise UsageError(
            f"{text!r} is not {what}: lengths start at {1 / steps:g}, spreads at 0, and LO comes before HI"
        )
    return Lengths(cast(Literal["normal", "uniform", "lognormal"], kind), a, b)
