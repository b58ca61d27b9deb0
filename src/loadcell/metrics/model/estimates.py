"""Percentiles, means and shares, with what surrounds them."""

from __future__ import annotations

from typing import Annotated

import msgspec

Doc = msgspec.Meta


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the instrument allows a figure to be: the figure once more with the earliest and the latest times that the
    recording allows, in the unit of the figure. Sampling is not in it: that is the interval's."""

    low: float
    high: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One percentile with its 95 % interval."""

    value: Annotated[float | None, Doc(description="null below 1 / (1 - p) samples, where it would be the maximum")] = (
        None
    )
    low: Annotated[float | None, Doc(description="lower end of the interval; null if the samples give none")] = None
    high: Annotated[float | None, Doc(description="upper end of the interval; null if the samples give none")] = None
    open: Annotated[
        bool, Doc(description="the samples are worth too few for an upper end: `low` is a one-sided 95 % bound")
    ] = False
    needs: Annotated[
        int | None,
        Doc(description="effective samples that close an open interval; without a value, samples that give one"),
    ] = None
    effective: Annotated[
        float | None, Doc(description="independent samples that the samples are worth to this percentile")
    ] = None
    bound: Annotated[
        float | None,
        Doc(description="MLPerf's early-stopping estimate: upper bound at 99 %, were all samples independent"),
    ] = None
    withheld: Annotated[str | None, Doc(description="why no value is given although the samples would do")] = None
    caveat: Annotated[
        str | None, Doc(description="why the value is of this run alone and has no interval; null if it has no such")
    ] = None
    budget: Annotated[Budget | None, Doc(description="null: the recording does not bound its times")] = None


class WithFailures(msgspec.Struct, frozen=True, kw_only=True):
    """One percentile where every failed request counts as infinitely late."""

    value: Annotated[float | None, Doc(description="null where it is infinite")]
    infinite: Annotated[bool, Doc(description="so many failed that the percentile is one of them")]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution: percentiles are nearest-rank order statistics."""

    n: Annotated[int, Doc(description="samples")]
    effective: Annotated[
        float | None, Doc(description="independent samples that these are worth; each percentile has its own")
    ] = None
    mean: float | None
    mean_interval: Annotated[Interval | None, Doc(description="of the mean; null below 20 samples")] = None
    sd: Annotated[float | None, Doc(description="standard deviation of the samples; null below 2")] = None
    min: float | None = None
    p50: Estimate
    p90: Estimate
    p95: Estimate
    p99: Estimate
    p99_9: Annotated[Estimate, Doc(description="the 99.9th percentile")]
    max: float | None
    failed: Annotated[int, Doc(description="requests that failed and have no sample")] = 0
    with_failures: Annotated[
        dict[str, WithFailures], Doc(description="percentiles with failed requests as infinite; empty without any")
    ] = {}
    mean_budget: Annotated[Budget | None, Doc(description="as that of a percentile")] = None
    sd_budget: Annotated[Budget | None, Doc(description="of the standard deviation (n - 1 in the divisor)")] = None
    max_budget: Budget | None = None
    told: Annotated[
        bool, Doc(description="imported: these are another tool's figures, by its definitions; nothing was computed")
    ] = False


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A 95 % interval."""

    low: float
    high: float


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One latency metric from both anchors; a metric without an anchor (ITL, TPOT) stands under `service`."""

    title: str
    unit: str
    service: Annotated[Summary, Doc(description="from the actual send")]
    response: Annotated[Summary | None, Doc(description="from the planned time; null in a closed loop")] = None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution of the instrument's own delays."""

    n: int
    min_ms: float | None
    p50_ms: float | None
    p99_ms: Annotated[float | None, Doc(description="null below 100 samples")]
    max_ms: float | None


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A proportion with its 95 % Wilson interval, of as many trials as the dependent ones are worth."""

    value: float | None
    low: float | None
    high: float | None
