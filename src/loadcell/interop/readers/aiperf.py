"""AIPerf: profile_export_aiperf.json (the summary) and profile_export.jsonl (a record a request).

Its inter_token_latency is TPOT, one value a request; what we call ITL is its inter_chunk_latency. Repeats lie in
profile_runs, points of an adaptive search in search_iter_*. Of the other files (csv, raw records, time slices,
aggregates, inputs.json with the prompts) nothing is read.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadcell.errors import UsageError
from loadcell.interop import document
from loadcell.interop.model import Missing, Request, Run, Status
from loadcell.interop.readers.common import (
    NO_EVENTS,
    NO_ROWS,
    SCALE,
    UNTOLD,
    at_utc,
    bad,
    beginning,
    files,
    first,
    has,
    normal,
    number,
    text,
    typed_lines,
    untold,
    whole,
    within,
)
from loadcell.interop.readers.metric_objects import ADJUSTED, told_of
from loadcell.phrases import phrase
from loadcell.secrets import bare_url

_FOLDERS = ("", "profile_runs/*", "search_iter_*", "search_iter_*/profile_runs/*")
_SUMMARY = 32 << 20
_APIS = {"chat": "chat", "completions": "completions", "embeddings": "embeddings", "responses": "responses"}
_ARRIVALS = {"poisson": "poisson", "constant": "constant"}
_DERIVED = {
    "first_any_ns": phrase("first_any_ns: send_start_ns and time_to_first_token"),
    "first_answer_ns": phrase("first_answer_ns: send_start_ns and time_to_first_output_token"),
    "last_ns": phrase("last_ns: send_start_ns and request_latency"),
    "chunks": phrase("chunks: first_any_ns and the sums of inter_chunk_latency"),
}
_KINDS = {"Payload": "cut", "Disconnected": "cut", "Timeout": "timeout", "Connect": "connect", "SSE": "stream_error"}
_FIELDS = {
    "sent_s": "metadata.request_start_ns",
    "first_s": "metrics.time_to_first_token",
    "answer_s": "metrics.time_to_first_output_token",
    "last_s": "metrics.request_latency",
    "end_s": "metadata.request_end_ns",
    "chunks_s": "metrics.inter_chunk_latency",
    "input_tokens": "metrics.input_sequence_length",
    "output_tokens": "metrics.output_sequence_length",
}


class _Metadata(msgspec.Struct):
    request_start_ns: int
    request_end_ns: int | None = None
    benchmark_phase: str = "profiling"
    conversation_id: str | None = None
    turn_index: int | None = None
    was_cancelled: bool = False


class _Value(msgspec.Struct, frozen=True):
    value: float | None = None
    unit: str = ""

    def after(self, start_s: float) -> float | None:
        """So long after it."""
        found = number(self.value)
        return None if found is None else start_s + found * SCALE[self.unit]


class _Values(msgspec.Struct, frozen=True):
    value: list[float] | float | None = None
    unit: str = ""


class _Metrics(msgspec.Struct, frozen=True):
    time_to_first_token: _Value = _Value()
    time_to_first_output_token: _Value = _Value()
    request_latency: _Value = _Value()
    inter_chunk_latency: _Values = _Values()
    input_sequence_length: _Value = _Value()
    error_isl: _Value = _Value()
    output_sequence_length: _Value = _Value()
    requested_osl: _Value = _Value()
    reasoning_token_count: _Value = _Value()
    usage_prompt_tokens: _Value = _Value()
    usage_prompt_cache_read_tokens: _Value = _Value()
    usage_reasoning_tokens: _Value = _Value()


class _Error(msgspec.Struct):
    code: int | None = None
    type: str | None = None
    message: str | None = None


class _Record(msgspec.Struct):
    metadata: _Metadata
    metrics: _Metrics = _Metrics()
    error: _Error | None = None


class _Counts(NamedTuple):
    start_ns: int
    by_status: dict[str, int]
    warmup: int
    turns: bool
    answers: bool
    chunks: bool


class _Pair(NamedTuple):
    """The two files of one run."""

    name: str
    summary: Path | None
    records: Path | None


def matches(path: Path) -> bool:
    """Whether it is a file of AIPerf that is read, or a folder with one."""
    if path.is_dir():
        return bool(_pairs(path))
    return _is_records(path) or _is_summary(path)


def read(path: Path) -> list[Run]:
    """A run for each pair of summary and records (or one of them alone); repeats and search points are runs too."""
    pairs = _pairs(path)
    if not pairs:
        raise UsageError(f"{path} holds no run of AIPerf: profile_export_aiperf.json or profile_export.jsonl is needed")
    return [_run(pair) for pair in pairs]


def _pairs(path: Path) -> list[_Pair]:
    if not path.is_dir():
        return [_Pair(_stem(path), *((None, path) if _is_records(path) else (path, None)))]
    found: dict[tuple[Path, str], list[Path | None]] = {}
    for folder in [folder for pattern in _FOLDERS for folder in (sorted(path.glob(pattern)) if pattern else [path])]:
        if not folder.is_dir():
            continue
        for file in files(folder, ".json", ".jsonl"):
            for place, is_one in enumerate((_is_summary, _is_records)):
                if is_one(file):
                    found.setdefault((folder, _stem(file)), [None, None])[place] = file
    return [
        _Pair("-".join(folder.relative_to(path).parts) or stem, summary, records)
        for (folder, stem), (summary, records) in found.items()
    ]


def _stem(path: Path) -> str:
    return re.sub(r"\.jsonl?(\.gz)?$", "", path.name).removesuffix("_aiperf")


def _is_records(path: Path) -> bool:
    begun = beginning(path).partition("\n")[0]
    return begun.startswith("{") and has(begun, "metadata", "request_start_ns", "metrics")


def _is_summary(path: Path) -> bool:
    begun = document.head(path)  # time slices, aggregates and server metrics have their objects deeper, or other ones
    if not isinstance(begun, dict) or not (_is_metric(begun) or _is_metric(begun.get("records"))):
        return False
    if "aiperf_version" in begun or "was_cancelled" in begun:
        return True
    return has(beginning(path, _SUMMARY), "input_config", "was_cancelled")  # of 2025: what tells it stands at the end


def _is_metric(found: Any) -> bool:
    """Whether it holds an object of figures."""
    return isinstance(found, dict) and any(
        isinstance(each, dict) and {"unit", "avg"} <= each.keys() for each in found.values()
    )


def _run(pair: _Pair) -> Run:
    summary = {} if pair.summary is None else document.load(pair.summary)
    if not isinstance(summary, dict):
        raise bad(pair.summary or Path(), "", "is no summary of AIPerf")
    summary |= {key: value for key, value in (within(summary, "records") or {}).items() if key not in summary}
    config = summary.get("input_config")
    version = text(summary.get("aiperf_version"))
    run = Run(
        tool="aiperf",
        version=version,
        schema=_schema(pair, summary),
        tested=version is None or version.startswith("0.13."),
        files=[file for file in (pair.summary, pair.records) if file is not None],
        name=pair.name,
        started_at=_local(summary.get("start_time")),
        told=list(told_of(summary)),
        notes=_notes(summary),
        fields=_FIELDS,
        **_asked(summary, config),
    )
    run.window_s = _window_s(summary)
    run.ok, run.failed = (whole(within(summary, tag, "avg")) for tag in ("request_count", "error_request_count"))
    if run.ok is not None and run.failed is None:
        run.failed = 0  # it is not written where it would be 0
    run.missing = _missing(pair)
    if pair.records is not None:
        _with_records(run, pair.records, config)
    return run


def _window_s(summary: dict[str, Any]) -> float | None:
    """What its rates divide by: in 0.13 a few ms more than benchmark_duration."""
    count, rate, duration = (
        number(within(summary, tag, "avg")) for tag in ("request_count", "request_throughput", "benchmark_duration")
    )
    if count and rate:
        return count / rate
    return None if duration is None else duration * SCALE.get(summary["benchmark_duration"].get("unit"), 1.0)


def _local(told: Any) -> datetime | None:
    """A time without a zone."""
    try:
        return datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None


def _schema(pair: _Pair, summary: dict[str, Any]) -> str:
    parts = [f"summary {summary.get('schema_version') or 'of 2025'}"] if pair.summary else []
    return " and ".join(parts + (["records"] if pair.records else []))


def _asked(summary: dict[str, Any], config: Any) -> dict[str, Any]:
    """What the run was asked for: `phases` of 0.13, or `loadgen` before it."""
    phases = [p for p in within(config, "phases") or [] if isinstance(p, dict) and p.get("kind") != "warmup"]
    load = phases[0] if len(phases) == 1 else within(config, "loadgen") or {}
    shape = text(load.get("type")) or text(load.get("request_rate_mode"))
    rate = number(load.get("rate", load.get("request_rate")))
    smooth = number(load.get("smoothness"))
    arrivals = f"gamma:{1 / math.sqrt(smooth):g}" if shape == "gamma" and smooth else _ARRIVALS.get(shape or "")
    loop = "open" if rate is not None else "closed" if number(load.get("concurrency")) is not None else None
    prompts = within(config, "datasets", 0, "prompts") or within(config, "input", "prompt")
    isl, osl = (
        within(prompts, new) or within(prompts, old) for new, old in (("isl", "input_tokens"), ("osl", "output_tokens"))
    )
    endpoint = within(config, "endpoint")
    url = text(within(endpoint, "urls", 0)) or text(within(endpoint, "url"))
    requests = whole(load.get("requests", load.get("request_count")))
    return {
        "api": _APIS.get(text(within(endpoint, "type")) or ""),
        "stream": None if config is None else bool(within(endpoint, "streaming")),
        "url": None if url is None else bare_url(url),
        "model": text(within(config, "models", "items", 0, "name")) or text(within(endpoint, "model_names", 0)),
        "tokenizer": text(within(config, "tokenizer", "name")),
        "loop": loop,
        "rate": rate,
        "concurrency": whole(load.get("concurrency")),
        "arrivals": arrivals if rate is not None else None,
        "requests": requests,
        "planned": requests,
        "duration_s": number(load.get("duration", load.get("benchmark_duration"))),
        "seed": whole(first(within(summary, "run_info", "random_seed"), within(config, "input", "random_seed"))),
        "input_tokens": _lengths(isl),
        "output_tokens": _lengths(osl),
    }


def _lengths(asked: Any) -> str | None:
    return normal(within(asked, "mean"), within(asked, "stddev")) if isinstance(asked, dict) else normal(asked)


def _notes(summary: dict[str, Any]) -> list[str]:
    notes = []
    if "inter_token_latency" in summary:
        notes.append(phrase("AIPerf's inter_token_latency is TPOT, a value a request; its inter_chunk_latency is ITL"))
    if any(tag.startswith("adj_") for tag in summary):
        notes.append(ADJUSTED)
    if summary.get("was_cancelled") or summary.get("is_complete") is False:
        why = text(summary.get("incomplete_reason")) or "was_cancelled"
        notes.append(phrase("AIPerf says that the run was cut short: {}", why))
    return notes


def _missing(pair: _Pair) -> list[Missing]:
    if pair.records is None:
        return untold(NO_ROWS, "requests")
    issued = phrase("credit_issued_ns is when a request was handed out, not when it was to be")
    return [Missing(field="planned_ns", why=issued), Missing(field="chunks.tokens", why=UNTOLD)]


def _with_records(run: Run, records: Path, config: Any) -> None:
    counts = _counted(records)
    source = "tokenizer" if config is not None else "unknown"
    if within(config, "endpoint", "use_server_token_count"):
        source = "usage"
    run.started_at = at_utc(counts.start_ns / 1e9)
    run.ok, run.failed = first(run.ok, counts.by_status["ok"]), first(run.failed, counts.by_status["failed"])
    run.cancelled = counts.by_status["cancelled"]
    run.details = partial(_requests, records, counts, source)
    there = {"first_answer_ns": counts.answers, "chunks": counts.chunks}
    run.derived = [says for column, says in _DERIVED.items() if there.get(column, True)]
    if not counts.answers:
        run.missing.append(Missing(field="first_answer_ns", why=UNTOLD))
    if not counts.chunks:
        run.missing.append(Missing(field="chunks", why=NO_EVENTS))
    if counts.warmup:
        run.notes.append(phrase("rows of the warm-up, left out: {}", counts.warmup))


def _records(path: Path) -> Iterator[tuple[int, _Record]]:
    for line, record in typed_lines(path, _Record):
        for name in record.metrics.__struct_fields__[:4]:
            measured = getattr(record.metrics, name)
            if measured.value is not None and measured.unit not in SCALE:
                raise bad(path, f"line {line}: metrics.{name}.unit", f"{measured.unit!r} is no unit of time")
        yield line, record


def _counted(path: Path) -> _Counts:
    """One pass over all records: when the first was sent, and how many there are of each kind."""
    start, by_status, warmup = None, {"ok": 0, "failed": 0, "cancelled": 0}, 0
    turns = answers = chunks = False
    for _, record in _records(path):
        meta = record.metadata
        if meta.benchmark_phase == "warmup":
            warmup += 1
            continue
        by_status[_status(record)] += 1
        start = meta.request_start_ns if start is None else min(start, meta.request_start_ns)
        turns = turns or bool(meta.turn_index)
        answers = answers or record.metrics.time_to_first_output_token.value is not None
        chunks = chunks or bool(record.metrics.inter_chunk_latency.value)
    if start is None:
        raise UsageError(f"{path} has no record of a request outside the warm-up")
    return _Counts(start, by_status, warmup, turns, answers, chunks)


def _status(record: _Record) -> Status:
    if record.metadata.was_cancelled:
        return "cancelled"
    return "ok" if record.error is None else "failed"


def _requests(path: Path, counts: _Counts, source: str) -> Iterator[Request]:
    for _, record in _records(path):
        if record.metadata.benchmark_phase != "warmup":
            yield _request(record, counts, source)


def _request(record: _Record, counts: _Counts, source: str) -> Request:
    meta, measured = record.metadata, record.metrics
    sent = (meta.request_start_ns - counts.start_ns) / 1e9
    ended = meta.request_end_ns is not None and meta.request_end_ns > meta.request_start_ns  # else it is not known
    began = measured.time_to_first_token.after(sent)
    status, error = _status(record), record.error
    output = whole(measured.output_sequence_length.value)
    return Request(
        status=status,
        sent_s=sent,
        first_s=began,
        answer_s=measured.time_to_first_output_token.after(sent),
        last_s=measured.request_latency.after(sent),
        end_s=((meta.request_end_ns or 0) - counts.start_ns) / 1e9 if ended else None,
        chunks_s=None if began is None else _chunks(began, measured.inter_chunk_latency),
        input_tokens=whole(first(measured.input_sequence_length.value, measured.error_isl.value)),
        prompt_tokens=whole(measured.usage_prompt_tokens.value),
        cached_tokens=whole(measured.usage_prompt_cache_read_tokens.value),
        reasoning_tokens=whole(first(measured.usage_reasoning_tokens.value, measured.reasoning_token_count.value)),
        asked_tokens=whole(measured.requested_osl.value),
        output_tokens=output,
        token_source=None if output is None else source,
        error_kind=None if error is None or status == "cancelled" else _kind(error),
        error=None if error is None else ": ".join(filter(None, (error.type, error.message))) or None,
        http_status=error.code if error and error.code and 100 <= error.code < 600 else None,
        session=meta.conversation_id if counts.turns else None,
        turn=meta.turn_index if counts.turns else None,
    )


def _kind(error: _Error) -> str:
    """A word of ours: by the status, else by the name of the exception."""
    if error.code:
        return "http"
    return next((kind for sign, kind in _KINDS.items() if sign in (error.type or "")), "told")


def _chunks(first: float, gaps: _Values) -> array[float] | None:
    if not isinstance(gaps.value, list) or not all(map(math.isfinite, gaps.value)):
        return None
    scale = SCALE[gaps.unit]
    return array("d", accumulate((gap * scale for gap in gaps.value), initial=first))
