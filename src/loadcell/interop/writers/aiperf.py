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
from loadcell.interop.views.figures import SCALARS
from loadcell.interop.views.statistics import named
from loadcell.interop.write import Asked, Held, Written
from loadcell.interop.writers.calls import By, Calls, by_tool, effective, lacking
from loadcell.interop.writers.told import told_tree
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
            tree = _head(recording) | told_tree(recording.imported, units=True) | _tail(recording)
            found.files[f"{summary}.json"] = json.dumps(tree, allow_nan=False, indent=2)
            continue
        by = by_tool(recording, "aiperf")
        calls = by.calls
        found.left_out += lacking(recording, calls)
        of_each, gaps = columns(by)
        once = totals(by)
        tree = _head(recording) | {
            name: {"unit": of.unit, "avg": once[name]} for name, of in _ONCE.items() if once.get(name) is not None
        }
        pooled = {name: values[calls.ok & ~np.isnan(values)] for name, values in of_each.items()}
        pooled["inter_chunk_latency"] = by.taken.gaps() * 1e3
        for name, of in _EACH.items():
            if name in pooled and pooled[name].size:
                tree[name] = {"unit": of.unit} | _summary(by, pooled[name])
            else:
                found.left_out.append(f"{name}: no request has one")
        wrong = Counter(_error(calls, int(i))["type"] for i in np.flatnonzero(calls.of("failed")))
        tree |= _tail(recording)
        tree["error_summary"] = [
            {"error_details": {"code": None, "type": kind, "message": kind}, "count": count}
            for kind, count in wrong.most_common()
        ]
        found.files[f"{summary}.json"] = json.dumps(tree, allow_nan=False, indent=2)
        found.files[f"{summary}.csv"] = _table(tree)
        if by.taken.seen.placed:
            found.files[f"{place}profile_export.jsonl"] = "".join(
                json.dumps(record, allow_nan=False) + "\n" for record in _records(recording, by, of_each, gaps)
            )
        else:
            found.left_out.append("the records: each has a time, and the requests stand on no common clock")
        if np.isnan(by.taken.seen.text[calls.ok]).any():
            found.left_out.append("a count of output tokens by its tokenizer: the recording's own stands in")
    return found


def columns(by: By) -> tuple[dict[str, Floats], list[Floats]]:
    """Each metric of `_EACH` by request, NaN where it has none; and the gaps between its events, ms."""
    gaps = [np.diff(times) * 1e3 for times in by.stamps()]
    ttft, latency = by.values("ttft"), by.values("e2e")
    planned = by.taken.seen.planned_input
    prompt = np.where(np.isnan(planned), by.calls.prompt, planned)
    found = {
        "request_latency": latency * 1e3,
        "time_to_first_token": ttft * 1e3,
        "time_to_second_token": np.array([gap[0] if gap.size else np.nan for gap in gaps]),
        "inter_token_latency": by.values("apart") * 1e3,
        "output_token_throughput_per_user": by.values("per_apart"),
        "output_sequence_length": by.taken.tokens,
        "input_sequence_length": prompt,
        "reasoning_token_count": by.calls.reasoning,
        "usage_prompt_tokens": by.calls.prompt,
        "usage_completion_tokens": by.calls.usage,
        "time_to_first_output_token": by.values("ttft", first="answer") * 1e3,
        "e2e_output_token_throughput": by.values("per_whole"),
        "prefill_throughput_per_user": prompt / np.where(ttft > 0, ttft, np.nan),
        "decode_duration": (latency - ttft) * 1e3,
    }
    return found, gaps


def totals(by: By) -> dict[str, float | None]:
    """The metrics of `_ONCE`, None where they are not known; errors are not told where there are none."""
    run, failed = by.totals, float(by.calls.of("failed").sum())
    ended, good = run.completed + failed, run.good()
    tokens = None if run.input is None or run.output is None else run.input + run.output
    return {
        "request_throughput": run.per_s(run.completed),
        "request_count": run.completed,
        "output_token_throughput": run.per_s(run.output),
        "input_token_throughput": run.per_s(run.input),
        "total_token_throughput": run.per_s(tokens),
        "total_output_tokens": run.output,
        "total_osl": run.output,
        "total_isl": run.input,
        "benchmark_duration": SCALARS["valid_s"][0](run),  # its rates may go by another time
        "completed_request_count": ended,
        "error_request_count": failed or None,
        "request_error_rate": 100 * failed / ended if ended else None,
        "goodput": run.per_s(good),
    }


def _summary(by: By, values: Floats) -> dict[str, float | None]:
    words: dict[str, str | float] = {"avg": "mean"} | {f"p{p}": float(p) for p in _PERCENTILES}
    words |= {"min": "min", "max": "max", "std": "std", "count": "count", "sum": "sum"}
    return named(values, None, words, by.taken.rules)


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
    recording: Recording, by: By, of_each: dict[str, Floats], gaps: Sequence[Floats]
) -> Iterator[dict[str, Any]]:
    """A line a request. Wall times are those of the run's start, which is known to the second, and exact after it."""
    calls, start = by.calls, by.taken.start / 1e9
    zero = int(datetime.fromisoformat(recording.manifest.started_at).timestamp() * 1e9)

    def wall(seconds: float) -> int | None:
        return None if np.isnan(seconds) else zero + round(seconds * 1e9)

    for i in range(len(calls)):
        session = int(calls.session[i])
        metadata = {
            "session_num": session if session >= 0 else i,
            "x_request_id": f"{recording.manifest.id}-{calls.request[i]}",
            "conversation_id": str(session) if session >= 0 else str(calls.request[i]),
            "turn_index": max(int(calls.turn[i]), 0),
            "credit_issued_ns": wall(calls.due[i]),
            "request_start_ns": wall(start[i]),
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
