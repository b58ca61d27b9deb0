"""Where every planned request went: planned = ok + failed + cancelled + unsent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadcell.advice import advice_for
from loadcell.metrics.model import Counts, Failure
from loadcell.metrics.rows import Floats, Mask, Rows
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
                invalid.append(
                    phrase("worker {} recorded {} requests but started {}", audit.get("worker"), recorded, started)
                )
    ok, failed, cancelled = (int(np.count_nonzero(mask)) for mask in (rows.ok, rows.failed, rows.cancelled))
    counted = int(np.count_nonzero(rows.counted))
    if ok + failed + cancelled != counted:
        invalid.append(
            phrase("{} requests have a status that is not ok, failed or cancelled", counted - ok - failed - cancelled)
        )
    started = counted + lost
    planned = started if manifest.planned is None else manifest.planned
    if started > planned:
        invalid.append(phrase("the accounts do not close: {} requests were planned, {} started", planned, started))
    counts = Counts(
        planned=planned,
        ok=ok,
        failed=failed + lost,
        cancelled=cancelled,
        unsent=planned - ok - failed - lost - cancelled,
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
    planned = schedule_planned[missing]
    planned = planned[~np.isnan(planned)]  # turns that waited for others had no time
    return Unrecorded(np.sort(planned), accounts.lost, max(0, accounts.counts.unsent))


def window_counts(rows: Rows, members: Mask, lost: int, unsent: int) -> Counts:
    """Counts of the window's requests."""
    ok, failed, cancelled = (int(np.count_nonzero(mask & members)) for mask in (rows.ok, rows.failed, rows.cancelled))
    return Counts(
        planned=ok + failed + lost + cancelled + unsent, ok=ok, failed=failed + lost, cancelled=cancelled, unsent=unsent
    )
