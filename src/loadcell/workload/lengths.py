"""How many tokens a prompt has and how many are asked for in return."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.columns import SOURCES
from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.spec import Lengths, Workload, parse_lengths
from loadcell.workload.streams import stream

MAX_TOKENS = 10_000_000
"""Longest prompt or output that a schedule takes: above it, a distribution has been mistyped."""


class Drawn(NamedTuple):
    """Lengths of so many requests."""

    values: NDArray[np.int32]
    clipped: int
    """How many of them lay beyond the bounds that were asked for, and were set to these."""


def sample_lengths(
    lengths: Lengths, n: int, rng: np.random.Generator, most: int = MAX_TOKENS, of: str = "tokens"
) -> NDArray[np.int32]:
    """`n` counts `of` something, as `draw_lengths`."""
    return draw_lengths(lengths, n, rng, most, of).values


def draw_lengths(
    lengths: Lengths, n: int, rng: np.random.Generator, most: int = MAX_TOKENS, of: str = "tokens"
) -> Drawn:
    """`n` counts `of` something, each rounded to the nearest integer and at least 1; count i does not depend on `n`.

    `uniform` takes every integer from LO to HI, both included, equally often. The floor of 1 raises the mean of a
    `normal` whose spread reaches it. UsageError for a count above `most`.
    """
    with np.errstate(over="ignore"):  # an overflow is infinite, and refused below
        found, clipped = _draw(lengths, n, rng)
    if n and found.max() > most:
        raise UsageError(f"a length of {found.max():,.0f} {of} was drawn; the most is {most:,}: choose shorter ones")
    return Drawn(found.astype(np.int32), int(np.count_nonzero(clipped)))


def plan_lengths(
    workload: Workload, rows: int, seed: int, notes: list[str]
) -> tuple[NDArray[np.int32] | None, NDArray[np.int32]]:
    """Tokens of the prompts, where each has one length and no file says it, and of the outputs: 0 where there are none.

    `notes` takes what was clipped, how often pairs are sent, and whom to credit for tables of lengths.
    """
    if workload.lengths is not None:
        return _pairs(workload, rows, seed, notes)
    single = workload.prompts is None and workload.inputs is None
    inputs = _law(workload.input_tokens, rows, stream(seed, "input lengths"), _INPUTS, notes) if single else None
    outputs = _law(workload.output_tokens, rows, stream(seed, "output lengths"), _OUTPUTS, notes)
    return inputs, np.zeros(rows, np.int32) if outputs is None else outputs


_INPUTS, _OUTPUTS = phrase("prompts"), phrase("outputs")


def _law(
    text: str | None, rows: int, rng: np.random.Generator, what: str, notes: list[str]
) -> NDArray[np.int32] | None:
    if text is None:
        return None
    law = parse_lengths(text)
    values, clipped = draw_lengths(law, rows, rng)
    if law.clipped:
        notes.append(
            phrase("the lengths of {:,} of {:,} {} lay beyond their bounds, and were set to these", clipped, rows, what)
        )
    _credit(law, notes)
    return values


def _credit(law: Lengths, notes: list[str]) -> None:
    for name in law.files:
        credit = phrase("lengths of {}: {}", name, SOURCES[name]) if name in SOURCES else ""
        if credit and credit not in notes:
            notes.append(credit)


def _pairs(workload: Workload, rows: int, seed: int, notes: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Lengths that belong together, from the rows of one file."""
    assert workload.input_tokens is not None and workload.output_tokens is not None
    laws = parse_lengths(workload.input_tokens), parse_lengths(workload.output_tokens)
    columns = [law.values for law in laws]
    count = len(columns[0])
    if workload.lengths_order == "drawn":
        chosen = np.floor(stream(seed, "length pairs").random(rows) * count).astype(np.int64)
    else:
        chosen = np.arange(rows) % count
        if rows > count:
            notes.append(
                phrase("the {:,} pairs of lengths in {} are taken {:.3g} times", count, laws[0].file, rows / count)
            )
    longest = max(column.max() for column in columns)
    if longest > MAX_TOKENS:
        raise UsageError(f"{laws[0].file} has a length of {longest:,.0f} tokens; the most is {MAX_TOKENS:,}")
    _credit(laws[0], notes)
    inputs, outputs = (column[chosen].astype(np.int32) for column in columns)
    return inputs, outputs


def _draw(lengths: Lengths, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Whole lengths, and which of them lay beyond the bounds asked for."""
    if lengths.kind == "mixture":
        return _mixed(lengths, n, rng)
    drawn = np.rint(_raw(lengths, n, rng))
    found = np.minimum(np.maximum(drawn, lengths.least), lengths.most)
    return found, (found != drawn) & lengths.clipped


def _mixed(lengths: Lengths, n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    own = rng.spawn(len(lengths.parts))
    edges = np.cumsum([share for share, _ in lengths.parts])[:-1]
    part = np.searchsorted(edges, rng.random(n), side="right")
    found, clipped = np.empty(n), np.zeros(n, bool)
    for number, ((_, law), generator) in enumerate(zip(lengths.parts, own, strict=True)):
        mine = part == number
        drawn, beyond = _draw(law, n, generator)  # n of each, so that length i does not depend on how many follow
        found[mine], clipped[mine] = drawn[mine], beyond[mine]
    return found, clipped


def _raw(lengths: Lengths, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if lengths.kind == "normal":
        return lengths.a + lengths.b * rng.standard_normal(n)
    if lengths.kind == "uniform":
        low, high = float(round(lengths.a)), float(round(lengths.b))
        return np.minimum(np.floor(low + (high - low + 1) * rng.random(n)), high)
    if lengths.kind == "lognormal":
        return np.exp(math.log(lengths.a) + lengths.b * rng.standard_normal(n))
    if lengths.kind == "empirical":
        values = lengths.values
        return values[np.floor(rng.random(n) * len(values)).astype(np.int64)]
    return np.full(n, lengths.a)
