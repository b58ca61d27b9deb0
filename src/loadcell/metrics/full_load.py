"""The part of the window in which the load asked for was on, for rates and concurrency; and what ended after it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from loadcell.metrics.life import life_ends
from loadcell.metrics.rows import Mask, Rows
from loadcell.metrics.window import Span, median_e2e, ramp_ns
from loadcell.recording.schema import Manifest
from loadcell.spec import Load, Spec

_LEFT = 0.25
"""Part of the sending of an open loop that must be left for its rates; else they are of the whole run."""
_ROUNDING = 1e-6
_KEPT = 0.5
"""Part of a window that must be left where requests without an outcome cut it; else requests count by their end."""


def all_at_once(spec: Spec) -> bool:
    """Everything is sent at once and the drain is part of the run, by design."""
    return spec.loadgen.scenario == "offline"


def full_load(
    span: Span, manifest: Manifest, spec: Spec, rows: Rows, sent_until: float, *, sessions: float | None = None
) -> Span:
    """Where rates and concurrency of a window are taken.

    Of a closed loop, all of its users are at work there: from a median TTFT after the ramp, where the window starts
    earlier, to the first reply after the end of sending, from which on they are fewer. A window that was chosen, or
    a warm-up that was asked for, is kept; so are users in lockstep, who wait for each other in every round.
    Of an open loop, where the window holds the drain too, see `_arriving`; `sent_until` is the end of its sending. The
    rate of one with sessions is not that of its requests: there the rates end with the sending. In a closed loop they
    end when a user had no session more to begin, at `sessions`; None without any.
    The lives of requests that were given up are not known: the rates end before the first of them.
    """
    if span.chosen:
        return span
    users = 1 if manifest.loop == "open" else spec.load.concurrency or 1
    closed = users > 1 and not spec.load.lockstep and not all_at_once(spec)
    found = span
    if closed:
        ramped = ramp_ns(manifest) + _median_ttft(rows) if span.method == "whole" else 0.0
        high = min(span.end, _first_end(rows, span.sent_until), np.inf if sessions is None else sessions)
        found = replace(span, start=max(span.start, ramped), end=high, sent_until=high)
    elif manifest.loop == "open" and (span.method == "whole" or span.end > sent_until):
        found = _arriving(span, manifest, spec, rows, sent_until)
        if sessions is not None:
            found = replace(span, end=min(span.end, sent_until), by_end=True)
    if found.end <= found.start:
        return span
    known = _known_until(manifest, rows)
    if known >= found.end:
        return found
    enough = known - found.start >= _KEPT * (found.end - found.start)
    return replace(found, end=known) if enough else replace(found, by_end=True)


def _arriving(span: Span, manifest: Manifest, spec: Spec, rows: Rows, sent_until: float) -> Span:
    """Of an open loop with its drain: from one E2E after the ramp to about the end of sending, so many planned gaps.

    N requests have N - 1 gaps from the first to the last: over the time to the last reply their rate reads high by
    1 / N where a reply is shorter than a gap. Where too little of the sending is left, it is the whole run, and a gap
    for each request at least. Requests count by their end, as nobody knows whether a queue grew in so few; at a
    constant rate the ends lie amid two of them, so that no stray ms changes the count.
    """
    rate, e2e = spec.load.rate, median_e2e(rows)
    if rate is None or all_at_once(spec) or span.end <= span.start or math.isnan(e2e):
        return span
    gap, since = 1e9 / rate, max(span.start, ramp_ns(manifest))
    whole, part = divmod(e2e / gap, 1.0)
    low = since + (whole + 1) * gap
    gaps, shift = math.floor((sent_until - low) / gap + _ROUNDING), (part - 0.5) * gap
    if gaps >= 1 and sent_until - low >= _LEFT * (sent_until - since):
        return replace(span, start=low + shift, end=low + shift + gaps * gap, by_end=True)
    count = int(np.count_nonzero(rows.counted & (rows.send_start >= span.start)))
    return replace(span, end=max(span.end, span.start + count * gap))


def drained_share(rows: Rows, members: Mask, span: Span, spec: Spec) -> float | None:
    """Share of the ok requests of the window that ended after the load did, in an emptying server.

    The load was on for as long as requests beyond the end were in flight. A user alone leaves nobody behind. None
    without a reply, where everything is sent at once, and where users in lockstep drain in every round.
    """
    ok = members & rows.ok
    if not ok.any() or all_at_once(spec) or spec.load.lockstep:
        return None
    until = max(span.sent_until, float(np.max(life_ends(rows)[~rows.counted], initial=0.0)))
    if not spec.open_loop:
        if (spec.load.concurrency or 1) == 1:
            return 0.0
        until = max(until, _first_end(rows, span.sent_until))
    return float(np.count_nonzero(rows.end[ok] > until)) / int(np.count_nonzero(ok))


def e2e_lasted(full: Span, manifest: Manifest, load: Load, rows: Rows) -> float | None:
    """How many median E2E the load lasted after the ramp of a closed loop; None where there is no ramp or no E2E."""
    e2e = median_e2e(rows)
    if manifest.loop == "open" or (load.concurrency or 1) == 1 or not e2e > 0:
        return None
    return max(0.0, full.end - ramp_ns(manifest)) / e2e


def _median_ttft(rows: Rows) -> float:
    known = rows.ok & rows.streamed
    return float(np.median((rows.first_any - rows.send_start)[known])) if known.any() else 0.0


def _first_end(rows: Rows, after: float) -> float:
    ends = life_ends(rows)
    return float(np.min(ends[ends >= after], initial=np.inf))


def _known_until(manifest: Manifest, rows: Rows) -> float:
    """Up to when the outcome of every request is known: the first send of one that was given up, or may be missing."""
    given_up = rows.send_start[rows.cancelled & rows.sent]
    known = float(np.min(given_up, initial=np.inf))
    if manifest.state == "running" and rows.ok.any():  # what was in flight when it was killed has no row
        lives = (life_ends(rows) - rows.send_start)[rows.ok]
        known = min(known, float(rows.end[rows.ok].max() - lives.max()))
    return known
