"""Pacing: how far from its planned time a request is sent, and how full a closed loop is kept."""

from __future__ import annotations

import numpy as np
from common import Engine, Outcome, engine, run_loadcell, work_folder
from tables import Row, Table

from loadcell.recording.read import open_recording
from loadcell.selftest.truth import Numbers, nearest_rank

_BAR_MS = 0.5
_BAR_SHARE = 0.99
_NOTES = (
    "Send lateness: just before the first byte is given to the kernel, less the planned time of the saved schedule. "
    "Early: how much of it is negative. Every request is counted, none is left out as warm-up.",
)
_CLOSED_NOTES = (
    "Time-averaged requests in flight between the end of the ramp and the end of sending, over the users asked for. "
    "Client: from send to end. Engine: from arrival of the request to the send that ends its reply.",
)


def measure(quick: bool) -> list[Table]:
    """Two tables: the open loop's lateness and the closed loop's concurrency."""
    seconds = 1.0 if quick else 20.0
    late = Table("Open loop, Poisson", ("rate", "requests", "late p50 ms", "late p99 ms", "latest ms", "early p99 ms",
                                        "earliest ms"), notes=_NOTES)  # fmt: skip
    for rate, bar in ((200, _BAR_MS), (1000, None)):
        with engine("--slots", "512", "--ttft", "10ms", "--itl", "2ms") as target, work_folder() as folder:
            outcome = run_loadcell(target, folder / "r", *_common(8, seconds), "--rate", str(rate))
            late.rows.append(_lateness(rate, outcome, bar))
    full = Table("Closed loop", ("users", "requests", "client", "engine"), notes=_CLOSED_NOTES)
    for users in (4,) if quick else (64, 256):
        with engine("--slots", str(users), "--ttft", "50ms", "--itl", "10ms") as target, work_folder() as folder:
            outcome = run_loadcell(target, folder / "r", *_common(32, seconds), "--concurrency", str(users))
            full.rows.append(_fullness(users, outcome, target))
    return [late, full]


def _common(output_tokens: int, seconds: float) -> tuple[str, ...]:
    return ("--duration", f"{seconds:g}", "--input-tokens", "64", "--output-tokens", str(output_tokens),
            "--workers", "1", "--no-keep-load")  # fmt: skip


def _lateness(rate: int, outcome: Outcome, bar_ms: float | None) -> Row:
    table = open_recording(outcome.folder).requests(("planned_ns", "send_start_ns"))
    late_ms = (table["send_start_ns"] - table["planned_ns"]) / 1e6
    late, early = np.maximum(late_ms, 0), np.maximum(-late_ms, 0)
    worst = max(nearest_rank(late, 99), nearest_rank(early, 99))
    figures = (nearest_rank(late, 50), nearest_rank(late, 99), late.max(), nearest_rank(early, 99), early.max())
    return Row(
        (f"{rate}/s", f"{late_ms.size:,}", *(f"{figure:.3f}" for figure in figures)),
        f"p99 <= {bar_ms:g} ms, late and early" if bar_ms else "",
        worst <= bar_ms if bar_ms else None,
    )


def _fullness(users: int, outcome: Outcome, target: Engine) -> Row:
    said = outcome.result["concurrency"]
    start_ns, stop_ns = said["mean_from_s"] * 1e9, said["mean_to_s"] * 1e9
    table = open_recording(outcome.folder).requests(("request", "send_start_ns", "end_ns"))
    client = mean_in_flight(table["send_start_ns"], table["end_ns"], start_ns, stop_ns)
    if abs(client - said["mean"]) > 1e-6 * users:
        raise RuntimeError(f"the result says {said['mean']} in flight, its recording {client}")
    known, run_id = target.truth(), outcome.result["run"]["id"]
    records = [known[f"{run_id}-{request}"] for request in table["request"].tolist()]
    arrivals = np.array([record.arrival_ns for record in records])
    # The engine's clock counts from another zero: no request arrives before it is sent, and the fastest hardly after.
    zero_ns = int((arrivals - table["send_start_ns"]).min())
    ends = np.array([record.end_ns for record in records]) - zero_ns
    served = mean_in_flight(arrivals - zero_ns, ends, start_ns, stop_ns)
    share = client / users
    return Row(
        (str(users), f"{len(records):,}", f"{share:.3%}", f"{served / users:.3%}"),
        f"client >= {_BAR_SHARE:.0%}",
        share >= _BAR_SHARE,
    )


def mean_in_flight(starts_ns: Numbers, ends_ns: Numbers, from_ns: float, to_ns: float) -> float:
    """Time-weighted mean of requests in flight between two moments."""
    inside = np.minimum(ends_ns, to_ns) - np.maximum(starts_ns, from_ns)
    return float(np.maximum(inside, 0).sum() / (to_ns - from_ns))
