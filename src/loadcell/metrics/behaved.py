"""What users did beside waiting: who gave up and when, who read slowly, and whether the server noticed."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from loadcell.metrics.dependence import Z_975, mean_inflation
from loadcell.metrics.interval import spread_ms
from loadcell.metrics.latency import tpot_ns
from loadcell.metrics.model import Abandoned, Behaved, Latency, Noticed, Observed, SlowReading
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.survival import quantiles
from loadcell.phrases import phrase
from loadcell.recording.read import Recording

_PLAN = {"time": "cancel_ns", "patience": "patience_ns"}
"""Column of the schedule that says after how long, by why a request was given up."""
LEAST_LOOKS, LEAST_EXPECTED = 10, 10.0
"""Looks at which a request that was given up would still have run, and such requests at all of them, from which on they
say whether the server noticed."""


def timed(rows: Rows) -> Rows:
    """The rows of which latencies are: those of slow readers do not count in them."""
    return rows if not rows.slow.any() else _without(rows, rows.slow)


def _without(rows: Rows, left_out: Mask) -> Rows:
    return Rows(**{**vars(rows), "ok": rows.ok & ~left_out})


def came(rows: Rows, members: Mask) -> Mask:
    """Requests whose TTFT is known: ok ones, and those that were given up after it; none of slow readers."""
    return members & (rows.ok | (rows.abandoned & rows.streamed)) & ~rows.slow


def behaved(
    recording: Recording, rows: Rows, members: Mask, ttft: Latency | None, seen: Observed | None
) -> Behaved | None:
    """All of it, over the requests of the window; None where users only waited."""
    if not recording.spec.behaviour.any:
        return None
    gone = members & rows.abandoned
    return Behaved(
        abandoned=_abandoned(recording, rows, members, gone, ttft) if gone.any() else None,
        slow=_slow(rows, members) if (members & rows.slow).any() else None,
        noticed=noticed(rows, seen) if rows.abandoned.any() else None,
    )


def _abandoned(recording: Recording, rows: Rows, members: Mask, gone: Mask, ttft: Latency | None) -> Abandoned:
    why = recording.requests(("gave_up",))["gave_up"]
    plan = recording.schedule(tuple(_PLAN.values()))
    late = np.full(len(rows), np.nan)
    for name, column in _PLAN.items():
        chosen = gone & (why == name)
        after = plan[column].astype(np.float64)[rows.request[chosen]]
        late[chosen] = rows.end[chosen] - rows.send_start[chosen] - after
    anchor = rows.planned if recording.manifest.loop == "open" else rows.send_start
    waits = gone & ~rows.streamed & ~rows.slow
    both = came(rows, members) & rows.streamed | waits
    times = np.where(rows.streamed, rows.first_any, rows.end) - anchor
    return Abandoned(
        by=dict(sorted(Counter(str(name) for name in why[gone]).items())),
        before_first=int(np.count_nonzero(gone & ~rows.streamed)),
        output_tokens=float(np.nansum(rows.output_tokens[gone & rows.streamed])),
        late=spread_ms(late) if np.isfinite(late).any() else None,
        ttft_anchor="response" if recording.manifest.loop == "open" else "service",
        ttft_ms=quantiles(times[both], rows.streamed[both], unit=1e6, inflation=_inflation(ttft))
        if waits.any()
        else {},
    )


def _inflation(ttft: Latency | None) -> float:
    """By how much dependence between requests widens an interval, as the TTFT of those that came tell."""
    summary = None if ttft is None else ttft.response or ttft.service
    if summary is None or not summary.p50.effective:
        return 1.0
    return max(1.0, summary.n / summary.p50.effective)


def _slow(rows: Rows, members: Mask) -> SlowReading:
    slow, ok = members & rows.slow, members & rows.ok
    lasted = rows.last - rows.send_start
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = 1e9 / tpot_ns(rows)

    def middle(values: Floats, chosen: Mask) -> float | None:
        known = values[chosen][np.isfinite(values[chosen])]
        return float(np.median(known)) if known.size else None

    own, others = middle(lasted, slow & ok), middle(lasted, ok & ~rows.slow)
    return SlowReading(
        requests=int(np.count_nonzero(slow)),
        ok=int(np.count_nonzero(slow & ok)),
        e2e_s=None if own is None else own / 1e9,
        alone_e2e_s=None if others is None else others / 1e9,
        tokens_per_s=middle(rate, slow & ok),
    )


# --- did the server notice -------------------------------------------------------------------------------------------


def noticed(rows: Rows, seen: Observed | None) -> Noticed | None:
    """Whether the server goes on with requests that were given up; None where its page tells too little.

    At each look it has so many requests, running or waiting, beyond those that are in flight here; and so many of those
    that were given up by then would still run if it never noticed, by the tokens that they asked for and the pace of
    the others. The sum of the first over that of the second is the share that it goes on with: looks every two seconds
    do not tell how soon it stops, only how much of the work is done for nobody.
    """
    series = {} if seen is None else seen.series
    running, waiting = series.get("requests_running"), series.get("requests_waiting")
    if running is None:
        return None
    t = np.array(running.t_s) * 1e9
    has = np.array([np.nan if value is None else value for value in running.values])
    if waiting is not None and len(waiting.values) == has.size:
        has = has + np.array([np.nan if value is None else value for value in waiting.values])
    gone = rows.abandoned & rows.sent
    left = _left_ns(rows)[gone]
    if not np.isfinite(left).any():
        return None
    expected = inside(t, rows.end[gone], rows.end[gone] + np.maximum(np.nan_to_num(left), 0))
    excess = has - inside(t, rows.send_start[rows.sent], rows.end[rows.sent])
    known = np.isfinite(excess) & (expected > 0)
    looks, total = int(np.count_nonzero(known)), float(expected[known].sum())
    if looks < LEAST_LOOKS or total < LEAST_EXPECTED:
        return None
    excess, expected = excess[known], expected[known]
    share, low, high = share_gone_on(excess, expected)
    return Noticed(looks=looks, expected=total / looks, excess=float(excess.mean()), share=share, low=low, high=high)


def share_gone_on(excess: Floats, expected: Floats) -> tuple[float, float, float]:
    """The ratio of two sums over looks, with its 95 % interval (Cochran 1977, 6.4), which knows that looks near to one
    another see the same requests."""
    total = float(expected.sum())
    share = float(excess.sum()) / total
    off = excess - share * expected
    reach = Z_975 * float(np.std(off, ddof=1)) * math.sqrt(excess.size * mean_inflation(off)) / total
    return share, share - reach, share + reach


def inside(t: Floats, begins: Floats, ends: Floats) -> Floats:
    """How many of some spans hold each time."""
    begun = np.searchsorted(np.sort(begins), t, side="right")
    over = np.searchsorted(np.sort(ends), t, side="right")
    return (begun - over).astype(np.float64)


def _left_ns(rows: Rows) -> Floats:
    """How long each request would have gone on after it was given up, at the pace of the ok ones."""
    ok = rows.ok & ~rows.slow

    def middle(values: Floats) -> float:
        known = values[ok][np.isfinite(values[ok])]
        return float(np.median(known)) if known.size else np.nan

    pace, first = middle(tpot_ns(rows)), middle(rows.first_any - rows.send_start)
    had = np.where(rows.streamed, np.nan_to_num(rows.output_tokens), 0.0)
    until_first = np.where(rows.streamed, 0.0, np.maximum(first - (rows.end - rows.send_start), 0))
    return until_first + (rows.asked_tokens - had) * pace


# --- in words --------------------------------------------------------------------------------------------------------


def behaved_notes(found: Behaved | None) -> list[str]:
    """What a reader of the figures must know of it."""
    if found is None:
        return []
    notes = []
    gone, slow = found.abandoned, found.slow
    if gone is not None and gone.before_first:
        notes.append(
            phrase(
                "{:,} users gave up before the first output: TTFT is of those to whom it came, which makes it look "
                "better than it was; with the others counted as at least as long as they waited it stands beside it",
                gone.before_first,
            )
        )
    if gone is not None and (gone.by.get("time") or gone.by.get("tokens")):
        notes.append(
            phrase(
                "{:,} requests were given up in the middle, as planned: E2E, TPOT and ITL are of those that ended by "
                "themselves",
                sum(gone.by.values()) - gone.before_first,
            )
        )
    if slow is not None:
        notes.append(
            phrase(
                "the clients of {:,} requests read slowly, as planned: their latencies are their own, and in no "
                "latency or goodput here",
                slow.requests,
            )
        )
    return notes
