"""The instrument's own error: read lag, merged reads, send lateness, and what its processes cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from loadcell.metrics.events import EventTotals, lag_spread
from loadcell.metrics.interval import spread_ms
from loadcell.metrics.model import Instrument, WorkerAudit
from loadcell.metrics.rows import Floats, Mask, Rows


def send_lateness(rows: Rows, loop: str) -> Floats:
    """How late each request was sent: after its planned time (open loop) or after its user was ready (closed)."""
    return rows.send_start - (rows.planned if loop == "open" else rows.ready)


def instrument(
    clock: str, loop: str, audits: Sequence[dict[str, Any]], rows: Rows, members: Mask, events: EventTotals
) -> Instrument:
    """The instrument's figures over the window's requests; the workers' own counters are of the whole run."""
    workers = [_worker(audit) for audit in audits]
    cpu_s, tokens = _sum(worker.cpu_s for worker in workers), float(np.nansum(rows.output_tokens))
    return Instrument(
        clock=clock,
        read_lag=lag_spread(events),
        send_lateness=spread_ms(send_lateness(rows, loop)[members]),
        events=events.events,
        merged_share=events.merged / events.events if events.events else None,
        merged_by_client_share=events.merged_by_client / events.events if events.events else None,
        backward_stamps=events.backward,
        reads=_sum(worker.reads for worker in workers),
        reads_without_stamp=_sum(worker.reads_without_stamp for worker in workers),
        cpu_us_per_token=cpu_s * 1e6 / tokens if cpu_s is not None and tokens else None,
        workers=workers,
    )


def _worker(audit: dict[str, Any]) -> WorkerAudit:
    def ms(name: str) -> float | None:
        return None if audit.get(name) is None else audit[name] / 1e6

    same = ("worker", "issued", "died", "cpu_s", "reads", "reads_without_stamp", "gc_pauses", "clock_steps",
            "connections_opened")  # fmt: skip
    return WorkerAudit(
        gc_pause_max_ms=ms("gc_pause_max_ns"), longest_turn_ms=ms("longest_turn_ns"), **{k: audit.get(k) for k in same}
    )


def _sum(values: Iterable[Any]) -> Any:
    """Sum over the workers; None unless each of them told."""
    found = list(values)
    return None if not found or any(value is None for value in found) else sum(found)
