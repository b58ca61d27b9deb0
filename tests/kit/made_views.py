"""Recordings for the views of other tools: one request of known timing, and streams that tools take differently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from made import MS, build, failed_request, ok_request

from loadcell.kinds import KIND_ANSWER, KIND_DONE, KIND_EMPTY, KIND_ERROR, KIND_FINISH, KIND_REASONING, KIND_USAGE
from loadcell.recording.read import Recording


def event(request: int, ms: float, kind: int, tokens: int | None = None) -> dict[str, Any]:
    return {"request": request, "read": 0, "t_ns": round(ms * MS), "lag_ns": 0, "kind": kind, "tokens": tokens,
            "bytes": 100}  # fmt: skip


def one_request(folder: Path, api: str = "chat", **more: Any) -> Recording:
    """Ten one-token events at 50, 70 ... 230 ms; finish event, usage and [DONE] at 250 ms; a warm connection."""
    row = ok_request(0, end_ns=250 * MS, asked_tokens=64, usage_tokens=10, conn_start_ns=None) | more
    events = [event(0, 50 + 20 * i, KIND_ANSWER, 1) for i in range(10)]
    events += [event(0, 250, KIND_FINISH), event(0, 250, KIND_USAGE), event(0, 250, KIND_DONE)]
    return build(folder, [row], events=events, endpoint={"api": api})


def difficult(folder: Path) -> Recording:
    """A role alone first; reasoning first; four tokens an event; no usage; an error in a 200 stream; a stream that
    stops; one that never answered. In an open loop, each sent 1 ms late, and each on a connection of its own."""
    rows, events = [], []
    kinds = ("role", "reasoning", "bundled", "no usage", "stream_error", "cut", "connect")
    for i, kind in enumerate(kinds):
        start = 500 * i + 1
        late = {"planned_ns": 500 * i * MS, "conn_start_ns": round((start - 0.5) * MS), "asked_tokens": 64,
                "conn_tcp_ns": round((start - 0.1) * MS)}  # fmt: skip
        if kind == "connect":
            rows.append(failed_request(i, kind, start_ms=start) | late)
            continue
        count = 3 if kind in ("stream_error", "cut") else 10 if kind != "bundled" else 5
        per = 4 if kind == "bundled" else 1
        last = round((start + 50 + (count - 1) * 20) * MS)
        row = ok_request(i, start_ms=start, tokens=count * per, output_chunks=count, last_ns=last, first_tokens=per)
        row |= late | {"end_ns": last + 20 * MS, "usage_tokens": None if kind == "no usage" else count * per}
        if kind == "role":
            events.append(event(i, start + 5, KIND_EMPTY))
        if kind == "no usage":
            row |= {"token_source": "events"}
        if kind in ("stream_error", "cut"):
            row |= {"status": "failed", "error_kind": kind, "error": "said so", "usage_tokens": None}
        if kind == "reasoning":
            row |= {"first_answer_ns": round((start + 150) * MS)}
        for k in range(count):
            thinks = kind == "reasoning" and k < 5
            events.append(event(i, start + 50 + 20 * k, KIND_REASONING if thinks else KIND_ANSWER, per))
        end = start + 50 + 20 * count
        if kind == "stream_error":
            events.append(event(i, end, KIND_ERROR))
        elif kind != "cut":
            events.append(event(i, end, KIND_FINISH))
            events += [] if kind == "no usage" else [event(i, end, KIND_USAGE)]
            events.append(event(i, end, KIND_DONE))
        rows.append(row)
    return build(folder, rows, events=events, loop="open", planned=[500.0 * i for i in range(len(kinds))])


def varied(folder: Path) -> Recording:
    """60 requests of many lengths and paces over three seconds, some of one token, some failed; of a fixed seed."""
    random = np.random.default_rng(19)
    rows, events = [], []
    for i in range(60):
        start = round(float(random.uniform(0, 3000)) * MS)
        if i % 13 == 5:
            rows.append(failed_request(i, "http_500", start_ms=start / MS))
            continue
        count = int(random.integers(1, 40)) if i % 20 else 1
        times = start + round(float(random.gamma(4, 15)) * MS) + np.cumsum(random.integers(0, 30 * MS, count))
        rows.append(
            ok_request(i, start_ms=start / MS, tokens=count, first_any_ns=int(times[0]),
                       first_answer_ns=int(times[0]), last_ns=int(times[-1]), end_ns=int(times[-1]) + 3 * MS,
                       usage_tokens=count, prompt_tokens=int(random.integers(50, 300)), input_tokens=100,
                       first_tokens=1)
        )  # fmt: skip
        events += [{"request": i, "read": k, "t_ns": int(t), "lag_ns": 0, "kind": KIND_ANSWER, "tokens": 1, "bytes": 9}
                   for k, t in enumerate(times)]  # fmt: skip
        events.append(event(i, times[-1] / MS + 3, KIND_FINISH))
    return build(folder, rows, events=events, slo={"ttft_ms": 80, "tpot_ms": 16, "e2e_ms": 400})
