"""The verdict on another tool's run: what its rows show is judged, and what nobody can judge is said in one reason.

Such a run is SUSPECT at best: nobody judged the client that measured it. It is INVALID where the file or the run itself
is damaged; a load that was not the one asked for is the tool's affair, and a matter of care.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from loadcell.metrics.imported import UNKNOWN, named, placed
from loadcell.metrics.limits import label
from loadcell.metrics.model import Check, Result
from loadcell.phrases import joined, phrase

FINDINGS = {
    "imported": phrase(
        "SUSPECT where another tool made the load: nobody judged its client. Of the other checks only those are made "
        "that its files have the data for"
    ),
}
_OF_COUNTS = frozenset(("accounting", "no success", "failures"))
_OF_PLAN = frozenset(("unsent", "arrivals", "gaps", "send_lateness"))
_OF_LOAD = frozenset(("stability", "change", "cold_start", "drained", "lasted", "concurrency"))
_DAMAGE = _OF_COUNTS
"""Checks that make an import INVALID."""


def judged(result: Result, checks: Sequence[Check]) -> list[Check]:
    """The checks that an import has the data for, led by what it has none for; without advice on flags of ours."""
    imported = result.imported
    if imported is None:
        return list(checks)
    kept = _OF_COUNTS | (_OF_LOAD if placed(imported) else frozenset())
    if result.methodology.loop == UNKNOWN:
        kept -= {"concurrency", "lasted", "stability"}
    if result.instrument.arrivals.planned_rate is not None:
        kept |= _OF_PLAN
    found = [
        msgspec.structs.replace(one, advice=None, word="SUSPECT" if _too_hard(one) else one.word)
        for one in checks
        if one.name in kept
    ]
    known = {one.name for one in found if one.word is not None}
    lacking = [words for names, words in _GROUPS if not names & known]
    says = phrase(
        "imported from {}: nobody judged its client. What cannot be judged: {}", named(imported), joined(", ", lacking)
    )
    return [label("imported", "SUSPECT", says), *found]


def _too_hard(check: Check) -> bool:
    return check.word == "INVALID" and check.name not in _DAMAGE


_GROUPS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset(), phrase("how exact its times are")),
    (_OF_PLAN, phrase("whether requests were sent in time")),
    (frozenset(), phrase("whether its machine kept up")),
    (frozenset(), phrase("its connections")),
    (frozenset(), phrase("its counts of tokens")),
    (_OF_LOAD, phrase("whether the load was steady")),
)
"""What a verdict of ours rests on, by the checks that tell of it."""
