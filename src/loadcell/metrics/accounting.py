"""Where every planned request went: planned = ok + failed + cancelled + unsent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadcell.metrics.model import Counts, Failure
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.recording.schema import Manifest

_ADVICE = {
    "connect": "check the URL and that the server listens; raise --connect-timeout, or lower the load if it refuses",
    "timeout": "raise --timeout, or lower the load: the server did not finish in time",
    "http_400": "the server refused the request: check --model, the lengths and extra body fields",
    "http_401": "set the API key in the environment variable that --api-key-env names",
    "http_403": "the key may not use this model or endpoint",
    "http_404": "check the URL's path, --api and the model's name",
    "http_413": "the prompt is too long for the server: shorten the input",
    "http_429": "the server limits the rate: lower the load, or lift its limit",
    "http_4xx": "the server refused the request: read its words in the sample",
    "http_5xx": "the server failed: read its log at that time",
    "stream_error": "the server reported an error inside the stream: read its log",
    "gave_up": "the server ended its output for a reason that is none of a whole one: read its log at that time",
    "reset": "the server hung up without a reply: look for a crash, a proxy or a limit on connections",
    "cut": "the connection closed before the end of the stream: look for a crash, a proxy or its time limit",
    "protocol": "the reply is not HTTP or SSE as it should be: check what stands between here and the server",
    "invalid_json": "the reply is not the JSON of this API: check --api",
    "too_large": "the reply is larger than the client accepts: check --api and the output length",
    "empty": "the reply ended without output: check the chat template, stop tokens and output length",
    "lost": "the worker died before it wrote these: see the notes and this machine's log (memory?)",
}


def advice_for(kind: str) -> str | None:
    """What to do about a kind of failure; None for an unknown one."""
    if kind in _ADVICE:
        return _ADVICE[kind]
    return _ADVICE.get(f"{kind[:6]}xx") if kind.startswith("http_") else None


@dataclass(frozen=True)
class Accounts:
    """The accounting of the whole run."""

    counts: Counts
    lost: int
    """Started by a worker that died before it recorded them; counted as failed."""
    invalid: list[str]
    errors: list[Failure]


def account(manifest: Manifest, audits: Sequence[dict[str, Any]], rows: Rows) -> Accounts:
    """Count every planned request once, and say where that cannot be done."""
    invalid: list[str] = []
    lost = 0
    for audit in audits:
        if audit.get("issued") is not None:
            recorded = int(np.count_nonzero(rows.counted & (rows.worker == audit.get("worker"))))
            started = audit["issued"] - audit.get("beyond", 0)
            lost += max(0, started - recorded)
            if recorded > started:
                invalid.append(f"worker {audit.get('worker')} recorded {recorded} requests but started {started}")
    repeated = int(np.count_nonzero(np.diff(rows.request) == 0))  # rows are ordered by request
    if repeated:
        invalid.append(f"{repeated} requests are recorded more than once")
    ok, failed, cancelled = (int(np.count_nonzero(mask)) for mask in (rows.ok, rows.failed, rows.cancelled))
    counted = int(np.count_nonzero(rows.counted))
    if ok + failed + cancelled != counted:
        invalid.append(
            f"{counted - ok - failed - cancelled} requests have a status that is not ok, failed or cancelled"
        )
    started = counted + lost
    planned = started if manifest.planned is None else manifest.planned
    if started > planned:
        invalid.append(f"the accounts do not close: {planned} requests were planned, {started} started")
    counts = Counts(
        planned=planned,
        ok=ok,
        failed=failed + lost,
        cancelled=cancelled,
        unsent=planned - ok - failed - lost - cancelled,
    )
    failures = rows.failures | ({"lost": (lost, None)} if lost else {})
    errors = [
        Failure(kind=kind, count=count, sample=sample, advice=advice_for(kind))
        for kind, (count, sample) in failures.items()
    ]
    return Accounts(counts=counts, lost=lost, invalid=invalid, errors=errors)


@dataclass(frozen=True)
class Unrecorded:
    """Planned requests without a row: those lost and those never sent."""

    planned: Floats
    """Their planned times in an open loop, in order; empty in a closed loop, where they have none."""
    lost: int
    unsent: int

    def inside(self, start: float, end: float, *, whole_run: bool) -> tuple[int, int]:
        """(lost, unsent) between two times. Those without a time count where the window is not chosen by hand.

        Lost requests had been started, so of those with a time they are taken to be the earliest.
        """
        if not self.planned.size:
            return (self.lost, self.unsent) if whole_run else (0, 0)
        first, last = np.searchsorted(self.planned, start), np.searchsorted(self.planned, end, side="right")
        lost = max(0, min(int(last), self.lost) - int(first))
        return lost, int(last - first) - lost


def unrecorded(accounts: Accounts, rows: Rows, schedule_request: Floats, schedule_planned: Floats) -> Unrecorded:
    """The requests without a row; the schedule's columns are empty in a closed loop."""
    missing = ~np.isin(schedule_request, rows.request) & (schedule_request < accounts.counts.planned)
    return Unrecorded(np.sort(schedule_planned[missing]), accounts.lost, max(0, accounts.counts.unsent))


def window_counts(rows: Rows, members: Mask, lost: int, unsent: int) -> Counts:
    """Counts of the window's requests."""
    ok, failed, cancelled = (int(np.count_nonzero(mask & members)) for mask in (rows.ok, rows.failed, rows.cancelled))
    return Counts(
        planned=ok + failed + lost + cancelled + unsent, ok=ok, failed=failed + lost, cancelled=cancelled, unsent=unsent
    )
