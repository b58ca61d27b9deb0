"""`vllm bench serve` JSON (0.33.0, Python client): its keys in its order, its figures by its definitions.

Of the whole run, successes only: TTFT, ITL and E2E by the events that it stamps (those with choices on completions,
those with output on chat), TPOT = (E2E - TTFT) / (n - 1), percentiles linear, standard deviations of the population.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from loadcell.errors import UsageError
from loadcell.interop.formats import FORMATS
from loadcell.interop.views.statistics import named
from loadcell.interop.vllm_flags import LIMITS, METRICS
from loadcell.interop.write import Asked, Held, Written
from loadcell.interop.writers.calls import By, by_tool, effective, lacking, number, texts_of, whole
from loadcell.interop.writers.told import fill, told_tree
from loadcell.metrics.rows import Floats
from loadcell.recording.read import Recording
from loadcell.spec import Slo, parse_arrivals

BACKENDS = {"chat": "openai-chat", "completions": "openai", "responses": "openai-responses"}


def write(runs: Sequence[Held], asked: Asked, name: str) -> Written:
    """One object; of several runs one a line, as --append-result leaves them."""
    found = Written()
    lines = [json.dumps(document(run.recording, asked, found.left_out), allow_nan=False) for run in runs]
    found.files[name] = "\n".join(lines)
    return found


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
    limits = {LIMITS[name]: limit for name, limit in asked.goodput_ms.items()}
    by = by_tool(recording, "vllm", Slo(**limits) if limits else None)
    left_out += lacking(recording, by.calls)
    tree = _head(recording, asked, left_out) | _totals(by, left_out)
    created = np.zeros(len(by.calls))  # without a rate all tasks are made at the start
    if recording.manifest.loop == "open":
        created = by.taken.seen.planned / 1e9
    queue = by.taken.start / 1e9 - created
    tree |= _details(recording, by, queue, left_out, asked.detailed)
    ok = by.taken.members
    tree |= {
        "max_output_tokens_per_s": by.totals.most_events(),
        "max_concurrent_requests": whole(by.totals.most_touching()),
        "rtfx": 0.0,  # of audio that requests carry: none
    }
    pooled = {
        "ttft": by.values("ttft")[ok],
        "tpot": by.values("after_first")[ok],
        "itl": by.taken.gaps(),
        "e2el": by.values("e2e")[ok],
    }
    if tree["max_concurrency"] is not None:
        pooled["client_queue_time"] = queue[ok]
        if tree["request_rate"] != "inf":
            pooled["e2el_including_client_queue"] = pooled["e2el"] + queue[ok]
    for metric in METRICS:
        if metric in asked.metrics and metric in pooled:
            values = pooled[metric]
            tree |= _statistics(by, metric, values[~np.isnan(values)] * 1e3, asked.percentiles, left_out)
    if told is not None and told.tool in FORMATS["vllm"].told and fill(tree, told):
        left_out.append(f"figures that the requests do not show: they are those that {told.title} told")
    return tree


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
    ended = datetime.fromisoformat(recording.manifest.started_at) + timedelta(
        microseconds=(recording.manifest.ended_ns or 0) / 1e3
    )
    tree = {
        "date": ended.strftime("%Y%m%d-%H%M%S"),
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


def _totals(by: By, left_out: list[str]) -> dict[str, Any]:
    totals, calls = by.totals, by.calls
    if totals.window_s is None:
        left_out.append("the requests stand on no common clock: no duration, and no rate")
    for what, total in (("input", totals.input), ("output", totals.output)):
        if total is None:
            left_out.append(f"{what} tokens, which nobody counted in some requests: no sum and no rate")
    stood_in = int((calls.source[by.taken.members] == "chunks").sum())
    if stood_in:
        left_out.append(f"chunks stand for output tokens in {stood_in:,} requests: nothing told their count")
    both = None if totals.input is None or totals.output is None else totals.input + totals.output
    return {
        "duration": totals.window_s,
        "completed": int(totals.completed),
        "failed": len(calls) - int(totals.completed),
        "total_input_tokens": whole(totals.input),
        "total_output_tokens": whole(totals.output),
        "request_throughput": totals.per_s(totals.completed),
        "request_goodput": totals.per_s(totals.good()),
        "output_throughput": totals.per_s(totals.output),
        "total_token_throughput": totals.per_s(both),
    }


def _details(recording: Recording, by: By, queue: Floats, left_out: list[str], detailed: bool) -> dict[str, list[Any]]:
    """The arrays, aligned by request. A failed one has output 0 and latency 0, and keeps the events that it got.

    Without --save-detailed `latencies` and `queue_times` are there all the same.
    """
    calls, ok = by.calls, by.taken.members.tolist()
    arrays: dict[str, list[Any]] = {}
    if detailed:
        ttft = by.values("ttft")
        arrays |= {
            "input_lens": [whole(n) for n in calls.input],
            "output_lens": [whole(n) if good else 0 for n, good in zip(by.taken.tokens, ok, strict=True)],
            "ttfts": [number(t) if good else number(t) or 0.0 for t, good in zip(ttft, ok, strict=True)],
            "itls": [np.diff(times).tolist() for times in by.stamps()],
        }
    arrays["latencies"] = [number(t) if good else 0.0 for t, good in zip(by.values("e2e"), ok, strict=True)]
    if detailed and not by.taken.seen.placed:
        left_out.append("start_times: the requests stand on no common clock")
    elif detailed:
        arrays["start_times"] = [number(t / 1e9) for t in by.taken.start]
    arrays["queue_times"] = [number(t) for t in queue]
    if detailed:
        texts = texts_of(recording, calls)
        arrays["generated_texts"] = [""] * len(calls) if texts is None else texts.tolist()
        arrays["errors"] = [calls.why(i) for i in range(len(calls))]
        if texts is None:
            left_out.append('the texts: the run kept none (--keep-text), generated_texts holds ""')
        if not by.taken.seen.events.place.size:
            left_out.append("the events: the recording has none, itls are empty")
    return arrays


def _statistics(
    by: By, name: str, ms: Floats, percentiles: Sequence[float], left_out: list[str]
) -> dict[str, float | None]:
    if not ms.size:
        left_out.append(f"{name}: no request has one, so its figures are null (vLLM writes 0.0)")
    which: dict[str, str | float] = {"mean": "mean", "median": 50.0, "std": "std"}
    which |= {f"p{p:g}": p for p in percentiles}
    return {f"{word}_{name}_ms": value for word, value in named(ms, None, which, by.taken.rules).items()}


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
