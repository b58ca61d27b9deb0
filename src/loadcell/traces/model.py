"""A trace as columns, whatever file it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Ragged(NamedTuple):
    """A list of whole numbers for each row, one after another."""

    values: NDArray[np.int64]
    ends: NDArray[np.int64]
    """Where the list of each row ends in `values`."""

    def __len__(self) -> int:
        return len(self.ends)

    def of(self, row: int) -> NDArray[np.int64]:
        """The list of a row."""
        return self.values[int(self.ends[row - 1]) if row else 0 : int(self.ends[row])]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Length of each list."""
        return np.diff(self.ends, prepend=0)

    def take(self, rows: NDArray[np.integer[Any]]) -> Ragged:
        """The lists of `rows`, in that order."""
        counts = self.counts[rows]
        ends = np.cumsum(counts)
        starts = self.ends[rows] - counts
        return Ragged(self.values[np.arange(int(counts.sum())) + np.repeat(starts - (ends - counts), counts)], ends)


def ragged(lists: list[list[int]]) -> Ragged:
    """Lists as columns."""
    values = [value for each in lists for value in each]
    return Ragged(np.array(values, np.int64), np.cumsum([len(each) for each in lists], dtype=np.int64))


class Change(NamedTuple):
    """Something that was done to a trace between its file and what is sent, counted."""

    what: str
    """clip, drop, spread, thin, superpose, window, guess, ..."""
    rows: int
    """Of the trace, or of what is sent, that it touched."""
    words: str
    """A `phrases.phrase` that says it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Trace:
    """Requests in the order in which they came; rows of a session need not stand together."""

    name: str
    """Short name, or of the file."""
    kind: str
    """Format that it was read by: azure, mooncake, ..."""
    t_s: NDArray[np.float64] | None
    """When each came, from 0; NaN where it waited for others (`delay_s`); None for lengths without times."""
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    session: NDArray[np.int32] | None = None
    """Which requests belong together: numbers from 0; None where the trace does not tell."""
    delay_s: NDArray[np.float64] | None = None
    """After the end of the last that it waited for (think time, tools); NaN for those that waited for none."""
    waits: Ragged | None = None
    """Rows whose replies each waited for."""
    blocks: Ragged | None = None
    """Blocks of its prompt, by number: the same number is the same text."""
    block_tokens: int = 0
    """Tokens of a block; the last of a prompt may have fewer. 0 without blocks."""
    prefix_tokens: NDArray[np.int32] | None = None
    """How many tokens of its prompt are the beginning of that of the last row it waited for, where no blocks tell; 0 of
    those that waited for none."""
    changes: tuple[Change, ...] = ()
    """What was done to it so far, the reading of broken rows included."""
    source: str = ""
    """Whom to credit, with the licence; empty where the trace is a user's own."""

    def __len__(self) -> int:
        return len(self.input_tokens)
