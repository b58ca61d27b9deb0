"""Requests that kept to the limits, over all that were planned."""

from __future__ import annotations

from collections.abc import Sequence

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


def goodput(
    rows: Rows, members: Mask, counts: Counts, rates: Span, slo: Slo | Sequence[Slo], loop: str
) -> Goodput | None:
    """Goodput of the window's requests; None without a limit.

    Of several SLOs each request is held against that of its class; a limit in which they differ is told of by class.

    Failed, cancelled and unsent requests are misses. A limit that some ok request gives no figure for cannot be judged.
    The rate is over `rates`, and counts good requests as requests/s counts ok ones: it is never more.
    """
    ok, places = members & rows.ok, in_send_order(rows, members)
    limits: dict[str, Limit] = {}
    limited = False
    good: Mask | None = ok
    keeps, worst = rows.ok & rows.sent, np.zeros(len(rows))
    for name, figure in limited_ns(rows, loop).items():
        limit_ns = limits_ns(rows, slo, name)
        if limit_ns is None:
            continue
        limited, free = True, np.isnan(limit_ns)
        kept = free | (figure <= limit_ns)
        unknown = int(np.count_nonzero(ok & ~free & np.isnan(figure)))
        margin = figure / limit_ns
        if limit_ns.ndim == 0:
            limit_ms = getattr(slo if isinstance(slo, Slo) else slo[0], name)
            limits[name] = _limit(limit_ms, ok & kept, unknown, counts.planned, margin[places], places)
        worst = np.fmax(worst, margin)
        good = None if good is None or unknown else good & kept
        keeps &= kept
    if not limited:
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


def limits_ns(rows: Rows, slo: Slo | Sequence[Slo], name: str) -> Floats | None:
    """The limit of each request in ns, NaN where its class has none; one number where it is the same for all, None
    without any."""
    each = [getattr(one, name) for one in ([slo] if isinstance(slo, Slo) else slo)]
    if len(set(each)) == 1:
        return None if each[0] is None else np.asarray(each[0] * 1e6)
    found: Floats = np.array([np.nan if one is None else one * 1e6 for one in each])[rows.kind]
    return found


def limited_ns(rows: Rows, loop: str) -> dict[str, Floats]:
    """The figures that an SLO limits, by the field of its limit; NaN where a request does not show it."""
    anchor = rows.planned if loop == "open" else rows.send_start
    return {
        "ttft_ms": rows.first_any - anchor,
        # Nothing after the first token: no pace that could be too slow, so the limit is kept.
        "tpot_ms": np.where((rows.later_tokens < LEAST_LATER) | (rows.output_tokens <= 1), 0.0, tpot_ns(rows)),
        "e2e_ms": rows.last - anchor,
        "first_audio_ms": rows.first_audio - anchor,
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
