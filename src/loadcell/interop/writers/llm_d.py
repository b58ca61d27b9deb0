"""llm-d Benchmark Report v0.2.1: latencies from the send and rates of the result's window, by our definitions.

Its schema is `interop/data/br_v0_2_1_json_schema.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from loadcell import __version__
from loadcell.interop.write import Asked, Held, Written
from loadcell.lengths import parse_lengths
from loadcell.metrics import find_window, word_of
from loadcell.metrics.headline import reasons_of
from loadcell.metrics.model import Estimate, Result, Summary
from loadcell.metrics.rows import Floats, read_rows
from loadcell.metrics.window import anchors
from loadcell.recording.read import Recording
from loadcell.spec import redact

_LATENCIES = {
    "time_to_first_token": ("ttft_ms", "s"),
    "normalized_time_per_output_token": ("ntpot_ms", "s/token"),
    "time_per_output_token": ("tpot_ms", "s/token"),
    "inter_token_latency": ("itl_ms", "s/token"),
    "request_latency": ("e2e_ms", "s"),
}
_RATES = {
    "input_token_rate": ("input_tokens_per_s", "tokens/s"),
    "output_token_rate": ("output_tokens_per_s", "tokens/s"),
    "total_token_rate": ("total_tokens_per_s", "tokens/s"),
    "request_rate": ("requests_per_s", "queries/s"),
}
_PERCENTILES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99p9": "p99_9"}
_LAWS = {"constant": "fixed", "normal": "gaussian", "uniform": "uniform"}


def write(runs: Sequence[Held], asked: Asked, name: str) -> Written:
    """A YAML file a run; of several runs the file's name begins with its own."""
    import yaml

    found = Written()
    for stage, run in enumerate(runs):
        file = f"{run.name}-{name}.yaml" if len(runs) > 1 else f"{name}.yaml"
        tree = report(run, stage, found.left_out)
        found.files[file] = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return found


def report(run: Held, stage: int, left_out: list[str]) -> dict[str, Any]:
    """The report of one run, without what it cannot say; that is appended to `left_out`."""
    result, recording = run.result, run.recording
    left_out.append("the server's stack, its components and their time series")
    if result.goodput is not None:
        left_out.append("goodput, intervals and budgets")
    started = datetime.fromisoformat(recording.manifest.started_at)
    seconds = result.run.duration_s
    when = {"start": started.isoformat()}
    if seconds is not None:
        when |= {"end": (started + timedelta(seconds=seconds)).isoformat(), "duration": f"PT{seconds:.6f}S"}
    latency = {
        name: found
        for name, (ours, unit) in _LATENCIES.items()
        if ours in result.latency and (found := _statistics(result.latency[ours].service, unit)) is not None
    }
    rates = {
        name: {"units": unit, "mean": value}
        for name, (ours, unit) in _RATES.items()
        if (value := getattr(result.throughput, ours)) is not None
    }
    for name in [*_LATENCIES, *_RATES]:
        if name not in latency and name not in rates:
            left_out.append(f"{name}: the result has none")
    says = "; ".join([word_of(result), *reasons_of(result)])
    return {
        "version": "0.2.1",
        "run": {"uid": recording.manifest.id, "time": when, "description": f"loadcell: {says}"},
        "scenario": {"load": _load(recording, result, stage, left_out)},
        "results": {
            "request_performance": {
                "aggregate": {"requests": _requests(recording, result), "latency": latency, "throughput": rates}
            }
        },
    }


def _statistics(summary: Summary, unit: str) -> dict[str, Any] | None:
    """In seconds; None without samples. A percentile that the samples cannot tell is left out."""
    if summary.mean is None:
        return None
    figures = {"mean": summary.mean, "stddev": summary.sd, "min": summary.min, "max": summary.max}
    for theirs, ours in _PERCENTILES.items():
        estimate: Estimate = getattr(summary, ours)
        figures[theirs] = estimate.value
    return {"units": unit} | {name: value / 1e3 for name, value in figures.items() if value is not None}


def _requests(recording: Recording, result: Result) -> dict[str, Any]:
    """Counts of the window, and the lengths of its successes."""
    counts, rows = result.counts.window, read_rows(recording)
    ok = find_window(recording).members(rows, anchors(rows, recording.manifest.loop)) & rows.ok
    prompt = np.where(np.isnan(rows.prompt_tokens), rows.input_tokens, rows.prompt_tokens)
    found: dict[str, Any] = {
        "total": counts.planned,
        "failures": counts.failed,
        "incomplete": counts.planned - counts.ok - counts.failed,
    }
    for name, column in (("input_length", prompt), ("output_length", rows.output_tokens)):
        known: Floats = column[ok & ~np.isnan(column)]
        if known.size:
            found[name] = {
                "units": "count", "mean": float(known.mean()), "min": float(known.min()), "max": float(known.max()),
                **{f"p{p}": float(np.percentile(known, p, method="inverted_cdf")) for p in (50, 90, 99)},
            }  # fmt: skip
    return found


def _load(recording: Recording, result: Result, stage: int, left_out: list[str]) -> dict[str, Any]:
    spec, load = recording.spec, recording.spec.load
    work = spec.workload
    standard: dict[str, Any] = {
        "tool": "loadcell",
        "tool_version": __version__,
        "source": "sampled" if work.prompts or spec.trace.name else "random",
        "stage": stage,
    }
    told = recording.imported
    if told is not None:
        standard |= {"tool": told.tool, "tool_version": told.version or "unknown", "source": "unknown"}
    lengths = {
        "input_seq_len": (work.input_tokens, "input_length"),
        "output_seq_len": (work.output_tokens, "output_length"),
    }
    seen = _requests(recording, result)
    untold = {one.field for one in told.missing} if told is not None else set()  # of these a spec has defaults
    for name, (asked, own) in lengths.items():
        law = None if asked is None or f"workload.{own.removesuffix('_length')}_tokens" in untold else _law(asked)
        if law is None and own in seen:
            law = {"distribution": "other", "value": seen[own]["mean"]}
        if law is not None:
            standard[name] = law
    if "input_seq_len" not in standard:
        standard["input_seq_len"] = {"distribution": "other", "value": 0}
        left_out.append("input_seq_len: nobody tells it, and the format wants a number: 0 stands there")
    if load.rate is not None:
        standard["rate_qps"] = load.rate
    if load.concurrency is not None:
        standard["concurrency"] = load.concurrency
    if spec.sessions.any:
        standard["multi_turn"] = {"enabled": True}
    return {
        "metadata": {"cfg_id": result.methodology.fingerprint},
        "standardized": standard,
        "native": {"config": msgspec.to_builtins(redact(spec))},
    }


def _law(text: str) -> dict[str, Any]:
    law = parse_lengths(text)
    found: dict[str, Any] = {"distribution": _LAWS.get(law.kind, "other"), "value": law.mean}
    if law.kind == "normal":
        found["std_dev"] = law.b
    if law.kind == "uniform":
        found |= {"min": int(law.a), "max": int(law.b)}
    return found
