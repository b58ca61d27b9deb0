"""A closed loop on a server that gives every live stream a token each step, and takes longer a step the more there are.

Noise-free: what a figure says of it is the figure's own error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from loadcell.metrics.rows import Rows

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator], int]


@dataclass(frozen=True)
class Loop:
    """Requests that ended, in the order of their sends; times in s."""

    users: int
    ramp_s: float
    stops_s: float
    """No counted request is sent after this."""
    sent: Floats
    first: Floats
    last: Floats
    tokens: Floats
    counted: npt.NDArray[np.bool_]
    steps_s: Floats
    live: Floats
    """Tokens that each step gave."""

    def rows(self) -> Rows:
        """As a recording gives them."""
        return _rows(self.sent * 1e9, self.first * 1e9, self.last * 1e9, self.tokens, self.counted)


def _rows(sent: Floats, first: Floats, last: Floats, tokens: Floats, counted: npt.NDArray[np.bool_]) -> Rows:
    """Times in ns."""
    n = sent.size
    known: dict[str, Any] = {
        "request": np.arange(n), "worker": np.zeros(n, np.int64), "counted": counted,
        "ok": counted.copy(), "failed": np.zeros(n, bool), "cancelled": np.zeros(n, bool), "ready": sent,
        "send_start": sent, "first_any": first, "last": last, "end": last,
        "input_tokens": np.full(n, 100.0), "output_tokens": tokens, "output_chunks": tokens,
        "later_tokens": tokens - 1,
        "token_source": {"usage": n}, "failures": {}, "beyond_failed": 0,
    }  # fmt: skip
    missing = {field.name: np.full(n, np.nan) for field in fields(Rows) if field.name not in known}
    return Rows(**known, **missing)


def answered(sent_ns: Floats, e2e_ns: float) -> Rows:
    """Requests of 10 tokens sent at these times, each answered in the same time."""
    every = np.ones(sent_ns.size, bool)
    return _rows(sent_ns, sent_ns + e2e_ns / 5, sent_ns + e2e_ns, np.full(sent_ns.size, 10.0), every)


def closed_loop(
    users: int,
    stops_s: float,
    draw: Draw,
    *,
    seed: int = 0,
    step_s: float = 0.008,
    per_live_s: float = 0.0004,
    ramp_s: float = 0.16,
    keep_on: bool = False,
) -> Loop:
    """Users that start over a ramp and send their next request when the last ends, until a time.

    `keep_on`: they go on until the last request that was sent before it has ended.
    """
    rng = np.random.default_rng(seed)
    starts = np.arange(users) * ramp_s / users
    left = np.zeros(users, np.int64)
    sent, first, total = np.full(users, np.nan), np.full(users, np.nan), np.zeros(users)
    done: list[tuple[float, float, float, float]] = []
    times, given = [], []
    now, waiting, owed = 0.0, np.ones(users, bool), 0
    while True:
        begin = waiting & (starts <= now) & ((starts <= stops_s) | (keep_on and owed > 0))
        for user in np.flatnonzero(begin):
            left[user] = total[user] = draw(rng)
            sent[user], first[user] = starts[user], np.nan
            owed += starts[user] <= stops_s
        waiting &= ~begin
        live = left > 0
        if not live.any():
            coming = starts[waiting & (starts > now)]
            if not coming.size:
                break
            now = float(coming.min())
            continue
        now += step_s + per_live_s * int(live.sum())
        times.append(now)
        given.append(int(live.sum()))
        first[live & np.isnan(first)] = now
        left[live] -= 1
        for user in np.flatnonzero(live & (left == 0)):
            done.append((sent[user], first[user], now, total[user]))
            owed -= sent[user] <= stops_s
            starts[user], waiting[user] = now, now <= stops_s or keep_on
        if keep_on and now > stops_s and not owed:
            break
    table = np.array(sorted(done))
    return Loop(users, ramp_s, stops_s, *table.T, table[:, 0] <= stops_s, np.array(times), np.array(given, np.float64))


def fixed(tokens: int) -> Draw:
    return lambda _: tokens


def around(tokens: int) -> Draw:
    """Uniform, ± 50 %."""
    return lambda rng: int(rng.integers(tokens - tokens // 2, tokens + tokens // 2, endpoint=True))
