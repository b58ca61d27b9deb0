"""Whether the load held still inside the window: a queue that grows, a concurrency never reached, Little's law."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np

from loadcell.metrics.concurrency import InFlight
from loadcell.metrics.interval import PERMILLE
from loadcell.metrics.model import Concurrency, Estimate, Latency, Steady, Summary
from loadcell.metrics.rows import Floats, Rows
from loadcell.metrics.varying import Held
from loadcell.metrics.window import LEAST_REQUESTS, Span
from loadcell.phrases import joined, phrase
from loadcell.recording.schema import Stopped

_BATCHES = 40
_T_38 = 2.024394163911969
"""97.5 % point of Student's t with 38 degrees of freedom."""
_MEAN_OF_WALK = 1.5
"""Increments of a random walk over those of its batch means, in variance (Working 1960)."""
_LEAST_FILLS = 2.0
"""A trend is looked for over at least twice the time that the system needs to fill."""
_GROWTH_REQUESTS, _GROWTH_SHARE, _GROWTH_OF_RATE = 3.0, 0.1, 0.02
"""Least growth that matters: requests and share of the mean in flight over the window, and share of the arrivals."""
_FIRST, _LEAST_LEFT, _STAYED, _EVEN = 10, 0.25, 0.3, 0.7
"""Beyond doubt: from the replies to so many requests on, for this part of the sending, this share of what came stayed,
and of the growth of the first half so much in the second."""
_REACHED = 0.95
"""Share of its users that a closed loop must have in flight."""


def steady(
    rows: Rows,
    anchor: Floats,
    unsent: Floats,
    span: Span,
    extent: float,
    loop: str,
    flight: Concurrency,
    stopped: Stopped | None = None,
    held: list[Held] | None = None,
    settled: float = 0.0,
) -> Steady:
    """What the window is, and whether the load was steady in it. `unsent` are the planned times of requests unsent.

    Where the rate was meant to vary, `held` says when it held still: a queue is looked for there.

    Where a stop gave up what was in the air, the window ends before the sending; the queue is known to the stop.
    Sessions of an open loop take `settled` ns: so long their requests become more, and that is no queue. Of a closed
    one, `flight` is that of its users, who may think.
    """
    begun = ~np.isnan(rows.end)
    starts, ends = anchor[begun], rows.end[begun]
    waiting = unsent[unsent <= span.sent_until]
    if loop == "open":
        came, left = np.concatenate((starts, waiting)), np.concatenate((ends, np.full(waiting.size, extent)))
        if stopped is not None and stopped.cancelled and not span.chosen:
            known = min(float(stopped.at_ns), float(came.max(initial=0.0)))
            stable, growth, says = _queue(came, left, replace(span, end=known, sent_until=known), settled)
            if stopped.kind == "saturated" and stable is not False:  # seen with more looks than one
                says = stopped.reason.removeprefix("saturated: ")
                stable, growth = False, _change_per_s(came, left, known)
        elif held is not None:
            stable, growth, says = _queues(came, left, span, held, settled)
        else:
            stable, growth, says = _queue(came, left, span, settled=settled)
    else:
        count = int(np.count_nonzero(span.holds(anchor)))
        stable, growth, says = _users(span, count, flight, talk=settled > 0)
    return Steady(
        method=span.method,
        warmup_s=span.start / 1e9,
        drain_s=max(0.0, extent - span.end) / 1e9,
        stable=stable,
        growth_per_s=growth,
        littles_ratio=_littles_ratio(starts, ends, span),
        says=joined("; ", filter(None, (says, span.says))),
    )


Finding = tuple[bool | None, Estimate, str]


def _queues(starts: Floats, ends: Floats, span: Span, held: list[Held], settled: float = 0.0) -> Finding:
    """The same of a rate that was meant to vary, in each part where it held still: the level may rise with the rate.

    The parts that are looked at share the error of 2.5 % that one has.
    """
    parts = [replace(span, start=max(span.start, one.start_ns), end=min(span.end, one.end_ns)) for one in held]
    looked = [(part, one) for part, one in zip(parts, held, strict=True) if _count(starts, part) >= LEAST_REQUESTS]
    wider = 1.0
    if len(looked) > 1:
        from scipy.special import stdtrit

        wider = float(stdtrit(_BATCHES - 2, 1 - 0.025 / len(looked))) / _T_38
    found = [(_queue(starts, ends, part, one.start_ns, wider, settled), one) for part, one in looked]
    for (stable, growth, says), one in found:
        if stable is False:
            at = (one.start_ns / 1e9, one.end_ns / 1e9)
            return False, growth, phrase("at {:.4g} requests/s ({:.4g} to {:.4g} s) {}", one.rate, *at, says)
    steady = sum(stable is True for (stable, *_), _ in found)
    if not steady:
        says = phrase("the rate was meant to vary, and no part of it held still for long enough to tell a queue")
        return None, Estimate(), says
    return True, Estimate(), phrase("no growing queue in {} parts of the series where the rate held still", steady)


def _count(starts: Floats, span: Span) -> int:
    return int(np.count_nonzero((starts >= span.start) & (starts <= min(span.end, span.sent_until))))


def _queue(
    starts: Floats, ends: Floats, span: Span, since: float = 0.0, wider: float = 1.0, settled: float = 0.0
) -> Finding:
    """Open loop: whether requests in the system, those that wait in the client included, grow in number.

    The rate is on `since` then; `wider` is the interval of the growth than that of 95 %.
    """
    # While the first requests are still on their way their number can only rise: that is no queue.
    first = np.argsort(starts, kind="stable")
    first = first[starts[first] >= since][:LEAST_REQUESTS]
    fill = max(settled, float(np.quantile(ends[first] - starts[first], 0.95)) if first.size else 0.0)
    low, high = max(0.0 if span.unsettled else span.start, since + fill), min(span.end, span.sent_until)
    count = int(np.count_nonzero((starts >= low) & (starts <= high)))
    if count < LEAST_REQUESTS or high - low < _LEAST_FILLS * fill:
        from_ns = 0.0 if span.unsettled else span.start
        overloaded = None if since or settled else _overloaded(starts, ends, from_ns, high)
        if overloaded is not None:
            return False, overloaded, _says_growing(overloaded)
        return (
            None,
            Estimate(),
            phrase("too little to tell whether a queue grows: {} requests came after the first replies", count),
        )
    means = InFlight(starts, ends).means(np.linspace(low, high, _BATCHES + 1))
    length_s = (high - low) / 1e9
    growth = growth_per_s(means, length_s / _BATCHES, wider)
    assert growth.value is not None and growth.low is not None and growth.high is not None
    least = max(
        _GROWTH_REQUESTS / length_s, _GROWTH_SHARE * means.mean() / length_s, _GROWTH_OF_RATE * count / length_s
    )
    if growth.low > 0 and growth.value >= least:
        return False, growth, _says_growing(growth)
    interval = phrase("95 % interval {:.2g} to {:.2g}", growth.low, growth.high)
    return (
        True,
        growth,
        phrase("no growing queue: {:+.2g} requests/s ({}) at {:.3g} in flight", growth.value, interval, means.mean()),
    )


def _says_growing(growth: Estimate) -> str:
    return phrase(
        "the queue grows by {:.2g} requests/s (95 % interval {:.2g} to {:.2g}): "
        "percentiles are of a growing queue and change with the length of the run",
        growth.value,
        growth.low,
        growth.high,
    )


def _overloaded(starts: Floats, ends: Floats, low: float, high: float) -> Estimate | None:
    """The growth of a queue in a run that is too short for the rule above, where it is beyond doubt; else None.

    From the replies to the first few requests on, much of what came stayed, and as much in the second half as in the
    first: a system that only fills up slows down.
    """
    first = np.argsort(starts, kind="stable")[:_FIRST]
    if first.size:
        low = max(low, float((ends[first] - starts[first]).max()))
    count, length_s = int(np.count_nonzero((starts >= low) & (starts <= high))), (high - low) / 1e9
    if count < LEAST_REQUESTS or high - low < _LEAST_LEFT * high:
        return None
    means = InFlight(starts, ends).means(np.linspace(low, high, _BATCHES + 1))
    growth = growth_per_s(means, length_s / _BATCHES)
    before, after = means[_BATCHES // 2] - means[0], means[-1] - means[_BATCHES // 2]
    assert growth.value is not None and growth.low is not None
    sure = growth.value >= _STAYED * count / length_s and 2 * growth.low >= growth.value
    return growth if sure and after >= _EVEN * before else None


def _change_per_s(starts: Floats, ends: Floats, until: float) -> Estimate:
    """What came less what ended by a time, a second: growth from an empty start, without an interval."""
    more = np.count_nonzero(starts <= until) - np.count_nonzero(ends <= until)
    return Estimate(value=float(more) / (until / 1e9) if until > 0 else None)


def growth_per_s(means: Floats, batch_s: float, wider: float = 1.0) -> Estimate:
    """Growth of a level a second, from its means over successive batches of time, with its 95 % interval.

    The level is taken to be a random walk with a drift, the worst case of autocorrelation: a queue that is never empty
    is one. Then the change from the first batch to the last is the best estimate, and the changes between batches tell
    its error. A level that returns to its mean gets an interval that is too wide, which never calls it growing.
    """
    changes = np.diff(means)
    length_s = changes.size * batch_s
    value = float(means[-1] - means[0]) / length_s
    half = wider * _T_38 * math.sqrt(_MEAN_OF_WALK * float(changes.var(ddof=1)) / batch_s / length_s)
    return Estimate(value=value, low=value - half, high=value + half)


def _users(span: Span, count: int, flight: Concurrency, *, talk: bool = False) -> Finding:
    """Closed loop: whether as many requests were in flight, or sessions in progress, as there are users."""
    if flight.mean is None or count < LEAST_REQUESTS:
        return None, Estimate(), ""
    users = flight.asked or 1
    stable = flight.mean >= _REACHED * users
    key = phrase("{:.3g} of {:,} users in flight")
    if talk:
        key = phrase("{:.3g} of {:,} users had a session in progress")
    says = phrase(key, flight.mean, users)
    return stable, Estimate(), says if stable else phrase("only {}", says)


def _littles_ratio(starts: Floats, ends: Floats, span: Span) -> float | None:
    """Mean in the system over rate x mean time in the system of those that ended in the window (Little 1961)."""
    inside = span.holds(ends)
    stay = float((ends - starts)[inside].sum())
    if span.length_s is None or stay <= 0:
        return None
    low, high = InFlight(starts, ends).integral(np.array([span.start, span.end]))
    return float(high - low) / stay


def caveat_of(state: Steady) -> str | None:
    """Why percentiles hold for this run alone; None where they hold for others."""
    if state.stable is False and state.growth_per_s.value is not None:
        return phrase("unstable: the queue grows by {:.2g} requests/s", state.growth_per_s.value)
    return None


def with_caveat(latency: dict[str, Latency], why: str | None) -> dict[str, Latency]:
    """Latencies of a growing queue: as they are, but without an interval, for none holds when the run goes on."""
    if why is None:
        return latency
    return {
        name: msgspec.structs.replace(
            x,
            service=summary_with_caveat(x.service, why),
            response=None if x.response is None else summary_with_caveat(x.response, why),
        )
        for name, x in latency.items()
    }


def summary_with_caveat(summary: Summary, why: str | None) -> Summary:
    """The same for one distribution."""
    if why is None or not summary.n:
        return summary
    named = {name: getattr(summary, name) for name in PERMILLE}
    return msgspec.structs.replace(summary, mean_interval=None, **caveats(named, why))


def caveats(estimates: dict[str, Estimate], why: str | None) -> dict[str, Estimate]:
    """The same for estimates by the name of their percentile."""
    if why is None:
        return estimates
    return {
        name: Estimate(value=e.value, caveat=why) if e.value is not None else Estimate(needs=e.needs)
        for name, e in estimates.items()
    }
