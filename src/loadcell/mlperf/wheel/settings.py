"""LoadGen's settings from the rules, by attribute: reading them from a file works but once in a process."""

from __future__ import annotations

from typing import Any

from loadcell.mlperf.model import LOADGEN_SCENARIO, Rules, RunPlan

ACCURACY_LOG_SEED = 720381539243781796
"""Of which replies are logged in performance mode; the same in all rounds."""


def settings_of(plan: RunPlan, *, accuracy: bool) -> dict[str, Any]:
    """TestSettings by attribute for a plan; scenario and mode by name. Times in their names' units."""
    rules = plan.rules
    settings: dict[str, Any] = {
        "scenario": LOADGEN_SCENARIO[rules.scenario],
        "mode": "AccuracyOnly" if accuracy else "PerformanceOnly",
        "qsl_rng_seed": rules.seeds.qsl,
        "sample_index_rng_seed": rules.seeds.sample_index,
        "schedule_rng_seed": rules.seeds.schedule,
        "accuracy_log_rng_seed": ACCURACY_LOG_SEED,
        "sample_concatenate_permutation": rules.equal_issue,
        "performance_sample_count_override": rules.performance_sample_count,
        "min_duration_ms": round(rules.min_duration_s * 1000),
        "min_query_count": rules.min_queries,
        "use_token_latencies": rules.token_latencies,
    }
    return settings | _LOADS[settings["scenario"]](rules, plan) | _limits(rules)


def _server(rules: Rules, plan: RunPlan) -> dict[str, Any]:
    settings: dict[str, Any] = {"server_target_qps": plan.target_qps}
    if rules.percentile is not None:
        settings["server_target_latency_percentile"] = rules.percentile
    return settings


def _offline(rules: Rules, plan: RunPlan) -> dict[str, Any]:
    return {
        "min_query_count": rules.offline_min_samples or rules.min_queries,
        **({} if plan.expected_qps is None else {"offline_expected_qps": plan.expected_qps}),
    }


def _streams(name: str, rules: Rules, plan: RunPlan) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if plan.expected_qps is not None:
        settings[f"{name}_expected_latency_ns"] = round(1e9 / plan.expected_qps)
    if rules.percentile is not None:
        settings[f"{name}_target_latency_percentile"] = rules.percentile
    return settings


def _single_stream(rules: Rules, plan: RunPlan) -> dict[str, Any]:
    return _streams("single_stream", rules, plan)


def _multi_stream(rules: Rules, plan: RunPlan) -> dict[str, Any]:
    return {"multi_stream_samples_per_query": rules.samples_per_query, **_streams("multi_stream", rules, plan)}


_LOADS = {"Server": _server, "Offline": _offline, "SingleStream": _single_stream, "MultiStream": _multi_stream}


def _limits(rules: Rules) -> dict[str, Any]:
    limits = {
        "ttft_latency": rules.ttft_ms,
        "tpot_latency": rules.tpot_ms,
        "server_target_latency_ns": rules.latency_ms,
    }
    return {name: round(ms * 1e6) for name, ms in limits.items() if ms is not None}
