"""Recordings of sessions with known laws: talks and tasks on a server whose TTFT follows from the turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import made
import numpy as np

from loadcell.recording.read import Recording, open_recording
from loadcell.recording.schema import WAITS
from loadcell.recording.write import write_part

MS = 1_000_000


@dataclass
class Call:
    """One request of a session: what it waits for, by place in its session, and how long it takes."""

    waits: tuple[int, ...] = ()
    delay_ms: float = 0.0
    ttft_ms: float = 50.0
    tokens: int = 5
    late_ms: float = 0.02
    fails: bool = False
    left_ms: float | None = None
    """Its user gives it up so long after the send."""
    missed: bool = False
    """It was due, and the client never sent it."""
    more: dict[str, Any] = field(default_factory=dict)


def talk(turns: int, *, think_ms: float = 100.0, ttft_ms: Callable[[int], float] = lambda turn: 50.0 + 10 * turn,
         fails_at: int | None = None, **more: Any) -> list[Call]:  # fmt: skip
    """A chain."""
    return [
        Call((turn - 1,) if turn else (), think_ms if turn else 0.0, ttft_ms(turn), fails=turn == fails_at, **more)
        for turn in range(turns)
    ]


def write(
    folder: Path,
    sessions: Sequence[tuple[float, list[Call]]],
    *,
    loop: str = "open",
    stops_ms: float | None = None,
    **settings: Any,
) -> Recording:
    """Write a recording of sessions that begin at (ms) and open it. After `stops_ms` nothing is sent any more."""
    rows: list[dict[str, Any]] = []
    waits: list[dict[str, Any]] = []
    carried: list[dict[str, Any]] = []
    times: list[float | None] = []
    for number, (begins_ms, calls) in enumerate(sessions):
        first = len(times)
        ends: list[float | None] = []
        turns: list[int] = []
        for place, call in enumerate(calls):
            request = first + place
            waits += [{"request": request, "waits_for": first + one} for one in call.waits]
            turns.append(1 + max((turns[one] for one in call.waits), default=-1))
            delay = round(call.delay_ms * MS) if call.waits else None
            carried.append({"session": number, "turn": turns[-1], "delay_ns": delay} | call.more)
            times.append(begins_ms if loop == "open" and not call.waits else None)
            before = [ends[one] for one in call.waits]
            ready = begins_ms if not call.waits else None
            if call.waits and None not in before:
                ready = max(end for end in before if end is not None) + call.delay_ms
            if ready is None or call.missed or (stops_ms is not None and ready >= stops_ms):
                ends.append(None)
                continue
            row = _row(request, ready, call, planned=loop == "open" and not call.waits)
            rows.append(row)
            ends.append(None if call.fails or call.left_ms is not None else row["end_ns"] / MS)
    if stops_ms is not None:
        settings = {"window_end_ns": round(stops_ms * MS), "ended_ns": round(stops_ms * MS) + 5_000 * MS} | settings
    if loop == "open":
        settings = {"load": {"rate": 10.0, "duration_s": (stops_ms or 1e6) / 1e3}} | settings
    made.build(folder, rows, planned=times, loop=loop, carried=carried, **settings)  # type: ignore[arg-type]
    write_part(folder, "waits", made.table(WAITS, waits))
    return open_recording(folder)


def _row(request: int, ready_ms: float, call: Call, *, planned: bool) -> dict[str, Any]:
    ready, sent = round(ready_ms * MS), round((ready_ms + call.late_ms) * MS)
    own = {
        "planned_ns": ready if planned else None,
        "ready_ns": ready,
        "send_start_ns": sent,
        "send_end_ns": sent + 900,
    }
    if call.left_ms is not None:
        end = {"end_ns": sent + round(call.left_ms * MS), "status": "abandoned", "gave_up": "time"}
        return made.failed_request(request, "http") | {"error_kind": None, "error": None} | own | end
    if call.fails:
        return made.failed_request(request, "http") | own | {"end_ns": sent + 5 * MS}
    first = sent + round(call.ttft_ms * MS)
    last = first + (call.tokens - 1) * 10 * MS
    told = {"first_any_ns": first, "first_answer_ns": first, "last_ns": last, "end_ns": last + 1 * MS}
    return made.ok_request(request, tokens=call.tokens) | own | told


def poisson(rng: np.random.Generator, rate: float, until_ms: float) -> list[float]:
    """Begins of sessions, in ms."""
    count = int(rng.poisson(rate * until_ms / 1e3))
    return sorted(rng.uniform(0, until_ms, count).tolist())
