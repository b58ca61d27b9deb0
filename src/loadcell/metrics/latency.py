"""Latencies of each request, by the glossary's formulas. Only ok requests have them; NaN where one cannot be."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.glossary import GLOSSARY, LATENCIES
from loadcell.metrics.interval import summarise_array
from loadcell.metrics.model import Budget, Estimate, Latency, Summary
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.recording.tables import LEAST_LATER

_MS = 1e6


def pace_end_ns(rows: Rows) -> Floats:
    """The last output; of a stream that was collected the last burst but one, for the last is cut short."""
    return np.where(np.isnan(rows.pace_end), rows.last, rows.pace_end)


def tpot_ns(rows: Rows) -> Floats:
    """(pace_end - first_any) / tokens that came meanwhile; NaN where there are none."""
    return (pace_end_ns(rows) - rows.first_any) / paced_tokens(rows)


def paced_tokens(rows: Rows) -> Floats:
    """Tokens that came after the first output; NaN where they make no pace."""
    return np.where(rows.later_tokens >= LEAST_LATER, rows.later_tokens, np.nan)


def ntpot_ns(rows: Rows, anchor: Floats) -> Floats:
    """(last - anchor) / output tokens; NaN without tokens."""
    return (rows.last - anchor) / np.where(rows.output_tokens >= 1, rows.output_tokens, np.nan)


def audio_ms(rows: Rows) -> Floats:
    """How long the sound of each reply lasts; NaN where that is not known."""
    return np.where(rows.audio > 0, rows.audio, np.nan) / _MS


def in_send_order(rows: Rows, chosen: Mask) -> Ids:
    """Places of the chosen rows in the order of their sends; one that was not sent counts from its end."""
    places = np.flatnonzero(chosen)
    times = np.where(np.isnan(rows.send_start), rows.end, rows.send_start)[places]
    return places[np.argsort(times, kind="stable")]


def of_requests(rows: Rows) -> dict[str, tuple[Floats, Floats]]:
    """Every latency of each request by metric, ns (RTF: millionths): from its send, and from when it was to be sent;
    one that has no anchor twice. ITL, which belongs to gaps, is not among them."""
    sent, planned = rows.send_start, rows.planned
    tpot = tpot_ns(rows)
    return {
        "ttft": (rows.first_any - sent, rows.first_any - planned),
        "ttfa": (rows.first_answer - sent, rows.first_answer - planned),
        "tpot": (tpot, tpot),
        "ntpot": (ntpot_ns(rows, sent), ntpot_ns(rows, planned)),
        "e2e": (rows.last - sent, rows.last - planned),
        "first_audio": (rows.first_audio - sent, rows.first_audio - planned),
        "rtf": ((rows.last - sent) / audio_ms(rows), (rows.last - planned) / audio_ms(rows)),
    }


OF_FIRST = ("ttft", "ttfa")
"""Metrics that a request has which was given up after its first output."""


def latencies(
    rows: Rows, ok: Mask, loop: str, itl: Summary, failed: int = 0, came: Mask | None = None
) -> dict[str, Latency]:
    """Every latency metric of the ok requests of the window, from both anchors; `failed` others were in it.

    `came`: those of which the first output is known, where these are more.
    """
    each, of_ok = of_requests(rows), in_send_order(rows, ok)
    of_came = of_ok if came is None else in_send_order(rows, came)

    def summed(name: str) -> Latency:
        title, unit = GLOSSARY[name].title, GLOSSARY[name].unit
        if name not in each:
            return Latency(title=title, unit=unit, service=itl)
        service, response = each[name]
        places = of_came if name in OF_FIRST else of_ok
        anchored = loop == "open" and response is not service
        clusters = rows.session[places] if rows.session.size else None
        return Latency(
            title=title,
            unit=unit,
            service=summarise_array(service[places], _MS, failed, clusters),
            response=summarise_array(response[places], _MS, failed, clusters) if anchored else None,
        )

    return {field: summed(metric.name) for field, metric in LATENCIES.items()}


def user_rates(tpot: Summary) -> dict[str, Estimate]:
    """1 / TPOT at each percentile of TPOT: pNN is the rate that NN % of the requests reach."""

    def inverse(ms: float | None) -> float | None:
        return 1000 / ms if ms else None

    found = {name: getattr(tpot, name) for name in ("p50", "p90", "p95", "p99", "p99_9")}
    return {
        name: Estimate(
            value=inverse(e.value),
            low=inverse(e.high),
            high=inverse(e.low),
            open=e.open,
            needs=e.needs,
            effective=e.effective,
            budget=_inverse(e.budget),
        )
        for name, e in found.items()
    }


def _inverse(of_ms: Budget | None) -> Budget | None:
    """Of a rate from that of its time; None where the time may be nothing."""
    return Budget(low=1000 / of_ms.high, high=1000 / of_ms.low) if of_ms and of_ms.low > 0 else None
