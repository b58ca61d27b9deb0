"""AIPerf's export folder (0.13.0, schema 1.4): summary, table and records, by its definitions.

TTFT from the client's call to the first output, E2E to the last, ITL = (E2E - TTFT) / (n - 1) of one request, ICL the
gaps between events; successes of the whole run, percentiles linear, standard deviations of the population.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from loadcell import __version__
from loadcell.interop.write import Asked, Held, Written
from loadcell.interop.writers.calls import Calls, effective, hear, lacking, read_calls
from loadcell.interop.writers.statistics import known, linear
from loadcell.interop.writers.told import told_tree
from loadcell.kinds import KIND_OUTPUT
from loadcell.metrics.rows import Floats
from loadcell.recording.read import Recording
from loadcell.secrets import bare_url

_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
_ORDER = ("avg", "min", "max", "sum", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "std")
_USER = "tokens/sec/user"


class Of(NamedTuple):
    """One metric of AIPerf."""

    title: str
    unit: str


_EACH = {
    "request_latency": Of("Request Latency", "ms"),
    "time_to_first_token": Of("Time to First Token", "ms"),
    "time_to_second_token": Of("Time to Second Token", "ms"),
    "inter_token_latency": Of("Inter Token Latency", "ms"),
    "output_token_throughput_per_user": Of("Output Token Throughput Per User", _USER),
    "output_sequence_length": Of("Output Sequence Length", "tokens"),
    "input_sequence_length": Of("Input Sequence Length", "tokens"),
    "reasoning_token_count": Of("Reasoning Token Count", "tokens"),
    "inter_chunk_latency": Of("Inter Chunk Latency", "ms"),
    "usage_prompt_tokens": Of("Usage Prompt Tokens", "tokens"),
    "usage_completion_tokens": Of("Usage Completion Tokens", "tokens"),
    "time_to_first_output_token": Of("Time to First Output Token", "ms"),
    "e2e_output_token_throughput": Of("E2E Output Token Throughput", _USER),
    "prefill_throughput_per_user": Of("Prefill Throughput Per User", _USER),
    "decode_duration": Of("Decode Duration", "ms"),
}
"""A value a request; of `inter_chunk_latency` a list."""
_ONCE = {
    "request_throughput": Of("Request Throughput", "requests/sec"),
    "request_count": Of("Request Count", "requests"),
    "output_token_throughput": Of("Output Token Throughput", "tokens/sec"),
    "input_token_throughput": Of("Input Token Throughput", "tokens/sec"),
    "total_token_throughput": Of("Total Token Throughput", "tokens/sec"),
    "total_output_tokens": Of("Total Output Tokens", "tokens"),
    "total_osl": Of("Total Output Sequence Length", "tokens"),
    "total_isl": Of("Total Input Sequence Length", "tokens"),
    "benchmark_duration": Of("Benchmark Duration", "sec"),
    "completed_request_count": Of("Completed Requests (Success + Error)", "requests"),
    "error_request_count": Of("Error Request Count", "requests"),
    "request_error_rate": Of("Request Error Rate", "%"),
    "goodput": Of("Goodput", "requests/sec"),
}
"""One value a run."""


def write(runs: Sequence[Held], asked: Asked, folder: str) -> Written:
    """profile_export_aiperf.json, .csv and profile_export.jsonl; of several runs each in a folder of its name."""
    found = Written()
    for run in runs:
        recording, place = run.recording, f"{run.name}/" if len(runs) > 1 else ""
        summary = f"{place}profile_export_aiperf"
        if recording.imported is not None and not recording.imported.details:
            found.left_out.append(f"{recording.imported.title} told summaries only: they are given back as they are")
            tree = _head(recording) | told_tree(recording.imported) | _tail(recording)
            found.files[f"{summary}.json"] = json.dumps(tree, indent=2)
            continue
        calls = read_calls(recording)
        found.left_out += lacking(recording, calls)
        of_each, gaps = columns(recording, calls)
        once = totals(recording, calls, of_each)
        tree = _head(recording) | {
            name: {"unit": of.unit, "avg": once[name]} for name, of in _ONCE.items() if name in once
        }
        pooled = {name: known(values[calls.ok]) for name, values in of_each.items()}
        pooled["inter_chunk_latency"] = np.concatenate([np.empty(0), *(gaps[i] for i in np.flatnonzero(calls.ok))])
        for name, of in _EACH.items():
            if name in pooled and pooled[name].size:
                tree[name] = {"unit": of.unit} | _summary(pooled[name])
            else:
                found.left_out.append(f"{name}: no request has one")
        wrong = Counter(_error(calls, int(i))["type"] for i in np.flatnonzero(calls.of("failed")))
        tree |= _tail(recording)
        tree["error_summary"] = [
            {"error_details": {"code": None, "type": kind, "message": kind}, "count": count}
            for kind, count in wrong.most_common()
        ]
        found.files[f"{summary}.json"] = json.dumps(tree, indent=2)
        found.files[f"{summary}.csv"] = _table(tree)
        found.files[f"{place}profile_export.jsonl"] = "".join(
            json.dumps(record) + "\n" for record in _records(recording, calls, of_each, gaps)
        )
        if (calls.source[calls.ok] != "tokenizer").any():
            found.left_out.append("output tokens are the server's or as recorded; AIPerf counts them by a tokenizer")
    return found


def columns(recording: Recording, calls: Calls) -> tuple[dict[str, Floats], list[Floats]]:
    """Each metric of `_EACH` by request, NaN where it has none; and the gaps between its events, ms."""
    heard = hear(recording, calls, KIND_OUTPUT)
    gaps = [np.diff(heard.of(i)) * 1e3 for i in range(len(calls))]
    second = np.array([gap[0] if gap.size else np.nan for gap in gaps])
    n = calls.output
    ttft, latency = calls.first - calls.start, calls.last - calls.start
    with np.errstate(invalid="ignore", divide="ignore"):
        itl = np.where(n > 1, (latency - ttft) / (n - 1), np.nan)
        found = {
            "request_latency": latency * 1e3,
            "time_to_first_token": ttft * 1e3,
            "time_to_second_token": second,
            "inter_token_latency": itl * 1e3,
            "output_token_throughput_per_user": np.where(itl > 0, 1 / itl, np.nan),
            "output_sequence_length": n,
            "input_sequence_length": calls.input,
            "reasoning_token_count": calls.reasoning,
            "usage_prompt_tokens": calls.prompt,
            "usage_completion_tokens": calls.usage,
            "time_to_first_output_token": (calls.answer - calls.start) * 1e3,
            "e2e_output_token_throughput": np.where(latency > 0, n / latency, np.nan),
            "prefill_throughput_per_user": np.where(ttft > 0, calls.input / ttft, np.nan),
            "decode_duration": (latency - ttft) * 1e3,
        }
    return found, gaps


def totals(recording: Recording, calls: Calls, of_each: dict[str, Floats]) -> dict[str, float]:
    """The metrics of `_ONCE` that are known; errors are not told where there are none."""
    ok, failed = calls.ok, int(calls.of("failed").sum())
    done = int(ok.sum())
    found = {"request_count": float(done), "completed_request_count": float(done + failed)}
    if failed:
        found["error_request_count"] = float(failed)
    if done + failed:
        found["request_error_rate"] = 100 * failed / (done + failed)
    for name, column in (("total_osl", calls.output), ("total_isl", calls.input)):
        if ok.any() and not np.isnan(column[ok]).any():
            found[name] = float(column[ok].sum())
    if "total_osl" in found:
        found["total_output_tokens"] = found["total_osl"]
    placed = recording.imported is None or recording.imported.placed
    if placed and ok.any() and (seconds := float(np.nanmax(calls.last[ok]) - np.nanmin(calls.start[ok]))) > 0:
        found["benchmark_duration"] = seconds
        found["request_throughput"] = done / seconds
        for name, total in (("output", "total_osl"), ("input", "total_isl")):
            if total in found:
                found[f"{name}_token_throughput"] = found[total] / seconds
        if "total_osl" in found and "total_isl" in found:
            found["total_token_throughput"] = (found["total_osl"] + found["total_isl"]) / seconds
        good = _good(recording, calls, of_each)
        if good is not None:
            found["goodput"] = good / seconds
    return found


def _good(recording: Recording, calls: Calls, of_each: dict[str, Floats]) -> int | None:
    """Successes within every limit of the spec; None without any."""
    slo = recording.spec.slo
    limits = {
        "time_to_first_token": slo.ttft_ms, "inter_token_latency": slo.tpot_ms, "request_latency": slo.e2e_ms,
    }  # fmt: skip
    within = [of_each[name] <= limit for name, limit in limits.items() if limit is not None]
    return int((calls.ok & np.logical_and.reduce(within)).sum()) if within else None


def _summary(values: Floats) -> dict[str, float | int]:
    quantiles = dict(zip((f"p{p}" for p in _PERCENTILES), linear(values, _PERCENTILES), strict=True))
    return {
        "avg": float(values.mean()), **quantiles, "min": float(values.min()), "max": float(values.max()),
        "std": float(values.std()), "count": int(values.size), "sum": float(values.sum()),
    }  # fmt: skip


def _head(recording: Recording) -> dict[str, Any]:
    return {"schema_version": "1.4", "aiperf_version": None, "benchmark_id": recording.manifest.id}


def _tail(recording: Recording) -> dict[str, Any]:
    """What was asked for, and how it ended, as far as the two tools have words for it in common."""
    spec, manifest = recording.spec, recording.manifest
    load, started = spec.load, datetime.fromisoformat(manifest.started_at)
    phase = {
        "name": "profiling", "kind": "profiling", "type": "request_rate" if load.rate else "concurrency",
        "requests": load.requests, "duration": load.duration_s, "concurrency": load.concurrency, "rate": load.rate,
    }  # fmt: skip
    ended = None if manifest.ended_ns is None else started + timedelta(microseconds=manifest.ended_ns / 1e3)
    return {
        "input_config": {
            "models": {"items": [{"name": effective(recording, "model") or spec.endpoint.model}]},
            "endpoint": {
                "urls": [bare_url(spec.endpoint.url)], "type": spec.endpoint.api, "streaming": spec.endpoint.stream,
            },
            "phases": [{name: value for name, value in phase.items() if value is not None}],
        },
        "run_info": {"benchmark_id": manifest.id, "random_seed": spec.run.seed, "generator": f"loadcell {__version__}"},
        "was_cancelled": manifest.state == "interrupted",
        "is_complete": manifest.state == "complete",
        "error_summary": [],
        "start_time": started.replace(tzinfo=None).isoformat(),
        "end_time": ended and ended.replace(tzinfo=None).isoformat(),
    }  # fmt: skip


def _error(calls: Calls, i: int) -> dict[str, Any]:
    code = calls.http[i]
    return {
        "code": None if np.isnan(code) else int(code),
        "type": str(calls.kind[i] or calls.status[i]),
        "message": calls.why(i),
    }


def _records(
    recording: Recording, calls: Calls, of_each: dict[str, Floats], gaps: Sequence[Floats]
) -> Iterator[dict[str, Any]]:
    """A line a request. Wall times are those of the run's start, which is known to the second, and exact after it."""
    zero = int(datetime.fromisoformat(recording.manifest.started_at).timestamp() * 1e9)

    def wall(seconds: float) -> int | None:
        return None if np.isnan(seconds) else zero + round(seconds * 1e9)

    due = np.where(np.isnan(calls.planned), calls.ready, calls.planned)
    for i in range(len(calls)):
        session = int(calls.session[i])
        metadata = {
            "session_num": session if session >= 0 else i,
            "x_request_id": f"{recording.manifest.id}-{calls.request[i]}",
            "conversation_id": str(session) if session >= 0 else str(calls.request[i]),
            "turn_index": max(int(calls.turn[i]), 0),
            "credit_issued_ns": wall(due[i]),
            "request_start_ns": wall(calls.start[i]),
            "request_ack_ns": wall(calls.byte[i]),
            "request_end_ns": wall(calls.end[i]),
            "worker_id": f"worker_{calls.worker[i]}",
            "benchmark_phase": "profiling",
            "was_cancelled": calls.status[i] in ("cancelled", "abandoned"),
        }
        record: dict[str, Any] = {"metadata": metadata, "metrics": {}}
        if calls.status[i] == "ok":
            record["metrics"] = {
                name: {"value": int(values[i]) if _EACH[name].unit == "tokens" else float(values[i]),
                       "unit": _EACH[name].unit}
                for name, values in of_each.items() if not np.isnan(values[i])
            }  # fmt: skip
            if gaps[i].size:
                record["metrics"]["inter_chunk_latency"] = {"value": gaps[i].tolist(), "unit": "ms"}
            record["error"] = None
        else:
            if not np.isnan(calls.input[i]):
                record["metrics"]["error_isl"] = {"value": int(calls.input[i]), "unit": "tokens"}
            record["error"] = _error(calls, i)
        yield record


def _table(tree: dict[str, Any]) -> str:
    """The CSV: metrics with percentiles, then those without."""
    file = io.StringIO()
    rows = csv.writer(file)

    def title(of: Of) -> str:
        return of.title if of.unit in ("requests", "count") else f"{of.title} ({of.unit})"

    rows.writerow(["Metric", *_ORDER])
    for name, of in sorted(_EACH.items(), key=lambda item: item[1].title):
        if name in tree:
            rows.writerow([title(of), *(f"{tree[name][stat]:.2f}" for stat in _ORDER)])
    rows.writerow([])
    rows.writerow(["Metric", "Value"])
    for name, of in sorted(_ONCE.items(), key=lambda item: item[1].title):
        if name in tree:
            rows.writerow([title(of), f"{tree[name]['avg']:.2f}"])
    return file.getvalue()
