"""Where every planned request went: planned = ok + failed + abandoned + cancelled + unsent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadcell.advice import advice_for
from loadcell.metrics.model import Counts, Failure
from loadcell.metrics.rows import Floats, Ids, Mask, Rows
from loadcell.phrases import phrase
from loadcell.recording.schema import Manifest


@dataclass(frozen=True)
class Accounts:
    """The accounting of the whole run."""

    counts: Counts
    lost: int
    """Started by a worker that died before it recorded them; counted as failed."""
    invalid: list[str]
    errors: list[Failure]


def account(manifest: Manifest, audits: Sequence[dict[str, Any]], rows: Rows, unsent: int = 0) -> Accounts:
    """Count every planned request once, and say where that cannot be done. Where nobody planned a number of requests,
    those are planned that were started, and so many that have a planned time and no row."""
    invalid: list[str] = []
    lost = 0
    for audit in audits:
        if audit.get("issued") is not None:
            recorded = int(np.count_nonzero(rows.counted & (rows.worker == audit.get("worker"))))
            started = audit["issued"] - audit.get("beyond", 0)
            lost += max(0, started - recorded)
            if recorded > started:
                invalid.append(
                    phrase("worker {} recorded {} requests but started {}", audit.get("worker"), recorded, started)
                )
    ok, failed, cancelled, abandoned = (
        int(np.count_nonzero(mask)) for mask in (rows.ok, rows.failed, rows.cancelled, rows.abandoned)
    )
    counted = int(np.count_nonzero(rows.counted))
    ended = ok + failed + cancelled + abandoned
    if ended != counted:
        invalid.append(
            phrase("{} requests have a status that is not ok, failed, abandoned or cancelled", counted - ended)
        )
    started = counted + lost
    planned = started + max(0, unsent - lost) if manifest.planned is None else manifest.planned
    if started > planned:
        invalid.append(phrase("the accounts do not close: {} requests were planned, {} started", planned, started))
    counts = Counts(
        planned=planned,
        ok=ok,
        failed=failed + lost,
        cancelled=cancelled,
        unsent=planned - ended - lost,
        abandoned=abandoned,
    )
    failures = rows.failures | ({"lost": (lost, None)} if lost else {})
    called = manifest.effective.get("called_by") is not None
    errors = [
        Failure(kind=kind, count=count, sample=sample, advice=advice_for(kind, sample, called=called))
        for kind, (count, sample) in failures.items()
    ]
    return Accounts(counts=counts, lost=lost, invalid=invalid, errors=errors)


@dataclass(frozen=True)
class Unrecorded:
    """Planned requests without a row: those lost and those never sent."""

    planned: Floats
    """Their planned times in an open loop, in order; empty in a closed loop, where they have none.

    Requests that wait for others have no time until these have ended: such that were never sent are in no window, and
    the figures of sessions count them."""
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


def without_row(manifest: Manifest, rows: Rows, request: Ids, planned_ns: Floats, waiting: Ids) -> Floats:
    """Planned times, in order, of the requests of an open loop that have no row, by the columns of its schedule; those
    that wait for others (`waiting`) have no time. Where sessions arrive until a time, those that were to begin by then.
    """
    missing = ~np.isin(request, rows.request) & ~np.isin(request, waiting)
    if manifest.planned is not None:
        missing &= request < manifest.planned
    elif manifest.window_end_ns is not None:
        missing &= planned_ns < manifest.window_end_ns
    return np.sort(planned_ns[missing])


def unrecorded(accounts: Accounts, rows: Rows, planned: Floats, waiting: Ids) -> Unrecorded:
    """The requests without a row; `planned` are the times of those that wait for none, none in a closed loop."""
    unsent = max(0, accounts.counts.unsent)
    turns = int(np.count_nonzero((waiting < accounts.counts.planned) & ~np.isin(waiting, rows.request)))
    return Unrecorded(planned, accounts.lost, unsent - min(turns, unsent))


def window_counts(rows: Rows, members: Mask, lost: int, unsent: int) -> Counts:
    """Counts of the window's requests."""
    ok, failed, cancelled, abandoned = (
        int(np.count_nonzero(mask & members)) for mask in (rows.ok, rows.failed, rows.cancelled, rows.abandoned)
    )
    return Counts(
        planned=ok + failed + lost + cancelled + abandoned + unsent,
        ok=ok,
        failed=failed + lost,
        cancelled=cancelled,
        unsent=unsent,
        abandoned=abandoned,
    )
