"""A rate that was meant to vary: where it held still, and what cannot be told while it did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from loadcell.metrics.model import Change, Throughput
from loadcell.phrases import phrase
from loadcell.spec import Load, parse_arrivals, parse_series

NO_WARMUP = phrase("the rate was meant to vary, so no warm-up is looked for")
NO_CHANGE = phrase("the rate was meant to vary: whether the server changed under the load is not told")
UNTOLD = Change(kind=None, at_s=None, before_ms=None, after_ms=None, share=None)


def replays(loop: str, effective: Mapping[str, Any]) -> bool:
    """Whether requests came at the times of a trace."""
    trace = effective.get("trace")
    return loop == "open" and isinstance(trace, Mapping) and trace.get("length_s") is not None


def varies(load: Load, *, replayed: bool = False) -> bool:
    """Whether the rate was meant to vary: replies to a burst are slow in their time, which looks like a warm-up."""
    return replayed or load.rate_series is not None or parse_arrivals(load.arrivals).kind == "bursts"


def is_scripted(load: Load, loop: str, effective: Mapping[str, Any]) -> bool:
    """Whether the rate was written down, by a series or a trace, so that its course is no chance; bursts are drawn."""
    return load.rate_series is not None or replays(loop, effective)


NO_INTERVAL = phrase("rates are means over a load that was meant to vary: they have no interval")
_INTERVALS = tuple(name for name in Throughput.__struct_fields__ if name.endswith("_interval"))


def without_intervals(rates: Throughput) -> Throughput:
    """The rates of a load that was meant to vary, whose course an interval by batches would take for chance."""
    return msgspec.structs.replace(rates, **dict.fromkeys(_INTERVALS))


class Held(NamedTuple):
    """A time through which the planned rate held still."""

    start_ns: float
    end_ns: float
    rate: float
    """Requests/s."""


def held(load: Load, until_ns: float, *, replayed: bool = False) -> list[Held] | None:
    """When the planned rate held still, up to a time; None where it did all the time. A trace is not known to."""
    if replayed:
        return []
    if load.rate_series is None or load.rate is None:
        return None
    series, found, start = parse_series(load.rate_series).scaled(load.rate), [], 0.0
    while start < until_ns:
        for length_s, begin, end in zip(series.lengths_s, series.begins, series.ends, strict=True):
            stop = min(start + length_s * 1e9, until_ns)
            if begin == end and stop > start:
                found.append(Held(start, stop, begin))
            start = start + length_s * 1e9
    return found
