"""The load of each scenario by the rules: how much, how long, and what can be foreseen of it."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from loadcell.errors import UsageError
from loadcell.mlperf.early_stopping import allowed_over
from loadcell.mlperf.model import Rules
from loadcell.mlperf.settings import kind
from loadcell.mlperf.shorten import needed_queries
from loadcell.mlperf.wish import Wish
from loadcell.spec import Spec
from loadcell.workload.arrivals import MAX_REQUESTS
from loadcell.workload.loadgen import offline_count, single_stream_count, traffic_of, whole_passes

OFFLINE_CONCURRENCY = 1024
"""Connections of an offline run at most: more than that wait in the server anyway."""
_NO_TIME_S = 1e-3
_OPENING_S = 0.0005
"""Offline: time for a send, so that the client is never busy with sends alone; latencies start at 0 all the same."""

Load = tuple[Spec, int | None, float | None, list[str]]
"""Spec, queries, expected time of the load, notes."""


def _server(rules: Rules, spec: Spec, wish: Wish, rate: float | None) -> Load:
    assert rate is not None
    n = rules.performance_sample_count
    least = whole_passes(rules.min_queries, n) if rules.equal_issue else rules.min_queries
    likely = max(least, rate * rules.min_duration_s)
    if likely > MAX_REQUESTS:
        raise UsageError(
            f"{rate:g} queries/s for {rules.min_duration_s:g} s are {likely:,.0f} queries, more than the "
            f"{MAX_REQUESTS:,} that one run may plan: lower the rate"
        )
    if least / rate > wish.longest_s:
        raise UsageError(too_long(rules, least / rate, wish, rate))
    spec = _with_load(spec, rate=rate)
    traffic = traffic_of(spec.loadgen, n, rate=rate, rows=0)
    assert traffic.duration_ns is not None
    queries = len(traffic.samples)
    return spec, queries, traffic.duration_ns / 1e9, _proof(rules, queries)


def _offline(rules: Rules, spec: Spec, wish: Wish, rate: float | None) -> Load:
    n = rules.performance_sample_count
    count = offline_count(
        min_samples=rules.offline_min_samples or rules.min_queries,
        min_duration_s=rules.min_duration_s,
        expected_rate=rate or 0.0,
        n=n,
        equal_issue=rules.equal_issue,
    )
    if count > MAX_REQUESTS:
        raise UsageError(
            f"--expected-qps {rate:g} asks for {count:,} samples, more than the {MAX_REQUESTS:,} that one run may plan"
        )
    users = min(count, wish.concurrency or OFFLINE_CONCURRENCY)
    spec = _with_load(spec, concurrency=users, requests=count, ramp_s=users * _OPENING_S)
    return spec, 1, count / rate if rate else None, []


def _single_stream(rules: Rules, spec: Spec, wish: Wish, rate: float | None) -> Load:
    count = rules.min_queries
    if "loadgen.min_queries" not in wish.given:
        count = single_stream_count(
            min_queries=count,
            min_duration_s=rules.min_duration_s,
            expected_rate=rate or 0.0,
            n=rules.performance_sample_count,
            equal_issue=rules.equal_issue,
        )
    return _streams(rules, spec, 1, count, rate)


def _multi_stream(rules: Rules, spec: Spec, wish: Wish, rate: float | None) -> Load:
    return _streams(rules, spec, rules.samples_per_query, rules.min_queries, rate)


def _streams(rules: Rules, spec: Spec, users: int, count: int, rate: float | None) -> Load:
    """Queries one after the other, `users` samples each: `count` at least, and as many as the time takes."""
    least_s = rules.min_duration_s
    spec = _with_load(
        spec,
        concurrency=users,
        duration_s=least_s or _NO_TIME_S,
        min_requests=count * users,
        lockstep=users > 1,
    )
    spec = msgspec.structs.replace(spec, loadgen=msgspec.structs.replace(spec.loadgen, min_queries=count))
    return spec, None, max(least_s, count / rate) if rate else None, _proof(rules, count)


LOADS = {"server": _server, "offline": _offline, "singlestream": _single_stream, "multistream": _multi_stream}


def _with_load(spec: Spec, **fields: Any) -> Spec:
    return msgspec.structs.replace(spec, load=msgspec.structs.replace(spec.load, **{"ramp_s": 0.0, **fields}))


# --- what is foreseen ---


def _proof(rules: Rules, queries: int) -> list[str]:
    """How many late queries so many allow, where that is hardly any."""
    if rules.percentile is None:
        return []
    name, needed = f"p{rules.percentile * 100:g}", needed_queries(rules)
    if queries < needed:
        return [
            f"{queries:,} queries cannot prove {name} with 99 % confidence: early stopping needs {needed:,}, so this "
            "run will be INVALID"
        ]
    over = allowed_over(rules.percentile, queries) or 0
    if over > 2 or rules.scenario in ("singlestream", "multistream"):
        return []
    late = "none is late" if not over else f"{over} at most {'is' if over == 1 else 'are'} late"
    return [f"{queries:,} queries prove {name} only if {late} (early stopping); more queries allow for more"]


def too_long(rules: Rules, eta_s: float, wish: Wish, rate: float | None) -> str:
    hours = f"{eta_s / 3600:,.1f} h"
    if kind(rules.scenario) == "server":
        passes = " in whole passes over the data set" if rules.equal_issue else ""
        n, least = rules.performance_sample_count, rules.min_queries
        least = whole_passes(least, n) if rules.equal_issue else least
        why = f"at {rate:g} queries/s the {least:,} queries{passes} take about {hours}"
        cure = f"{_up(least / wish.longest_s):g} queries/s or more would do within {_hours(wish.longest_s)}"
    else:
        why, cure = f"this run would take about {hours}", "a faster server would do"
    return (
        f"{why}: {cure}; --quick or --samples N try it on less (not comparable), --longest {math.ceil(eta_s / 3600)}h "
        "lets it run"
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h"


def _up(value: float) -> float:
    """Rounded up to two digits."""
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / scale - 1e-9) * scale
