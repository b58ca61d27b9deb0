"""Was the stream delivered as it was sent? What was collected on its way, or sent at once, has no pace of its own.

Events that came together (recording/bursts.py) by the server's hand or something's on the way are one burst: gaps
between them are not the server's, and the first one waited for the last. What lies between two bursts is: TPOT stands.
Where the client read late, the merging may be its own and does not count here.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from loadcell.metrics.events import EventTotals, Streams
from loadcell.metrics.model import Delivered, Estimate, Goodput, Latency, Summary, Throughput
from loadcell.phrases import phrase
from loadcell.recording.bursts import COLLECTED

MOST = 0.5
"""Share of replies that came at once above which there is no pace to measure."""
_TOGETHER = 1 - 1 / COLLECTED
"""Share of events that came with the one before above which a gap is not the server's."""
WHOLE = phrase(
    "not measurable: replies came in one piece, collected by the server or on its way (proxy buffering); NTPOT, with "
    "the wait for the first token in it, is what is known"
)
_TPOT = "tpot_ms"


def delivered(events: EventTotals) -> Delivered | None:
    """How the replies of the window that are long enough came in; None where there was none, as without a stream."""
    if not events.streams:
        return None
    found = Streams(*(np.concatenate(column) for column in zip(*events.streams, strict=True)))
    known = found.events - found.unsure
    sure = (found.unsure == 0) | ~np.isnan(found.apart_ns)  # several bursts did not come at once, whoever merged them
    share = float(found.together.sum() / known.sum()) if known.any() else None
    at_once = float(np.mean(np.isnan(found.apart_ns[sure]))) if sure.any() else None
    whole, burst = at_once is not None and at_once > MOST, float(np.median(found.burst))
    several = share is not None and share > _TOGETHER
    return Delivered(
        replies=int(found.events.size),
        together_share=share,
        at_once_share=at_once,
        bursts_per_reply=float(np.median(found.bursts)),
        burst_events=burst,
        burst_apart_ms=None if np.isnan(found.apart_ns).all() else float(np.nanmedian(found.apart_ns)) / 1e6,
        itl=says_bursts(burst) if several or whole else None,
        tpot=WHOLE if whole else None,
    )


def says_bursts(events: float) -> str:
    """Why ITL of a stream in bursts of so many events is not measurable."""
    return phrase(
        "not measurable: events come in bursts of {:.3g}, collected by the server or on their way (proxy buffering)",
        events,
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
        limit, met=None, attainment=replace(limit.attainment, value=None, low=None, high=None), note=found.tpot
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
    none: dict[str, Any] = {
        name: Estimate(withheld=why) if isinstance(getattr(summary, name), Estimate) else None
        for name in summary.__struct_fields__
        if name not in ("n", "failed", "with_failures", "told")
    }
    return msgspec.structs.replace(summary, **none, with_failures={})
