"""SGLang: the lines that bench_serving and bench_one_batch_server append to a file, a run each.

With --output-details a line holds TTFT and gaps of each request, but no time at which it was sent. A line also holds
the server's arguments and the texts: nothing of these is kept but the model's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from loadcell.interop import document
from loadcell.interop.model import Missing, Request, Run, Told
from loadcell.interop.readers.arrays import packed, requests_of, survey
from loadcell.interop.readers.common import (
    NO_EVENTS,
    NO_ROWS,
    NO_TIMES,
    UNTOLD,
    bad,
    beginning,
    figures,
    files,
    first,
    has,
    number,
    stat_of,
    text,
    unique,
    untold,
    whole,
    within,
)
from loadcell.phrases import phrase

_HEAD = 1 << 20
_NATIVE = ("sglang", "sglang-native")
_APIS = {"sglang-oai": "completions", "sglang-oai-chat": "chat", "vllm": "completions", "vllm-chat": "chat"}
_TIMES = {"e2e_latency": "e2e_ms", "ttft": "ttft_ms", "tpot": "tpot_ms", "itl": "itl_ms"}
_TIME = re.compile(r"(mean|median|std|min|max|p[\d.]+)_(\w+)_ms")
_FIGURES = {
    "request_throughput": ("requests/s", "requests_per_s"),
    "input_throughput": ("tokens/s", "input_tokens_per_s"),
    "output_throughput": ("tokens/s", "output_tokens_per_s"),
    "output_throughput_retokenized": ("tokens/s", None),
    "total_throughput": ("tokens/s", "total_tokens_per_s"),
    "total_throughput_retokenized": ("tokens/s", None),
    "concurrency": ("requests", "concurrency"),
    "max_concurrent_requests": ("requests", None),
    "max_output_tokens_per_s": ("tokens/s", None),
    "accept_length": ("tokens", "acceptance_length"),
    "request_goodput": ("requests/s", "goodput"),
    "slo_attainment": ("", "slo_attainment"),
    "duration": ("s", None),
    "completed": ("requests", None),
    "failed": ("requests", None),
    "total_input_tokens": ("tokens", None),
    "total_input_text_tokens": ("tokens", None),
    "total_input_vision_tokens": ("tokens", None),
    "total_output_tokens": ("tokens", None),
    "total_output_tokens_retokenized": ("tokens", None),
}
_OF_TURNS = ("total_input_tokens", "total_input_text_tokens")
"""What is 0 where there are several turns."""
_NESTED = ("slo_attainment_by_metric", "cache_report")
_OF_A_BATCH: dict[str, tuple[str, str | None, str | None]] = {
    "latency": ("s", "e2e_ms", "max"),
    "last_ttft": ("s", "ttft_ms", "max"),
    "ttft": ("s", "ttft_ms", None),
    "input_throughput": ("tokens/s", None, None),
    "output_throughput": ("tokens/s", None, None),
    "overall_throughput": ("tokens/s", None, None),
    "last_gen_throughput": ("tokens/s", None, None),
    "acc_length": ("tokens", "acceptance_length", None),
    "spec_accept_length": ("tokens", "acceptance_length", None),
    "spec_accept_rate": ("", "acceptance_rate", None),
    "cache_hit_rate": ("", "prefix_cache_hit_share", None),
}
_UNUSED = ("generated_texts", "cached_tokens_details", "server_info.internal_states")


def matches(path: Path) -> bool:
    """Whether it is a file of SGLang's benchmarks, or a folder with one."""
    return any(_kind(file) for file in files(path, ".jsonl", ".json"))


def read(path: Path) -> list[Run]:
    """A run for each line of each file."""
    return [run for file in files(path, ".jsonl", ".json") if _kind(file) for run in _runs(file)]


def _kind(path: Path) -> Literal["serving", "batch"] | None:
    begun = beginning(path, _HEAD)
    if not re.match(r"\s*[\[{]", begun):
        return None
    if has(begun, "mean_e2e_latency_ms", "backend"):
        return "serving"
    return "batch" if has(begun, "batch_size", "latency", "overall_throughput", "last_gen_throughput") else None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Its objects, each with its line; of a list, with its place from 1."""
    is_list = re.match(r"\s*\[", beginning(path)) is not None
    kept = {"itls.*": packed}
    found = enumerate(document.load(path), 1) if is_list else document.documents(path, without=_UNUSED, each=kept)
    for place, row in found:
        if not isinstance(row, dict):
            raise bad(path, f"line {place}", "expected an object")
        yield place, row


def _runs(path: Path) -> list[Run]:
    runs = []
    for place, row in _rows(path):
        if "mean_e2e_latency_ms" in row:
            runs.append(_serving(path, place, row))
        elif "batch_size" in row:
            runs.append(_batch(path, row))
        else:
            raise bad(path, f"line {place}", "has neither mean_e2e_latency_ms nor batch_size: no result of SGLang")
    for run, name in zip(runs, unique([run.name for run in runs]), strict=True):
        run.name = name
    return runs


def _serving(path: Path, place: int, row: dict[str, Any]) -> Run:
    details = "ttfts" in row
    backend, rate, most = (
        text(row.get("backend")) or "",
        number(row.get("request_rate")),
        whole(row.get("max_concurrency")),
    )
    seen = survey(_requests_of(path, place, row)) if details else None
    sent = first(whole(row.get("num_prompts")), None if seen is None else seen.requests)
    ok = whole(row.get("completed"))
    failed = whole(row.get("failed")) if seen is None else seen.failed
    if failed is None and sent is not None and ok is not None:
        failed = sent - ok
    unlimited = rate is None and row.get("request_rate") not in ("trace", None)
    run = Run(
        tool="sglang",
        schema="bench_serving, --output-details" if details else "bench_serving",
        tested=backend not in _NATIVE,
        files=[path],
        name=_name(row, rate, most),
        api="sglang" if backend in _NATIVE else _APIS.get(backend),
        stream=None if seen is None else seen.streamed,
        model=text(first(*(within(row, "server_info", key) for key in ("served_model_name", "model_path")))),
        tokenizer=text(within(row, "server_info", "tokenizer_path")),
        loop="closed" if unlimited else "open",
        rate=rate,
        concurrency=first(most, sent if unlimited else None),
        arrivals="poisson" if rate is not None else None,
        requests=sent,
        planned=sent,
        input_tokens=_lengths(row, "random_input_len"),
        output_tokens=_lengths(row, "random_output_len"),
        ok=ok,
        failed=failed,
        window_s=number(row.get("duration")),
        placed=False,
        told=list(_told(row, backend)),
        notes=list(_notes(row, backend, unlimited and most is None)),
    )
    if details:
        run.details = partial(_requests, path, place)
        run.derived = [
            phrase("last_ns: first_any_ns and the sum of the gaps"),
            phrase("chunks: first_any_ns and the sums of the gaps"),
        ]
        run.fields = {"first_s": "ttfts", "last_s": "itls", "chunks_s": "itls"}
        run.fields |= {"input_tokens": "input_lens", "output_tokens": "output_lens"}
    run.missing = _missing(run, row)
    return run


def _name(row: dict[str, Any], rate: float | None, most: int | None) -> str:
    load = (f"rate-{rate:g}" if rate is not None else None, f"concurrency-{most}" if most else None)
    parts = [text(row.get("tag")), *load]
    return "-".join(filter(None, parts)) or text(row.get("dataset_name")) or "run"


def _lengths(row: dict[str, Any], key: str) -> str | None:
    """Of random data: its range ratio r means lengths from r times this to this."""
    longest, ratio = number(row.get(key)), number(row.get("random_range_ratio"))
    if not longest or not str(row.get("dataset_name")).startswith("random"):
        return None
    least = max(1, int(longest * (ratio or 0.0)))
    return f"{longest:g}" if least == longest else f"uniform:{least},{longest:g}"


def _told(row: dict[str, Any], backend: str) -> Iterator[Told]:
    none = number(row.get("completed")) == 0  # then all is zero
    for key, value in row.items():
        if (time := _TIME.fullmatch(key)) is not None:
            metric = "itl_by_token" if time[2] == "itl" and backend in _NATIVE else _TIMES.get(time[2])
            told = None if none else number(value)
            yield Told(key=key, value=told, unit="ms", metric=metric, stat=stat_of(time[1]))
        elif key in _FIGURES:
            unit, metric = _FIGURES[key]
            zero = key in _OF_TURNS and not number(value)
            yield Told(key=key, value=None if zero else number(value), unit=unit, metric=metric)
        elif key in _NESTED:
            for name, number_of in figures(value, key):
                yield Told(key=name, value=number_of)


def _notes(row: dict[str, Any], backend: str, at_once: bool) -> Iterator[str]:
    yield phrase("SGLang's E2E runs to the last line of the stream, its TPOT too; a new connection is a part of TTFT")
    if backend in _NATIVE:
        yield phrase("SGLang's native client spreads the gap before an event over its tokens: its ITL is by token")
    if at_once:
        yield phrase("all requests were sent at once: as many users as requests")
    if whole(row.get("total_input_tokens")) == 0:
        yield phrase("total_input_tokens of SGLang is 0 where there are several turns: it is not known")


def _missing(run: Run, row: dict[str, Any]) -> list[Missing]:
    found = untold(UNTOLD, "version", *(["failed"] if run.failed is None else []))
    if run.details is None:
        return [*found, Missing(field="requests", why=NO_ROWS)]
    found += untold(NO_TIMES, "send_start_ns", "planned_ns") + untold(UNTOLD, "end_ns", "first_answer_ns")
    if run.stream is False:
        found.append(Missing(field="chunks", why=NO_EVENTS))
    if run.api != "sglang":
        asked = phrase(
            "SGLang takes the server's count if one comes, else the number asked for, and does not say which"
        )
        found.append(Missing(field="token_source", why=asked))
    return found


def _requests_of(path: Path, place: int, row: dict[str, Any]) -> Iterator[Request]:
    native = row.get("backend") in _NATIVE
    return requests_of(row, path, f"line {place}: ", source="usage" if native else "unknown", by_token=native)


def _requests(path: Path, place: int) -> Iterator[Request]:
    for line, row in _rows(path):
        if line == place:
            yield from _requests_of(path, place, row)
            return


def _batch(path: Path, row: dict[str, Any]) -> Run:
    size = whole(row.get("batch_size"))
    lengths = {name: whole(row.get(name)) for name in ("input_len", "output_len")}
    parts = [text(row.get("run_name")), f"batch-{size}", f"in-{lengths['input_len']}", f"out-{lengths['output_len']}"]
    told = []
    for key, (unit, metric, stat) in _OF_A_BATCH.items():
        if key in row:
            value = number(row[key])
            nothing = value is None or value < 0  # -1: it was not told
            told.append(Told(key=key, value=None if nothing else value, unit=unit, metric=metric, stat=stat))
    return Run(
        tool="sglang",
        schema="bench_one_batch_server",
        tested=False,
        files=[path],
        name="-".join(filter(None, parts)),
        api="sglang",
        model=text(row.get("model_path")),
        loop="closed",
        concurrency=size,
        requests=size,
        planned=size,
        input_tokens=None if lengths["input_len"] is None else str(lengths["input_len"]),
        output_tokens=None if lengths["output_len"] is None else str(lengths["output_len"]),
        window_s=number(row.get("latency")),
        placed=False,
        told=told,
        missing=[*untold(UNTOLD, "version", "ok"), Missing(field="requests", why=NO_ROWS)],
        notes=[phrase("one batch, sent at once: its latency is that of the slowest request, its rates are by phase")],
    )
