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
from loadcell.workload.facts import Facts
from loadcell.workload.prompts import SyntheticPrompts, mixed

_WORDS_AT_ONCE = 1 << 20

_SLAB = 1 << 15
"""Rows that are taken apart at a time."""


@dataclass(frozen=True, eq=False)
class BlockPrompts:
    """Prompts of blocks; made while they are read, and reading again gives the same. Small, can be pickled."""

    texts: SyntheticPrompts
    """The blocks, by number."""
    blocks: Ragged
    """Numbers of the blocks of each prompt, in order."""
    words: NDArray[np.int32] | None = None
    """With how many words each stands in its prompt, one after another as in `blocks.values`: it is cut after them;
    None: whole."""

    def __len__(self) -> int:
        return len(self.blocks)

    def __iter__(self) -> Iterator[str]:
        return self.select(np.arange(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Words of each prompt."""
        words = self.texts.lengths[self.blocks.values] if self.words is None else self.words
        sums = np.concatenate(([0], np.cumsum(words, dtype=np.int64)))
        return np.diff(sums[self.blocks.ends], prepend=0)

    def facts(self, rows: int) -> Facts:
        """What the first `rows` prompts follow from."""
        mine = self.blocks.take(np.arange(rows))
        used = np.unique(mine.values)
        columns = (mine.ends, mine.values, used, self.texts.lengths[used], self.words)
        told = [one[: len(mine.values)].astype("<i8").tobytes() for one in columns if one is not None]
        return Facts(told, self.texts.facts(0).texts)

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[str]:
        """The prompts of `rows`, in that order, without making the others."""
        ends = np.cumsum(self.lengths[rows])
        start = 0
        while start < len(rows):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + _WORDS_AT_ONCE, side="right")))
            some = rows[start:stop]
            picked = self.blocks.take(some)
            yield from self.texts.joined(*picked) if self.words is None else self._begun(some, picked)
            start = stop

    def _begun(self, rows: NDArray[np.integer[Any]], picked: Ragged) -> Iterator[str]:
        """The prompts of `rows`, some of whose blocks are cut short; each block is made once."""
        used, which = np.unique(picked.values, return_inverse=True)
        made = np.array([*self.texts.select(used), ""], dtype=object)[:-1]
        texts = made[which.reshape(-1)]
        assert self.words is not None
        words = Ragged(self.words.astype(np.int64), self.blocks.ends).take(rows).values
        for place in np.flatnonzero(words < self.texts.lengths[picked.values]).tolist():
            texts[place] = " ".join(texts[place].split(" ", int(words[place]))[: int(words[place])])
        listed, start = texts.tolist(), 0
        for end in picked.ends.tolist():
            yield " ".join(listed[start:end])
            start = end


def shared_tokens(blocks: Ragged, tokens: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Of each prompt the tokens that a prefix cache without bounds has already, if prompts come in the order of rows.

    `tokens` are those of each block, one after another as in `blocks.values`. A prompt shares the longest beginning
    that any earlier one had too, block for block; of a block that stands there with fewer tokens, these. What comes
    after the first block that differs is not shared. Beginnings are told apart by 64 bits of a hash.
    """
    counts, sizes = blocks.counts, np.asarray(tokens, np.int64)
    starts = blocks.ends - counts
    place = np.arange(len(blocks.values)) - np.repeat(starts, counts)
    number = mixed(blocks.values.astype(np.uint64))
    each = mixed(mixed(number + sizes.astype(np.uint64)) + place.astype(np.uint64))
    before = np.concatenate((np.zeros(1, np.uint64), np.cumsum(each, dtype=np.uint64)))  # wraps around, as it may
    beginning = before[:-1] - np.repeat(before[starts], counts)
    known = _most_before(mixed(beginning + number), sizes)
    whole = known >= sizes
    broken = np.concatenate(([0], np.cumsum(~whole)))
    follows = broken[:-1] == np.repeat(broken[starts], counts)
    sums = np.concatenate(([0], np.cumsum(np.where(follows, np.minimum(known, sizes), 0))))
    return np.asarray(sums[blocks.ends] - sums[starts], np.int64)


def _most_before(keys: NDArray[np.uint64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each place the most tokens that an earlier one with the same key has; 0 where there is none."""
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    first = np.ones(len(keys), bool)
    first[1:] = sorted_keys[1:] != sorted_keys[:-1]
    lift = np.cumsum(first) * (int(tokens.max(initial=0)) + 1)  # so that a group lies above those before it
    most = np.maximum.accumulate(tokens[order] + lift)
    out = np.zeros(len(keys), np.int64)
    out[order[1:]] = np.where(first[1:], 0, most[:-1] - lift[1:])
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
