"""Prompts made of blocks of text: the same block is the same text in every prompt that has it.

So prompts share what their traffic is to share (a system prompt, the turns of a talk, the blocks of a trace), and
nothing else: the first words of a block write its number, as those of a synthetic prompt write its row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadcell.traces import Ragged
from loadcell.traces.model import ragged
from loadcell.workload.prompts import SyntheticPrompts

_SLAB = 1 << 15
"""Rows that are taken apart at a time."""


@dataclass(frozen=True, eq=False)
class BlockPrompts:
    """Prompts of blocks; made while they are read, and reading again gives the same. Small, can be pickled."""

    texts: SyntheticPrompts
    """The blocks, by number."""
    blocks: Ragged
    """Numbers of the blocks of each prompt, in order."""

    def __len__(self) -> int:
        return len(self.blocks)

    def __iter__(self) -> Iterator[str]:
        return self.select(np.arange(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Words of each prompt."""
        sums = np.concatenate(([0], np.cumsum(self.texts.lengths[self.blocks.values], dtype=np.int64)))
        return np.diff(sums[self.blocks.ends], prepend=0)

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[str]:
        """The prompts of `rows`, in that order, without making the others."""
        for row in rows.tolist():
            yield " ".join(self.texts.select(self.blocks.of(row)))


def shared_tokens(blocks: Ragged, tokens: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Of each prompt the tokens that a prefix cache without bounds has already, if prompts come in the order of rows.

    `tokens` are those of each block, one after another as in `blocks.values`. A prompt shares the longest beginning
    that any earlier one had too, block for block: what comes after the first block that differs is not shared.
    """
    known: dict[tuple[int, int], int] = {}
    out = np.zeros(len(blocks), np.int64)
    for row, values, sizes in _rows(blocks, tokens):
        node, shares = -1, True
        for value, size in zip(values, sizes, strict=True):
            found = known.get((node, value))
            if found is None:
                shares, found = False, len(known)
                known[node, value] = found
            elif shares:
                out[row] += size
            node = found
    return out


def _rows(blocks: Ragged, tokens: NDArray[np.integer[Any]]) -> Iterator[tuple[int, list[int], list[int]]]:
    """Each row with its blocks and their tokens, up to the first that no other has: nothing is shared from there on."""
    alone = np.bincount(blocks.values)[blocks.values] == 1 if len(blocks.values) else np.zeros(0, bool)
    starts = blocks.ends - blocks.counts
    places = np.append(np.flatnonzero(alone), len(alone))
    stops = np.minimum(places[np.searchsorted(places, starts)], blocks.ends)
    for first in range(0, len(blocks), _SLAB):
        last = min(first + _SLAB, len(blocks))
        low = int(starts[first])
        values = blocks.values[low : int(blocks.ends[last - 1])].tolist()
        sizes = tokens[low : int(blocks.ends[last - 1])].tolist()
        for row, start, stop in zip(
            range(first, last), (starts[first:last] - low).tolist(), (stops[first:last] - low).tolist(), strict=True
        ):
            yield row, values[start:stop], sizes[start:stop]


def shared_beginnings(blocks: Ragged) -> Ragged:
    """Every beginning that two prompts or more have in common and that none longer holds, in the order of its last
    block's first use."""
    known: dict[tuple[int, int], int] = {}
    uses, parents, number = list[int](), list[int](), list[int]()
    for _, values, _ in _rows(blocks, blocks.values):
        node = -1
        for value in values:
            found = known.setdefault((node, value), len(uses))
            if found == len(uses):
                uses.append(0)
                parents.append(node)
                number.append(value)
            uses[found] += 1
            node = found
    inner = {parent for parent, count in zip(parents, uses, strict=True) if count > 1}
    found_all = []
    for node, count in enumerate(uses):
        if count > 1 and node not in inner:
            chain, at = list[int](), node
            while at >= 0:
                chain.append(number[at])
                at = parents[at]
            found_all.append(chain[::-1])
    return ragged(found_all)
