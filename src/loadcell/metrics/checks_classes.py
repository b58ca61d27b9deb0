"""Of several endpoints or models: whose failures they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics.limits import label
from loadcell.metrics.model import Check, Result
from loadcell.phrases import phrase

FINDINGS = {
    "class": "of several endpoints, models or addresses: SUSPECT where every request of one failed and others "
    "succeeded; NOTED where all failures are of one",
}


def _whose(result: Result) -> Iterator[Check]:
    if not result.counts.run.ok:  # there is no success to compare with
        return
    for groups in (result.classes, result.addresses):
        failed = sum(group.counts.run.failed for group in groups)
        for group in groups:
            run = group.counts.run
            if run.failed and not run.ok:
                yield label(
                    "class",
                    "SUSPECT",
                    phrase("every request of {} failed ({:,} of {:,} failures)", group.name, run.failed, failed),
                    phrase("latencies and rates are of the others: see its errors, or leave it out"),
                )
            elif run.failed and run.failed == failed:
                yield label("class", "NOTED", phrase("all {:,} failures are of {}", failed, group.name))


CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_whose,)
