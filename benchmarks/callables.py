"""A Python callable in place of a server: what its load costs the process that both share, and how late pieces are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from common import work_folder
from tables import Row, Table

import loadcell

_STEP_S, _TOKENS = 0.01, 100
_NOTES = (
    f"A callable that sleeps for {_STEP_S * 1000:g} ms before each piece, in threads or on an asyncio loop; what it "
    "costs itself is not in the figures.",
    "CPU a piece: of the load's own threads (conductor, looks, writer, what is watched), over all pieces. Of its time: "
    "the same over the length of the load. ITL p50 with its budget, in ms: the step, what a sleep of this system adds, "
    "and what the shared interpreter does.",
)


def in_threads(prompt: str, max_tokens: int) -> Iterator[str]:
    for _ in range(max_tokens):
        time.sleep(_STEP_S)
        yield " word"


async def on_a_loop(prompt: str, max_tokens: int) -> AsyncIterator[str]:
    for _ in range(max_tokens):
        await asyncio.sleep(_STEP_S)
        yield " word"


def measure(quick: bool) -> list[Table]:
    """One table: a few users and many, both ways."""
    columns = ("callable", "users", "pieces/s", "CPU a piece", "of its time", "ITL p50", "budget")
    table = Table("A Python callable", columns, notes=_NOTES)
    with work_folder() as folder:
        for fn in (in_threads, on_a_loop):
            for users in (4,) if quick else (4, 16, 64):
                result = loadcell.run(
                    fn, concurrency=users, duration_s=3 if quick else 20, input_tokens=32, output_tokens=_TOKENS,
                    output=folder / f"{fn.__name__}-{users}",
                )  # fmt: skip
                gap, rate = result.latency["itl_ms"].service.p50, result.throughput.output_tokens_per_s
                cost, taken = result.instrument.cpu_us_per_token, result.instrument.host.taken_share
                if gap.value is None or gap.budget is None or rate is None or cost is None or taken is None:
                    raise RuntimeError(f"{fn.__name__} at {users} users: a figure is missing")
                budget = f"{gap.budget.low - gap.value:+.2f} … {gap.budget.high - gap.value:+.2f}"
                cells = (f"{rate:,.0f}", f"{cost:.1f} µs", f"{taken:.2%}", f"{gap.value:.2f}", budget)
                table.rows.append(Row((fn.__name__.replace("_", " "), str(users), *cells)))
    return [table]
