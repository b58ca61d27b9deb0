"""The window: which part of the run counts, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from loadcell.errors import UsageError
from loadcell.metrics.model import Window
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.recording.schema import Manifest
from loadcell.spec import Load


@dataclass(frozen=True)
class Span:
    """A window in nanoseconds since the start of the load, both ends inside."""

    start: float
    end: float
    reason: str
    chosen: bool
    """By hand, so requests without a time of their own are not in it."""
    first_request: int = 0
    """Requests before this one are warm-up."""

    @property
    def length_s(self) -> float | None:
        """Seconds, None where there are none."""
        return (self.end - self.start) / 1e9 if self.end > self.start else None

    def holds(self, times: Floats) -> Mask:
        """Which times lie inside; NaN does not."""
        return (times >= self.start) & (times <= self.end)

    def published(self) -> Window:
        """The window as the Result tells it."""
        return Window(start_s=self.start / 1e9, end_s=self.end / 1e9, reason=self.reason)


def anchors(rows: Rows, loop: str) -> Floats:
    """When each request began, to place it in the window: planned, else sent, else ready, else ended."""
    anchor = rows.planned if loop == "open" else rows.send_start
    for other in (rows.send_start, rows.ready, rows.end):
        anchor = np.where(np.isnan(anchor), other, anchor)
    return anchor


def extent_ns(manifest: Manifest, rows: Rows) -> float:
    """End of the last request, or of the run where none ended."""
    ends = rows.end[~np.isnan(rows.end)]
    return float(ends.max()) if ends.size else float(manifest.ended_ns or 0)


def pick_window(
    manifest: Manifest,
    load: Load,
    rows: Rows,
    anchor: Floats,
    last_planned: float,
    chosen_s: tuple[float, float] | None,
) -> Span:
    """The window asked for, or from the end of the warm-up to the end of sending."""
    if chosen_s is not None:
        start, end = chosen_s
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
            raise UsageError(f"--window {start:g},{end:g} is empty: give its start and its end in seconds, as in 5,65")
        return Span(start * 1e9, end * 1e9, "chosen by --window", True)
    end, until = _end_of_sending(manifest, load, extent_ns(manifest, rows), last_planned)
    start, since, first = 0.0, "the start of the load", 0
    if load.warmup_s:
        start, since = load.warmup_s * 1e9, f"the end of the warm-up of {load.warmup_s:g} s"
    elif load.warmup_requests:
        first = load.warmup_requests
        later = anchor[rows.request >= first]
        start = float(later.min()) if later.size else end
        since = f"the first request after the {first} of the warm-up"
    return Span(min(start, end), end, f"from {since} to {until}", False, first)


def _end_of_sending(manifest: Manifest, load: Load, extent: float, last_planned: float) -> tuple[float, str]:
    cut_short = manifest.state in ("interrupted", "running")
    if manifest.window_end_ns is not None:
        # With a number of requests too, sending may have ended before its time.
        early = cut_short or manifest.state == "broken" or load.requests is not None
        ended = extent if manifest.ended_ns is None else manifest.ended_ns
        if early and ended < manifest.window_end_ns:
            return float(ended), "the end of the run"
        return float(manifest.window_end_ns), "the end of the duration asked for"
    if not cut_short and last_planned > extent:
        return last_planned, "the last planned request"
    return extent, "the end of the last request"
