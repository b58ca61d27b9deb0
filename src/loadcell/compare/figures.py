"""What one run says of each figure, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from loadcell.compare.measures import LATENCIES, MEANS, MEASURES, RATES, Measure
from loadcell.metrics.behaved import came, timed
from loadcell.metrics.checks_budget import spoilt
from loadcell.metrics.dependence import BATCHES, Z_975, share_inflation
from loadcell.metrics.glossary import FIELDS, latencies_of, made_of
from loadcell.metrics.imported import NOT_TOLD, TOLD, UNPLACED, placed
from loadcell.metrics.interval import LEAST_FOR_MEAN, floor_of, shown_from, wilson
from loadcell.metrics.latency import OF_FIRST, in_send_order, of_requests
from loadcell.metrics.model import Estimate, Interval, Result, Share, Summary
from loadcell.metrics.quantile import Histogram
from loadcell.metrics.rows import Floats, Ids, Mask, Rows, read_rows
from loadcell.metrics.window import anchors
from loadcell.phrases import phrase
from loadcell.recording.read import Recording

GRID = 200
"""Points that stand for the sampling distribution of a figure, each as likely as the others."""
NO_SLO = phrase("no SLO")
NOT_KEPT = phrase("a saved result does not hold it")
NOT_OF_API = phrase("its API has no such thing")
NO_SESSIONS = phrase("no sessions")
LEFT_OPEN = phrase("its error budget is INVALID: the client's clock readings leave it open")
ABSENT = (NO_SLO, NOT_KEPT, NOT_OF_API, NO_SESSIONS)
"""Why a side has no such figure at all: then it is not compared, and not shown as missing either."""


@dataclass(frozen=True)
class Figure:
    """One figure of one run. A value of None has a reason in `why`."""

    value: float | None
    n: int = 0
    """Requests that it rests on."""
    low: float | None = None
    high: float | None = None
    """Its 95 % interval."""
    grid: Floats | None = None
    """Equally likely values of the truth; None where only the interval is known."""
    why: str | None = None
    open: str | None = None
    """Why it has no upper end, and what would give it one; None where it has."""
    open_below: str | None = None
    """Why it has no lower end; None where it has."""
    few: bool = False
    """It has no value because its samples are too few."""


@dataclass(frozen=True)
class Samples:
    """What a recording holds beyond its Result."""

    latency_ms: dict[str, Floats]
    """By metric, sorted."""
    gaps: Histogram
    """Of inter-token latencies, in ns."""
    with_gaps: int
    """Requests that have gaps."""
    failed_inflation: float
    """By how much the failures' coming in runs inflates the variance of their share."""


def figures(result: Result, recording: Recording | None, rows: Rows | None = None) -> dict[str, Figure]:
    """Every measure of a run; without its recording, by the estimates and intervals of its Result alone.

    `rows` are those of the recording, where they have been read already.
    """
    samples = None if recording is None else _samples(result, recording, rows or read_rows(recording))
    return {key: _figure(measure, result, samples) for key, measure in MEASURES.items()}


def _figure(measure: Measure, result: Result, samples: Samples | None) -> Figure:
    if not of_api(measure.metric, result):
        return Figure(None, why=NOT_OF_API)
    if left_open(measure, result):
        return Figure(None, why=LEFT_OPEN)
    if measure.metric in LATENCIES:
        return _latency(measure, result, samples)
    if measure.metric in RATES:
        return _rate(measure, result)
    if measure.metric in ("sessions_per_s", "session_time"):
        return _session(measure, result)
    if measure.metric == "failed":
        counts = result.counts.window
        worth = None if samples is None else counts.planned / samples.failed_inflation
        return _share(wilson(counts.failed, counts.planned, worth), counts.planned, phrase("no request was planned"))
    good = result.goodput
    if good is None:
        return Figure(None, why=NO_SLO)
    return _share(good.attainment, good.planned, phrase("its limits cannot be judged"))


def left_open(measure: Measure, result: Result) -> bool:
    """Whether a figure of a run is INVALID by its own error budget."""
    anchor = "response" if result.methodology.loop == "open" else "service"
    name = FIELDS.get(measure.metric, measure.metric)
    return measure.stat != "geomean" and spoilt(result, name, anchor, measure.stat)


def _session(measure: Measure, result: Result) -> Figure:
    """A figure of sessions, by the interval of its Result."""
    found, none = result.sessions, phrase("it has no interval")
    if found is None:
        return Figure(None, why=NO_SESSIONS)
    if measure.metric == "sessions_per_s":
        value, span = found.sessions_per_s, found.sessions_interval
        if value is None or span is None:
            return Figure(value, found.whole, why=none if value is None else None, open=none, open_below=none)
        return Figure(value, found.whole, span.low, span.high)
    if found.time is None:
        return Figure(None, why=phrase("there is none"))
    estimate: Estimate = getattr(found.time, measure.stat)
    if estimate.value is None:
        few = phrase("it needs {:,} samples, there are {:,}", shown_from(measure.permille), found.time.n)
        return Figure(None, found.time.n, why=estimate.withheld or few, few=estimate.withheld is None)
    low, high = estimate.low, estimate.high
    above, below = ((estimate.caveat or none) if end is None else None for end in (high, low))
    return Figure(estimate.value, found.time.n, low, high, open=above, open_below=below)


def of_api(metric: str, result: Result) -> bool:
    """Whether replies of the run's API can show a metric at all."""
    spec = result.methodology.spec
    if metric in FIELDS:
        return FIELDS[metric] in latencies_of(spec)
    return metric not in RATES or metric in (made_of(spec), "requests_per_s")


def _share(share: Share, n: int, why: str) -> Figure:
    return Figure(share.value, n, share.low, share.high, why=why if share.value is None else None)


def _latency(measure: Measure, result: Result, samples: Samples | None) -> Figure:
    """Response time in an open loop, service time in a closed one."""
    latency = result.latency.get(FIELDS[measure.metric])
    if latency is None:
        return Figure(None, why=phrase("not measured"))
    summary: Summary = latency.response or latency.service
    if summary.told and measure.stat == "geomean":
        return Figure(None, why=NOT_KEPT)
    if summary.told:
        return _of_told(summary.mean if measure.stat == "mean" else getattr(summary, measure.stat, None))
    if measure.stat in MEANS:
        return _mean(measure, summary, samples, latency.service.p50.caveat)
    estimate = getattr(summary, measure.stat)
    n = summary.n
    if measure.metric == "itl":  # what a comparison needs is counted in requests, not in gaps
        n = result.counts.window.ok if samples is None else samples.with_gaps
    effective = float(estimate.effective or summary.effective or n)
    if estimate.value is None:
        if estimate.withheld:
            return Figure(None, n, why=estimate.withheld)
        few = phrase("it needs {:,} samples, there are {:,}", shown_from(measure.permille), summary.n)
        return Figure(None, n, why=few if summary.n else phrase("there is none"), few=summary.n > 0)
    grid, p, effective = None, measure.permille / 1000, max(1.0, min(effective, float(summary.n)))
    if samples is not None:
        ordered = samples.latency_ms.get(measure.metric)
        grid = histogram_grid(samples.gaps, p, effective) if ordered is None else quantile_grid(ordered, p, effective)
    why = estimate.caveat
    if estimate.open:
        needs = estimate.needs or floor_of(measure.permille)
        asked = round(n * needs / effective)
        why = phrase(
            "these are worth {:,} of the {:,} samples that it needs: some {:,} requests", int(effective), needs, asked
        )
    below = None
    if estimate.low is None and not estimate.caveat:
        below = phrase("these are worth {:,} samples: too few for a lower end", int(effective))
    grid = None if estimate.caveat else grid
    return Figure(estimate.value, n, estimate.low, estimate.high, grid, open=why, open_below=below)


def _of_told(value: Estimate | float | None) -> Figure:
    """A figure that another tool told: without requests nobody can say how sure it is."""
    known = value.value if isinstance(value, Estimate) else value
    return Figure(known, why=NOT_TOLD if known is None else None, open=TOLD, open_below=TOLD)


def _mean(measure: Measure, summary: Summary, samples: Samples | None, caveat: str | None = None) -> Figure:
    """A mean of a latency, whose spread is that of its samples over what they are worth."""
    ordered = None if samples is None else samples.latency_ms[measure.metric]
    if ordered is None:
        return Figure(None, why=NOT_KEPT)
    if not ordered.size:
        return Figure(None, why=phrase("there is none"))
    geometric = measure.stat == "geomean"
    values = np.log(np.maximum(ordered, 1e-6)) if geometric else ordered
    if ordered.size < LEAST_FOR_MEAN:  # how much so few differ is not known: a single one does not differ at all
        why = phrase("a mean of {:,} samples has no interval: it needs {}", ordered.size, LEAST_FOR_MEAN)
        mean = float(np.exp(values.mean())) if geometric else float(values.mean())
        return Figure(mean, ordered.size, open=why, open_below=why)
    if caveat == UNPLACED:
        mean = float(np.exp(values.mean())) if geometric else float(values.mean())
        return Figure(mean, ordered.size, open=caveat, open_below=caveat)
    worth = max(2.0, min(float(summary.effective or summary.n), float(summary.n)))
    spread = values.mean() + values.std() / math.sqrt(worth) * _standard()
    low, high = (values.mean() + sign * values.std() / math.sqrt(worth) * Z_975 for sign in (-1, 1))
    value, low, high = (float(np.exp(x)) if geometric else max(float(x), 0.0) for x in (values.mean(), low, high))
    return Figure(value, ordered.size, low, high, np.exp(spread) if geometric else np.maximum(spread, 0.0))


@lru_cache(maxsize=1)
def _standard() -> Floats:
    from scipy.special import ndtri

    middles: Floats = ndtri(_middles())
    return middles


def quantile_grid(ordered: Floats, p: float, effective: float) -> Floats:
    """Equally likely values of the p-quantile behind sorted samples that are worth `effective` independent ones.

    The quantile of a resampled series is the order statistic whose position has the law Beta(p m, (1 - p) m), with m
    the effective number of samples: the bootstrap of a quantile without its Monte Carlo (David and Nagaraja, Order
    Statistics, 3rd ed., 2.1).
    """
    return ordered[_ranks(p, effective, ordered.size) - 1]


def histogram_grid(gaps: Histogram, p: float, effective: float) -> Floats:
    """As `quantile_grid`, in ms, of nanoseconds that were only counted."""
    return np.array(gaps.at(_ranks(p, effective, gaps.n).tolist()), dtype=np.float64) / 1e6


def _ranks(p: float, effective: float, n: int) -> Ids:
    from scipy.special import betaincinv

    positions = betaincinv(p * effective, (1 - p) * effective, _middles())
    ranks: Ids = np.clip(np.ceil(positions * n), 1, n).astype(np.int64)
    return ranks


@lru_cache(maxsize=1)
def _middles() -> Floats:
    return (np.arange(GRID) + 0.5) / GRID


def _rate(measure: Measure, result: Result) -> Figure:
    value: float | None = getattr(result.throughput, measure.metric)
    interval: Interval | None = getattr(result.throughput, RATES[measure.metric])
    n = result.counts.window.ok
    if measure.metric in (result.throughput.told or ()):
        return _of_told(value)
    if value is None:
        if result.imported is not None and not placed(result.imported):
            return Figure(None, n, why=phrase("its files have no send times, and the tool told none"))
        if measure.metric == "audio_s_per_s" and result.throughput.requests_per_s is not None:
            return Figure(None, n, why=phrase("replies do not tell how long their audio lasts"))
        if result.throughput.requests_per_s is not None:  # it has one, so that it is the tokens that are not known
            return Figure(None, n, why=phrase("replies do not say how many tokens they hold, or events are missing"))
        return Figure(None, n, why=phrase("the window has no length"))
    if interval is None:
        return Figure(value, n)
    return Figure(value, n, interval.low, interval.high, rate_grid(value, interval))


def rate_grid(value: float, interval: Interval) -> Floats:
    """Equally likely values of a mean rate whose interval is Student's t over batches of time."""
    from scipy.special import stdtrit

    error = (interval.high - value) / float(stdtrit(BATCHES - 1, 0.975))  # the low end may have been cut at 0
    grid: Floats = value + error * stdtrit(BATCHES - 1, _middles())
    return np.maximum(grid, 0.0)


# --- from the recording ----------------------------------------------------------------------------------------------


def latencies_ns(rows: Rows, loop: str) -> dict[str, Floats]:
    """Latencies of each request that are compared, by metric; from its planned time in an open loop, else its send."""
    each, anchor = of_requests(rows), 1 if loop == "open" else 0
    return {name: each[name][anchor] for name in LATENCIES if name in each}


def _samples(result: Result, recording: Recording, rows: Rows) -> Samples:
    members = members_of(result, recording, rows)
    ok, first, values = members & timed(rows).ok, came(rows, members), latencies_ns(rows, recording.manifest.loop)
    chosen = {name: first if name in OF_FIRST else ok for name in values}
    gaps, with_gaps = _gaps(recording, rows, ok)
    places = in_send_order(rows, members)
    return Samples(
        latency_ms={name: np.sort(v[chosen[name] & ~np.isnan(v)]) / 1e6 for name, v in values.items()},
        gaps=gaps,
        with_gaps=with_gaps,
        failed_inflation=share_inflation(rows.failed[places], values["e2e"][places]),
    )


def members_of(result: Result, recording: Recording, rows: Rows) -> Mask:
    """The requests of the window that the Result tells of."""
    window, anchor = result.methodology.window, anchors(rows, recording.manifest.loop)
    inside: Mask = (anchor >= round(window.start_s * 1e9)) & (anchor <= round(window.end_s * 1e9))
    return inside & (rows.request >= recording.spec.load.warmup_requests) & rows.counted


def _gaps(recording: Recording, rows: Rows, ok: Mask) -> tuple[Histogram, int]:
    """(gaps between successive events of the ok requests, how many of these requests have any)."""
    gaps, with_gaps = Histogram(), 0
    wanted = np.zeros(int(rows.request.max()) + 2 if len(rows) else 1, dtype=bool)
    wanted[rows.request] = ok
    for part in recording.chunks(("request", "t_ns")):
        request: Ids = np.minimum(part["request"], wanted.size - 1)  # an event without its request's row is not wanted
        follows = (request[1:] == request[:-1]) & wanted[request[1:]]
        gaps.add(np.maximum(np.diff(part["t_ns"])[follows], 0))
        with_gaps += int(np.unique(request[1:][follows]).size)
    return gaps, with_gaps
