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
from loadcell.workload.prompts import SyntheticPrompts

_ROWS = 4096
"""Prompts whose blocks are looked up at a time."""


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
        for some in np.split(rows, range(_ROWS, len(rows), _ROWS)):
            yield from self.texts.joined(*self.blocks.take(some))


def shared_tokens(blocks: Ragged, tokens: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Of each prompt the tokens that a prefix cache without bounds has already, if prompts come in the order of rows.

    `tokens` are those of each block, one after another as in `blocks.values`. A prompt shares the longest beginning
    that any earlier one had too, block for block: what comes after the first block that differs is not shared.
    """
    known: dict[tuple[int, int], int] = {}
    out = np.zeros(len(blocks), np.int64)
    values, sizes, start = blocks.values.tolist(), tokens.tolist(), 0
    for row, end in enumerate(blocks.ends.tolist()):
        node, shares = -1, True
        for place in range(start, end):
            key = (node, values[place])
            found = known.get(key)
            if found is None:
                shares, found = False, len(known)
                known[key] = found
            elif shares:
                out[row] += sizes[place]
            node = found
        start = end
    return out
