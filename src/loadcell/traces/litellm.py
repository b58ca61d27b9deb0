"""Logs of LiteLLM's proxy: its standard logging payloads and its spend logs, as JSON Lines, JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.traces.calls import Call, draft_of, messages_of
from loadcell.traces.files import Asked, Source, document
from loadcell.traces.model import Change
from loadcell.traces.requests import reply_of
from loadcell.traces.settle import Draft
from loadcell.traces.table import moment_s, number, read_objects, read_table

COLUMNS = ("startTime", "endTime", "prompt_tokens", "completion_tokens")
_TEXTS = ("status", "cache_hit", "session_id", "trace_id", "call_type")


def read(source: Source, asked: Asked) -> Draft:
    """Calls at the times at which they began; those that failed, and those that its own cache answered, are left
    out."""
    asked.no_unit("litellm")
    found, changes = calls(source)
    draft = draft_of(source.name, str(source.path), "litellm", found, time="startTime")
    draft.changes = (*changes, *draft.changes)
    return draft


def calls(source: Source) -> tuple[list[Call], tuple[Change, ...]]:
    """The calls that reached a model, and what was left out."""
    rows = _rows(source)
    kept = [(place, row, why) for place, row, why in rows if why or not (_failed(row) or _cached(row))]
    changes = []
    whole = [row for _, row, why in rows if not why]
    if n := sum(map(_failed, whole)):
        words = phrase("{:,} of {:,} calls of {} failed, and were left out", n, len(rows), source.name)
        changes.append(Change("drop", n, words))
    if n := sum(_cached(row) and not _failed(row) for row in whole):
        words = phrase(
            "{:,} of {:,} calls of {} were answered by LiteLLM's own cache, and were left out",
            n, len(rows), source.name,
        )  # fmt: skip
        changes.append(Change("drop", n, words))
    if not kept:
        raise UsageError(
            f"{source.path} has no call that reached a model: all {len(rows):,} failed or came from a cache"
        )
    return [_call(*each) for each in kept], tuple(changes)


def _rows(source: Source) -> list[tuple[int, Mapping[str, Any], str]]:
    """Each row, the line in which it stands, and what is broken about it."""
    if source.form in ("csv", "parquet"):
        table = read_table(source)
        names = [name for name in (*COLUMNS, *_TEXTS) if name in source.columns]
        columns = {name: table.texts(name) for name in names}
        places = table.places(range(table.rows))
        return [(places[i], {name: columns[name][i] for name in names}, "") for i in range(table.rows)]
    if source.form == "jsonl":
        objects, places, broken = read_objects(source)
        return [(places[i], row, broken.get(i, "")) for i, row in enumerate(objects)]
    found = document(source)
    rows = found if isinstance(found, list) else [found]
    return [(i, row, "") if isinstance(row, dict) else (i, {}, phrase("no object")) for i, row in enumerate(rows, 1)]


def _failed(row: Mapping[str, Any]) -> bool:
    return row.get("status") == "failure"


def _cached(row: Mapping[str, Any]) -> bool:
    return str(row.get("cache_hit")).casefold() == "true"


def _call(place: int, row: Mapping[str, Any], why: str) -> Call:
    name = row.get("session_id") or row.get("trace_id")
    return Call(
        line=place,
        start_s=moment_s(row.get("startTime")),
        end_s=moment_s(row.get("endTime")),
        input_tokens=number(row.get("prompt_tokens")),
        output_tokens=number(row.get("completion_tokens")),
        messages=[*_tools(row), *messages_of(row.get("messages"))],
        output=reply_of(row.get("response")),
        names=(str(name),) if name else (),
        why=why,
    )


def _tools(row: Mapping[str, Any]) -> list[str]:
    """The tools that a prompt begins with."""
    given = row.get("model_parameters")
    tools = given.get("tools") if isinstance(given, dict) else None
    return [msgspec.json.encode(tools).decode()] if tools else []
