"""Requests that kept to the limits, over all that were planned."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.dependence import share_inflation
from loadcell.metrics.interval import wilson
from loadcell.metrics.latency import in_send_order, tpot_ns
from loadcell.metrics.life import requests_in
from loadcell.metrics.model import Counts, Goodput, Limit, Share
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.metrics.window import Span
from loadcell.phrases import phrase
from loadcell.recording.tables import LEAST_LATER
from loadcell.spec import Slo


def goodput(rows: Rows, members: Mask, counts: Counts, rates: Span, slo: Slo, loop: str) -> Goodput | None:
    """Goodput of the window's requests; None without a limit.

    Failed, cancelled and unsent requests are misses. A limit that some ok request gives no figure for cannot be judged.
    The rate is over `rates`, and counts good requests as requests/s counts ok ones: it is never more.
    """
    ok, places = members & rows.ok, in_send_order(rows, members)
    limits: dict[str, Limit] = {}
    good: Mask | None = ok
    keeps, worst = rows.ok & rows.sent, np.zeros(len(rows))
    for name, figure in limited_ns(rows, loop).items():
        limit_ms = getattr(slo, name)
        if limit_ms is None:
            continue
        met = ok & (figure <= limit_ms * 1e6)
        unknown = int(np.count_nonzero(ok & np.isnan(figure)))
        margin = figure / (limit_ms * 1e6)
        limits[name] = _limit(limit_ms, met, unknown, counts.planned, margin[places], places)
        worst = np.fmax(worst, margin)
        good = None if good is None or unknown else good & met
        keeps &= figure <= limit_ms * 1e6
    if not limits:
        return None
    count = None if good is None else int(np.count_nonzero(good))
    return Goodput(
        anchor="response" if loop == "open" else "service",
        planned=counts.planned,
        good=count,
        goodput_per_s=None if count is None or not counts.planned else _rate(rows, keeps, rates),
        attainment=_attainment(good, counts.planned, worst[places], places),
        limits=limits,
    )


def _rate(rows: Rows, good: Mask, rates: Span) -> float | None:
    length = rates.length_s
    return None if length is None else float(requests_in(rows, good, rates).sum()) / length


def limited_ns(rows: Rows, loop: str) -> dict[str, Floats]:
    """The figures that an SLO limits, by the field of its limit; NaN where a request does not show it."""
    anchor = rows.planned if loop == "open" else rows.send_start
    return {
        "ttft_ms": rows.first_any - anchor,
        # Nothing after the first token: no pace that could be too slow, so the limit is kept.
        "tpot_ms": np.where((rows.later_tokens < LEAST_LATER) | (rows.output_tokens <= 1), 0.0, tpot_ns(rows)),
        "e2e_ms": rows.last - anchor,
    }


def _limit(limit_ms: float, met: Mask, unknown: int, planned: int, margins: Floats, places: Ids) -> Limit:
    if unknown:
        note = phrase(
            "cannot be judged: {} ok replies do not show it (not streamed, or without a token count)", unknown
        )
        share = _attainment(None, planned, margins, places)
        return Limit(limit_ms=limit_ms, met=None, attainment=share, note=note)
    share = _attainment(met, planned, margins, places)
    return Limit(limit_ms=limit_ms, met=int(np.count_nonzero(met)), attainment=share)


def _attainment(met: Mask | None, planned: int, margins: Floats, places: Ids) -> Share:
    """Share of the planned requests. Its interval knows that misses come in runs: `margins` of the rows at `places`,
    their worst figure over its limit, tell so before any limit breaks."""
    if met is None:
        return wilson(None, planned)
    return wilson(int(np.count_nonzero(met)), planned, planned / share_inflation(~met[places], margins))
