"""Which stages of a sweep are sound, and which ones its answer rests on."""

from __future__ import annotations

from loadcell.metrics.model import Word
from loadcell.phrases import phrase
from loadcell.search.model import Found, Stage, Sweep


def stage_word(stage: Stage) -> Word | None:
    """What a stage is worth: of a search, one that knows who kept to the limits is at most SUSPECT by other figures."""
    if stage.point is None:
        return None
    known = stage.point.verdict == "INVALID" and stage.trial is not None and stage.trial.sound
    return "SUSPECT" if known else stage.point.verdict


def invalid_stages(sweep: Sweep) -> list[int]:
    """Numbers of the stages whose figures may not be trusted."""
    return [stage.ask.number for stage in sweep.stages if stage_word(stage) == "INVALID"]


def invalid_ends(sweep: Sweep) -> list[int]:
    """Numbers of the INVALID stages that the answer of a search rests on."""
    ends = set() if sweep.found is None else rests_on(sweep.found)
    return [number for number in invalid_stages(sweep) if number in ends]


def rests_on(found: Found) -> set[int]:
    """Numbers of the stages that an answer rests on."""
    ends = {number for end in (found.low, found.high) if end for number in end.stages}
    return ends if found.likely is None else ends | set(found.likely.stages)


def unanswered(sweep: Sweep) -> str | None:
    """Why a search has no answer although it has a bracket; None where it has one, or none to begin with."""
    bad = invalid_ends(sweep)
    return phrase("not answered: the bracket rests on INVALID stages ({})", ", ".join(map(str, bad))) if bad else None
