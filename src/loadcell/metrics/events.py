"""One pass over the received events: gaps, tokens in the window, and what the instrument did to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from loadcell.metrics import early
from loadcell.metrics.chunks import Chunks, several_tokens, tokens_per_later_chunk
from loadcell.metrics.clusters import Clusters
from loadcell.metrics.dependence import BATCHES, Effective, rank_of
from loadcell.metrics.early import Early, GapMoves, Sooner
from loadcell.metrics.interval import PERMILLE, Moments, batch_slots, spread_of, summarise
from loadcell.metrics.model import Spread, Summary
from loadcell.metrics.quantile import Histogram, order_statistics
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.metrics.window import Span
from loadcell.recording.bursts import together, within_ns
from loadcell.recording.read import Recording, Table

_CLIENT_LAG_NS = 1_000_000
"""Events of one read that was this late were merged by the client; of an earlier read, by the server or network."""
_PROMPT_NS = 250_000
"""Of a read that came within this of the last stamp in it, the events came together; of a later one, the client may
have merged them."""
LEAST_STREAM = 2
"""Tokens or events of a reply from which on it says how a stream was delivered."""


@dataclass
class Received:
    """What the events of a window say of the server."""

    gaps: Histogram = field(default_factory=Histogram)
    tokens: Floats = field(default_factory=lambda: np.zeros(BATCHES))
    """Tokens that were received inside the window, those of failed requests left out, by batches of its time."""
    failed_tokens: float = 0.0
    """Tokens that failed requests received inside it."""
    moves: GapMoves = field(default_factory=GapMoves)
    """How far the gaps can be off."""
    crossing: tuple[float, float] = (0.0, 0.0)
    """Tokens that may belong before the window instead of in it, and in it instead of after it."""


@dataclass
class EventTotals(Received):
    """What one pass over the events adds up, over the requests of the window unless said otherwise."""

    early: Early = field(kw_only=True)
    """The earliest times of the events of each request."""
    of_class: list[Floats] = field(default_factory=list)
    """`tokens` of each class; empty where there is one."""
    read: int = 0
    """Events with output that the recording holds, of all requests."""
    lags: Histogram = field(default_factory=Histogram)
    events: int = 0
    merged: int = 0
    merged_by_client: int = 0
    backward: int = 0
    closed_requests: int = 0
    """ok requests whose every event tells its tokens, beside the server's usage."""
    closed_tokens: float = 0.0
    """Their tokens by usage."""
    closed_difference: float = 0.0
    """Sum of the absolute differences of the two counts."""
    chunks: Chunks = field(kw_only=True)
    """What each event brings, of the ok requests."""
    streams: list[Streams] = field(default_factory=list)
    """How the replies of the ok requests that are long enough came in, by parts."""


class Streams(NamedTuple):
    """How replies came in, a column each."""

    events: Ids
    together: Ids
    """Events that came with the one before, by no lateness of the client."""
    unsure: Ids
    """Events of bursts that the client, late for a read, may have made."""
    bursts: Ids
    burst: Floats
    """Events a burst, of those before the last."""
    apart_ns: Floats
    """Mean time between bursts; NaN for one alone."""


class Listener(Protocol):
    """Something that sees every event with output while a Result is built, to save a pass of its own."""

    def begin(self, rows: Rows, ok: Mask, gaps: Histogram) -> None:
        """Before the first part: the requests, which of them are ok ones of the window, and the gaps of these."""

    def part(self, number: int, part: Table, starts: Ids, lengths: Ids, runs: Ids) -> None:
        """A part that is not empty, with `request`, `t_ns` and `tokens`.

        Where the events of each request start in it, how many there are, and the request's place in a `Lookup`.
        """


class Lookup:
    """Columns of the requests, found by the request's number; a request without a row finds the default."""

    def __init__(self, request: Ids) -> None:
        self.request = request
        self.size = int(request.max()) + 2 if request.size else 1

    def table(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """`values` by request number, with a last entry for all others."""
        table = np.zeros(self.size, dtype=values.dtype)
        table[self.request] = values
        return table

    def index(self, request: Ids) -> Ids:
        """Entries of these requests in such a table."""
        return np.minimum(request, self.size - 1)


def tokens_per_chunk(rows: Rows) -> Floats:
    """Each request's output tokens spread evenly over its output events; 0 where that is unknown or not streamed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = rows.output_tokens / rows.output_chunks
    return np.where(rows.streamed & np.isfinite(share), share, 0.0)


def scan_events(
    recording: Recording, rows: Rows, members: Mask, span: Span, whole: Span | None, several: int = 0
) -> tuple[EventTotals, Received | None]:
    """Read every event with output once: for the window, and for the whole run where that is another one; for each of
    `several` classes too.

    `span` and `whole` say when a token counts, `members` which requests have gaps and lags.
    """
    chunks = Chunks(several_tokens(rows, members & rows.ok))
    totals, others, every = EventTotals(early=Early.of(rows), chunks=chunks), Received(), Received()
    lookup = Lookup(rows.request)
    is_member, is_ok = lookup.table(members), lookup.table(members & rows.ok)
    is_other = lookup.table(~members & rows.ok)
    usage = lookup.table(rows.output_tokens)
    share = lookup.table(tokens_per_chunk(rows))
    later_share = lookup.table(tokens_per_later_chunk(rows))
    streamed = lookup.table(rows.streamed & rows.counted & ~rows.failed)
    failed = lookup.table(rows.streamed & rows.failed)
    kinds = lookup.table(rows.kind)
    totals.early.known = recording.imported is None  # nobody noted what its client could have been off by
    totals.of_class = [np.zeros(BATCHES) for _ in range(several)]
    sent, row = lookup.table(rows.send_start), lookup.table(np.arange(1, len(rows) + 1)) - 1
    for part in early.parts(recording, ("request", "read", "t_ns", "lag_ns", "tokens")):
        request, t_ns = part["request"], part["t_ns"]
        if not request.size:
            continue
        totals.read += request.size
        starts = starts_of(request)
        runs = lookup.index(request[starts])
        lengths = np.diff(np.append(starts, request.size))
        of_event = np.repeat(share[runs], lengths)
        tokens = part["tokens"]
        totals.tokens += _tokens_in(tokens, t_ns, span, of_event, _spread(streamed[runs], lengths))
        for kind in range(several):
            totals.of_class[kind] += _tokens_in(
                tokens, t_ns, span, of_event, np.repeat(streamed[runs] & (kinds[runs] == kind), lengths)
            )
        lost = failed[runs]
        if lost.any():
            totals.failed_tokens += float(_tokens_in(tokens, t_ns, span, of_event, np.repeat(lost, lengths)).sum())
        _add_closure(totals, tokens, starts, usage[runs], is_ok[runs])
        _add_reads(totals, part["read"], part["lag_ns"], starts, _spread(is_member[runs], lengths))
        long = is_ok[runs] & (np.fmax(lengths, usage[runs]) >= LEAST_STREAM)
        if long.any():
            totals.streams.append(_streams(part, starts, lengths, long, polls=early.bounded_by_looks(recording)))
        totals.early.known &= not early.unbounded(recording, part["lag_ns"])
        sooner = early.sooner(part, starts, sent[runs])
        chunks.add(t_ns, tokens, later_share[runs], starts, lengths, is_ok[runs] & streamed[runs])
        totals.backward += _add_gaps(totals, t_ns, starts, lengths, is_ok[runs])
        if whole is not None:
            every.tokens += _tokens_in(tokens, t_ns, whole, of_event, _spread(streamed[runs], lengths))
            if lost.any():
                every.failed_tokens += float(_tokens_in(tokens, t_ns, whole, of_event, np.repeat(lost, lengths)).sum())
            _add_gaps(others, t_ns, starts, lengths, is_other[runs])
        if sooner is not None:
            early.note_ends(totals.early, sooner, part, starts, lengths, row[runs])
            early.note_gaps(totals.moves, sooner, t_ns, starts, lengths, is_ok[runs])
            _add_crossing(totals, sooner, part, span, of_event)
            if whole is not None:
                early.note_gaps(others.moves, sooner, t_ns, starts, lengths, is_other[runs])
                _add_crossing(every, sooner, part, whole, of_event)
    if whole is None:
        return totals, None
    gaps, moves = totals.gaps + others.gaps, totals.moves + others.moves
    return totals, Received(gaps, every.tokens, every.failed_tokens, moves, every.crossing)


def itl_summaries(
    recording: Recording, rows: Rows, views: Sequence[tuple[Mask, Received]], listener: Listener | None = None
) -> list[Summary]:
    """Gaps of all ok members together, of each view (members and what they received), which contains the one before.

    Reads the events a second time, for exact percentiles and for what the gaps are worth to them. The ends of intervals
    are known to one part in 65,536.
    """
    lookup = Lookup(rows.request)
    first_view = np.full(len(rows), -1)
    for i, (members, _) in reversed(list(enumerate(views))):
        first_view[members & rows.ok] = i
    table = lookup.table(first_view + 1)
    ranks = [[rank_of(permille, seen.gaps.n) for permille in PERMILLE.values() if seen.gaps.n] for _, seen in views]
    clusters = [
        Clusters(seen.gaps.edges(wanted), *_extent(rows, members & rows.ok))
        for (members, seen), wanted in zip(views, ranks, strict=True)
    ]

    if listener is not None:
        listener.begin(rows, views[0][0] & rows.ok, views[0][1].gaps)

    def gap_parts() -> Iterator[tuple[int, Ids]]:
        columns = ("request", "t_ns") if listener is None else ("request", "t_ns", "tokens")
        for number, part in enumerate(recording.chunks(columns)):
            if part["request"].size:
                starts = starts_of(part["request"])
                lengths = np.diff(np.append(starts, part["request"].size))
                runs = lookup.index(part["request"][starts])
                if listener is not None:
                    listener.part(number, part, starts, lengths, runs)
                found = table[runs] - 1
                for i in np.unique(found[found >= 0]).tolist():
                    gaps, times = gaps_of(part["t_ns"], starts, lengths, found == i)
                    np.maximum(gaps, 0, out=gaps)
                    of_each = lengths[(found == i) & (lengths > 1)] - 1
                    for view in clusters[i:]:
                        view.add(gaps, of_each, times)
                    yield i, gaps

    parts = gap_parts()
    exact = order_statistics([seen.gaps for _, seen in views], parts, ranks)
    deque(parts, maxlen=0)  # the clusters count every part, whether or not exact values took them
    return [_itl(seen.gaps, *found) for (_, seen), found in zip(views, zip(exact, clusters, strict=True), strict=True)]


def _itl(gaps: Histogram, exact: dict[int, int], clusters: Clusters) -> Summary:
    """Summary of gaps of which some order statistics are known exactly."""

    def pick(ranks: Iterable[int]) -> dict[int, float]:
        wanted = list(ranks)
        near = [exact.get(rank, value) for rank, value in zip(wanted, gaps.at(wanted), strict=True)]
        # What is not exact is the least of its bin, and may fall below an exact value of the same bin.
        return dict(zip(wanted, np.maximum.accumulate(near).tolist(), strict=True)) if wanted else {}

    worth = clusters.effective() if gaps.n else [0.0] * len(PERMILLE)
    at = dict(zip(PERMILLE.values(), worth, strict=True))
    known = Moments(gaps.mean, gaps.sd, gaps.min if gaps.n else None, clusters.error_of_mean() if gaps.n else None)
    return summarise(gaps.n, known, pick, Effective(at[500], at), bounded=False, unit=1e6)


def _extent(rows: Rows, chosen: Mask) -> tuple[float, float]:
    """First and last output of the chosen requests; (0, 0) if they had none."""
    streamed = chosen & rows.streamed
    return (float(rows.first_any[streamed].min()), float(rows.last[streamed].max())) if streamed.any() else (0.0, 0.0)


def lag_spread(totals: EventTotals) -> Spread:
    """Spread of the read lag, to one part in 65,536."""
    return spread_of(totals.lags.n, lambda rank: totals.lags.at([rank])[0] / 1e6)


def starts_of(request: Ids) -> Ids:
    """Where each request's block of events begins."""
    return np.concatenate(([0], np.flatnonzero(request[1:] != request[:-1]) + 1))


def _spread(of_run: Mask, lengths: Ids) -> Mask | None:
    """A mask of runs as a mask of events; None stands for all of them."""
    return None if of_run.all() else np.repeat(of_run, lengths)


def gaps_of(t_ns: Ids, starts: Ids, lengths: Ids, wanted: Mask) -> tuple[Ids, Ids]:
    """(gaps between successive events of one request, over the wanted requests; when each ended)."""
    keep = np.ones(t_ns.size, dtype=bool) if wanted.all() else np.repeat(wanted, lengths)
    keep[starts] = False  # the first event of a request follows nothing
    return np.diff(t_ns)[keep[1:]], t_ns[keep]


def _add_gaps(received: Received, t_ns: Ids, starts: Ids, lengths: Ids, wanted: Mask) -> int:
    """Add the gaps of the wanted requests; how many of them were negative, and count as 0."""
    if not wanted.any():
        return 0
    gaps, _ = gaps_of(t_ns, starts, lengths, wanted)
    received.gaps.add(np.maximum(gaps, 0))
    return int(np.count_nonzero(gaps < 0))


def _tokens_in(
    told: npt.NDArray[Any], t_ns: npt.NDArray[Any], span: Span, share: Floats, wanted: Mask | None
) -> Floats:
    """Tokens of the wanted events in the window, by batches: as an event tells, else its request's even share."""
    inside = span.holds(t_ns)
    if wanted is not None:
        inside &= wanted
    tokens = np.where(np.isnan(told), share, told)[inside]
    slots = batch_slots(t_ns[inside], span.start, span.end)
    return np.bincount(slots, weights=tokens, minlength=BATCHES).astype(np.float64)


def _add_crossing(totals: Received, sooner: Sooner, part: Table, span: Span, share: Floats) -> None:
    """Add the tokens that may belong on the other side of an edge of the window."""
    told = part["tokens"][sooner.places]
    tokens = np.where(np.isnan(told), share[sooner.places], told)
    out, into = early.crossing(sooner, part["t_ns"], tokens, span.start, span.end)
    totals.crossing = (totals.crossing[0] + out, totals.crossing[1] + into)


def _add_closure(totals: EventTotals, tokens: npt.NDArray[Any], starts: Ids, usage: Floats, wanted: Mask) -> None:
    """Compare the tokens that the events of a request tell with its count, where every event tells."""
    counted = np.add.reduceat(tokens.astype(np.float64, copy=False), starts)
    closed = wanted & ~np.isnan(counted) & ~np.isnan(usage)
    totals.closed_requests += int(np.count_nonzero(closed))
    totals.closed_tokens += float(usage[closed].sum())
    totals.closed_difference += float(np.abs(counted - usage)[closed].sum())


def _add_reads(
    totals: EventTotals, read: npt.NDArray[Any], lag_ns: npt.NDArray[Any], starts: Ids, wanted: Mask | None
) -> None:
    """Add the lag of each read once, and count the events that shared a read with the one before."""
    merged = np.concatenate(([False], read[1:] == read[:-1]))
    merged[starts] = False
    if wanted is not None:
        merged, lag_ns = merged[wanted], lag_ns[wanted]
    totals.events += merged.size
    totals.merged += int(np.count_nonzero(merged))
    totals.merged_by_client += int(np.count_nonzero(lag_ns[merged] > _CLIENT_LAG_NS))
    lags = lag_ns[~merged]
    if lags.dtype.kind == "f":
        lags = lags[~np.isnan(lags)]
    totals.lags.add(np.maximum(lags, 0))


def _streams(part: Table, starts: Ids, lengths: Ids, long: Mask, *, polls: bool) -> Streams:
    """How the `long` replies came in.

    Where one read brought several events they came together if the look before it had shown none just before, or, where
    no look is recorded, if the read was prompt. Else nobody knows: the client may have merged them.
    """
    read, t_ns = part["read"], part["t_ns"]
    came = together(read, t_ns, starts, lengths)
    since = t_ns - np.append(np.nan, part["poll_ns"][:-1] if polls else np.full(t_ns.size - 1, np.nan))
    since = np.where(np.isnan(since), part["lag_ns"], since)
    within = np.fmax(np.repeat(within_ns(t_ns, starts, lengths), lengths), _PROMPT_NS)
    unsure = came & np.append(False, read[1:] == read[:-1]) & (since > within)
    heads = np.flatnonzero(~came)
    whose = np.repeat(np.logical_or.reduceat(unsure, heads), np.diff(np.append(heads, t_ns.size)))
    found, doubtful, sure = np.add.reduceat(np.stack((came, whose, came & ~whose)).astype(np.int64), starts, axis=1)
    bursts = lengths - found
    last_head = heads[np.cumsum(bursts) - 1]
    whole = np.where(bursts > 2, (last_head - starts) / np.maximum(bursts - 1, 1), lengths / bursts)
    ends = t_ns[starts + lengths - 1] - t_ns[starts]
    apart = np.where(bursts > 1, ends / np.maximum(bursts - 1, 1), np.nan)
    return Streams(lengths[long], sure[long], doubtful[long], bursts[long], whole[long], apart[long])
