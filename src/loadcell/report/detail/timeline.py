"""The course of a run, step by step."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.behaved import came
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.metrics.window import anchors
from loadcell.report.detail.bins import percentile_ms
from loadcell.report.detail.events import Watch
from loadcell.report.detail.model import Course, Timeline
from loadcell.report.detail.steps import Steps

_P99_NEEDS = 100


def timeline(watch: Watch, steps: Steps, latency: dict[str, Floats], tokens: Floats | None) -> Timeline:
    """The timeline. `latency` are figures of the requests in ns by name, `tokens` are those of each step if known."""
    rows = watch.rows
    anchor, ended = anchors(rows, watch.loop), ends(rows, watch.loop)
    flight = [None] * steps.count if watch.flight is None else watch.flight.means(steps.edges).tolist()

    def per_s(chosen: Mask, times: Floats) -> list[float]:
        return _rates(_counts(steps, times[chosen]).astype(np.float64), steps)

    known = {name: came(rows, rows.counted) if name == "ttft_ms" else rows.ok for name in latency}
    courses = {name: course(steps, anchor, np.where(known[name], values, np.nan)) for name, values in latency.items()}
    courses["itl_ms"] = _course_of_bins(watch.by_step, watch.least, watch.most)
    return Timeline(
        step_s=steps.each_ns / 1e9,
        t_s=[round(t, 9) for t in (steps.edges[:-1] / 1e9).tolist()],
        latency=courses,
        output_tokens_per_s=[None] * steps.count if tokens is None else [*_rates(tokens, steps)],
        arrivals_per_s=per_s(rows.sent, rows.send_start),
        ok_per_s=per_s(rows.ok | (rows.slow & rows.counted & ~(rows.failed | rows.cancelled | rows.abandoned)), ended),
        failed=_counts(steps, ended[rows.failed]).tolist(),
        in_flight=[None if x is None else round(x, 3) for x in flight],
    )


def ends(rows: Rows, loop: str) -> Floats:
    """When each request ended, as nearly as the recording tells."""
    last = np.where(np.isnan(rows.last), anchors(rows, loop), rows.last)
    return np.where(np.isnan(rows.end), last, rows.end)


def course(steps: Steps, times: Floats, values_ns: Floats) -> Course:
    """Values (NaN left out) by the step of their time, with exact percentiles."""
    known = ~np.isnan(values_ns) & ~np.isnan(times)
    step, values = steps.place(times[known]), values_ns[known]
    values = values[np.lexsort((values, step))] / 1e6
    n = np.bincount(step, minlength=steps.count)
    first = np.cumsum(n) - n

    def at(permille: int, least: int = 1) -> list[float | None]:
        ranks = np.maximum(-(-permille * n // 1000), 1)
        enough = n >= least
        picked = values[(first + ranks - 1)[enough]] if values.size else values
        return _where(enough, picked)

    return Course(n=n.tolist(), min_ms=at(0), p50_ms=at(500), p99_ms=at(990, _P99_NEEDS), max_ms=at(1000))


def _course_of_bins(counts: Ids, least: Ids, most: Ids) -> Course:
    """Gaps by step and bin, with the extremes of each step."""
    n = counts.sum(axis=1)
    some = n > 0

    def at(permille: int, needs: int) -> list[float | None]:
        return [
            percentile_ms(counts[i], permille, float(least[i]), float(most[i])) if n[i] >= needs else None
            for i in range(n.size)
        ]

    return Course(
        n=n.tolist(),
        min_ms=_where(some, least[some] / 1e6),
        p50_ms=at(500, 1),
        p99_ms=at(990, _P99_NEEDS),
        max_ms=_where(some, most[some] / 1e6),
    )


def _where(there: Mask, values: Floats) -> list[float | None]:
    """One value for each place that has one, None for the others."""
    found = iter(values.tolist())
    return [next(found) if is_there else None for is_there in there.tolist()]


def _counts(steps: Steps, times: Floats) -> Ids:
    counts: Ids = np.bincount(steps.place(times[~np.isnan(times)]), minlength=steps.count)
    return counts


def _rates(amounts: Floats, steps: Steps) -> list[float]:
    """Amounts of each step, a second."""
    return [round(x, 6) for x in (amounts * (1e9 / steps.each_ns)).tolist()]
