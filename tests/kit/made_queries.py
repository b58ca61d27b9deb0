"""Rules and queries with known numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from loadcell.mlperf.model import Queries, Rules, RunPlan
from loadcell.spec import Endpoint, Seeds, Spec

MS = 1_000_000
_RESULT_KEYS = {
    "offline": ("result_tokens_per_second", "tokens/s"),
    "server": ("result_completed_tokens_per_second", "tokens/s"),
    "interactive": ("result_completed_tokens_per_second", "tokens/s"),
    "singlestream": ("early_stopping_latency_ss", "ms"),
    "multistream": ("early_stopping_latency_ms", "ms"),
}


def made_rules(scenario: str = "server", **more: Any) -> Rules:
    """Rules of a small benchmark: limits of 500 ms and 30 ms at p99 in the server scenario."""
    key, unit = _RESULT_KEYS[scenario]
    limits = {"ttft_ms": 500.0, "tpot_ms": 30.0} if scenario in ("server", "interactive") else {}
    values: dict[str, Any] = {
        "round": "v6.1", "benchmark": "made-8b", "scenario": scenario, "task": "summaries", "model": "Made-8B",
        "dataset": "made", "suites": {"datacenter": "required"}, "seeds": Seeds(qsl=1, sample_index=2, schedule=3),
        "dataset_size": 10, "performance_sample_count": 10, "accuracy_sample_count": 10, "equal_issue": True,
        "min_duration_s": 1.0, "min_queries": 20, "token_latencies": True,
        "percentile": {"offline": None, "singlestream": 0.9}.get(scenario, 0.99),
        "samples_per_query": 8 if scenario == "multistream" else 1, "min_output_tokens": 1, "max_output_tokens": 128,
        "sampling": {"temperature": 0}, "max_cached_share": 0.0, "result_key": key, "unit": unit,
    } | limits | more  # fmt: skip
    return msgspec.convert(values, Rules)


def made_plan(rules: Rules, **more: Any) -> RunPlan:
    """The plan of a run by `rules` that sends the whole data set."""
    values: dict[str, Any] = {
        "loadcell": "0.1.0", "rules": rules, "samples": rules.performance_sample_count, "queries": None,
        "dataset": "made.jsonl", "dataset_sha256": "0" * 64,
        "spec": Spec(endpoint=Endpoint(url="http://h:1")),
    } | more  # fmt: skip
    return RunPlan(**values)


def made_queries(
    latency_ms: Sequence[float],
    *,
    ttft_ms: Sequence[float] | float | None = 10.0,
    tokens: Sequence[float] | float = 11,
    scheduled_ms: Sequence[float] | float | None = None,
    failed: Sequence[int] = (),
    per_query: int = 1,
    one_query: bool = False,
    samples: int = 10,
) -> Queries:
    """A query a latency, one scheduled every 100 ms unless told, sent at once; `failed` are rows that did not do."""
    n = len(latency_ms)
    every = np.arange(n) // per_query * 100.0 if scheduled_ms is None else np.broadcast_to(scheduled_ms, n)
    scheduled = np.rint(every * MS).astype(np.int64)
    first = np.full(n, np.nan) if ttft_ms is None else np.broadcast_to(ttft_ms, n).astype(float)
    ok = np.ones(n, bool)
    ok[list(failed)] = False
    return Queries(
        query=np.zeros(n, np.int64) if one_query else np.arange(n) // per_query,
        sample=np.arange(n) % samples,
        scheduled_ns=scheduled,
        issued_ns=scheduled + 1000,
        first_ns=scheduled + np.rint(first * MS),
        end_ns=scheduled + np.rint(np.asarray(latency_ms, float) * MS).astype(np.int64),
        tokens=np.broadcast_to(np.asarray(tokens, float), n).copy(),
        ok=ok,
    )
