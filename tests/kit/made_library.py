"""Folders of small recordings, good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from made import build, ok_request
from made_sweep import make_plan

from loadcell.recording.read import dump_json


def small_run(folder: Path, *, day: int = 1, n: int = 30, slower_ms: float = 0.0, **more: Any) -> Path:
    """A closed loop of `n` requests, started on that day of January."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    rows = [ok_request(i, start_ms=i * 300) for i in range(n)]
    for row in rows:
        for name in ("first_any_ns", "first_answer_ns", "last_ns", "end_ns"):
            row[name] += round(slower_ms * 1e6)
    build(folder, rows, **({"id": folder.name, "started_at": f"2026-01-{day:02}T12:00:00+00:00"} | more))
    return folder


def small_sweep(folder: Path, levels: tuple[int, ...] = (1, 2), *, day: int = 1) -> Path:
    """A grid over users, a stage a level."""
    folder.mkdir(parents=True)
    dump_json(folder / "sweep.json", make_plan(axis="load.concurrency"))
    for number, level in enumerate(levels, 1):
        stage = small_run(folder / f"{number:03}-concurrency-{level}", day=day, load={"concurrency": level})
        ask = {"number": number, "phase": "grid", "changes": {"load.concurrency": level}, "level": level,
               "least_requests": 0}  # fmt: skip
        dump_json(stage / "stage.json", ask)
    return folder


def edit_manifest(folder: Path, **changes: Any) -> None:
    file = folder / "recording.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
