"""What is drawn of the received events, taken from them in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.metrics.behaved import timed
from loadcell.metrics.concurrency import InFlight
from loadcell.metrics.dependence import rank_of
from loadcell.metrics.events import Lookup, gaps_of, starts_of, tokens_per_chunk
from loadcell.metrics.model import Result
from loadcell.metrics.quantile import Histogram
from loadcell.metrics.rows import Floats, Ids, Mask, Rows, read_rows
from loadcell.metrics.window import anchors, window_of
from loadcell.recording.read import Recording, Table
from loadcell.report.detail.bins import BINS, add_by_row, bins_of
from loadcell.report.detail.levels import Fine, fine_levels, in_flight
from loadcell.report.detail.stalls import Stalled, threshold_ns
from loadcell.report.detail.steps import Steps, make_steps

_NEVER = np.iinfo(np.int64).max


class Watch:
    """Sees every event with output, by itself or while a Result is built, and keeps what is drawn of them.

    Gaps are those between such events of one ok request, backward ones taken as 0.
    """

    rows: Rows
    ok: Mask
    """The ok requests of the window."""
    gaps: Histogram
    """Gaps of the window."""
    steps: Steps | None
    flight: InFlight | None
    fine: Fine
    by_step: Ids
    """Gaps of the whole run by step and bin, with the extremes of each step: `least` and `most`."""
    least: Ids
    most: Ids
    by_level: Ids
    """Gaps of the window by level and bin; none where there is one level only."""
    tokens: Floats
    """Output tokens that were received in each step, of any request."""
    stalled: Stalled

    def __init__(self, recording: Recording) -> None:
        self.loop = recording.manifest.loop
        self.read = 0
        """Events with output in the recording."""
        self.shortest, self.as_short = _NEVER, 0
        """The shortest gap of the window, and how many are as short."""

    def begin(self, rows: Rows, ok: Mask, gaps: Histogram) -> None:
        """As a `Listener`: the requests, the ok ones of the window, and the gaps of these."""
        median_ns = float(gaps.at([rank_of(500, gaps.n)])[0]) if gaps.n else 0.0
        self.rows, self.ok, self.gaps = rows, ok, gaps
        self.stalled = Stalled(threshold_ns(median_ns))
        self.steps, self.flight = make_steps(rows, self.loop), in_flight(rows)
        if self.steps is None:
            return
        self.fine = fine_levels(self.flight, self.steps, rows, ok)
        count = self.steps.count
        self.by_step = np.zeros((count, BINS), dtype=np.int64)
        self.least, self.most = np.full(count, _NEVER), np.zeros(count, dtype=np.int64)
        self.by_level = np.zeros((self.fine.mean.size, BINS), dtype=np.int64)
        self.tokens = np.zeros(count)
        lookup = Lookup(rows.request)
        self._is_ok, self._is_member = lookup.table(rows.ok), lookup.table(ok)
        self._streamed, self._share = lookup.table(rows.streamed), lookup.table(tokens_per_chunk(rows))

    def part(self, number: int, part: Table, starts: Ids, lengths: Ids, runs: Ids) -> None:
        """As a `Listener`: a part of the events."""
        self.read += part["t_ns"].size
        if self.steps is None:
            return
        cell = self.steps.cell(part["t_ns"])
        block = _Block(part["t_ns"], cell, self.steps.step_of(cell), starts, lengths)
        told = _tokens(part["tokens"], self._share[runs], self._streamed[runs], lengths)
        pieces = block.pieces()
        at = block.step[pieces]
        self.tokens += np.bincount(at, weights=np.add.reduceat(told, pieces), minlength=self.steps.count)
        of_ok = self._is_ok[runs]
        block = block.of(of_ok)
        if not block.t_ns.size:
            return
        gap, bins = block.gaps()
        self._add_steps(block, gap, bins, pieces if of_ok.all() else block.pieces())
        inside = self._is_member[runs[of_ok]]
        if not inside.all():
            block = block.of(inside)
            if not block.t_ns.size:
                return
            gap, bins = block.gaps()
        self._add_members(number, part["request"], block, gap, bins)

    def _add_steps(self, block: _Block, gap: Ids, bins: npt.NDArray[np.int32], pieces: Ids) -> None:
        add_by_row(self.by_step, block.step, bins, block.starts)
        at = block.step[pieces]
        np.maximum.at(self.most, at, np.maximum.reduceat(gap, pieces))
        gap[block.starts] = _NEVER
        np.minimum.at(self.least, at, np.minimum.reduceat(gap, pieces))

    def _add_members(self, number: int, request: Ids, block: _Block, gap: Ids, bins: npt.NDArray[np.int32]) -> None:
        gap[block.starts] = _NEVER
        shortest = int(gap.min())
        if shortest <= self.shortest and shortest != _NEVER:
            self.as_short = int(np.count_nonzero(gap == shortest)) + self.as_short * (shortest == self.shortest)
            self.shortest = shortest
        if len(self.by_level) > 1:
            add_by_row(self.by_level, self.fine.of_cell[block.cell], bins, block.starts)
        gap[block.starts] = 0
        self.stalled.with_gaps += int(np.count_nonzero(block.lengths > 1))
        self.stalled.add(number, request, block.t_ns, block.starts, gap, block.origin)


@dataclass(frozen=True)
class _Block:
    """Events of whole requests, one after the other: their times, cells and steps, and where each request starts."""

    t_ns: Ids
    cell: Ids
    step: Ids
    starts: Ids
    lengths: Ids
    origin: Ids | None = None
    """Their places in the part; None where it is all of it."""

    def of(self, wanted: Mask) -> _Block:
        """The events of some of the requests."""
        if wanted.all():
            return self
        kept = np.flatnonzero(np.repeat(wanted, self.lengths))
        lengths = self.lengths[wanted]
        return _Block(
            self.t_ns[kept],
            self.cell[kept],
            self.step[kept],
            np.cumsum(lengths) - lengths,
            lengths,
            kept if self.origin is None else self.origin[kept],
        )

    def pieces(self) -> Ids:
        """Where each stretch of events of one request in one step begins."""
        begins = np.empty(self.step.size, dtype=bool)
        np.not_equal(self.step[1:], self.step[:-1], out=begins[1:])
        begins[self.starts] = True
        return np.flatnonzero(begins)

    def gaps(self) -> tuple[Ids, npt.NDArray[np.int32]]:
        """The gap before each event, and its bin; 0 before the first of a request, which is no gap."""
        gap = np.empty_like(self.t_ns)
        np.subtract(self.t_ns[1:], self.t_ns[:-1], out=gap[1:])
        gap[self.starts] = 0
        np.maximum(gap, 0, out=gap)
        return gap, bins_of(gap)


def watch_alone(recording: Recording, result: Result) -> Watch:
    """A watch that has read the events itself, over the window of `result`."""
    watch, rows = Watch(recording), timed(read_rows(recording))
    ok = window_of(result, recording.spec.load).members(rows, anchors(rows, watch.loop)) & rows.ok
    is_member, gaps = Lookup(rows.request).table(ok), Histogram()
    for _, part, starts, lengths, runs in _parts(recording, rows, ("request", "t_ns")):
        found, _ = gaps_of(part["t_ns"], starts, lengths, is_member[runs])
        gaps.add(np.maximum(found, 0))
    watch.begin(rows, ok, gaps)
    for number, part, starts, lengths, runs in _parts(recording, rows, ("request", "t_ns", "tokens")):
        watch.part(number, part, starts, lengths, runs)
    return watch


def _parts(recording: Recording, rows: Rows, columns: tuple[str, ...]) -> Iterator[tuple[int, Table, Ids, Ids, Ids]]:
    """What `Listener.part` takes, of every part that is not empty."""
    lookup = Lookup(rows.request)
    for number, part in enumerate(recording.chunks(columns)):
        if part["request"].size:
            starts = starts_of(part["request"])
            lengths = np.diff(np.append(starts, part["request"].size))
            yield number, part, starts, lengths, lookup.index(part["request"][starts])


def lags_ns(recording: Recording, parts: set[int]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """(number of the part, lag of the read of each event with output in it), of some parts only."""
    chosen = sorted(parts)
    some = replace(recording, chunk_parts=[recording.chunk_parts[number] for number in chosen])
    yield from zip(chosen, (part["lag_ns"] for part in some.chunks(("lag_ns",))), strict=True)


def _tokens(told: npt.NDArray[Any], share: Floats, streamed: Mask, lengths: Ids) -> npt.NDArray[Any]:
    """Tokens of each event: as it tells, else the even share of its request; 0 of requests that were not streamed."""
    if told.dtype.kind == "f":
        told = np.where(np.isnan(told), np.repeat(share, lengths), told)
    return told if streamed.all() else np.where(np.repeat(streamed, lengths), told, 0)
