"""The part of the window in which the load asked for was on, for rates and concurrency; and what ended after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from loadcell.metrics.life import life_ends
from loadcell.metrics.rows import Mask, Rows
from loadcell.metrics.window import Span, median_e2e, ramp_ns
from loadcell.recording.schema import Manifest
from loadcell.spec import Load, Spec

_KEPT = 0.5
"""Part of a window that must be left where requests without an outcome cut it; else requests count by their end."""


def all_at_once(spec: Spec) -> bool:
    """Everything is sent at once and the drain is part of the run, by design."""
    return spec.loadgen.scenario == "offline"


def full_load(span: Span, manifest: Manifest, spec: Spec, rows: Rows) -> Span:
    """Where rates and concurrency of a window are taken.

    Of a closed loop, all of its users are at work there: from a median TTFT after the ramp, where the window starts
    earlier, to the first reply after the end of sending, from which on they are fewer. A window that was chosen, or
    a warm-up that was asked for, is kept; so are users in lockstep, who wait for each other in every round.
    The lives of requests that were given up are not known: the rates end before the first of them.
    """
    if span.chosen:
        return span
    users = 1 if manifest.loop == "open" else spec.load.concurrency or 1
    closed = users > 1 and not spec.load.lockstep and not all_at_once(spec)
    low, high = span.start, span.end
    if closed:
        if span.method == "whole":
            low = max(low, ramp_ns(manifest) + _median_ttft(rows))
        high = min(high, _first_end(rows, span.sent_until))
    if high <= low:
        return span
    found = replace(span, start=low, end=high, sent_until=high if closed else span.sent_until)
    known = _known_until(manifest, rows)
    if known >= high:
        return found
    return replace(found, end=known) if known - low >= _KEPT * (high - low) else replace(found, by_end=True)


def drained_share(rows: Rows, members: Mask, span: Span, spec: Spec) -> float | None:
    """Share of the ok requests of the window that ended after the load did, in an emptying server.

    The load was on for as long as requests beyond the end were in flight. A user alone leaves nobody behind. None
    without a reply, where everything is sent at once, and where users in lockstep drain in every round.
    """
    ok = members & rows.ok
    if not ok.any() or all_at_once(spec) or spec.load.lockstep:
        return None
    until = max(span.sent_until, float(np.max(life_ends(rows)[~rows.counted], initial=0.0)))
    if spec.load.rate is None:
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
