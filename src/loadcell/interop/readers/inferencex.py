"""InferenceX: raw results of its client (a fork of vLLM's of 2024), rows made of them, and rows of agents.

A row made of a raw result has its times in seconds under names without a unit. Interactivity (intvty) is one over the
TPOT of the same name, so that its percentiles are from the slow end, as those of our user rate are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from loadcell.interop import document
from loadcell.interop.model import Missing, Request, Run, Told
from loadcell.interop.readers.arrays import packed, requests_of, survey
from loadcell.interop.readers.common import (
    NO_ROWS,
    NO_TIMES,
    UNTOLD,
    at_utc,
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
Kind = Literal["raw", "row", "agentic"]
_UNUSED = ("generated_texts",)
_TIMES = {"ttft": "ttft_ms", "tpot": "tpot_ms", "itl": "itl_ms", "e2el": "e2e_ms"}
_FIGURE = re.compile(r"(mean|median|std|min|max|p[\d.]+)_(\w+?)(_ms)?")
_FIGURES: dict[str, tuple[str, str | None]] = {
    "duration": ("s", None),
    "completed": ("requests", None),
    "total_input_tokens": ("tokens", None),
    "total_output_tokens": ("tokens", None),
    "request_throughput": ("requests/s", "requests_per_s"),
    "request_goodput:": ("requests/s", "goodput"),
    "request_goodput": ("requests/s", "goodput"),
    "input_throughput": ("tokens/s", "input_tokens_per_s"),
    "output_throughput": ("tokens/s", "output_tokens_per_s"),
    "total_token_throughput": ("tokens/s", "total_tokens_per_s"),
    "tput_per_gpu": ("tokens/s/GPU", None),
    "output_tput_per_gpu": ("tokens/s/GPU", None),
    "input_tput_per_gpu": ("tokens/s/GPU", None),
    "num_requests_total": ("requests", None),
    "num_requests_successful": ("requests", None),
}
_NESTED: dict[str, tuple[str, str | None]] = {
    "throughput.input.tokens_per_second": ("tokens/s", "input_tokens_per_s"),
    "throughput.output.tokens_per_second": ("tokens/s", "output_tokens_per_s"),
    "throughput.total.tokens_per_second": ("tokens/s", "total_tokens_per_s"),
    "throughput.duration_seconds": ("s", None),
    "qps.mean": ("requests/s", "requests_per_s"),
}
_POWER = re.compile(r"power|energy|joule|watt")


def matches(path: Path) -> bool:
    """Whether it is a result of InferenceX, or a folder with one."""
    return any(_kind(file) for file in files(path, ".json", ".jsonl"))


def read(path: Path) -> list[Run]:
    """A run for each result; a file of rows has many."""
    runs = [run for file in files(path, ".json", ".jsonl") if _kind(file) for run in _runs(file)]
    for run, name in zip(runs, unique([run.name for run in runs]), strict=True):
        run.name = name
    return runs


def _kind(path: Path) -> Kind | None:
    begun = beginning(path, _HEAD)
    if not re.match(r"\s*[\[{]", begun):
        return None
    if has(begun, "benchmark_start_time_unix", "tokenizer_id"):
        return "raw"
    if has(begun, "infmax_model_prefix", "scenario_type"):
        return "agentic"
    return "row" if has(begun, "infmax_model_prefix", "tput_per_gpu") else None


def _runs(path: Path) -> Iterator[Run]:
    for place, row in _rows(path):
        if "benchmark_start_time_unix" in row:
            yield _raw(path, place, row)
        elif "infmax_model_prefix" in row:
            yield _row(path, row, agentic="scenario_type" in row)
        else:
            raise bad(path, _at(place), "has neither benchmark_start_time_unix nor infmax_model_prefix")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Its objects, each with its line, or of a list with its place from 1."""
    is_list = re.match(r"\s*\[", beginning(path)) is not None
    found = enumerate(document.load(path), 1) if is_list else document.documents(path, without=_UNUSED, each=_EACH)
    for place, row in found:
        if not isinstance(row, dict):
            raise bad(path, _at(place), "expected an object")
        yield place, row


_EACH = {"itls.*": packed}


def _at(place: int) -> str:
    return f"line {place}"


def _raw(path: Path, place: int, row: dict[str, Any]) -> Run:
    """A result of the client. `request_goodput:` is how it spells that key."""
    detailed = "ttfts" in row
    rate, users, asked = (
        number(row.get("request_rate")),
        whole(row.get("max_concurrency")),
        whole(row.get("num_prompts")),
    )
    burstiness = number(row.get("burstiness")) or 1.0
    ok = whole(row.get("completed"))
    seen = survey(_requests_of(path, place, row)) if detailed else None
    run = Run(
        tool="inferencex",
        schema="raw, --save-detailed" if detailed else "raw",
        tested=False,
        files=[path],
        name="-".join(filter(None, (f"rate-{rate:g}" if rate else None, f"concurrency-{users}" if users else None)))
        or "run",
        started_at=at_utc(number(row.get("benchmark_start_time_unix"))),
        stream=None if seen is None else seen.streamed,
        model=text(row.get("model_id")),
        tokenizer=text(row.get("tokenizer_id")),
        loop="closed" if rate is None else "open",
        rate=rate,
        concurrency=first(users, asked if rate is None else None),
        arrivals=None if rate is None else "poisson" if burstiness == 1 else f"gamma:{1 / math.sqrt(burstiness):g}",
        requests=asked,
        planned=asked,
        ok=ok,
        failed=None if asked is None or ok is None else asked - ok,
        window_s=number(row.get("duration")),
        placed=False,
        told=list(_told(row, seconds=False, agentic=False)),
        notes=[
            phrase("InferenceX counts the event with the finish reason as output; a new connection is a part of TTFT")
        ],
        missing=untold(UNTOLD, "version"),
    )
    if detailed:
        run.details = partial(_requests, path, place)
        run.derived = [
            phrase("last_ns: first_any_ns and the sum of the gaps"),
            phrase("chunks: first_any_ns and the sums of the gaps"),
        ]
        run.fields = {"first_s": "ttfts", "last_s": "itls", "chunks_s": "itls"}
        run.missing += untold(NO_TIMES, "send_start_ns", "planned_ns")
        counted = phrase("output lengths are the server's count or the client's own, which is not told")
        run.missing.append(Missing(field="token_source", why=counted))
    else:
        run.missing.append(Missing(field="requests", why=NO_ROWS))
    return run


def _requests_of(path: Path, place: int, row: dict[str, Any]) -> Iterator[Request]:
    return requests_of(row, path, f"{_at(place)}: ", source="unknown")


def _requests(path: Path, place: int) -> Iterator[Request]:
    for line, row in _rows(path):
        if line == place:
            yield from _requests_of(path, place, row)
            return


def _row(path: Path, row: dict[str, Any], *, agentic: bool) -> Run:
    """A row that was made of a result: of fixed lengths, or of agents."""
    users = whole(first(row.get("conc"), row.get("users")))
    parts = [text(row.get(key)) for key in ("hw", "infmax_model_prefix", "framework", "precision")]
    isl, osl = whole(row.get("isl")), whole(row.get("osl"))
    lengths = None if isl is None or osl is None else f"{isl}-{osl}"
    outcome, accounting = row.get("benchmark_outcome"), row.get("request_accounting")
    sent = whole(first(within(outcome, "requested"), row.get("num_requests_total")))
    ok = whole(first(within(outcome, "completed"), row.get("num_requests_successful")))
    failed = whole(within(accounting, "records_error_dropped"))
    if failed is None and not agentic and sent is not None and ok is not None:
        failed = sent - ok
    notes = [phrase("intvty is one over the TPOT of that name: its percentiles are from the slow end")]
    if agentic:
        notes.append(
            phrase("InferenceX leaves failed requests of agents out of every figure; its ITL of these is TPOT")
        )
    elif lengths:
        notes.append(phrase("isl and osl are nominal: InferenceX draws lengths up to these"))
    return Run(
        tool="inferencex",
        schema="row of agents" if agentic else "aggregate row",
        tested=False,
        files=[path],
        name="-".join(filter(None, [*parts, lengths, None if users is None else f"concurrency-{users}"])) or "row",
        model=text(row.get("model")),
        loop="closed",
        concurrency=users,
        planned=sent,
        ok=ok,
        failed=failed,
        window_s=number(
            first(within(row, "request_metrics", "throughput", "duration_seconds"), row.get("duration_seconds"))
        ),
        placed=False,
        told=list(_told(row, seconds=True, agentic=agentic)),
        notes=notes,
        missing=untold(UNTOLD, "version") + untold(NO_ROWS, "requests"),
    )


def _told(row: dict[str, Any], *, seconds: bool, agentic: bool) -> Iterator[Told]:
    nothing = number(row.get("completed")) == 0  # then all is zero
    for key, value in row.items():
        if key in _FIGURES:
            unit, metric = _FIGURES[key]
            yield Told(key=key, value=number(value), unit=unit, metric=metric)
        elif (found := _FIGURE.fullmatch(key)) is not None and (found[3] is None) == (seconds or found[2] == "intvty"):
            unit, metric = _meaning(found[2], found[1], agentic, "s" if found[3] is None else "ms")
            yield Told(
                key=key, value=None if nothing else number(value), unit=unit, metric=metric, stat=stat_of(found[1])
            )
        elif key in ("request_metrics", "server_metrics", "request_accounting"):
            for name, figure in figures(value):
                yield _nested(key, name, figure)
        elif _POWER.search(key) and isinstance(value, int | float) and not isinstance(value, bool):
            yield Told(key=key, value=number(value))


def _meaning(what: str, stat: str, agentic: bool, time: str) -> tuple[str, str | None]:
    """Unit and figure of ours. Of agents itl is AIPerf's inter_token_latency, which is TPOT."""
    if what.endswith("intvty"):
        ours = what == "intvty" and re.fullmatch(r"p[\d.]+|median", stat)
        return "tokens/s", "user_tokens_per_s" if ours else None
    if what in _TIMES:
        return time, "tpot_ms" if agentic and what == "itl" else _TIMES[what]
    return "", None


def _nested(root: str, name: str, value: float | None) -> Told:
    """A figure of nested objects: request_metrics.latency.ttft.p50, in seconds."""
    key = f"{root}.{name}"
    if root != "request_metrics":
        return Told(key=key, value=value)
    if name in _NESTED:
        unit, metric = _NESTED[name]
        return Told(key=key, value=value, unit=unit, metric=metric)
    group, _, stat = name.rpartition(".")
    if group.startswith("latency."):
        unit, metric = _meaning(group.removeprefix("latency."), stat, True, "s")
        return Told(key=key, value=value, unit=unit, metric=metric, stat=stat_of(stat))
    return Told(key=key, value=value, unit="tokens" if group.startswith("tokens.") else "", stat=stat_of(stat))
