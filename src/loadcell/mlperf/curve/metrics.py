"""The figures of a point, from the rows of its recording: own arithmetic over stamps and counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadcell.mlperf.curve.model import Figures, Window
from loadcell.recording.read import Recording

Floats = NDArray[np.float64]
_COLUMNS = ("ready_ns", "send_start_ns", "first_any_ns", "last_ns", "end_ns", "output_tokens", "first_tokens")


@dataclass(frozen=True, eq=False)
class Measured:
    """Requests in issue order; NaN where a figure is missing. Times in seconds since the start of the load."""

    issue_s: Floats
    end_s: Floats
    ttft_ms: Floats
    tpot_ms: Floats
    tokens: Floats
    ok: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.issue_s)

    @property
    def issue_span_s(self) -> float | None:
        """From the first to the last issue; None without requests."""
        return float(self.issue_s[-1] - self.issue_s[0]) if len(self) else None


def measure(recording: Recording) -> Measured:
    """The requests of a recording that were issued.

    A closed loop issues a request when its user is ready. TTFT is from there to the first output of any kind. TPOT is
    the time from the first output-bearing chunk to the last over the tokens after that chunk (which is one token, if
    the server does not tell); it is missing where nothing was streamed or no token came after the first chunk.
    """
    table = recording.requests(_COLUMNS)
    ready, sent, first, last, end, tokens, first_tokens = (table[name].astype(np.float64) for name in _COLUMNS)
    ok = recording.requests(("status",))["status"] == "ok"
    issue = np.where(np.isnan(ready), sent, ready)
    suffix = tokens - np.where(np.isnan(first_tokens), 1.0, first_tokens)
    with np.errstate(invalid="ignore", divide="ignore"):
        tpot = np.where((suffix > 0) & (last > first), (last - first) / suffix, np.nan) / 1e6
    order = np.argsort(issue, kind="stable")
    order = order[~np.isnan(issue[order])]
    return Measured(
        issue_s=issue[order] / 1e9,
        end_s=end[order] / 1e9,
        ttft_ms=np.where(ok, (first - issue) / 1e6, np.nan)[order],
        tpot_ms=np.where(ok, tpot, np.nan)[order],
        tokens=np.where(ok, tokens, np.nan)[order],
        ok=ok[order],
    )


def figures_of_run(run: Measured) -> Figures | None:
    """The figures of all requests, over the time from the first issue to the last completion; None without any."""
    if not len(run):
        return None
    duration_s = float(np.nanmax(run.end_s) - run.issue_s[0])
    return _figures(run, slice(0, len(run)), slice(0, len(run)), duration_s)


def figures_of_window(run: Measured, window: Window) -> Figures:
    """The figures of a steady window: throughput over its span of issue times, latencies over whole lives.

    A window that ends with the run has no next issue: there the last request ends the span and its tokens stay out.
    """
    start = window.super_pass_start * window.super_pass_size
    stop = min(window.super_pass_end * window.super_pass_size, len(run))
    counted = stop if stop < len(run) else stop - 1
    return _figures(run, slice(start, stop), slice(start, counted), span_s(run.issue_s, start, stop))


def span_s(issue_s: Floats, start: int, stop: int) -> float:
    """From the issue of request `start` to that of request `stop`, or of the last one if there is no such."""
    return float(issue_s[min(stop, len(issue_s) - 1)] - issue_s[start])


def percentile(values: Floats, share: float) -> float | None:
    """Element floor(n p) of the sorted values that are there (0-based, without interpolation); None if none is."""
    known = np.sort(values[~np.isnan(values)])
    return float(known[min(int(len(known) * share), len(known) - 1)]) if len(known) else None


def _figures(run: Measured, rows: slice, counted: slice, duration_s: float) -> Figures:
    ok, tpot, ttft = run.ok[rows], run.tpot_ms[rows], run.ttft_ms[rows]
    tokens = run.tokens[counted][run.ok[counted]]
    known = not np.isnan(tokens).any()
    p90 = percentile(tpot, 0.9)
    return Figures(
        duration_s=duration_s,
        issued=len(ok),
        completed=int(ok.sum()),
        failed=int((~ok).sum()),
        output_tokens=int(np.nansum(run.tokens[rows][ok]))
        if known and not np.isnan(run.tokens[rows][ok]).any()
        else None,
        system_tps=float(tokens.sum()) / duration_s if known and duration_s > 0 else None,
        tps_per_user=None if p90 is None else 1000 / p90,
        tpot_p50_ms=percentile(tpot, 0.5),
        tpot_p90_ms=p90,
        ttft_p50_ms=percentile(ttft, 0.5),
        ttft_p90_ms=percentile(ttft, 0.9),
        tpot_samples=int(np.count_nonzero(~np.isnan(tpot))),
    )
