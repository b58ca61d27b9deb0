"""LLMPerf: NAME_summary.json and NAME_individual_responses.json, together or one of them alone.

Requests have durations and no times. Its inter_token_latency_s is the whole latency over the number of events, TTFT
included: none of ours, but it tells when the last of them came. Output tokens are counted by Llama 2's tokenizer,
whatever the model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from loadcell.interop import document
from loadcell.interop.model import Missing, Request, Run, Status, Told
from loadcell.interop.readers.common import (
    NO_EVENTS,
    NO_ROWS,
    NO_TIMES,
    UNTOLD,
    at_utc,
    bad,
    beginning,
    files,
    first,
    has,
    measured,
    normal,
    number,
    paired,
    stat_of,
    text,
    untold,
    whole,
)
from loadcell.phrases import phrase

_MEASURED: dict[str, tuple[str, str | None]] = {
    "inter_token_latency_s": ("s", None),
    "ttft_s": ("s", "ttft_ms"),
    "end_to_end_latency_s": ("s", "e2e_ms"),
    "request_output_throughput_token_per_s": ("tokens/s", None),
    "number_input_tokens": ("tokens", None),
    "number_output_tokens": ("tokens", None),
}
_FIGURES: dict[str, tuple[str, str | None]] = {
    "results_mean_output_throughput_token_per_s": ("tokens/s", "output_tokens_per_s"),
    "results_num_completed_requests_per_min": ("requests/min", "requests_per_s"),
    "results_num_requests_started": ("requests", None),
    "results_num_completed_requests": ("requests", None),
    "results_number_errors": ("requests", None),
}
_KEY = re.compile(rf"results_({'|'.join(_MEASURED)})_(?:quantiles_)?(p\d+|mean|min|max|stddev)")
_LENGTHS = ("input_tokens", "output_tokens")
_ROW = ("error_code", "error_msg", "ttft_s", "end_to_end_latency_s", "number_input_tokens", "number_output_tokens",
        "inter_token_latency_s")  # fmt: skip


class _Row(NamedTuple):
    status: Status
    code: int | None
    error: str | None
    ttft_s: float | None
    e2e_s: float | None
    inputs: int | None
    outputs: int | None
    pace_s: float | None
    """The time to the last event over the number of events."""


class _Pair(NamedTuple):
    """The two files of one run."""

    name: str
    summary: Path | None
    rows: Path | None


def matches(path: Path) -> bool:
    """Whether it is a file of LLMPerf, or a folder with one."""
    return any(_is_summary(file) or _is_rows(file) for file in files(path, ".json"))


def read(path: Path) -> list[Run]:
    """A run for each summary with its individual responses."""
    return [_run(_Pair(name, *pair)) for name, pair in paired(path, (_is_summary, _is_rows), _name).items()]


def _name(file: Path) -> str:
    return re.sub(r"(_summary|_individual_responses)?\.json(\.gz)?$", "", file.name)


def _is_summary(path: Path) -> bool:
    begun = beginning(path)
    return begun.lstrip().startswith("{") and has(begun, "results_num_requests_started", "num_concurrent_requests")


def _is_rows(path: Path) -> bool:
    begun = beginning(path)
    return begun.lstrip().startswith("[") and has(begun, "inter_token_latency_s", "ttft_s", "end_to_end_latency_s")


def _run(pair: _Pair) -> Run:
    summary = {} if pair.summary is None else document.load(pair.summary)
    rows = [] if pair.rows is None else _rows(pair.rows)
    asked = {name: normal(summary.get(f"mean_{name}"), summary.get(f"stddev_{name}")) for name in _LENGTHS}
    completed, per_minute = (number(summary.get(f"results_num_completed_requests{end}")) for end in ("", "_per_min"))
    window = 60 * completed / per_minute if completed and per_minute else None
    written = number(summary.get("timestamp"))
    counts = {status: sum(row.status == status for row in rows) if pair.rows else None for status in ("ok", "failed")}
    parts = [f"summary {summary.get('version')}"] if pair.summary else []
    run = Run(
        tool="llmperf",
        schema=" and ".join(parts + (["individual responses"] if pair.rows else [])),
        files=[file for file in (pair.summary, pair.rows) if file is not None],
        name=pair.name,
        started_at=None if written is None or window is None else at_utc(written - window),
        api=None,
        stream=True,
        model=text(summary.get("model")),
        loop="closed",
        concurrency=whole(summary.get("num_concurrent_requests")),
        input_tokens=asked["input_tokens"],
        output_tokens=asked["output_tokens"],
        planned=whole(summary.get("results_num_requests_started")),
        ok=first(whole(completed), counts["ok"]),
        failed=first(whole(summary.get("results_number_errors")), counts["failed"]),
        window_s=window,
        placed=False,
        told=list(_told(summary)),
        notes=[
            phrase(
                "LLMPerf's inter_token_latency_s is the whole latency over the events, TTFT included: it is not ITL"
            ),
            phrase("LLMPerf counts output by Llama 2's tokenizer, and input as asked for"),
            phrase("LLMPerf's deviations are those of a sample; a new connection is a part of its TTFT"),
        ],
        missing=untold(UNTOLD, "version"),
    )
    if run.started_at is not None:
        run.derived = [phrase("started_at: timestamp and the time that rates are divided by")]
    if pair.rows is None:
        run.missing.append(Missing(field="requests", why=NO_ROWS))
    else:
        run.details = partial(_requests, rows)
        run.missing += [*untold(NO_TIMES, "send_start_ns", "planned_ns"), Missing(field="chunks", why=NO_EVENTS)]
        if any(_events(row)[0] for row in rows):
            run.derived.append(phrase("last_ns: inter_token_latency_s times the events that the latency has room for"))
        run.fields = {"first_s": "ttft_s", "end_s": "end_to_end_latency_s"}
        run.fields |= {"input_tokens": "number_input_tokens", "output_tokens": "number_output_tokens"}
    return run


def _told(summary: dict[str, Any]) -> Iterator[Told]:
    """Its figures; some are numbers in quotes."""
    for key, value in summary.items():
        if not key.startswith("results_") or (isinstance(value, str) and number(value) is None):
            continue
        found = _KEY.fullmatch(key)
        if found is not None:
            unit, metric = _MEASURED[found[1]]
            yield Told(key=key, value=number(value), unit=unit, metric=metric, stat=stat_of(found[2]))
        else:
            unit, metric = _FIGURES.get(key, ("", None))
            yield Told(key=key, value=number(value), unit=unit, metric=metric)


def _rows(path: Path) -> list[_Row]:
    rows = document.load(path, each={"*": _slim})
    if not isinstance(rows, list):
        raise bad(path, "", "expected a list of responses")
    return [_row(path, i, row) for i, row in enumerate(rows)]


def _slim(row: Any) -> Any:
    return tuple(row.get(key) for key in _ROW) if isinstance(row, dict) else row


def _row(path: Path, place: int, row: Any) -> _Row:
    if not isinstance(row, tuple):
        raise bad(path, str(place), "expected an object")
    code, message = row[:2]
    ttft, e2e, inputs, outputs, pace = (
        measured(value, path, f"{place}.{name}") or None for name, value in zip(_ROW[2:], row[2:], strict=True)
    )
    if code is None:
        return _Row("ok", None, None, ttft, e2e, whole(inputs), whole(outputs), pace)
    status = whole(code)
    error = text(message) or (None if status is not None else str(code))
    return _Row("failed", status, error, None, None, None, None, None)  # such rows hold zeros


def _events(row: _Row) -> tuple[int | None, float | None]:
    """How many events came, and when the last of them: as many as the whole latency has room for."""
    if not row.pace_s or not row.e2e_s or not 0 < row.pace_s <= row.e2e_s < 1e9 * row.pace_s:
        return None, None
    number = math.floor(row.e2e_s / row.pace_s * (1 + 1e-9))
    last_s = min(number * row.pace_s, row.e2e_s)
    return (None, None) if row.ttft_s is not None and last_s < row.ttft_s else (number, last_s)


def _requests(rows: list[_Row]) -> Iterator[Request]:
    for row in rows:
        events, last_s = _events(row)
        is_http = row.code is not None and 100 <= row.code < 600
        yield Request(
            status=row.status,
            first_s=row.ttft_s,
            last_s=last_s,
            end_s=row.e2e_s,
            events=events,
            input_tokens=row.inputs,
            output_tokens=row.outputs,
            token_source=None if row.outputs is None else "tokenizer",
            error_kind=None if row.status == "ok" else "http" if is_http else "told",
            error=row.error,
            http_status=row.code if is_http else None,
        )
