"""Figures as AIPerf and GenAI-Perf write them: an object a metric, {"unit": "ms", "avg": ..., "p99": ...}."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loadcell.interop.model import Told
from loadcell.interop.readers.common import number, stat_of
from loadcell.phrases import phrase

MEANINGS = {
    "time_to_first_token": "ttft_ms",
    "time_to_first_output_token": "ttfa_ms",
    "inter_token_latency": "tpot_ms",
    "inter_chunk_latency": "itl_ms",
    "request_latency": "e2e_ms",
    "request_throughput": "requests_per_s",
    "output_token_throughput": "output_tokens_per_s",
    "input_token_throughput": "input_tokens_per_s",
    "total_token_throughput": "total_tokens_per_s",
    "goodput": "goodput",
    "request_goodput": "goodput",
    "good_request_fraction": "slo_attainment",
    "effective_concurrency": "concurrency",
    "spec_decode_acceptance_length": "acceptance_length",
    "overall_usage_prompt_cache_read_pct": "prefix_cache_hit_share",
}
"""What both call inter_token_latency is TPOT, a value a request."""
_UNITS = {
    "requests/sec": "requests/s", "tokens/sec": "tokens/s", "tokens/sec/user": "tokens/s", "sec": "s",
    "count": "requests",
}  # fmt: skip
ADJUSTED = phrase("in adj_* of AIPerf failed requests count as infinite, and a figure without a value is that")
_BAND = ("avg", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "min", "max", "sum")


def told_of(tree: dict[str, Any], at: str = "") -> Iterator[Told]:
    """Every figure. In adj_* of AIPerf failed requests are infinite, and a figure that is infinite is not written: it
    has a key here and no value, which `ADJUSTED` says."""
    for tag, measured in tree.items():
        if not isinstance(measured, dict) or "unit" not in measured:
            continue
        unit = _UNITS.get(str(measured["unit"]), str(measured["unit"]))
        given: dict[str, float | None] = {key: number(value) for key, value in measured.items() if key != "unit"}
        if tag.startswith("adj_"):
            given = dict.fromkeys(_BAND) | given
        scalar = set(measured) <= {"unit", "avg"}
        for key, value in given.items():
            stat = None if scalar else stat_of(key)
            metric = None if at else MEANINGS.get(tag)
            yield Told(key=f"{at}{tag}.{key}", value=value, unit=unit, metric=metric, stat=stat)
