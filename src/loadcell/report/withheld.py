"""A sweep without the figures of its INVALID stages."""

from __future__ import annotations

import msgspec

from loadcell.metrics.model import Share, Word
from loadcell.search.model import Found, Point, Stable, Stage, Sweep

_KEPT = ("verdict", "reasons", "stable", "requests", "failed_share", "concurrency", "server")
"""Of a point: these say what went wrong."""
_LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")


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


def withhold_stages(sweep: Sweep) -> Sweep:
    """The sweep without the figures of INVALID stages, and without an answer that rests on one."""
    bad = invalid_stages(sweep)
    if not bad:
        return sweep
    stages = [_bare(stage) if stage.ask.number in bad else stage for stage in sweep.stages]
    found = sweep.found if sweep.found is None or not invalid_ends(sweep) else _answerless(sweep.found, bad)
    return msgspec.structs.replace(sweep, stages=stages, found=found, withheld=True)


def _bare(stage: Stage) -> Stage:
    assert stage.point is not None
    figures = [name for name in Point.__struct_fields__ if name not in _KEPT]
    nothing = dict.fromkeys(figures) | {name: {} for name in _LATENCIES}
    unknown = Share(value=None, low=None, high=None)
    says = "not shown: the stage is INVALID"
    trial = stage.trial and msgspec.structs.replace(stage.trial, attainment=unknown, says=says)
    return msgspec.structs.replace(stage, point=msgspec.structs.replace(stage.point, **nothing), trial=trial)


def _answerless(found: Found, bad: list[int]) -> Found:
    return msgspec.structs.replace(
        found,
        low=None,
        high=None,
        width=None,
        likely=None,
        binding=None,
        stable=Stable(low=None, high=None, served_per_s=None),
        says=f"not shown: it rests on INVALID stages ({', '.join(map(str, bad))}); --force shows it",
    )
