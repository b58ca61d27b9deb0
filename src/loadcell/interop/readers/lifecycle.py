"""A row of inference-perf's per_request_lifecycle_metrics.json as a request. Keys: 0.7.0, apis/base.py."""

from __future__ import annotations

import re
from array import array
from itertools import groupby
from typing import Any

import msgspec

from loadcell.interop.model import Request
from loadcell.interop.readers.common import number, whole, within
from loadcell.interop.readers.meaning import brief, kind_of

TEXTS = (
    "*.request", "*.response", "*.computed_metrics", "*.info.response_metrics.response_chunks",
    "*.info.response_chunks", "*.info.extra_info", "*.info.labels",
)  # fmt: skip
"""What nobody needs of a row."""
_HTTP = re.compile(r"HTTP Error (\d{3})")


class _Answer(msgspec.Struct):
    output_tokens: float | None = None
    output_token_times: list[float] | None = None
    server_usage: dict[str, Any] | None = None


class _Text(msgspec.Struct):
    input_tokens: float | None = None


class _Asked(msgspec.Struct):
    text: _Text | None = None


class _Info(_Answer):
    """Before 0.6 what is in `response_metrics` stood here."""

    request_metrics: _Asked | None = None
    response_metrics: _Answer | None = None
    input_tokens: float | None = None


class _Error(msgspec.Struct):
    error_type: str | None = None
    error_msg: str | None = None


class Row(msgspec.Struct):
    """One entry, without its texts."""

    start_time: float
    end_time: float
    info: _Info | None = None
    error: _Error | None = None


def request_of(row: Row, zero: float) -> Request:
    """The request, its times counted from `zero`."""
    info = row.info or _Info()
    answer: _Answer = info.response_metrics or info
    times = [found - zero for one in answer.output_token_times or () if (found := number(one)) is not None]
    events = [(at, sum(1 for _ in same)) for at, same in groupby(times)]
    chunks = array("d", (at for at, _ in events)) if events else None
    usage = answer.server_usage
    counted = whole(within(usage, "completion_tokens"))
    asked = (info.request_metrics or _Asked()).text or _Text()
    kind, status = _failure(row.error)
    return Request(
        status="ok" if row.error is None else "failed",
        sent_s=row.start_time - zero,
        first_s=chunks[0] if chunks else None,
        answer_s=chunks[0] if chunks else None,
        last_s=chunks[-1] if chunks else None,
        end_s=row.end_time - zero,
        chunks_s=chunks,
        chunk_tokens=[count for _, count in events] or None,
        input_tokens=whole(asked.input_tokens if asked.input_tokens is not None else info.input_tokens),
        prompt_tokens=whole(within(usage, "prompt_tokens")),
        cached_tokens=whole(within(usage, "prompt_tokens_details", "cached_tokens")),
        reasoning_tokens=whole(within(usage, "completion_tokens_details", "reasoning_tokens")),
        output_tokens=counted if counted is not None else whole(answer.output_tokens),
        token_source="usage" if counted is not None else "tokenizer",
        error_kind=kind,
        error=None if row.error is None else brief(row.error.error_msg or row.error.error_type),
        http_status=status,
    )


def _failure(error: _Error | None) -> tuple[str | None, int | None]:
    if error is None:
        return None, None
    found = _HTTP.search(error.error_type or "")
    if found:
        return "http", int(found[1])
    kind = kind_of(error.error_type)
    return (kind if kind != "told" else kind_of(error.error_msg)), None
