"""genai-bench: a file a run, with statistics and a row a request; experiment_metadata.json tells of the whole.

Keys and formulas: genai_bench 0.0.5, metrics/{metrics,request_metrics_collector,aggregated_metrics_collector}.py,
time_units.py. Rows hold durations, no times: a request starts at 0 here. Latencies are in `_time_unit`; throughputs and
speeds are per second, and durations of runs in seconds, whatever that says. `cmd` has the API key in clear: of it only
the URL and two ratios are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loadcell.interop.document import load
from loadcell.interop.model import Missing, Request, Run
from loadcell.interop.readers.common import (
    NO_EVENTS,
    NO_TIMES,
    SCALE,
    UNTOLD,
    bad,
    beginning,
    files,
    has,
    number,
    packed,
    typed,
    unique,
    untold,
    whole,
)
from loadcell.interop.readers.meaning import Meaning, brief, from_the_slow_end, kind_of, stat, told
from loadcell.phrases import phrase
from loadcell.secrets import bare_url

_ABOUT, _ROWS = "experiment_metadata.json", "individual_request_metrics"
_APIS = {
    "text-to-text": "chat", "image-text-to-text": "chat", "text-to-embeddings": "embeddings",
    "image-to-embeddings": "embeddings", "text-to-rerank": "rerank", "text-to-speech": "speech",
    "text-to-image": "images",
}  # fmt: skip
_LATENCIES = {"ttft": "ttft_ms", "tpot": "tpot_ms", "e2e_latency": "e2e_ms", "output_latency": None}
_SPEEDS = ("output_inference_speed", "input_throughput", "output_throughput", "audio_throughput")
_RATES = {
    "mean_output_throughput_tokens_per_s": Meaning("tokens/s", "output_tokens_per_s"),
    "mean_input_throughput_tokens_per_s": Meaning("tokens/s", "input_tokens_per_s"),
    "mean_total_tokens_throughput_tokens_per_s": Meaning("tokens/s", "total_tokens_per_s"),
    "requests_per_second": Meaning("requests/s", "requests_per_s"),
    "run_duration": Meaning("s"),
}
_ASKED = ("num_concurrency", "batch_size")
_LAWS = {"D": "{0}", "N": "normal:{0},{1}", "U": "uniform:{0},{1}"}
_NUMBERS = re.compile(r"\((\d+)(?:,(\d+))?\)")
_OPTION = re.compile(r"--(api-base|warmup-ratio|cooldown-ratio)[ =](\S+)")


class _Row(msgspec.Struct):
    ttft: float | None = None
    tpot: float | None = None
    e2e_latency: float | None = None
    output_inference_speed: float | None = None
    num_input_tokens: float | None = None
    num_output_tokens: float | None = None
    num_reasoning_tokens: float | None = None
    error_code: int | None = None
    error_message: str | None = None


class _About(msgspec.Struct):
    """experiment_metadata.json, as far as it is read."""

    cmd: str = ""
    benchmark_version: str | None = None
    api_backend: str | None = None
    api_model_name: str | None = None
    server_model_tokenizer: str | None = None
    task: str | None = None
    max_time_per_run_s: float | None = None
    max_requests_per_run: float | None = None


class _Aggregated(msgspec.Struct):
    scenario: str | None = None
    num_concurrency: float | None = None
    run_duration: float | None = None
    error_rate: float | None = None
    num_error_requests: float | None = None
    num_completed_requests: float | None = None


@dataclass(slots=True)
class _Seen:
    """What a first pass over the rows found."""

    rows: int = 0
    failed: int = 0
    products: list[float] | None = None
    """TPOT by speed of the first rows: 1 in seconds, 1000 in milliseconds."""


def matches(path: Path) -> bool:
    """Whether it is a file of a run, or a folder with some."""
    return bool(_results(path))


def read(path: Path) -> list[Run]:
    """A run for each file."""
    found = _results(path)
    runs = [_run(file) for file in found]
    for run, name in zip(runs, unique([run.name for run in runs]), strict=True):
        run.name = name
    return runs


def _results(path: Path) -> list[Path]:
    return [
        file for file in files(path, ".json") if has(beginning(file), "aggregated_metrics", "scenario", "error_rate")
    ]


def _run(file: Path) -> Run:
    beside = packed(file.parent / _ABOUT)
    about = typed(load(beside), _About, beside) if beside.is_file() else _About()
    seen = _Seen(products=[])
    tree = load(file, each={f"{_ROWS}.*": lambda row: _look(row, seen, file)})
    if not isinstance(tree, dict) or not isinstance(tree.get("aggregated_metrics"), dict):
        raise bad(file, "aggregated_metrics", "no object: it is cut, or of another version")
    figures = typed(tree["aggregated_metrics"], _Aggregated, file, "aggregated_metrics")
    unit = _unit(tree.get("_time_unit"), seen, file)
    options = dict(_OPTION.findall(about.cmd))
    api = _APIS.get(about.task or "") if about.api_backend in (None, "openai", "vllm", "sglang") else None
    streamed = None if about.task is None else about.task.endswith("to-text")
    scenario, concurrency = figures.scenario or "", whole(figures.num_concurrency)
    lengths = _lengths(scenario) if streamed else (None, None)
    url = options.get("api-base")
    run = Run(
        tool="genai-bench",
        version=about.benchmark_version,
        schema="run, with a row a request",
        tested=streamed is True,
        files=[file, *([beside] if beside.is_file() else [])],
        name="-".join(filter(None, (re.sub(r"\W+", "_", scenario).strip("_"), f"concurrency-{concurrency}"))),
        api=api,
        stream=streamed,
        url=bare_url(url) if url else None,
        model=about.api_model_name,
        tokenizer=about.server_model_tokenizer,
        loop="closed",
        concurrency=concurrency,
        requests=whole(about.max_requests_per_run),
        duration_s=number(about.max_time_per_run_s),
        input_tokens=lengths[0],
        output_tokens=lengths[1],
        ok=whole(figures.num_completed_requests),
        failed=whole(figures.num_error_requests),
        window_s=number(figures.run_duration),
        placed=False,
        fields={"first_s": "ttft", "end_s": "e2e_latency", "output_tokens": "num_output_tokens"},
        told=told(tree["aggregated_metrics"], lambda key: _meaning(key, unit, seen.failed)),
        missing=[
            *untold(NO_TIMES, "send_start_ns"),
            *untold(NO_EVENTS, "chunks"),
        ],
    )
    if not isinstance(tree.get(_ROWS, []), list):
        raise bad(file, _ROWS, "no list: it is edited, or of another version")
    if _ROWS in tree:
        run.details = lambda: _requests(file, SCALE[unit], streamed is not False)
        run.missing.append(
            Missing(
                field="token_source",
                why=phrase("the server's usage where it came, else counted by the tool: not told which"),
            )
        )
    else:
        run.missing += untold(UNTOLD, "requests")
    _say(run, figures, seen, options)
    return run


def _look(row: Any, seen: _Seen, file: Path) -> None:
    one = typed(row, _Row, file, f"{_ROWS}[{seen.rows}]")
    seen.rows += 1
    seen.failed += one.error_code is not None
    tpot, speed = number(one.tpot), number(one.output_inference_speed)
    if tpot and speed and seen.products is not None and len(seen.products) < 100:
        seen.products.append(tpot * speed)


def _unit(written: Any, seen: _Seen, file: Path) -> str:
    """The unit of latencies: as written, and as TPOT x tokens per second of the rows bears out."""
    shown = {"s" if product < 30 else "ms" for product in seen.products or []}
    if len(shown) > 1 or any(not (0.5 < product < 2 or 500 < product < 2000) for product in seen.products or []):
        raise bad(file, f"{_ROWS}.tpot", "it is not the reciprocal of output_inference_speed, in s nor in ms")
    if written is None:
        return next(iter(shown), "s")
    if written not in ("s", "ms"):
        raise bad(file, "_time_unit", f"{written!r} is none of s, ms")
    if shown and written not in shown:
        raise bad(file, "_time_unit", f"it says {written}, but TPOT and tokens per second of its rows agree in "
                                      f"{shown.pop()} only")  # fmt: skip
    return str(written)


def _say(run: Run, figures: _Aggregated, seen: _Seen, options: dict[str, str]) -> None:
    if run.details is not None and (run.ok, run.failed) != (seen.rows - seen.failed, seen.failed):
        counts = (run.ok, run.failed, seen.rows - seen.failed, seen.failed)
        run.notes.append(phrase("the summary counts {} ok and {} failed, the rows {} and {}", *counts))
    if seen.failed and not figures.error_rate:
        share = f"{100 * seen.failed / seen.rows:.3g}"
        run.notes.append(phrase("genai-bench writes an error rate of 0 always: by the rows it is {} %", share))
    trimmed = [options[name] for name in ("warmup-ratio", "cooldown-ratio") if name in options]
    if any(float(share) > 0 for share in trimmed if re.fullmatch(r"\d*\.?\d+", share)):
        run.notes.append(
            phrase("its tokens/s leave out the tokens of warm-up and cool-down, but divide by the whole duration")
        )


def _meaning(key: str, unit: str, failed: int) -> Meaning | None:
    if key in _ASKED:
        return None
    if key in _RATES:
        return _RATES[key]
    if key == "error_rate":
        return Meaning("fraction", zero=not failed)
    if not key.startswith("stats."):
        return Meaning("requests")
    _, name, which = key.split(".", 2)
    if name in _LATENCIES:
        return Meaning(unit, _LATENCIES[name], stat(which), zero=name == "ttft")
    if name == "output_inference_speed":
        return Meaning("tokens/s", "user_tokens_per_s", from_the_slow_end(stat(which)), zero=False)
    per = "bytes/s" if name.startswith("audio") else "tokens/s" if name in _SPEEDS else "tokens"
    return Meaning(per, None, stat(which), zero=per != "tokens/s" and name != "num_reasoning_tokens")


def _lengths(scenario: str) -> tuple[str | None, str | None]:
    """D(128,50), N(480,240)/(300,150), U(50,100)/(200,250) as lengths of ours."""
    law, groups = scenario[:1], _NUMBERS.findall(scenario)
    if law == "D" and len(groups) == 1:
        return groups[0][0], groups[0][1] or None
    if law in _LAWS and len(groups) == 2 and all(all(group) for group in groups):
        return _LAWS[law].format(*groups[0]), _LAWS[law].format(*groups[1])
    return None, None


def _requests(file: Path, scale: float, streamed: bool) -> Iterator[Request]:
    at = iter(range(2**62))

    def made(row: Any) -> Request:
        return _request(typed(row, _Row, file, f"{_ROWS}[{next(at)}]"), scale, streamed)

    yield from load(file, each={f"{_ROWS}.*": made})[_ROWS]


def _request(row: _Row, scale: float, streamed: bool) -> Request:
    failed = row.error_code is not None
    ttft, e2e = number(row.ttft), number(row.e2e_latency)
    kind = kind_of(row.error_message)
    # 503, 408 and 500 are also what it writes where nothing was answered, timed out, or anything else broke
    answered = failed and kind == "told" and 100 <= (row.error_code or 0) < 600 and row.error_code != 500
    return Request(
        status="failed" if failed else "ok",
        first_s=ttft * scale if streamed and ttft is not None and not failed else None,
        end_s=None if e2e is None or failed else e2e * scale,
        input_tokens=whole(row.num_input_tokens),
        output_tokens=whole(row.num_output_tokens) if streamed else None,
        reasoning_tokens=whole(row.num_reasoning_tokens) or None,  # 0 also where nothing was told
        token_source="unknown",
        error_kind=("http" if answered else kind) if failed else None,
        error=brief(row.error_message) if failed else None,
        http_status=row.error_code if answered else None,
    )
