"""The error budget: each figure once more, with the earliest and the latest times that the recording allows.

Arithmetic, not a model. What was measured lies between two clock readings: the send between the readings around it, an
event between the last look at the sockets without it and its stamp (`early.py`). A latency from the send is therefore
as long as recorded, or shorter by what the send call took and by what its event may be early. Response times begin at
planned times and hold what the client was late by: nothing to add. In a closed loop the client's own time between a
reply and the next send lowers every rate: without it the rate would be higher by its part of the cycle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from loadcell.metrics.dependence import rank_of
from loadcell.metrics.early import Early
from loadcell.metrics.events import Received
from loadcell.metrics.goodput import limits_ns
from loadcell.metrics.interval import PERMILLE
from loadcell.metrics.latency import OF_FIRST, audio_ms, pace_end_ns, paced_tokens
from loadcell.metrics.model import Budget, Goodput, Latency, Summary, Throughput
from loadcell.metrics.quantile import Histogram
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.throughput import OF_RESULTS, input_tokens, made_by
from loadcell.metrics.window import Span
from loadcell.recording.tables import LEAST_LATER
from loadcell.spec import LIMITED, Slo

_MS = 1e6
replace = msgspec.structs.replace


@dataclass(frozen=True)
class Bounds:
    """A latency of each request, in ns: at least, and at most. NaN where it has none."""

    low: Floats
    high: Floats


def bounds(rows: Rows, early: Early, loop: str) -> dict[str, tuple[Bounds, Bounds | None]]:
    """Service and response times by metric; no response times in a closed loop."""
    sent = rows.left
    response = loop == "open"

    def from_both(first: Floats, stamp: Floats, over: Floats | float = 1.0) -> tuple[Bounds, Bounds | None]:
        service = Bounds(np.maximum(first - sent, 0) / over, (stamp - rows.send_start) / over)
        planned = Bounds((first - rows.planned) / over, (stamp - rows.planned) / over) if response else None
        return service, planned

    later = paced_tokens(rows)
    tokens = np.where(rows.output_tokens >= 1, rows.output_tokens, np.nan)
    # The time of a burst is that of the last event in it, which is its own.
    first = np.where(rows.first_events > 1, rows.first_any, early.first)
    last = np.where(np.isnan(rows.pace_end), early.last, rows.pace_end)
    tpot = Bounds(np.maximum(last - rows.first_any, 0) / later, (pace_end_ns(rows) - first) / later)
    return {
        "ttft_ms": from_both(early.first, rows.first_any),
        "ttfa_ms": from_both(early.answer, rows.first_answer),
        "tpot_ms": (tpot, None),
        "ntpot_ms": from_both(early.last, rows.last, tokens),
        "e2e_ms": from_both(early.last, rows.last),
        "first_audio_ms": from_both(early.first, rows.first_audio),
        "rtf": from_both(early.last, rows.last, audio_ms(rows)),
    }


def with_budgets(
    latency: dict[str, Latency],
    rows: Rows,
    ok: Mask,
    early: Early,
    received: Received,
    loop: str,
    came: Mask | None = None,
) -> dict[str, Latency]:
    """The latencies of the ok requests with the budget of each of their figures; as they are where none is known.

    `came` as of `latency.latencies`.
    """
    if not early.known:
        return latency
    found = dict(latency)
    for name, (service, response) in bounds(rows, early, loop).items():
        was = latency[name]
        chosen = ok if came is None or name.removesuffix("_ms") not in OF_FIRST else came
        found[name] = replace(
            was,
            service=budgeted(was.service, service, chosen),
            response=was.response and response and budgeted(was.response, response, chosen),
        )
    itl = latency["itl_ms"]
    found["itl_ms"] = replace(itl, service=_of_gaps(itl.service, rows, ok, early, received))
    return found


def budgeted(summary: Summary, both: Bounds, ok: Mask) -> Summary:
    """The summary with budgets: every percentile of the least values and of the largest ones."""
    low, high = both.low[ok], both.high[ok]
    known = ~np.isnan(high)
    low, high = np.fmin(low[known], high[known]), high[known]
    n = low.size
    if not n:
        return summary
    ranks = sorted({rank_of(permille, n) for permille in PERMILLE.values()} | {n})
    places = [rank - 1 for rank in ranks]
    least, most = np.partition(low, places), np.partition(high, places)
    at = {rank: Budget(low=float(least[rank - 1]) / _MS, high=float(most[rank - 1]) / _MS) for rank in ranks}
    half = (high - low) / 2
    spread = _about(float(np.std(high - half, ddof=1)), float((half**2).sum()), n) if n > 1 else None
    mean = Budget(low=float(low.mean()) / _MS, high=float(high.mean()) / _MS)
    return _spread(summary, lambda permille: at[rank_of(permille, n)], mean, at[n], spread)


def _of_gaps(summary: Summary, rows: Rows, ok: Mask, early: Early, received: Received) -> Summary:
    """The same of the gaps: their counts, with those moved that a shared read began or ended."""
    gaps, moves = received.gaps, received.moves
    if not gaps.n:
        return summary
    # Gaps of one reply add up to the time between its first and its last event: so much bounds their mean.
    several = ok & rows.streamed & (rows.output_chunks > 1)
    earlier_last = float((rows.last - early.last)[several].sum()) / gaps.n
    earlier_first = float((rows.first_any - early.first)[several].sum()) / gaps.n
    assert gaps.mean is not None
    mean = Budget(low=max(0.0, gaps.mean - earlier_last) / _MS, high=(gaps.mean + earlier_first) / _MS)
    shorter, longer = _moved(gaps, moves.shorter), _moved(gaps, moves.longer)

    def at(rank: int, value: float | None) -> Budget | None:
        if value is None:
            return None
        low = value if shorter is None else min(value, shorter.bins([rank])[0][0] / _MS)
        high = value if longer is None else max(value, min(longer.bins([rank])[0][1], longer.max) / _MS)
        return Budget(low=low, high=high)

    values = {permille: getattr(summary, name).value for name, permille in PERMILLE.items()}
    sd: float | None = getattr(summary, "sd", None)
    return _spread(
        summary,
        lambda permille: at(rank_of(permille, gaps.n), values[permille]),
        mean,
        at(gaps.n, summary.max),
        None if sd is None or gaps.n < 2 else _about(sd * _MS, moves.squares, gaps.n),
    )


def _moved(gaps: Histogram, delta: Histogram | None) -> Histogram | None:
    return None if delta is None else gaps + delta


def _about(centre: float, squares: float, n: int) -> Budget:
    """Of a standard deviation: moving samples by d moves it by no more than the root of sum(d^2) / (n - 1)."""
    reach = math.sqrt(squares / (n - 1))
    return Budget(low=max(0.0, centre - reach) / _MS, high=(centre + reach) / _MS)


def _spread(
    summary: Summary,
    percentile: Callable[[int], Budget | None],
    mean: Budget,
    most: Budget | None,
    spread: Budget | None,
) -> Summary:
    estimates = {name: replace(getattr(summary, name), budget=percentile(p)) for name, p in PERMILLE.items()}
    return replace(summary, **estimates, mean_budget=mean, sd_budget=spread, max_budget=most)


# --- rates -----------------------------------------------------------------------------------------------------------


def think_share(rows: Rows, span: Span, loop: str) -> float:
    """Closed loop: the client's own time between a reply's end and the next send, over the cycle of a user; else 0.

    Of the requests that the window saw sent on an open connection: opening one is the server's and the network's time.
    """
    chosen = rows.counted & span.holds(rows.send_start) & np.isnan(rows.conn_start) & (rows.end > rows.ready)
    if loop == "open" or not chosen.any():
        return 0.0
    think = np.maximum(rows.send_start - rows.ready, 0)[chosen].sum()
    return float(think / (rows.end - rows.ready)[chosen].sum())


def with_rate_budgets(
    rates: Throughput, rows: Rows, span: Span, early: Early, received: Received, loop: str, clock: str
) -> Throughput:
    """The rates with their budgets: what may lie on the other side of an edge of the window, and the client's own time
    that a closed loop would not have lost."""
    if not early.known or span.length_s is None:
        return rates
    think, length_s = think_share(rows, span, loop), span.length_s
    less, more = _lives_inside(rows, span, early, clock)
    each = np.nan_to_num(input_tokens(rows))

    def budget(value: float | None, out: float, into: float) -> Budget | None:
        """Of a rate of which so much may belong outside of the window, and so much more into it."""
        if value is None:
            return None
        return Budget(low=max(0.0, value - out / length_s), high=(value + into / length_s) / (1 - think))

    def crossed(name: str) -> Budget | None:
        of_each = made_by(rows, name)
        return budget(getattr(rates, name), float((less * of_each).sum()), float((more * of_each).sum()))

    prompts = budget(rates.input_tokens_per_s, float((less * each).sum()), float((more * each).sum()))
    output = budget(rates.output_tokens_per_s, *received.crossing)
    return replace(
        rates,
        requests_budget=budget(rates.requests_per_s, float(less.sum()), float(more.sum())),
        input_tokens_budget=prompts,
        **{name.replace("_per_s", "_budget"): crossed(name) for name in OF_RESULTS},
        output_tokens_budget=output,
        total_tokens_budget=_sum(prompts, output),
    )


def amount_budget(
    value: float, each: Floats, rows: Rows, span: Span, early: Early, loop: str, clock: str
) -> Budget | None:
    """That of a rate of `each`, so much of every request, counted as requests are."""
    if not early.known or span.length_s is None:
        return None
    less, more = _lives_inside(rows, span, early, clock)
    out, into = float((less * each).sum()) / span.length_s, float((more * each).sum()) / span.length_s
    return Budget(low=max(0.0, value - out), high=(value + into) / (1 - think_share(rows, span, loop)))


def _sum(a: Budget | None, b: Budget | None) -> Budget | None:
    return a and b and Budget(low=a.low + b.low, high=a.high + b.high)


def _lives_inside(rows: Rows, span: Span, early: Early, clock: str) -> tuple[Floats, Floats]:
    """(by how much less of each request's life can lie inside the window than its stamps say, and how much more)."""
    lived = rows.ok & (rows.end > rows.send_start)
    # The last read of a reply has nothing after it: with a kernel stamp, its time is its own.
    ended = rows.end if clock == "kernel" else np.fmin(rows.end, np.where(rows.streamed, early.last, rows.end))
    begun = rows.left

    def inside(start: Floats, end: Floats) -> Floats:
        end = np.maximum(end, start + 1)
        part = np.maximum(np.minimum(end, span.end) - np.maximum(start, span.start), 0) / (end - start)
        return np.where(lived, part, 0.0)

    corners = np.array([inside(start, end) for start in (rows.send_start, begun) for end in (rows.end, ended)])
    return corners[0] - corners.min(axis=0), corners.max(axis=0) - corners[0]


def attainment_budget(
    good: Goodput, rows: Rows, members: Mask, slo: Slo | Sequence[Slo], early: Early, loop: str
) -> Goodput:
    """Goodput with the budget of its attainment: with every latency as long, and as short, as it can have been."""
    if not early.known or good.attainment.value is None or not good.planned:
        return good
    ok = members & rows.ok
    shares = []
    for figures in zip(*_limited(rows, early, loop), strict=True):
        kept = ok.copy()
        for name, figure in zip(LIMITED, figures, strict=True):
            if (limit_ns := limits_ns(rows, slo, name)) is not None:
                kept &= np.isnan(limit_ns) | (figure <= limit_ns)
        shares.append(float(np.count_nonzero(kept)) / good.planned)
    return replace(good, attainment_budget=Budget(low=min(shares), high=max(shares)))


def _limited(rows: Rows, early: Early, loop: str) -> Iterator[tuple[Floats, Floats]]:
    """(least, most) of what an SLO limits, in the order of its fields; the pace of a single token is kept, as 0."""
    found = bounds(rows, early, loop)
    alone = (rows.later_tokens < LEAST_LATER) | (rows.output_tokens <= 1)
    for name in LIMITED:
        service, response = found[name]
        both = response or service
        if name == "tpot_ms":
            both = Bounds(np.where(alone, 0.0, both.low), np.where(alone, 0.0, both.high))
        yield both.low, both.high
