"""Was the stream delivered as it was sent? What something between server and client collects has no pace of its own.

A read holds several events where they came together: something on the way collected them, or the server sent them at
once. Where the client read late, the merging is its own and does not count here.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from loadcell.metrics.events import EventTotals
from loadcell.metrics.model import Delivered, Estimate, Goodput, Latency, Summary, Throughput

MOST = 0.5
"""Share of events, or of replies, above which there is no pace to measure."""
_LEAST_READS = 21
"""Reads of a reply from which on what is collected moves its TPOT by at most 5 %: one of the times between them."""
COLLECTED = "not measurable: something between server and client collects the stream (proxy buffering)"
_TPOT = "tpot_ms"


def delivered(events: EventTotals) -> Delivered | None:
    """How the replies of the window that are long enough came in; None where there was none, as without a stream."""
    if not events.stream_reads:
        return None
    reads = np.concatenate(events.stream_reads)
    together, at_once = events.stream_merged / events.stream_events, events.stream_at_once / reads.size
    middle = float(np.median(reads))
    whole = at_once > MOST
    return Delivered(
        replies=int(reads.size),
        together_share=together,
        at_once_share=at_once,
        reads_per_reply=middle,
        itl=COLLECTED if whole or together > MOST else None,
        tpot=COLLECTED if whole or (together > MOST and middle < _LEAST_READS) else None,
    )


def without_pace(latency: dict[str, Latency], found: Delivered | None) -> dict[str, Latency]:
    """Latencies without those that a collected stream does not show."""
    why = {} if found is None else {"itl_ms": found.itl, _TPOT: found.tpot}
    return {
        name: one if why.get(name) is None else msgspec.structs.replace(one, service=_withheld(one.service, why[name]))
        for name, one in latency.items()
    }


def rates_without_pace(rates: Throughput, found: Delivered | None) -> Throughput:
    """Rates without the user's where a collected stream does not show it."""
    if found is None or found.tpot is None:
        return rates
    none = {name: Estimate(withheld=found.tpot) for name in rates.user_tokens_per_s}
    return msgspec.structs.replace(rates, user_tokens_per_s=none)


def goodput_without_pace(goodput: Goodput | None, found: Delivered | None) -> Goodput | None:
    """Goodput in which a limit on TPOT, and so the whole, is not judged where a collected stream does not show it."""
    if goodput is None or found is None or found.tpot is None or _TPOT not in goodput.limits:
        return goodput
    replace = msgspec.structs.replace
    limit = goodput.limits[_TPOT]
    none = replace(
        limit, met=None, attainment=replace(limit.attainment, value=None, low=None, high=None), note=COLLECTED
    )
    return replace(
        goodput,
        good=None,
        goodput_per_s=None,
        attainment=replace(goodput.attainment, value=None, low=None, high=None),
        limits=goodput.limits | {_TPOT: none},
    )


def _withheld(summary: Summary, why: str | None) -> Summary:
    """A summary that keeps its number of samples and nothing else."""
    if not summary.n:
        return summary
    none: dict[str, Any] = {
        name: Estimate(withheld=why) if isinstance(getattr(summary, name), Estimate) else None
        for name in summary.__struct_fields__
        if name not in ("n", "failed", "with_failures")
    }
    return msgspec.structs.replace(summary, **none, with_failures={})
