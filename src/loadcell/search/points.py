"""The figures of one stage, out of the Result of its recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadcell.metrics import Estimate, Result, reasons_of, word_of
from loadcell.search.model import Point

PERCENTILES = ("p50", "p90", "p99")


CLIENT_CPU = "client_cpu_share"
"""The client's own CPU time among what was watched, as a share of a core for each load process."""


def point_of(result: Result, audits: Sequence[Mapping[str, Any]] = ()) -> Point:
    """The figures of a stage; what its Result cannot tell is None. `audits` are those of its recording."""
    rates, counts, gpus = result.throughput, result.counts.window, result.methodology.spec.endpoint.gpus
    tokens_per_s, user = rates.output_tokens_per_s, rates.user_tokens_per_s.get("p50")
    watched = result.observed
    return Point(
        verdict=word_of(result),
        reasons=reasons_of(result),
        stable=result.steady.stable,
        requests=counts.planned,
        failed_share=counts.failed / counts.planned if counts.planned else None,
        concurrency=result.concurrency.mean,
        requests_per_s=rates.requests_per_s,
        output_tokens_per_s=tokens_per_s,
        output_tokens_interval=rates.output_tokens_interval,
        inputs_per_s=rates.inputs_per_s,
        images_per_s=rates.images_per_s,
        audio_s_per_s=rates.audio_s_per_s,
        tokens_per_s_per_gpu=None if tokens_per_s is None or not gpus else tokens_per_s / gpus,
        tokens_per_s_per_user=None if user is None else user.value,
        ttft_ms=_percentiles(result, "ttft_ms"),
        tpot_ms=_percentiles(result, "tpot_ms"),
        itl_ms=_percentiles(result, "itl_ms"),
        e2e_ms=_percentiles(result, "e2e_ms"),
        first_audio_ms=_percentiles(result, "first_audio_ms"),
        e2e_mean_ms=_mean(result, "e2e_ms"),
        goodput=result.goodput,
        server=_cpu_of(audits) | ({} if watched is None else {n: series.mean for n, series in watched.series.items()}),
        energy=None if watched is None else watched.energy,
    )


def _cpu_of(audits: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The client's own CPU; nothing where a load process left no count."""
    spent = [audit.get("cpu_s") for audit in audits]
    length = sum(audit.get("load_ns") or 0 for audit in audits)
    if not length or None in spent:
        return {}
    return {CLIENT_CPU: float(sum(cpu_s for cpu_s in spent if cpu_s)) * 1e9 / length}


def _mean(result: Result, metric: str) -> float | None:
    latency = result.latency.get(metric)
    return None if latency is None else (latency.response or latency.service).mean


def _percentiles(result: Result, metric: str) -> dict[str, Estimate]:
    """From the planned time where there is one: else the waiting of an open loop would be left out."""
    latency = result.latency.get(metric)
    if latency is None:
        return {}
    summary = latency.response or latency.service
    return {name: getattr(summary, name) for name in PERCENTILES}
