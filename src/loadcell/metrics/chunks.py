"""Tokens that come several in an event: how many, and what the time between events is for each of them.

A gap that ends with an event of k tokens counts as k times a k-th of it: what the engine does a token, as SGLang's
bench_serving has it where an accepted length is told. ITL is by event: each gap once, whatever it brings.
"""

from __future__ import annotations

import numpy as np

from loadcell.metrics.dependence import rank_of
from loadcell.metrics.interval import shown_from
from loadcell.metrics.model import ItlByToken, TokensPerChunk
from loadcell.metrics.quantile import Histogram
from loadcell.metrics.rows import Floats, Ids, Mask, Rows

SEVERAL = 0.95
"""Events a token below which a gap is no time per token."""
_NEARLY_ALL = 0.99
"""Of the events, whose tokens must be known for a distribution."""
_PARTS = 64
"""In which tokens are counted, for the even share of a reply is no whole number."""
_MS = 1e6


def tokens_per_later_chunk(rows: Rows) -> Floats:
    """Tokens of each output event after the first, or after what came with it, spread evenly; 0 where unknown."""
    events = _later_chunks(rows)
    return np.divide(rows.later_tokens, events, out=np.zeros(len(rows)), where=events > 0)


def several_tokens(rows: Rows, ok: Mask) -> bool:
    """Whether the events of these requests hold several tokens, so that a gap between two is no time per token.

    By what came after the first output, which may stand for reasoning that was not sent.
    """
    events = _later_chunks(rows)
    known = ok & rows.streamed & (rows.later_tokens > 0) & (events > 0)
    return bool(known.any()) and float(events[known].sum() / rows.later_tokens[known].sum()) < SEVERAL


def _later_chunks(rows: Rows) -> Floats:
    return rows.output_chunks - np.fmax(rows.first_events, 1) - np.nan_to_num(rows.last_events)


class Chunks:
    """Counts over the events of ok requests, part by part."""

    def __init__(self, several: bool) -> None:
        self.several = several
        self.chunks = 0
        self._sizes = Histogram()
        """Tokens of the events that tell them."""
        self._gaps = Histogram()
        """ns a token, `_PARTS` times each."""
        self._assumed = 0

    def add(self, t_ns: Ids, tokens: Floats, share: Floats, starts: Ids, lengths: Ids, wanted: Mask) -> None:
        """Take events of a part: when they came, what they tell, and by request the `share` of those that do not."""
        if not wanted.any():
            return
        keep = np.repeat(wanted, lengths)
        told = tokens[keep]
        self.chunks += told.size
        self._sizes.add(told[~np.isnan(told)])
        if self.several:
            first = np.zeros(t_ns.size, dtype=bool)
            first[starts] = True
            self._add_gaps(t_ns[keep], told, np.repeat(share, lengths)[keep], first[keep])

    def _add_gaps(self, t_ns: Ids, told: Floats, share: Floats, first: Mask) -> None:
        """Gaps between events that bring tokens; one that brings none is part of the gap of the next."""
        assumed = np.isnan(told)
        times = np.rint(np.where(assumed, share, told) * _PARTS).astype(np.int64)
        some = first | (times > 0)
        t_ns, first, times, assumed = t_ns[some], first[some], times[some], assumed[some]
        later = ~first[1:]
        times, assumed = times[1:][later], assumed[1:][later]
        gaps = np.maximum(np.diff(t_ns)[later], 0)
        self._gaps.add(np.rint(gaps * _PARTS / times).astype(np.int64), times)
        self._assumed += int(times[assumed].sum())

    def per_chunk(self, rows: Rows, ok: Mask) -> TokensPerChunk | None:
        """The distribution of tokens per event of these requests; None without an event."""
        if not self.chunks:
            return None
        known = ok & rows.streamed & (rows.output_tokens > 0) & (rows.output_chunks > 0)
        sizes, n = self._sizes, self._sizes.n
        whole = n >= _NEARLY_ALL * self.chunks

        def at(permille: int) -> int | None:
            return sizes.at([rank_of(permille, n)])[0] if whole and n >= shown_from(permille) else None

        return TokensPerChunk(
            chunks=self.chunks,
            told_share=n / self.chunks,
            mean=float(rows.output_tokens[known].sum() / rows.output_chunks[known].sum()) if known.any() else None,
            p50=at(500),
            p90=at(900),
            max=sizes.max if whole else None,
            several_share=1 - int(sizes.counts[:2].sum()) / n if whole else None,
            several=self.several,
        )

    def by_token(self) -> ItlByToken | None:
        """ITL by token; None where ITL is it, or there is no gap."""
        found = self._gaps
        if not found.n:
            return None

        def at(permille: int) -> float | None:
            shown = found.n >= shown_from(permille) * _PARTS
            return found.at([rank_of(permille, found.n)])[0] / _MS if shown else None

        return ItlByToken(
            tokens=found.n / _PARTS,
            assumed_share=self._assumed / found.n,
            mean_ms=found.total / found.n / _MS,
            p50_ms=at(500),
            p90_ms=at(900),
            p99_ms=at(990),
            max_ms=found.max / _MS,
        )
