"""The check of the server's prefix cache: did it have what prompts share by plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from loadcell.metrics.limits import Limits, grade, label, number
from loadcell.metrics.model import Check, HitShare, Result
from loadcell.phrases import phrase

LIMITS = {
    "missed_hits": Limits(
        phrase("input tokens that prompts share by plan and the server's cache did not have (NOTED beyond)"),
        "share",
        0.05,
        None,
    ),
}
_BY = {"usage": phrase("by its usage"), "page": phrase("by its counters")}
_WHY = phrase(
    "they were evicted (a cache that is too small, more groups than slots), asked for again before they were read, or "
    "lie in no whole block: figures are of a server that had so much of the prompts, no more"
)


def _missed(result: Result) -> Iterator[Check]:
    """Less in the cache than prompts share is what the server made of the load that was asked for, and no fault of the
    run; more than they share is judged as the cached prompts of any run."""
    found = result.cache
    if found is None or not found.intended_share:
        return
    told = next((one for one in found.reported if one.difference is not None), None)
    if told is None:
        says = phrase(
            "prompts share {} of the input tokens by plan; the server does not tell what its cache had of them",
            number(found.intended_share, "share", 3),
        )
        yield label("missed_hits", None, says)
        return
    check = grade(
        result, "missed_hits", max(0.0, -(told.difference or 0.0)), hits_say(told), _WHY, limits=LIMITS["missed_hits"]
    )
    if check.word == "SUSPECT":
        in_blocks = found.intended_in_blocks
        advice = (
            phrase("{}. In blocks of {} tokens {} are shared", _WHY, found.block_tokens, number(in_blocks, "share", 3))
            if in_blocks is not None
            else _WHY
        )
        check = msgspec.structs.replace(check, word="NOTED", advice=advice)
    yield check


def hits_say(told: HitShare) -> str:
    """What a witness says beside what was intended."""
    return phrase(
        "the server's cache had {} of the prompt tokens {}; one without bounds would have {}",
        number(told.share, "share", 3), _BY[told.source], number(told.intended, "share", 3),
    )  # fmt: skip


CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_missed,)
