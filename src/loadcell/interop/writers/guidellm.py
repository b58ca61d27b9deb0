"""GuideLLM's report, version 2 (0.8), by its definitions.

TTFT from the first byte of the request, latency to the end of the stream, "ITL" = (last - first) / (n - 1) with weight
n - 1, "TPOT" = (last - start) / n with weight n, percentiles of a step CDF, over the whole run without warm-up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from loadcell import __version__
from loadcell.interop.views.statistics import named
from loadcell.interop.write import Asked, Held, Written
from loadcell.interop.writers.calls import By, by_tool, effective, lacking, number, whole
from loadcell.metrics.full_load import all_at_once
from loadcell.metrics.rows import Floats, Mask
from loadcell.recording.read import Recording
from loadcell.secrets import bare_url

_PERCENTILES = {
    "p001": 0.1, "p01": 1, "p05": 5, "p10": 10, "p25": 25, "p50": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99,
    "p999": 99.9,
}  # fmt: skip
_GROUPS = {"successful": ("ok",), "errored": ("failed",), "incomplete": ("cancelled", "abandoned")}
_MOMENTS: dict[str, str | float] = {
    "mean": "mean", "median": 50.0, "mode": 50.0, "variance": "std", "std_dev": "std", "min": "min", "max": "max",
}  # fmt: skip
"""In its order; mode and variance are computed apart."""
_PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "responses": "/v1/responses"}


def write(runs: Sequence[Held], asked: Asked, name: str) -> Written:
    """One report with a benchmark a run."""
    found = Written()
    benchmarks = [_benchmark(run.recording, i, found.left_out) for i, run in enumerate(runs)]
    report = {
        "metadata": {"version": 2, "guidellm_version": None, "generator": f"loadcell {__version__}"},
        "config": {"spec": {"backend": _backend(runs[0].recording)}},
        "conclusions": [],
        "benchmarks": benchmarks,
    }
    found.files[name] = json.dumps(report, allow_nan=False, indent=1)
    return found


def columns(by: By) -> dict[str, tuple[Floats, Floats]]:
    """Values of each metric by request, and the weight of each; NaN where it has none."""
    calls, once, n = by.calls, np.ones(len(by.calls)), by.taken.tokens
    return {
        "request_latency": (by.values("e2e"), once),
        "request_dispatch_delay": ((by.taken.start - by.taken.seen.planned) / 1e9, once),
        "prompt_token_count": (calls.input, once),
        "output_token_count": (n, once),
        "total_token_count": (calls.input + n, once),
        "time_to_first_token_ms": (by.values("ttft") * 1e3, once),
        "time_to_first_output_token_ms": (by.values("ttft", first="answer") * 1e3, once),
        "time_per_output_token_ms": (by.values("from_start") * 1e3, n),
        "inter_token_latency_ms": (by.values("apart") * 1e3, n - 1),
    }


def _benchmark(recording: Recording, index: int, left_out: list[str]) -> dict[str, Any]:
    by = by_tool(recording, "guidellm")
    calls, start = by.calls, by.taken.start / 1e9
    left_out += lacking(recording, calls)
    left_out.append("distributions of rates and of concurrency over time: their means alone are written")
    left_out.append("groups without requests hold zeros with a count of 0, as GuideLLM writes them")
    left_out.append("prompts and outputs")
    if recording.spec.slo.limits:
        left_out.append("slo_attainment and request_goodput")
    placed = recording.imported is None or recording.imported.placed
    zero = datetime.fromisoformat(recording.manifest.started_at).timestamp()
    begin = float(np.nanmin(start, initial=np.inf)) if placed else np.nan
    end = float(np.nanmax(calls.end, initial=-np.inf)) if placed else np.nan
    if not np.isfinite([begin, end]).all():
        left_out.append("the requests stand on no common clock: no times, no rates")
        begin = end = np.nan
    counts = {group: int(calls.of(*words).sum()) for group, words in _GROUPS.items()} | {"total": len(calls)}
    of_each = columns(by)
    metrics: dict[str, Any] = {"request_totals": counts}
    masks = {group: calls.of(*words) for group, words in _GROUPS.items()} | {"total": np.ones(len(calls), np.bool_)}
    for name, (values, weights) in of_each.items():
        known = not np.isnan(values).all()
        found = {group: _distribution(by, values[mask], weights[mask]) for group, mask in masks.items()}
        metrics[name] = found if known else None
        if not known:
            left_out.append(f"{name}: no request has one")
    metrics |= _rates(by, masks, end - begin)
    times = _Clock(zero if placed else np.nan)
    return {
        "type_": "generative_benchmark",
        "config": {
            "id_": recording.manifest.id,
            "run_id": recording.manifest.id,
            "run_index": index,
            "strategy": _strategy(recording),
            "constraints": _constraints(recording),
            "backend": _backend(recording),
        },
        "scheduler_state": {
            "start_time": times.at(0.0),
            "end_time": times.at(end),
            "created_requests": len(calls),
            "processed_requests": len(calls),
            "successful_requests": counts["successful"],
            "errored_requests": counts["errored"],
            "cancelled_requests": counts["incomplete"],
        },
        "scheduler_metrics": {
            "start_time": times.at(0.0),
            "request_start_time": times.at(begin),
            "measure_start_time": times.at(begin),
            "measure_end_time": times.at(end),
            "request_end_time": times.at(end),
            "end_time": times.at(end),
            "requests_made": counts,
        },
        "metrics": metrics,
        "requests": {
            group: [_request(by, int(i), of_each, times) for i in np.flatnonzero(masks[group])] for group in _GROUPS
        }
        | {"total": None},
        "warnings": [],
        "start_time": times.at(begin),
        "end_time": times.at(end),
        "duration": number(end - begin),
        "warmup_duration": 0.0,
        "cooldown_duration": 0.0,
    }


class _Clock:
    """Times of the run as Unix seconds, None where they stand on no clock."""

    def __init__(self, zero: float) -> None:
        self.zero = zero

    def at(self, seconds: float) -> float | None:
        return number(self.zero + seconds)


def _distribution(by: By, values: Floats, weights: Floats) -> dict[str, Any]:
    """Those that are there; all zeros where none is, which is how the format says so."""
    there = ~np.isnan(values) & (weights > 0)
    values, weights = values[there], weights[there]
    if not values.size:
        none = dict.fromkeys((*_MOMENTS, "total_sum"), 0.0) | {"percentiles": dict.fromkeys(_PERCENTILES, 0.0)}
        return none | {"count": 0, "pdf": None}
    figures = named(values, weights, _MOMENTS, by.taken.rules)
    distinct, places = np.unique(values, return_inverse=True)
    figures["mode"] = float(distinct[np.bincount(places, weights=weights).argmax()])
    figures["variance"] = (figures["std_dev"] or 0.0) ** 2
    return figures | {
        "count": int(weights.sum()),
        "total_sum": float((values * weights).sum()),
        "percentiles": named(values, weights, _PERCENTILES, by.taken.rules),
        "pdf": None,
    }


def _rates(by: By, masks: dict[str, Mask], seconds: float) -> dict[str, Any]:
    """Means over the run: totals over its length."""
    once, n = np.ones(len(by.calls)), by.taken.tokens
    totals = {
        "requests_per_second": once,
        "request_concurrency": by.values("e2e"),
        "prompt_tokens_per_second": by.calls.input,
        "output_tokens_per_second": n,
        "tokens_per_second": by.calls.input + n,
    }

    def mean(values: Floats, mask: Mask, *, weighs: bool) -> dict[str, Any]:
        there = mask & ~np.isnan(values)
        total = float(values[there].sum())
        return {"mean": number(total / seconds), "count": int(total) if weighs else int(there.sum())}

    found = {}
    for name, values in totals.items():
        weighs = "tokens" in name
        found[name] = {group: mean(values, mask, weighs=weighs) for group, mask in masks.items()}
    return found


def _request(by: By, i: int, of_each: dict[str, tuple[Floats, Floats]], times: _Clock) -> dict[str, Any]:
    calls, start = by.calls, times.at(by.taken.start[i] / 1e9)
    own = {name: number(values[i]) for name, (values, _) in of_each.items()}
    identity = str(calls.request[i])
    n_in, n_out = whole(calls.input[i]), whole(by.taken.tokens[i])
    return {
        "type_": "generative_request_stats",
        "request_id": identity,
        "response_id": None,
        "request_args": None,
        "output": None,
        "info": {
            "request_id": identity,
            "conversation_id": str(calls.session[i]) if calls.session[i] >= 0 else identity,
            "turn_index": max(int(calls.turn[i]), 0),
            "status": {"ok": "completed", "failed": "errored"}.get(calls.status[i], "cancelled"),
            "scheduler_process_id": int(calls.worker[i]),
            "timings": {
                "targeted_start": times.at(calls.due[i]),
                "request_start": start,
                "first_token_iteration": times.at(calls.first[i]),
                "first_output_token_iteration": times.at(calls.answer[i]),
                "last_token_iteration": times.at(calls.last[i]),
                "token_iterations": whole(by.taken.seen.chunks[i]),
                "request_end": times.at(calls.end[i]),
            },
            "error": calls.why(i) or None,
        },
        "input_metrics": {"text_tokens": n_in, "cached_tokens": whole(calls.cached[i]), "total_tokens": n_in},
        "output_metrics": {"text_tokens": n_out, "total_tokens": n_out},
        "request_start_time": start,
        "request_end_time": times.at(calls.end[i]),
        "request_latency": own["request_latency"],
        "request_dispatch_delay": own["request_dispatch_delay"],
        "prompt_tokens": n_in,
        "cached_tokens": whole(calls.cached[i]),
        "output_tokens": n_out,
        "total_tokens": None if n_in is None or n_out is None else n_in + n_out,
        "time_to_first_token_ms": own["time_to_first_token_ms"],
        "time_per_output_token_ms": own["time_per_output_token_ms"],
        "inter_token_latency_ms": own["inter_token_latency_ms"],
        "time_to_first_output_token_ms": own["time_to_first_output_token_ms"],
    }


def _backend(recording: Recording) -> dict[str, Any]:
    endpoint = recording.spec.endpoint
    return {
        "kind": "openai_http",
        "target": bare_url(endpoint.url),
        "model": effective(recording, "model") or endpoint.model,
        "request_format": _PATHS.get(str(endpoint.api), endpoint.path or str(endpoint.api)),
        "stream": endpoint.stream,
    }


def _strategy(recording: Recording) -> dict[str, Any]:
    """How requests were sent, by its names; an arrival process that it has not goes by ours."""
    load = recording.spec.load
    if recording.manifest.loop == "open":
        return {"type_": load.arrivals, "rate": load.rate, "max_concurrency": load.concurrency}
    if all_at_once(recording.spec):
        return {"type_": "throughput", "max_concurrency": load.concurrency}
    kind = "synchronous" if load.concurrency == 1 else "concurrent"
    return {"type_": kind, "streams": load.concurrency, "max_concurrency": load.concurrency}


def _constraints(recording: Recording) -> dict[str, Any]:
    load = recording.spec.load
    asked = {"max_requests": ("count", load.requests), "max_seconds": ("seconds", load.duration_s)}
    return {
        name: {"type_": name, "args": {"kind": name, key: value}}
        for name, (key, value) in asked.items()
        if value is not None
    }
