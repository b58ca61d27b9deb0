"""Hugging Face inference-benchmarker: a file of several runs, each of them summaries only.

Keys: inference-benchmarker 1.1.0, src/results.rs and src/benchmark.rs. Times are ms. A request starts before its event
source opens, its first token is the first content, its end the last stop; tokens are those of each event, tokenised on
its own. Requests that were due while all its users were busy were dropped, and nobody counted them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from loadcell.interop.document import load
from loadcell.interop.model import Run
from loadcell.interop.readers.common import NO_ROWS, UNTOLD, bad, beginning, has, number, typed, unique, untold, whole
from loadcell.interop.readers.meaning import Meaning, moment, stat, told
from loadcell.phrases import phrase

_LATENCIES = {
    "time_to_first_token_ms": "ttft_ms", "inter_token_latency_ms": "tpot_ms", "e2e_latency_ms": "e2e_ms",
}  # fmt: skip
_FIGURES = {
    "request_rate": Meaning("requests/s", "requests_per_s"),
    "token_throughput_secs": Meaning("tokens/s", "output_tokens_per_s"),
    "total_tokens": Meaning("tokens"),
    "total_tokens_sent": Meaning("tokens"),
    "duration_ms": Meaning("ms"),
    "total_requests": Meaning("requests"),
    "failed_requests": Meaning("requests"),
    "successful_requests": Meaning("requests"),
}
_TOKENS = {"prompt_options": "input_tokens", "decode_options": "output_tokens"}


class _Tokens(msgspec.Struct):
    num_tokens: float | None = None
    min_tokens: float | None = None
    max_tokens: float | None = None
    variance: float | None = None


class _Config(msgspec.Struct):
    tokenizer: str | None = None
    model_name: str | None = None
    prompt_options: _Tokens | None = None
    decode_options: _Tokens | None = None


class _Asked(msgspec.Struct):
    max_vus: float | None = None
    duration_secs: float | None = None
    rate: float | None = None


class _Result(msgspec.Struct):
    id: str
    executor_type: str
    config: _Asked | None = None
    failed_requests: float | None = None
    successful_requests: float | None = None
    duration_ms: float | None = None


class _File(msgspec.Struct):
    config: _Config
    results: list[dict[str, Any]]
    start_time: str | None = None


def matches(path: Path) -> bool:
    """Whether it is a file of results, or a folder with some."""
    return bool(_files(path))


def read(path: Path) -> list[Run]:
    """A run for each result but the warm-up."""
    runs = [run for file in _files(path) for run in _runs(file)]
    for run, name in zip(runs, unique([run.name for run in runs]), strict=True):
        run.name = name
    return runs


def _files(path: Path) -> list[Path]:
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in inside if file.is_file() and _is_results(file)]


def _is_results(file: Path) -> bool:
    begun = beginning(file)
    return begun.lstrip()[:1] == "{" and has(begun, "config", "benchmark_kind", "results", "executor_type")


def _runs(file: Path) -> list[Run]:
    whole_file = typed(load(file), _File, file)
    runs = []
    for position, tree in enumerate(whole_file.results):
        result = typed(tree, _Result, file, f"results[{position}]")
        if result.id != "warmup":
            runs.append(_run(whole_file, result, tree, file))
    if not runs:
        raise bad(file, "results", "no run but the warm-up: it did not come to its first")
    for run in runs if len(runs) < len(whole_file.results) else ():
        run.notes.append(phrase("the warm-up is left out"))
    return runs


def _run(of: _File, result: _Result, tree: dict[str, Any], file: Path) -> Run:
    asked = result.config or _Asked()
    rate = number(asked.rate)
    opened = "arrival" in result.executor_type.lower() or rate is not None
    lengths = {ours: _lengths(getattr(of.config, theirs)) for theirs, ours in _TOKENS.items()}
    duration_ms = number(result.duration_ms)
    run = Run(
        tool="hf-ib",
        schema="results",
        tested=False,
        files=[file],
        name=result.id.replace("@", "-").replace("req/s", "").strip("-"),
        started_at=moment(of.start_time),
        api="chat",
        stream=True,
        model=of.config.model_name,
        tokenizer=of.config.tokenizer,
        loop="open" if opened else "closed",
        rate=rate,
        concurrency=whole(asked.max_vus),
        arrivals="constant" if opened else None,
        duration_s=number(asked.duration_secs),
        input_tokens=lengths["input_tokens"],
        output_tokens=lengths["output_tokens"],
        ok=whole(result.successful_requests),
        failed=whole(result.failed_requests),
        window_s=None if duration_ms is None else duration_ms / 1e3,
        told=told({key: value for key, value in tree.items() if key != "config"}, _meaning),
        missing=[*untold(NO_ROWS, "requests"), *untold(UNTOLD, "version")],
    )
    if opened:
        run.notes.append(phrase("requests that were due while all users were busy were dropped, and are not counted"))
    return run


def _lengths(of: _Tokens | None) -> str | None:
    """N, or its normal law within its bounds, whose spread is given as a variance."""
    mean = None if of is None else number(of.num_tokens)
    if of is None or mean is None:
        return None
    low, high, variance = whole(of.min_tokens), whole(of.max_tokens), number(of.variance)
    if not variance or low == high:
        return f"{mean:g}"
    clip = f",{low}..{high}" if low is not None and high is not None else ""
    return f"normal:{mean:g},{variance**0.5:g}{clip}"


def _meaning(key: str) -> Meaning | None:
    series, _, which = key.partition(".")
    if series in _LATENCIES:
        return Meaning("ms", _LATENCIES[series], stat(which), zero=False)  # also where no request succeeded
    return _FIGURES.get(key, Meaning())
