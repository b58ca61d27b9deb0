"""What load a benchmark of GuideLLM was asked for, in each form of its report."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NamedTuple

from loadcell.interop.readers.common import first, normal, number, text, whole, within
from loadcell.secrets import bare_url

_APIS = (
    ("chat/completions", "chat"), ("chat_completions", "chat"), ("text_completions", "completions"),
    ("/completions", "completions"), ("embeddings", "embeddings"), ("responses", "responses"), ("pooling", "pooling"),
)  # fmt: skip


class Strategy(NamedTuple):
    """How requests came."""

    name: str
    loop: Literal["open", "closed"] | None
    rate: float | None = None
    concurrency: int | None = None
    arrivals: str | None = None


def strategy_of(bench: Any) -> Strategy:
    """Of a benchmark: `strategy` since 0.2, `mode` and `rate` in 0.1."""
    told = first(within(bench, "config", "strategy"), within(bench, "args", "strategy"), bench)
    kind = text(first(within(told, "type_"), within(told, "mode"))) or "unknown"
    rate, streams = number(within(told, "rate")), whole(within(told, "streams"))
    most = whole(within(told, "max_concurrency"))
    if kind in ("constant", "poisson", "asynchronous"):
        arrivals = "poisson" if kind == "poisson" else "constant"
        return Strategy(f"{kind}@{rate:g}" if rate else kind, "open", rate, most, arrivals)
    if kind == "synchronous":
        return Strategy(kind, "closed", None, 1)
    if kind == "concurrent":
        return Strategy(f"{kind}@{streams}", "closed", None, streams)
    if kind == "throughput":
        return Strategy(kind, "closed", None, most)
    return Strategy(kind, "open" if kind in ("trace", "replay") else None)


def asked(report: Any, bench: Any, strategy: Strategy, kind: str | None) -> dict[str, Any]:
    """The fields of a `Run` that say what was asked for; `kind` is the API that rows tell."""
    spec = within(report, "config", "spec")
    args = first(spec, within(report, "args"))
    backend = first(within(bench, "config", "backend"), within(spec, "backend"))
    worker, loader = within(bench, "worker"), within(bench, "request_loader")
    url = text(first(within(backend, "target"), within(worker, "backend_target"), within(args, "target")))
    how = first(within(backend, "request_format"), within(args, "request_type"), kind)
    stream = first(within(backend, "stream"), within(args, "backend_kwargs", "stream"))
    limits = first(within(bench, "config", "constraints"), within(bench, "args"))
    most, seconds = within(limits, "max_requests"), first(within(limits, "max_seconds"), within(limits, "max_duration"))
    lengths = _lengths(first(within(args, "data"), within(loader, "data")))
    return {
        "api": next((api for sign, api in _APIS if isinstance(how, str) and sign in how), None),
        "stream": stream if isinstance(stream, bool) else None,
        "url": None if url is None else bare_url(url),
        "model": text(first(within(backend, "model"), within(worker, "backend_model"), within(args, "model"))),
        "tokenizer": text(
            first(within(spec, "tokenizer", "model"), within(args, "processor"), within(loader, "processor"))
        ),
        "loop": strategy.loop,
        "rate": strategy.rate,
        "concurrency": strategy.concurrency,
        "arrivals": strategy.arrivals if strategy.rate is not None else None,
        "requests": whole(first(_limit(most, "count", "max_num", "max_number"), within(limits, "max_number"))),
        "duration_s": number(_limit(seconds, "seconds", "max_duration", "max_seconds")),
        "seed": whole(first(within(spec, "seed", "value"), within(args, "random_seed"), within(spec, "seed"))),
        "input_tokens": _length(lengths, "prompt_tokens"),
        "output_tokens": _length(lengths, "output_tokens"),
    }


def _limit(found: Any, *names: str) -> Any:
    """A limit of a run: a number, or an object that has it under one of the names, of many benchmarks the one meant."""
    if not isinstance(found, dict):
        return found
    held = first(*(within(place, name) for place in (within(found, "args"), found) for name in names))
    if isinstance(held, list):
        index = whole(within(found, "current_index")) or 0
        return held[min(max(index, 0), len(held) - 1)] if held else None
    return held


def _lengths(data: Any) -> dict[str, Any]:
    """Of synthetic data: an object, or "prompt_tokens=128,output_tokens=50", or JSON in a string."""
    if isinstance(data, list):
        data = data[0] if len(data) == 1 else None
    if isinstance(data, dict):
        return data
    if not isinstance(data, str):
        return {}
    try:
        found = json.loads(data)
    except ValueError:
        return dict(re.findall(r"(\w+)=(\d+(?:\.\d+)?)", data))
    return found if isinstance(found, dict) else {}


def _length(found: dict[str, Any], name: str) -> str | None:
    return normal(found.get(name), found.get(f"{name}_stdev"))
