"""From a recording to its queries, as LoadGen would have seen them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import RecordingError
from loadcell.mlperf.model import Queries, Scenario
from loadcell.recording.read import Recording, Table
from loadcell.workload.loadgen import SAMPLES_PER_QUERY

_COLUMNS = (
    "request", "status", "planned_ns", "ready_ns", "send_start_ns", "first_any_ns", "end_ns", "output_tokens",
)  # fmt: skip


class _Shape(NamedTuple):
    """How a scenario groups requests into queries, and when these count as scheduled."""

    scheduled: str | None
    """Column with the scheduled time; None: everything is due at the start of the load."""
    samples: int | None
    """Samples a query; None: one query holds all."""


_SHAPES: dict[Scenario, _Shape] = {
    "offline": _Shape(None, None),
    "server": _Shape("planned_ns", 1),
    "interactive": _Shape("planned_ns", 1),
    "singlestream": _Shape("ready_ns", 1),
    "multistream": _Shape("ready_ns", SAMPLES_PER_QUERY),
}


def read_queries(recording: Recording, scenario: Scenario) -> Queries:
    """The requests of `recording` that ended, in issue order, as queries of `scenario`.

    Scheduled is the planned time (server), the start of the load (offline), or when the client was ready for the next
    query (single- and multistream). The first token is the first output of any kind, completion the end of the reply.
    RecordingError if the recording does not say which sample each request sent, or has no times of this scenario.
    """
    rows = recording.requests(_COLUMNS)
    shape = _SHAPES[scenario]
    issued = rows["send_start_ns"].astype(np.float64)
    due = np.zeros(len(issued)) if shape.scheduled is None else rows[shape.scheduled].astype(np.float64)
    if np.isnan(due).any():
        loop = "open" if shape.scheduled == "planned_ns" else "closed"
        raise RecordingError(f"{recording.path} is no {scenario} run: its requests have no times of an {loop} loop")
    issued = np.where(np.isnan(issued), due, issued)  # a request that found no connection was never sent
    end = rows["end_ns"].astype(np.float64)
    request = rows["request"].astype(np.int64)
    query = np.zeros_like(request) if shape.samples is None else request // shape.samples
    return Queries(
        query=query,
        sample=_samples(recording, request),
        scheduled_ns=due.astype(np.int64),
        issued_ns=issued.astype(np.int64),
        first_ns=rows["first_any_ns"].astype(np.float64),
        end_ns=np.where(np.isnan(end), issued, end).astype(np.int64),
        tokens=rows["output_tokens"].astype(np.float64),
        ok=_ok(rows),
    )


def _samples(recording: Recording, request: NDArray[np.int64]) -> NDArray[np.int64]:
    schedule = recording.schedule(("request", "prompt"))
    prompt = schedule["prompt"].astype(np.float64)
    place = np.searchsorted(schedule["request"], request)
    known = place < len(prompt)
    if not known.all() or np.isnan(prompt[place]).any():
        raise RecordingError(
            f"{recording.path} does not say which sample each request sent: it is no run of `loadcell mlperf run`"
        )
    return prompt[place].astype(np.int64)


def _ok(rows: Table) -> NDArray[np.bool_]:
    status: NDArray[Any] = rows["status"]
    return np.asarray(status == "ok", dtype=np.bool_)
