"""The check of a named scenario: was it run as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics.limits import label
from loadcell.metrics.model import Check, Result
from loadcell.phrases import phrase

FINDINGS = {"scenario": "NOTED where the run changed a part of the named scenario that it was asked for"}


def _scenario(result: Result) -> Iterator[Check]:
    told = result.methodology.scenario
    if told is None:
        return
    if told.changed:
        yield label(
            "scenario", "NOTED", told.says, phrase("leave out what changes it, or call the run by another name")
        )
    else:
        yield label("scenario", "VALID", told.says)


CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_scenario,)
