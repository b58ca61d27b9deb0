"""The window: which part of the run counts, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from loadcell.errors import UsageError
from loadcell.metrics.latency import tpot_ns
from loadcell.metrics.model import Result, Window
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.varying import NO_WARMUP, replays, varies
from loadcell.metrics.warmup import LEAST_LOOK, LEAST_SAMPLES, Warmup, find_warmup
from loadcell.phrases import joined, phrase
from loadcell.recording.schema import Manifest
from loadcell.spec import Load

LEAST_REQUESTS = LEAST_SAMPLES
"""With fewer there is no telling a warm-up, or a trend, from noise."""
_LEAST_E2E = 2.0
"""Sending must last this many median E2E after the ramp, or no request is sent and answered amid steady load."""


@dataclass(frozen=True)
class Span:
    """A window in nanoseconds since the start of the load, both ends inside."""

    start: float
    end: float
    reason: str
    method: str
    """asked, found, whole or chosen, as in `model.Steady`."""
    sent_until: float
    """End of sending: what follows is drain."""
    says: str = ""
    """How the warm-up was found, in words."""
    unsettled: bool = False
    """The warm-up that was found fills about half of the run: it may be a trend instead."""
    first_request: int = 0
    """Requests before this one are warm-up."""
    by_end: bool = False
    """Rates count requests by their end: the lives in it are not all known, or grow with a queue."""

    @property
    def chosen(self) -> bool:
        """By hand, so requests without a time of their own are not in it."""
        return self.method == "chosen"

    @property
    def length_s(self) -> float | None:
        """Seconds, None where there are none."""
        return (self.end - self.start) / 1e9 if self.end > self.start else None

    def holds(self, times: Floats) -> Mask:
        """Which times lie inside; NaN does not."""
        return (times >= self.start) & (times <= self.end)

    def members(self, rows: Rows, anchor: Floats) -> Mask:
        """Requests of the window, by their anchor."""
        return self.holds(anchor) & (rows.request >= self.first_request) & rows.counted

    def published(self) -> Window:
        """The window as the Result tells it."""
        return Window(start_s=self.start / 1e9, end_s=self.end / 1e9, reason=self.reason)


def window_of(result: Result, load: Load) -> Span:
    """The window of a Result again, exact to the nanosecond; `load` is that of its recording."""
    window, method = result.methodology.window, result.steady.method
    return Span(
        _exact_ns(window.start_s, method),
        _exact_ns(window.end_s, method),
        window.reason,
        method,
        sent_until=_exact_ns(window.end_s, method),
        first_request=load.warmup_requests if method == "asked" else 0,
    )


def _exact_ns(seconds: float, method: str) -> float:
    """The nanoseconds that `published` divided: what a person wrote in seconds, else mostly whole or half ones."""
    written, whole = round(seconds, 9) * 1e9, round(seconds * 2e9) / 2
    for ns in (written, whole) if method == "chosen" else (whole, written):
        if ns / 1e9 == seconds:
            return ns
    return seconds * 1e9


def anchors(rows: Rows, loop: str) -> Floats:
    """When each request began, to place it in the window: when it was to be sent, else sent, else ready, else ended."""
    anchor = rows.planned if loop == "open" else rows.send_start
    for other in (rows.send_start, rows.ready, rows.end):
        anchor = np.where(np.isnan(anchor), other, anchor)
    return anchor


def extent_ns(manifest: Manifest, rows: Rows) -> float:
    """End of the last counted request, or of the run where none ended."""
    ends = rows.end[rows.counted & ~np.isnan(rows.end)]
    return float(ends.max()) if ends.size else float(manifest.ended_ns or 0)


def whole_run(manifest: Manifest, load: Load, rows: Rows, anchor: Floats, last_missing: float) -> Span:
    """From the start of the load to the last reply; to the last planned request where later ones were never sent."""
    extent, sent_until = extent_ns(manifest, rows), end_of_sending(manifest, load, rows, anchor, last_missing)[0]
    end, until = extent, phrase("the end of the last request")
    if _cut_short(manifest):
        end, until = max(extent, float(manifest.ended_ns or 0)), phrase("the end of the run")
    elif last_missing > extent:
        end, until = last_missing, phrase("the last planned request")
    return Span(0.0, end, phrase("from the start of the load to {}", until), "whole", min(sent_until, end))


def pick_window(
    manifest: Manifest,
    load: Load,
    rows: Rows,
    anchor: Floats,
    last_missing: float,
    chosen_s: tuple[float, float] | None,
    settled: float = 0.0,
) -> Span:
    """The window asked for, or from the end of the warm-up to the end of sending.

    The warm-up is the one asked for, else the one that the requests show. A run too short for that counts as a whole.
    `last_missing` is the last planned time of the requests without a row, `settled` how long sessions take, in ns.
    """
    whole = whole_run(manifest, load, rows, anchor, last_missing)
    end, until = end_of_sending(manifest, load, rows, anchor, last_missing)
    if chosen_s is not None:
        low, high = chosen_s
        if not (math.isfinite(low) and math.isfinite(high) and 0 <= low < high):
            raise UsageError(f"--window {low:g},{high:g} is empty: give its start and its end in seconds, as in 5,65")
        return Span(low * 1e9, high * 1e9, phrase("chosen by --window"), "chosen", end)
    short = _too_short(manifest, rows, anchor, end)
    moving = varies(load, replayed=replays(manifest.loop, manifest.effective))
    if moving and short is None and load.warmup_s is None and not load.warmup_requests:
        return Span(0.0, end, phrase("from the start of the load to {}", until), "found", end, NO_WARMUP)
    if short is not None and not _given_up(manifest):
        end, until, short = whole.end, whole.reason.partition(" to ")[2], phrase("{}; the whole run counts", short)
    if load.warmup_s is not None or load.warmup_requests:
        start, since = _asked(load, rows, anchor, end)
        reason = phrase("from {} to {}", since, until)
        return Span(
            min(start, end), end, reason, "asked", min(whole.sent_until, end), first_request=load.warmup_requests
        )
    if short is not None:
        return Span(
            0.0, end, phrase("from the start of the load to {}", until), "whole", min(whole.sent_until, end), short
        )
    start, since, says, unsettled = _found(manifest, load, rows, anchor, end, settled)
    return Span(start, end, phrase("from {} to {}", since, until), "found", end, says, unsettled)


def _cut_short(manifest: Manifest) -> bool:
    return manifest.state in ("interrupted", "running")


def _given_up(manifest: Manifest) -> bool:
    return manifest.stopped is not None and manifest.stopped.cancelled


def end_of_sending(
    manifest: Manifest, load: Load, rows: Rows, anchor: Floats, last_missing: float
) -> tuple[float, str]:
    """When the load ended, replies still to come left out; the planned end where there is one.

    Of a run that was stopped, when it was; or what came before the first request that was given up.
    """
    if manifest.stopped is not None and manifest.window_end_ns is not None and manifest.state != "broken":
        if _given_up(manifest) and manifest.stopped.kind != "failures":
            return max(0.0, manifest.window_end_ns - 1.0), phrase("the first request that was given up")
        return float(manifest.window_end_ns), phrase("the early end of the sending")
    last = float(np.nanmax(anchor[rows.counted], initial=0.0))
    ended = float(manifest.ended_ns or extent_ns(manifest, rows))
    if _cut_short(manifest) and manifest.loop == "open":
        planned = math.inf if manifest.window_end_ns is None else float(manifest.window_end_ns)
        return min(max(ended, last), max(planned, last)), phrase("the end of the run")  # its load may have been kept on
    if _cut_short(manifest):  # what was in flight at the end may be missing
        return last, phrase("the last send")
    if manifest.state != "broken" and load.requests is not None and np.count_nonzero(rows.counted) >= load.requests:
        return last, _last_of(manifest, rows)
    if manifest.window_end_ns is not None:
        if manifest.state == "broken" and ended < manifest.window_end_ns:
            return ended, phrase("the end of the run")
        asked = load.duration_s is not None
        return float(manifest.window_end_ns), phrase("the end of the duration asked for") if asked else phrase(
            "the end of the sending"
        )
    return (max(last, last_missing) if manifest.loop == "open" else last), _last_of(manifest, rows)


def _last_of(manifest: Manifest, rows: Rows) -> str:
    """What ends the sending where no time does."""
    planned = manifest.loop == "open" and rows.scheduled
    return phrase("the last planned request") if planned else phrase("the last send")


def _asked(load: Load, rows: Rows, anchor: Floats, end: float) -> tuple[float, str]:
    if load.warmup_requests:
        later = anchor[rows.counted & (rows.request >= load.warmup_requests)]
        since = phrase("the first request after the {} of the warm-up", load.warmup_requests)
        return (float(later.min()) if later.size else end), since
    if load.warmup_s:
        return load.warmup_s * 1e9, phrase("the end of the warm-up of {:g} s", load.warmup_s)
    return 0.0, phrase("the start of the load")


def ramp_ns(manifest: Manifest) -> float:
    """Time over which the users of a closed loop start."""
    return float(manifest.effective.get("ramp_s") or 0.0) * 1e9


def median_e2e(rows: Rows) -> float:
    """Median service E2E of the ok requests; NaN without any."""
    return float(np.median((rows.last - rows.send_start)[rows.ok])) if rows.ok.any() else math.nan


def _too_short(manifest: Manifest, rows: Rows, anchor: Floats, end: float) -> str | None:
    """Why no warm-up can be found, in words; None where it can."""
    count, e2e = int(np.count_nonzero(rows.counted & (anchor <= end))), median_e2e(rows)
    if count < LEAST_REQUESTS:
        return phrase("too short to find a warm-up: {} requests of {} needed", count, LEAST_REQUESTS)
    if math.isnan(e2e):
        return phrase("no request succeeded, so no warm-up can be found")
    times = (end - ramp_ns(manifest)) / e2e if e2e > 0 else math.inf
    if times < _LEAST_E2E:
        return phrase(
            "too short to find a warm-up: after the ramp, sending lasted {:.1f} times the median E2E, {:g} are needed",
            max(times, 0),
            _LEAST_E2E,
        )
    return None


def _found(
    manifest: Manifest, load: Load, rows: Rows, anchor: Floats, end: float, settled: float
) -> tuple[float, str, str, bool]:
    """Start of the steady part, what it is, how it was found, and whether it may come later still."""
    start, since, says = 0.0, phrase("the start of the load"), []
    users = load.concurrency or 1
    if manifest.loop != "open" and users > 1:
        ramp, e2e = ramp_ns(manifest), median_e2e(rows)
        start, since = min(
            (ramp + e2e, phrase("one E2E after the ramp")), (end / 2, phrase("the middle of the sending"))
        )
        says.append(phrase("the first {:.3g} s are left out: {:,} users start one after the other", start / 1e9, users))
    if settled > start:
        start, since = min(
            (ramp_ns(manifest) + settled, phrase("when nine of ten of the first sessions had ended")),
            (end / 2, phrase("the middle of the sending")),
        )
        key = phrase("the first {:.3g} s are left out: the later turns of sessions were still to come")
        says = [phrase(key, start / 1e9)]
    looks = [_look(name, values, anchor, start, end) for name, values in _series(rows)]
    # A queue that fills bends TTFT through half of the run: that is no warm-up, and one that empties is none either.
    found = [look for look in looks if look.warmup.cut and (look is looks[0] or _slow_start(look))]
    if found:
        latest = max(found, key=lambda look: look.until)
        start, since = latest.until, phrase("the end of the warm-up that was found")
        key = phrase("warm-up of {:.3g} s: {} of its requests lies {:.0%} above the rest's")
        if latest.warmup.shift <= 0:
            key = phrase("warm-up of {:.3g} s: {} of its requests lies {:.0%} below the rest's")
        says.append(phrase(key, start / 1e9, latest.name, abs(latest.warmup.shift)))
        if latest.warmup.unsettled:
            says.append(phrase("it fills about half of what was sent, so it may not be over"))
        return start, since, joined("; ", says), latest.warmup.unsettled
    if looks[0].seen < LEAST_SAMPLES:
        says.append(phrase("too few requests to look for a warm-up in the replies"))
    elif looks[0].most < LEAST_LOOK:
        says.append(phrase("too short to look for a warm-up in the replies"))
    else:
        says.append(
            phrase("{} shows no warm-up", looks[0].name) if len(looks) == 1 else phrase("TPOT and TTFT show no warm-up")
        )
    return start, since, joined("; ", says), False


class _Look(NamedTuple):
    """What one series shows of a warm-up."""

    name: str
    warmup: Warmup
    until: float
    """When what is cut ends; anything without a cut."""
    seen: int
    most: int


def _look(name: str, series: Floats, anchor: Floats, start: float, end: float) -> _Look:
    known = np.flatnonzero((anchor >= start) & (anchor <= end) & ~np.isnan(series))
    order = known[np.argsort(anchor[known], kind="stable")]
    most = int(np.count_nonzero(anchor[order] <= end / 2))
    warmup = find_warmup(series[order], most)
    return _Look(name, warmup, float(anchor[order[warmup.cut]]) if warmup.cut else start, order.size, most)


def _slow_start(look: _Look) -> bool:
    return look.warmup.shift > 0 and not look.warmup.unsettled


def _series(rows: Rows) -> list[tuple[str, Floats]]:
    """What shows a warm-up, of ok requests: TPOT and TTFT where half of the replies have them, E2E without a stream."""
    shown = (("TPOT", tpot_ns(rows)), ("TTFT", rows.first_any - rows.send_start))
    found = [
        (name, np.where(rows.ok, values, np.nan))
        for name, values in shown
        if 2 * np.count_nonzero(rows.ok & ~np.isnan(values)) >= np.count_nonzero(rows.ok)
    ]
    return found or [("E2E", np.where(rows.ok, rows.last - rows.send_start, np.nan))]
