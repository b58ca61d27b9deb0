"""Traces made by hand: requests alone, and sessions whose turns wait for each other."""

from __future__ import annotations

import numpy as np

from loadcell.traces import Ragged, Trace
from loadcell.traces.model import ragged

BLOCK = 16


def made_requests(times: list[float], *, tokens: int = 40, step: float | None = None) -> Trace:
    """Requests alone at these times, each 1 token longer than the one before it."""
    t_s = np.array(times, np.float64)
    rows = len(times)
    return Trace(
        name="made",
        kind="plain",
        t_s=np.floor(t_s / step) * step if step else t_s,
        input_tokens=(tokens + np.arange(rows)).astype(np.int32),
        output_tokens=(10 + np.arange(rows) % 7).astype(np.int32),
    )


def made_sessions(seed: int, count: int, *, most_turns: int = 6, over_s: float = 600.0) -> Trace:
    """Sessions of 1 to `most_turns` turns, interleaved as they came; the second and third of long ones wait for the
    first alone, the fourth for both. Turn k has the blocks of turn k - 1 and one or two more."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, int, int, list[int]]] = []
    blocks: list[list[int]] = []
    fresh = 0
    for session, start in enumerate(np.sort(rng.uniform(0, over_s, count)).tolist()):
        turns, own = int(rng.integers(1, most_turns + 1)), list[int]()
        for turn in range(turns):
            more = int(rng.integers(1, 3))
            own = [*own, *range(fresh, fresh + more)]
            fresh += more
            before = [] if not turn else [0] if turn < 3 else [1, 2] if turn == 3 else [turn - 1]
            rows.append((start + 5.0 * turn, session, turn, before))
            blocks.append(own)
    order = sorted(range(len(rows)), key=lambda i: (rows[i][0], rows[i][2]))
    place = {(rows[i][1], rows[i][2]): k for k, i in enumerate(order)}
    turn = np.array([rows[i][2] for i in order])
    t_s = np.array([rows[i][0] for i in order])
    held = [blocks[i] for i in order]
    lengths = [BLOCK * len(one) - int(rng.integers(0, BLOCK)) for one in held]
    return Trace(
        name="made",
        kind="plain",
        t_s=np.where(turn > 0, np.nan, t_s - t_s[0]),
        input_tokens=np.array(lengths, np.int32),
        output_tokens=rng.integers(1, 50, len(order)).astype(np.int32),
        session=np.array([rows[i][1] for i in order], np.int32),
        delay_s=np.where(turn > 0, rng.uniform(0, 9, len(order)), np.nan),
        waits=ragged([[place[rows[i][1], one] for one in rows[i][3]] for i in order]),
        blocks=Ragged(np.concatenate([np.array(one, np.int64) for one in held]), np.cumsum([len(one) for one in held])),
        block_tokens=BLOCK,
    )
