"""Recordings of MLPerf-style runs with known numbers, written the way a run writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from loadcell.kinds import KIND_ANSWER
from loadcell.mlperf.model import RunPlan
from loadcell.recording.read import Recording, dump_json, open_recording
from loadcell.recording.schema import CHUNKS, REQUESTS, SCHEDULE, Column, Manifest
from loadcell.recording.write import Columns, begin, write_part
from loadcell.spec import build_spec

MS = 1_000_000


def _table(columns: Sequence[Column], rows: list[dict[str, Any]]) -> dict[str, Any]:
    filled = Columns(columns)
    for each in rows:
        filled.add(each)
    return filled.data


def row(request: int, at_ms: float, *, ttft_ms: float = 50, tokens: int = 11, gap_ms: float = 20, **more: Any) -> Any:
    """A request that is due and sent at `at_ms`, with the first token after `ttft_ms` and one every `gap_ms`."""
    start = round(at_ms * MS)
    first = start + round(ttft_ms * MS)
    last = first + round((tokens - 1) * gap_ms * MS)
    return {
        "request": request, "worker": 0, "connection": 0, "status": "ok", "planned_ns": start, "ready_ns": start,
        "send_start_ns": start + 20_000, "send_end_ns": start + 30_000, "first_any_ns": first, "first_answer_ns": first,
        "last_ns": last, "end_ns": last, "input_tokens": 100, "asked_tokens": 128, "prompt_tokens": 110,
        "cached_tokens": 0, "output_tokens": tokens, "token_source": "usage", "first_tokens": 1,
        "output_chunks": tokens,
    } | more  # fmt: skip


def write_recording(
    folder: Path,
    rows: list[dict[str, Any]],
    prompts: Sequence[int | None],
    *,
    loop: str = "open",
    tree: dict[str, Any] | None = None,
    effective: dict[str, Any] | None = None,
    **manifest: Any,
) -> Recording:
    """Write a recording and open it; `prompts` are the lines that the schedule sends, whether or not a row ended."""
    folder.mkdir(parents=True)
    times = {each["request"]: each["planned_ns"] for each in rows}
    plan = [
        {"request": i, "planned_ns": times.get(i, i * MS) if loop == "open" else None, "input_tokens": 100,
         "output_tokens": 128, "prompt": prompt}
        for i, prompt in enumerate(prompts)
    ]  # fmt: skip
    if loop == "closed":
        rows = [each | {"planned_ns": None} for each in rows]
    write_part(folder, "requests", _table(REQUESTS, rows), worker=0, part=0)
    events = [
        {"request": each["request"], "read": i + 1, "t_ns": each["first_any_ns"] + i * _step(each), "lag_ns": 20_000,
         "kind": KIND_ANSWER, "tokens": 1, "bytes": 200}
        for each in rows if each["status"] == "ok"
        for i in range(each["output_chunks"])
    ]  # fmt: skip
    write_part(folder, "chunks", _table(CHUNKS, events), worker=0, part=0)
    settings: dict[str, Any] = {
        "loadcell": "0.1.0", "id": "made", "started_at": "2026-01-01T00:00:00+00:00", "state": "complete",
        "loop": loop, "planned": len(prompts), "workers": 1, "schedule_hash": "0" * 16, "clock": "kernel",
        "ended_ns": max(each["end_ns"] for each in rows),
        "effective": {"model": "meta/Made-8B", "ramp_s": 0.0, "ignore_eos": False} | (effective or {}),
    } | manifest  # fmt: skip
    load: dict[str, Any] = {"rate": 10.0} if loop == "open" else {"concurrency": 1, "requests": len(prompts)}
    base: dict[str, Any] = {
        "endpoint": {"url": "http://localhost:8000", "extra_body": {"temperature": 0}},
        "load": load,
        "workload": {"prompts": "prompts.jsonl"},
        "loadgen": {"scenario": "server" if loop == "open" else "offline", "qsl_seed": 1, "sample_index_seed": 2,
                    "schedule_seed": 3},
    }  # fmt: skip
    for section, values in (tree or {}).items():
        base[section] = base.get(section, {}) | values
    begin(folder, Manifest(**settings), build_spec(base), {}, _table(SCHEDULE, plan))
    return open_recording(folder)


def _step(each: dict[str, Any]) -> int:
    return (each["last_ns"] - each["first_any_ns"]) // max(1, each["output_chunks"] - 1)


def write_run(
    folder: Path, plan: RunPlan, rows: list[dict[str, Any]], prompts: Sequence[int | None], **more: Any
) -> Path:
    """The folder of a run: its plan and its performance recording."""
    folder.mkdir()
    write_recording(folder / "performance", rows, prompts, **more)
    dump_json(folder / "mlperf.json", msgspec.to_builtins(plan))
    return folder
