"""`vllm bench serve` JSON (0.33.0, Python client): its keys in its order, its figures by its definitions.

Of the whole run, successes only: TTFT, ITL and E2E by the events that it stamps (those with choices on completions,
those with output on chat), TPOT = (E2E - TTFT) / (n - 1), percentiles linear, standard deviations of the population.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from loadcell.errors import UsageError
from loadcell.interop.vllm_bench import LIMITS, METRICS
from loadcell.interop.write import Asked, Held, Written
from loadcell.interop.writers.calls import (
    Calls,
    Heard,
    each,
    effective,
    hear,
    lacking,
    number,
    read_calls,
    texts_of,
    whole,
)
from loadcell.interop.writers.statistics import known, linear
from loadcell.interop.writers.told import told_tree
from loadcell.kinds import KIND_EMPTY, KIND_FINISH, KIND_OUTPUT
from loadcell.metrics.rows import Floats, Mask
from loadcell.recording.read import Recording
from loadcell.spec import Spec, parse_arrivals

BACKENDS = {"chat": "openai-chat", "completions": "openai", "responses": "openai-responses"}
_CHOICES = KIND_OUTPUT | KIND_EMPTY | KIND_FINISH


def write(runs: Sequence[Held], asked: Asked, name: str) -> Written:
    """One object; of several runs one a line, as --append-result leaves them."""
    found = Written()
    lines = [json.dumps(document(run.recording, asked, found.left_out)) for run in runs]
    found.files[name] = "\n".join(lines)
    return found


class Samples(NamedTuple):
    """What vLLM computes of each request, s; NaN where it has none."""

    ok: Mask
    """Successful by its own word: with an event that it takes for output."""
    ttft: Floats
    e2e: Floats
    tpot: Floats
    queue: Floats
    heard: Heard
    output: Floats


def document(recording: Recording, asked: Asked, left_out: list[str]) -> dict[str, Any]:
    """The object of one run. What it lacks is appended to `left_out`."""
    spec = recording.spec
    if spec.endpoint.api not in BACKENDS:
        raise UsageError(
            f"{recording.path}: --format vllm is of APIs that generate text ({', '.join(BACKENDS)}), not of "
            f"{spec.endpoint.api}"
        )
    told = recording.imported
    if told is not None and not told.details:
        left_out.append(f"{told.title} told summaries only: they are given back as they are")
        return _head(recording, asked, left_out) | told_tree(told)
    calls = read_calls(recording)
    left_out += lacking(recording, calls)
    one = samples(recording, calls)
    limits = asked.goodput_ms or _limits(spec)
    tree = _head(recording, asked, left_out) | _totals(recording, calls, one, limits, left_out)
    tree |= _details(recording, calls, one, left_out, asked.detailed)
    tree |= _peaks(calls, one)
    pooled = {
        "ttft": one.ttft[one.ok],
        "tpot": one.tpot[one.ok],
        "itl": one.heard.gaps(one.ok),
        "e2el": one.e2e[one.ok],
    }
    if tree["max_concurrency"] is not None:
        pooled["client_queue_time"] = one.queue[one.ok]
        if tree["request_rate"] != "inf":
            pooled["e2el_including_client_queue"] = (one.e2e + one.queue)[one.ok]
    for metric in METRICS:
        if metric in asked.metrics and metric in pooled:
            tree |= _statistics(metric, known(pooled[metric]), asked.percentiles, left_out)
    return tree


def samples(recording: Recording, calls: Calls) -> Samples:
    """The times of each request by vLLM's definitions."""
    heard = hear(recording, calls, _CHOICES if recording.spec.endpoint.api == "completions" else KIND_OUTPUT)
    first = np.where(heard.count > 0, heard.first, calls.first)
    last = np.where(heard.count > 0, heard.last, calls.last)
    streamed = ~np.isnan(first)
    ok = calls.ok & streamed if recording.spec.endpoint.stream else calls.ok
    ttft, e2e = first - calls.start, last - calls.start
    n = calls.output
    with np.errstate(invalid="ignore", divide="ignore"):
        tpot = np.where(n > 1, (e2e - ttft) / (n - 1), np.nan)
    created = calls.planned if recording.manifest.loop == "open" else np.zeros(len(calls))  # all tasks at the start
    return Samples(ok, ttft, np.where(ok, e2e, np.nan), tpot, calls.start - created, heard, n)


def _head(recording: Recording, asked: Asked, left_out: list[str]) -> dict[str, Any]:
    spec, backend = recording.spec, BACKENDS[str(recording.spec.endpoint.api)]
    load, model = spec.load, effective(recording, "model") or spec.endpoint.model
    burstiness = None
    if load.rate is not None and recording.manifest.loop == "open":
        process = parse_arrivals(load.arrivals)
        if process.kind in ("poisson", "gamma"):
            burstiness = process.cv**-2
        else:
            left_out.append(f"burstiness: arrivals were {load.arrivals}, which vLLM has not: it is null")
        if load.rate_series is not None or load.ramp_s:
            left_out.append("the rate varied, and request_rate is its mean")
    tree = {
        "date": datetime.fromisoformat(recording.manifest.started_at).strftime("%Y%m%d-%H%M%S"),
        "endpoint_type": backend,
        "backend": backend,
        "label": None,
        "model_id": model,
        "tokenizer_id": effective(recording, "tokenizer"),
        "num_prompts": recording.manifest.planned,
        **asked.metadata,
        "request_rate": "inf" if load.rate is None else float(load.rate),
        "burstiness": 1.0 if load.rate is None else burstiness,
        "max_concurrency": load.concurrency,
    }
    return tree | asked.head


def _limits(spec: Spec) -> dict[str, float]:
    return {theirs: limit for theirs, name in LIMITS.items() if (limit := getattr(spec.slo, name)) is not None}


def _totals(
    recording: Recording, calls: Calls, one: Samples, limits: dict[str, float], left_out: list[str]
) -> dict[str, Any]:
    told = recording.imported
    seconds = float(np.nanmax(calls.end, initial=0.0))
    if told is not None and told.window_s is not None:
        seconds = told.window_s
    elif told is not None and not told.placed:
        seconds = 0.0
        left_out.append("the requests stand on no common clock: no duration, and no rate")
    ok, completed = one.ok, int(one.ok.sum())
    totals = []
    for what, column in (("input", calls.input), ("output", one.output)):
        lost = int(np.isnan(column[ok]).sum())
        totals.append(int(np.nansum(column[ok])))
        if lost:
            left_out.append(f"{what} tokens of {lost:,} requests, which nobody counted: they are in no sum")
    stood_in = int((calls.source[ok] == "chunks").sum())
    if stood_in:
        left_out.append(f"chunks stand for output tokens in {stood_in:,} requests: nothing told their count")
    total_in, total_out = totals

    def rate(count: float) -> float | None:
        return count / seconds if seconds > 0 else None

    return {
        "duration": seconds or None,
        "completed": completed,
        "failed": len(calls) - completed,
        "total_input_tokens": total_in,
        "total_output_tokens": total_out,
        "request_throughput": rate(completed),
        "request_goodput": rate(_good(one, limits)) if limits else None,
        "output_throughput": rate(total_out),
        "total_token_throughput": rate(total_in + total_out),
    }


def _good(one: Samples, limits: dict[str, float]) -> int:
    """Successes within every limit; a reply of one token has a TPOT of 0 there."""
    each = {"ttft": one.ttft, "tpot": np.where(np.isnan(one.tpot), 0.0, one.tpot), "e2el": one.e2e}
    within = [each[name] * 1e3 <= limit for name, limit in limits.items()]
    return int((one.ok & np.logical_and.reduce(within)).sum())


def _details(
    recording: Recording, calls: Calls, one: Samples, left_out: list[str], detailed: bool
) -> dict[str, list[Any]]:
    """The arrays, aligned by request. A failed one has output 0 and latency 0, and keeps the events that it got.

    Without --save-detailed `latencies` and `queue_times` are there all the same.
    """
    texts = texts_of(recording, calls) if detailed else None
    ok = one.ok
    arrays: dict[str, list[Any]] = {}
    if detailed:
        arrays |= {
            "input_lens": [whole(n) for n in calls.input],
            "output_lens": [whole(n) if good else 0 for n, good in zip(one.output, ok, strict=True)],
            "ttfts": [number(t) if good else number(t) or 0.0 for t, good in zip(one.ttft, ok, strict=True)],
            "itls": [np.diff(one.heard.of(i)).tolist() for i in range(len(calls))],
        }
    arrays["latencies"] = [number(t) if good else 0.0 for t, good in zip(one.e2e, ok, strict=True)]
    if detailed:
        arrays["start_times"] = list(each(calls.start))
    arrays["queue_times"] = list(each(one.queue))
    if detailed:
        arrays["generated_texts"] = [""] * len(calls) if texts is None else texts.tolist()
        arrays["errors"] = [calls.why(i) or ("" if ok[i] else "no event with output") for i in range(len(calls))]
        if texts is None:
            left_out.append('the texts: the run kept none (--keep-text), generated_texts holds ""')
        if not one.heard.times.size:
            left_out.append("the events: the recording has none, itls are empty")
    return arrays


def _peaks(calls: Calls, one: Samples) -> dict[str, Any]:
    """Most events and most requests that touch one second, counted from the first send of the successes."""
    start, end = calls.start[one.ok], (calls.start + one.e2e)[one.ok]
    if not start.size or np.isnan(start).any():
        return {"max_output_tokens_per_s": None, "max_concurrent_requests": None, "rtfx": 0.0}
    begin = float(start.min())
    seconds = int(np.ceil(np.nanmax(end) - begin)) + 1
    owner = np.repeat(one.ok, one.heard.count)
    events = np.bincount((one.heard.times[owner] - begin).astype(np.int64), minlength=seconds)
    edges = np.zeros(seconds + 1)
    np.add.at(edges, (start - begin).astype(np.int64), 1)
    np.add.at(edges, np.nan_to_num(end - begin).astype(np.int64) + 1, -1)
    return {
        "max_output_tokens_per_s": float(events.max()),
        "max_concurrent_requests": int(np.cumsum(edges).max()),
        "rtfx": 0.0,
    }


def _statistics(name: str, values: Floats, percentiles: Sequence[float], left_out: list[str]) -> dict[str, Any]:
    names = [f"mean_{name}_ms", f"median_{name}_ms", f"std_{name}_ms"]
    names += [f"p{p:g}_{name}_ms" for p in percentiles]
    if not values.size:
        left_out.append(f"{name}: no request has one, so its figures are null (vLLM writes 0.0)")
        return dict.fromkeys(names)
    ms = values * 1e3
    figures = [float(ms.mean()), float(np.median(ms)), float(ms.std()), *linear(ms, percentiles)]
    return dict(zip(names, figures, strict=True))


_TITLES = {
    "ttft": ("TTFT", "Time to First Token"),
    "tpot": ("TPOT", "Time per Output Token (excl. 1st token)"),
    "itl": ("ITL", "Inter-token Latency"),
    "e2el": ("E2EL", "End-to-end Latency"),
    "client_queue_time": ("Client Queue Time", "Client-side Queueing"),
    "e2el_including_client_queue": ("E2EL incl. Client Queue", "Queue-inclusive End-to-end Latency"),
}


def table(tree: dict[str, Any]) -> str:
    """What `vllm bench serve` prints of such an object; a figure that is null is a dash."""
    rows = [
        ("Successful requests:", tree["completed"], ""),
        ("Failed requests:", tree["failed"], ""),
        ("Maximum request concurrency:", tree["max_concurrency"], ""),
        ("Request rate configured (RPS):", None if tree["request_rate"] == "inf" else tree["request_rate"], ".2f"),
    ]
    lines = ["{s:{c}^{n}}".format(s=" Serving Benchmark Result ", n=50, c="=")]
    lines += [f"{label:<40} {value:<10{form}}" for label, value, form in rows if value is not None]
    figures = {
        "Benchmark duration (s):": ("duration", ".2f"),
        "Total input tokens:": ("total_input_tokens", ""),
        "Total generated tokens:": ("total_output_tokens", ""),
        "Request throughput (req/s):": ("request_throughput", ".2f"),
        "Request goodput (req/s):": ("request_goodput", ".2f"),
        "Output token throughput (tok/s):": ("output_throughput", ".2f"),
        "Peak output token throughput (tok/s):": ("max_output_tokens_per_s", ".2f"),
        "Peak concurrent requests:": ("max_concurrent_requests", ".2f"),
        "Total token throughput (tok/s):": ("total_token_throughput", ".2f"),
    }
    for label, (key, form) in figures.items():
        if key != "request_goodput" or tree[key] is not None:
            lines.append(_line(label, tree[key], form))
    for name, (short, long) in _TITLES.items():
        if f"mean_{name}_ms" in tree:
            lines.append("{s:{c}^{n}}".format(s=long, n=50, c="-"))
            for stat in ("mean", "median", *(k[: -len(f"_{name}_ms")] for k in tree if _is_percentile(k, name))):
                lines.append(_line(f"{stat.capitalize()} {short} (ms):", tree[f"{stat}_{name}_ms"], ".2f"))
    return "\n".join([*lines, "=" * 50]) + "\n"


def _is_percentile(key: str, name: str) -> bool:
    return key.endswith(f"_{name}_ms") and key[0] == "p" and key[1].isdecimal()


def _line(label: str, value: float | None, form: str) -> str:
    return f"{label:<40} {'-':<10}" if value is None else f"{label:<40} {value:<10{form}}"
