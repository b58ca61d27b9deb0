"""What a recording reports of its requests, and what the engine knows of the same ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from loadcell.errors import LoadcellError
from loadcell.metrics import Bias
from loadcell.recording.read import Recording

Numbers = npt.NDArray[Any]
METRICS = ("ttft", "itl", "e2e")


class Truth(msgspec.Struct):
    """What the engine saw of one request, in ns on its monotonic clock."""

    id: str | None
    arrival_ns: int
    tokens_ns: list[int]
    end_ns: int
    outcome: str
    peer: int | None = None
    """Port of the client's end of its connection."""
    gone_ns: int | None = None
    """When its client was seen to have gone before the end."""


def reported_ms(recording: Recording, start_s: float, end_s: float) -> tuple[Numbers, dict[str, Numbers]]:
    """The ok requests that were sent in the window, followed to their end, and their service times in ms by metric."""
    table = recording.requests(("request", "status", "send_start_ns", "first_any_ns", "last_ns"))
    sent_s = table["send_start_ns"] / 1e9
    chosen = (sent_s >= start_s) & (sent_s <= end_s) & (table["status"] == "ok")
    members, sent = table["request"][chosen], table["send_start_ns"][chosen]
    gaps = [np.empty(0)]
    for part in recording.chunks(("request", "t_ns")):
        inside = np.isin(part["request"], members)
        request, t_ns = part["request"][inside], part["t_ns"][inside]
        gaps.append(np.maximum(np.diff(t_ns)[request[1:] == request[:-1]], 0))
    return members, {
        "ttft": (table["first_any_ns"][chosen] - sent) / 1e6,
        "itl": np.concatenate(gaps) / 1e6,
        "e2e": (table["last_ns"][chosen] - sent) / 1e6,
    }


def truth_ms(known: Mapping[str, Truth], run_id: str, members: Numbers) -> dict[str, Numbers]:
    """The same times by the engine's own stamps, from a request's arrival to just before each send."""
    try:
        records = [known[f"{run_id}-{request}"] for request in members.tolist()]
    except KeyError as error:
        raise LoadcellError(f"the engine does not know request {error}: was it asked by another run too?") from None
    return {
        "ttft": np.array([r.tokens_ns[0] - r.arrival_ns for r in records]) / 1e6,
        "itl": np.concatenate([np.empty(0), *(np.diff(r.tokens_ns) for r in records)]) / 1e6,
        "e2e": np.array([r.tokens_ns[-1] - r.arrival_ns for r in records]) / 1e6,
    }


def nearest_rank(values: Numbers, percent: float) -> float:
    """The sample at rank ceil(p n) of n sorted samples; NaN of none."""
    if not values.size:
        return math.nan
    rank = max(math.ceil(percent / 100 * values.size), 1) - 1
    return float(np.partition(values, rank)[rank])


def bias_of(reported: Numbers, truth: Numbers) -> Bias:
    """Reported less true at p50 and p99, as a share of the truth and in ms; None where there is nothing to compare."""
    found: dict[str, float | None] = {}
    for percent in (50, 99):
        seen, true = nearest_rank(reported, percent), nearest_rank(truth, percent)
        comparable = math.isfinite(seen - true) and true > 0
        found[f"p{percent}"] = (seen - true) / true if comparable else None
        found[f"p{percent}_ms"] = seen - true if comparable else None
    return Bias(**found)
