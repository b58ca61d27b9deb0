"""Recordings with known numbers, written the way a run writes them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from loadcell.kinds import KIND_ANSWER
from loadcell.recording.bursts import note_bursts
from loadcell.recording.read import Recording, open_recording
from loadcell.recording.schema import CHUNKS, REQUESTS, SCHEDULE, Column, Manifest
from loadcell.recording.write import Columns, begin, write_audit, write_part
from loadcell.spec import build_spec

MS = 1_000_000


def table(columns: Sequence[Column], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows as columns, missing where a row does not say; thousands of rows need no column that none of them names."""
    named = set().union(*rows) if len(rows) > 1000 else {column.name for column in columns}
    filled = Columns([column for column in columns if column.name in named])
    for row in rows:
        filled.add(row)
    return filled.data


def ok_request(request: int, *, start_ms: float = 0.0, tokens: int = 10, **more: Any) -> dict[str, Any]:
    """A request of `tokens` one-token events: 50 ms to the first, 20 ms between, end 20 ms after the last."""
    start = round(start_ms * MS)
    last = more.get("last_ns", start + 50 * MS + (tokens - 1) * 20 * MS)
    return {
        "request": request, "worker": 0, "connection": 0, "status": "ok", "send_start_ns": start, "ready_ns": start,
        "send_end_ns": start + 1000, "first_any_ns": start + 50 * MS, "first_answer_ns": start + 50 * MS,
        "last_ns": last, "end_ns": last + 20 * MS, "input_tokens": 110, "prompt_tokens": 110,
        "output_tokens": tokens, "token_source": "usage", "first_tokens": 1, "output_chunks": tokens,
    } | more  # fmt: skip


def failed_request(request: int, kind: str, *, start_ms: float = 0.0, **more: Any) -> dict[str, Any]:
    start = round(start_ms * MS)
    return {
        "request": request, "worker": 0, "status": "failed", "error_kind": kind, "error": f"what {kind} said",
        "send_start_ns": start, "ready_ns": start, "end_ns": start + 5 * MS, "input_tokens": 110,
    } | more  # fmt: skip


def events_of(row: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """The events of an `ok_request`."""
    n = row["output_chunks"]
    step = (row["last_ns"] - row["first_any_ns"]) // max(1, n - 1)
    return [
        {"request": row["request"], "read": i + 1, "t_ns": row["first_any_ns"] + i * step, "lag_ns": 20_000,
         "kind": KIND_ANSWER, "bytes": 200} | more
        for i in range(n)
    ]  # fmt: skip


def build(
    folder: Path,
    requests: list[dict[str, Any]],
    *,
    events: list[dict[str, Any]] | None = None,
    planned: Sequence[float] | int | None = None,
    loop: str = "closed",
    load: dict[str, Any] | None = None,
    endpoint: dict[str, Any] | None = None,
    slo: dict[str, Any] | None = None,
    audits: Sequence[dict[str, Any]] = (),
    closed_for_a_time: bool = False,
    bursts: bool = False,
    classes: dict[str, Any] | None = None,
    kinds: Sequence[int] | None = None,
    media: dict[str, Any] | None = None,
    sessions: dict[str, Any] | None = None,
    behaviour: dict[str, Any] | None = None,
    carried: Sequence[dict[str, Any]] = (),
    **manifest: Any,
) -> Recording:
    """Write a recording and open it. `planned` are the schedule's times in ms (open loop) or a number of requests;
    `carried` is what the schedule says of each request besides, `media` what was asked of it.

    With `bursts`, the rows say of these what a run would have written. `kinds` are the classes of the schedule.
    """
    folder.mkdir()
    times = list(planned) if isinstance(planned, Sequence) else [None] * (planned or len(requests))
    plan = [
        {"request": i, "planned_ns": None if t is None else round(t * MS), "input_tokens": 110, "output_tokens": 10}
        for i, t in enumerate(times)
    ]
    for row, kind in zip(plan, kinds or (), strict=False):
        row["class"] = kind
    plan = [one | more for one, more in zip_longest(plan, carried, fillvalue={})]
    if events is None:
        events = [
            event for row in requests if row["status"] == "ok" and row["output_chunks"] for event in events_of(row)
        ]
    rows, chunks = table(REQUESTS, requests), table(CHUNKS, events)
    if bursts:
        note_bursts(rows, chunks)
    if requests:
        write_part(folder, "requests", rows, worker=0, part=0)
    if events:
        write_part(folder, "chunks", chunks, worker=0, part=0)
    for i, audit in enumerate(audits):
        write_audit(folder, i, {"worker": i} | audit)
    ends = [row["end_ns"] for row in requests if row.get("end_ns") is not None]
    settings: dict[str, Any] = {
        "loadcell": "0.1.0", "id": "golden", "started_at": "2026-01-01T00:00:00+00:00", "state": "complete",
        "loop": loop, "planned": None if closed_for_a_time else len(times), "workers": 1,
        "schedule_hash": "0" * 16, "clock": "kernel",
        "ended_ns": max(ends, default=0), "effective": {"model": "m", "ramp_s": 0.0},
    } | manifest  # fmt: skip
    tree = {
        "endpoint": {"url": "http://localhost:8000"} | (endpoint or {}),
        "load": load or ({"rate": 1.0} if loop == "open" else {"concurrency": 1}),
        "slo": slo or {},
        "classes": classes or {},
        "media": media or {},
        "sessions": sessions or {},
        "behaviour": behaviour or {},
    }
    begin(folder, Manifest(**settings), build_spec(tree), {}, table(SCHEDULE, plan))
    return open_recording(folder)
