"""Recordings of other tools' runs with known numbers, written as `loadcell import` writes them: with rows on one clock,
with rows that have each their own zero, and with what the tool told alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loadcell.kinds import KIND_ANSWER
from loadcell.recording.imported import Imported, Missing, Told
from loadcell.recording.read import Recording, dump_json, open_recording
from loadcell.recording.schema import CHUNKS, REQUESTS, SCHEDULE, Column, Manifest
from loadcell.recording.write import Columns, begin, end, write_part
from loadcell.spec import build_spec

MS = 1_000_000
NO_PLAN = Missing(field="planned_ns", why="the file has no schedule")
NO_SEED = Missing(field="seed", why="the file does not tell it")


def _table(columns: Sequence[Column], rows: list[dict[str, Any]]) -> dict[str, Any]:
    filled = Columns(columns)
    for each in rows:
        filled.add(each)
    return filled.data


def row(
    request: int, at_ms: float, *, ttft_ms: float = 50.0, tokens: int = 11, gap_ms: float = 20.0, **more: Any
) -> Any:
    """A request that was sent at `at_ms`, with its first output after `ttft_ms` and one token every `gap_ms`."""
    sent, first = round(at_ms * MS), round((at_ms + ttft_ms) * MS)
    last = first + round((tokens - 1) * gap_ms * MS)
    return {
        "request": request, "worker": 0, "status": "ok", "send_start_ns": sent, "first_any_ns": first, "last_ns": last,
        "end_ns": last, "input_tokens": 100, "output_tokens": tokens, "token_source": "usage",
    } | more  # fmt: skip


def failed(request: int, at_ms: float, **more: Any) -> Any:
    """A request that failed 10 ms after its send."""
    sent = round(at_ms * MS)
    return {
        "request": request, "worker": 0, "status": "failed", "error_kind": "http", "error": "500: overloaded",
        "send_start_ns": sent, "end_ns": sent + 10 * MS, "input_tokens": 100,
    } | more  # fmt: skip


def placed_rows(n: int = 400, *, every_ms: float = 100.0, seed: int = 7) -> list[dict[str, Any]]:
    """Requests at a steady rate, whose TTFT and TPOT are independent draws."""
    draw = np.random.default_rng(seed)
    ttft, gap = draw.lognormal(np.log(60), 0.3, n), draw.lognormal(np.log(20), 0.1, n)
    return [row(i, i * every_ms, ttft_ms=float(ttft[i]), gap_ms=float(gap[i])) for i in range(n)]


def unplaced_rows(n: int = 400, seed: int = 7) -> list[dict[str, Any]]:
    """The same, each with its own zero."""
    return [
        each | {name: each[name] - each["send_start_ns"] for name in ("first_any_ns", "last_ns", "end_ns")}
        | {"send_start_ns": 0}
        for each in placed_rows(n, seed=seed)
    ]  # fmt: skip


def told_figures(scale: float = 1.0) -> list[Told]:
    """What vLLM's client writes of a run."""

    def of(metric: str, **stats: float) -> list[Told]:
        return [
            Told(key=f"{stat}_{metric}_ms", value=value * scale, unit="ms", metric=metric, stat=stat)
            for stat, value in stats.items()
        ]

    return [
        Told(key="request_throughput", value=9.75, unit="requests/s", metric="requests_per_s"),
        Told(key="output_throughput", value=1248.0, unit="tokens/s", metric="output_tokens_per_s"),
        Told(key="total_token_throughput", value=2223.0, unit="tokens/s", metric="total_tokens_per_s"),
        Told(key="max_output_tokens_per_s", value=1400.0, unit="tokens/s"),
        *of("ttft", mean=61.0, std=12.0, p50=58.5, p90=80.25, p99=101.5),
        *of("tpot", mean=20.5, std=1.5, p50=20.25, p99=24.5),
        *of("itl", mean=20.5, p50=20.0, p99=31.0),
        Told(key="p75_ttft_ms", value=66.0 * scale, unit="ms", metric="ttft", stat="p75"),
        Told(key="rps_std", value=None, unit="requests/s"),
    ]  # fmt: skip


def write_import(
    folder: Path,
    rows: list[dict[str, Any]],
    *,
    loop: str | None = "open",
    chunks: bool = False,
    scheduled: bool = False,
    placed: bool = True,
    details: bool = True,
    about: dict[str, Any] | None = None,
    tree: dict[str, Any] | None = None,
    **manifest: Any,
) -> Recording:
    """Write an imported recording and open it; `about` goes into imported.json, `manifest` into recording.json.

    `chunks`: the file has the times of events; `scheduled`: and a schedule, which the sends kept to within 1 ms.
    """
    folder.mkdir(parents=True)
    if scheduled:
        rows = [each | {"planned_ns": max(0, each["send_start_ns"] - MS)} for each in rows]
    if chunks:
        rows = [
            each | {"output_chunks": each["output_tokens"], "first_tokens": 1} if each["status"] == "ok" else each
            for each in rows
        ]
        events = [
            {"request": each["request"], "read": i, "kind": KIND_ANSWER, "bytes": 0,
             "t_ns": each["first_any_ns"] + round(i * (each["last_ns"] - each["first_any_ns"])
                                                  / max(1, each["output_tokens"] - 1))}
            for each in rows if each["status"] == "ok" for i in range(each["output_tokens"])
        ]  # fmt: skip
        write_part(folder, "chunks", _table(CHUNKS, events), worker=0, part=0)
    if rows:
        write_part(folder, "requests", _table(REQUESTS, rows), worker=0, part=0)
    plan = [{"request": each["request"], "planned_ns": each.get("planned_ns"), "input_tokens": 100} for each in rows]
    effective = {
        "model": "meta/Made-8B", "rows": len(rows), "imported_from": (about or {}).get("tool", "vllm"),
    }  # fmt: skip
    settings: dict[str, Any] = {
        "loadcell": "0", "id": "made", "started_at": "2026-01-01T00:00:00+00:00", "state": "complete",
        "loop": loop or "closed", "planned": len(rows) or 400, "workers": 1,
        "schedule_hash": "0" * 16, "clock": "user", "effective": effective,
        "ended_ns": max((each["end_ns"] for each in rows), default=None) if placed else None,
    } | manifest  # fmt: skip
    load: dict[str, Any] = {"rate": 10.0} if loop == "open" else {"concurrency": 8} if loop else {}
    base: dict[str, Any] = {
        "endpoint": {"url": "http://server:8000", "api": "completions"},
        "load": load | {"requests": len(rows) or 400},
        "workload": {"input_tokens": "100", "output_tokens": "11"},
    }
    for section, values in (tree or {}).items():
        base[section] = base.get(section, {}) | values
    missing = [NO_SEED, *([] if scheduled else [NO_PLAN])]
    imported: dict[str, Any] = {
        "tool": "vllm", "title": "vLLM bench serve", "version": "0.33.0", "schema": "bench serve, --save-detailed",
        "tested": True, "files": {"result.json": "ab" * 32}, "imported_at": "2026-01-02T00:00:00+00:00", "loop": loop,
        "placed": placed, "details": details, "missing": missing,
    } | (about or {})  # fmt: skip
    final = Manifest(**settings)
    begin(folder, final, build_spec(base), {}, _table(SCHEDULE, plan))
    dump_json(folder / "imported.json", Imported(**imported))
    end(folder, final)
    return open_recording(folder)


def a_placed(folder: Path, n: int = 400, **more: Any) -> Recording:
    """Rows on one clock."""
    return write_import(folder, placed_rows(n), **more)


def an_unplaced(folder: Path, n: int = 400, **more: Any) -> Recording:
    """Rows with each their own zero, of another tool, in a closed loop."""
    about = {
        "tool": "sglang", "title": "SGLang bench serving", "version": None, "schema": "bench serving, --output-details",
        "told": told_figures(), "missing": [NO_SEED, Missing(field="send_start_ns", why="the file has no send times")],
        "derived": ["last_ns: first_any_ns and the gaps"],
    } | more.pop("about", {})  # fmt: skip
    return write_import(folder, unplaced_rows(n), loop="closed", placed=False, about=about, **more)


def a_told(folder: Path, scale: float = 1.0, **more: Any) -> Recording:
    """No rows: what the tool told."""
    about = {
        "schema": "bench serve", "told": told_figures(scale), "ok": 390, "failed": 10, "window_s": 40.0,
        "tested": False,
        "missing": [NO_SEED, Missing(field="requests", why="the file was saved without --save-detailed")],
    } | more.pop("about", {})  # fmt: skip
    return write_import(folder, [], details=False, about=about, **more)
