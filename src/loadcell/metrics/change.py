"""Whether the server changed under a load that stood still: a trend or a step of TPOT and TTFT through the window.

The window's requests, in the order of their sends, are cut into 20 batches of equal number, and the medians of the
batches are looked at as logarithms. A trend is Mann's and Kendall's tau (1945) beyond a bound that grows with what the
medians depend on each other around their line; a step is the self-normalised CUSUM of Shao and Zhang (2010, "Testing
for change points in time series"), which needs no estimate of that dependence. Both bounds are such that a random walk
of 20 steps, the strongest dependence there is, passes one in about 1 % of runs; so the waiting times of a queue near
saturation rarely do, although they wander. A change must also be material.
"""

from __future__ import annotations

import math

import numpy as np

from loadcell.metrics.latency import in_send_order, tpot_ns
from loadcell.metrics.model import Change
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.metrics.window import Span

BATCHES = 20
LEAST_REQUESTS = 5 * BATCHES
"""With fewer, the median of a batch is a single request's."""
MATERIAL = 0.05
"""Least change of the median that is one."""
_STEP = 450.0
"""Of the self-normalised CUSUM, simulated for a random walk (docs/metrics.md)."""
_TAU, _TAU_OF_LAG, _TAU_LEAST, _TAU_MOST = 0.8, 0.4, 0.45, 0.93
"""Bound of Kendall's tau by the lag-1 autocorrelation around the line, simulated for AR(1) series up to
a random walk."""
_EDGE = 3
"""Batches that each side of a step has at least."""
_ENDS = BATCHES // 5
"""Batches at either end whose median tells how far a trend went."""
_EMPTYING = 0.95
"""Requests sent within this quantile of E2E before the last send are left out: they may have ended in the drain."""
_UNKNOWN = Change(kind=None, at_s=None, before_ms=None, after_ms=None, share=None)


def changes(rows: Rows, ok: Mask, span: Span, *, generates: bool = True, turn: Ids | None = None) -> dict[str, Change]:
    """What became of TTFT and TPOT, or of E2E where nothing is generated, through the window `span`, by the metric.

    `ok` are its ok requests. Nothing is told (kind null) of fewer than 100 requests that had the load beside them to
    their end, nor where the whole run is the window: then ramp and drain are most of it. Of sessions each request is
    held against the median of its `turn`: that late turns come late is no change of the server.
    """
    places = _under_load(rows, in_send_order(rows, ok), span)
    if not generates:
        return {"e2e_ms": _change((rows.last - rows.send_start)[places], rows.last[places])}
    ttft, middle = rows.first_any - rows.send_start, (rows.first_any + rows.last) / 2
    turns = None if turn is None else turn[places]
    return {
        "ttft_ms": _change(_of_one_turn(ttft[places], turns), rows.first_any[places]),
        "tpot_ms": _change(_of_one_turn(tpot_ns(rows)[places], turns), middle[places]),
    }


def _of_one_turn(values: Floats, turn: Ids | None) -> Floats:
    """Latencies less what the medians of their turns differ, as proportions."""
    known = ~np.isnan(values)
    if turn is None or not known.any():
        return values
    even, middle = values.copy(), float(np.median(values[known]))
    for one in np.unique(turn):
        group = known & (turn == one)
        own = float(np.median(values[group])) if group.any() else 0.0
        even[group] *= middle / own if own > 0 else 1.0
    return even


def _under_load(rows: Rows, places: Ids, span: Span) -> Ids:
    """The requests that were sent long enough before the end of all sending to have had the full load beside them."""
    if span.method == "whole" or not places.size:
        return places[:0]
    last_send = float(np.nanmax(rows.send_start))
    stay = float(np.nanquantile((rows.end - rows.send_start)[places], _EMPTYING))
    return places[rows.send_start[places] <= last_send - stay]


def _change(values: Floats, times: Floats) -> Change:
    """The change of a series of latencies in ns, each at its time in ns."""
    known = ~np.isnan(values)
    values, times = values[known], times[known]
    if values.size < LEAST_REQUESTS or not (values > 0).all():
        return _UNKNOWN
    medians = batch_medians(values)
    logs = np.log(medians)
    split, statistic = step_of(logs)
    if statistic > _STEP and (found := _step(values, times, split)) is not None:
        return found
    before, after = float(np.median(medians[:_ENDS])), float(np.median(medians[-_ENDS:]))
    share = after / before - 1
    kind = "trend" if abs(share) >= MATERIAL and has_trend(logs) else "none"
    return Change(kind=kind, at_s=None, before_ms=before / 1e6, after_ms=after / 1e6, share=share)


def _step(values: Floats, times: Floats, split: int) -> Change | None:
    """The step that lies near a batch; None where it is not material."""
    at = _turn(values, split)
    aside = min(values.size // BATCHES, at // 2, (values.size - at) // 2)  # at the step lie requests that saw both
    before, after = float(np.median(values[: at - aside])), float(np.median(values[at + aside :]))
    share = after / before - 1
    if abs(share) < MATERIAL:
        return None
    return Change(
        kind="step", at_s=float(times[at - 1 : at + 1].mean()) / 1e9, before_ms=before / 1e6, after_ms=after / 1e6,
        share=share,
    )  # fmt: skip


def _turn(values: Floats, split: int) -> int:
    """The request within two batches of a split that best parts what is below both levels' middle from the rest."""
    n = values.size
    low, high = (int(np.clip((split + off) * n / BATCHES, 1, n - 1)) for off in (-2, 2))
    before, after = float(np.median(values[:low])), float(np.median(values[high:]))
    later = (values > math.sqrt(before * after)) == (after > before)
    right = np.cumsum(np.where(later, -1, 1))  # of the first so many, how many more lie on the side of before
    return low + int(np.argmax(right[low - 1 : high]))


def batch_medians(values: Floats) -> Floats:
    """Medians of 20 batches of as nearly equal a number as can be."""
    return np.array([np.median(part) for part in np.array_split(values, BATCHES)])


def step_of(series: Floats) -> tuple[int, float]:
    """(length of the first part, statistic) of the likeliest step: Shao and Zhang's self-normalised CUSUM."""
    n, best = series.size, (_EDGE, 0.0)
    for k in range(_EDGE, n - _EDGE + 1):
        parts = series[:k], series[k:]
        gap = k * (n - k) / n**1.5 * float(parts[0].mean() - parts[1].mean())
        noise = sum(float((np.cumsum(part - part.mean()) ** 2).sum()) for part in parts) / n**2
        statistic = gap * gap / noise if noise > 1e-18 else math.inf if abs(gap) > 1e-9 else 0.0
        if statistic > best[1]:
            best = (k, statistic)
    return best


def has_trend(series: Floats) -> bool:
    """Whether Kendall's tau of a series with its order lies beyond what dependence makes of a series without trend."""
    n = series.size
    signs = np.sign(series[None, :] - series[:, None])
    tau = float(np.triu(signs, 1).sum()) / (n * (n - 1) / 2)
    place = np.arange(n) - (n - 1) / 2
    rest = series - series.mean() - place * float(place @ series) / float(place @ place)
    squares = float(rest @ rest)
    lag = float(rest[1:] @ rest[:-1]) / squares if squares > 0 else 0.0
    return abs(tau) > min(max(_TAU + _TAU_OF_LAG * lag, _TAU_LEAST), _TAU_MOST)
