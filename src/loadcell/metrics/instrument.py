"""The instrument's own error: how late it read and sent, what its processes cost, what the machine did to it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from loadcell.apis import CALLABLE
from loadcell.metrics.cache import template_tokens
from loadcell.metrics.delivery import arrivals, connections, token_closure
from loadcell.metrics.events import EventTotals, lag_spread
from loadcell.metrics.interval import spread_ms
from loadcell.metrics.model import Feeding, Host, Instrument, WorkerAudit
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.sharing import taken
from loadcell.metrics.window import Span
from loadcell.recording.read import Recording

ON_TIME_NS = 1_000_000
_ON_TIME_PART = 0.01
"""Of the median TTFT, where that is more: what is nothing beside a TTFT of a second is much beside one of 10 ms."""


def _by_tokenizer(recording: Recording) -> Mask:
    source: Mask = recording.requests(("token_source",))["token_source"] == "tokenizer"
    return source


def send_lateness(rows: Rows, loop: str) -> Floats:
    """How late each request was sent: after its planned time (open loop) or after its user was ready (closed).

    NaN for a request that had to wait for a new connection: that time is the server's and the network's too.
    """
    late = rows.send_start - (rows.planned if loop == "open" else rows.ready)
    return np.where(np.isnan(rows.conn_start), late, np.nan)


def instrument(
    recording: Recording, rows: Rows, members: Mask, span: Span, events: EventTotals, sent_too: Mask | None = None
) -> Instrument:
    """The instrument's figures over the window's requests; a worker's CPU and reads are of the whole run.

    `sent_too`: the window's requests, where some of them (of slow readers) are left out of `members`.
    """
    manifest = recording.manifest
    workers = [_worker(audit, span, manifest.ended_ns) for audit in recording.audits]
    cpu_s, tokens = _sum(worker.cpu_s for worker in workers), float(np.nansum(rows.output_tokens))
    late = send_lateness(rows, manifest.loop)[members]
    sent = late[~np.isnan(late)]
    allowed = max(ON_TIME_NS, _ON_TIME_PART * _median_ttft(rows, members & rows.ok))
    host = recording.host or {}
    shared, held = taken(host, recording.audits), host.get("throttled") or {}
    return Instrument(
        clock=manifest.clock,
        read_lag=lag_spread(events),
        send_lateness=spread_ms(late),
        events=events.events,
        merged_share=events.merged / events.events if events.events else None,
        merged_by_client_share=events.merged_by_client / events.events if events.events else None,
        backward_stamps=events.backward,
        reads=_sum(worker.reads for worker in workers),
        reads_without_stamp=_sum(worker.reads_without_stamp for worker in workers),
        cpu_us_per_token=cpu_s * 1e6 / tokens if cpu_s is not None and tokens else None,
        on_time_share=float(np.mean(np.abs(sent) <= allowed)) if sent.size else None,
        longest_stall_ms=_max(worker.longest_stall_ms for worker in workers),
        arrivals=arrivals(rows, members if sent_too is None else sent_too, span, manifest.loop),
        connections=connections(recording.audits, rows, members & (recording.spec.endpoint.api != CALLABLE)),
        tokens=token_closure(rows, members & rows.ok, events, template_tokens(recording), _by_tokenizer(recording)),
        host=Host(
            steal_share=host.get("steal_share"),
            server=host.get("server"),
            declared=recording.spec.run.shared_host,
            taken_share=None if shared is None else shared.share,
            taken_by=None if shared is None else shared.by,
            throttled_share=held["throttled"] / held["periods"] if held.get("periods") else None,
            throttled_s=held["throttled_ns"] / 1e9 if held else None,
        ),
        workers=workers,
        feeding=_feeding(host, recording.audits),
    )


def _feeding(host: dict[str, Any], audits: list[dict[str, Any]]) -> Feeding | None:
    told = host.get("feeder")
    if not told:
        return None
    wait_ns = _sum(audit.get("body_wait_ns") for audit in audits)
    return Feeding(
        made=told["rows"],
        bytes=told["bytes"],
        cpu_s=told["cpu_ns"] / 1e9,
        late=_sum(audit.get("late_bodies") for audit in audits),
        wait_s=None if wait_ns is None else wait_ns / 1e9,
    )


def _median_ttft(rows: Rows, ok: Mask) -> float:
    ttft = (rows.first_any - rows.send_start)[ok & rows.streamed]
    return float(np.median(ttft)) if ttft.size else 0.0


def _worker(audit: dict[str, Any], span: Span, ended_ns: int | None) -> WorkerAudit:
    def ms(name: str) -> float | None:
        return None if audit.get(name) is None else audit[name] / 1e6

    def over_load(name: str, unit: float = 1.0) -> float | None:
        if audit.get(name) is None or not audit.get("load_ns"):
            return None
        return float(audit[name]) * unit / float(audit["load_ns"])

    same = ("worker", "issued", "died", "cpu_s", "reads", "reads_without_stamp", "gc_pauses", "clock_steps",
            "connections_opened", "mixed_reads")  # fmt: skip
    return WorkerAudit(
        gc_pause_max_ms=ms("gc_pause_max_ns"),
        longest_turn_ms=ms("longest_turn_ns"),
        busy_share=busy_share(audit.get("busy_ns_by_s"), span.start / 1e9, span.end / 1e9),
        core_wait_share=over_load("core_wait_ns"),
        switches_per_s=over_load("switches_involuntary", 1e9),
        longest_stall_ms=_longest_stall_ms(audit.get("stalls"), span),
        **{k: audit.get(k) for k in same},
    )


def busy_share(busy_ns_by_s: list[int] | None, start_s: float, end_s: float) -> float | None:
    """Busy share of the whole seconds between two times; of all of them where there is none between."""
    if not busy_ns_by_s:
        return None
    first, last = math.ceil(start_s), int(end_s)
    inside = busy_ns_by_s[first:last] or busy_ns_by_s
    return sum(inside) / (len(inside) * 1e9)


def _longest_stall_ms(stalls: list[list[int]] | None, span: Span) -> float | None:
    """Longest stall, given as (begin, length) in ns, that touches the window; 0 where none was long enough to note."""
    if stalls is None:
        return None
    lengths = [length for begin, length in stalls if begin + length >= span.start and begin <= span.end]
    return max(lengths, default=0) / 1e6


def _max(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: Iterable[Any]) -> Any:
    """Sum over the workers; None unless each of them told."""
    found = list(values)
    return None if not found or any(value is None for value in found) else sum(found)
