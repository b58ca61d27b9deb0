"""Stages by load: which stand for a load where a search tried it more than once."""

from __future__ import annotations

from loadcell.metrics.throughput import OF_RESULTS
from loadcell.search.model import Stage, Sweep


def ordered(sweep: Sweep) -> list[Stage]:
    """Stages by load; those without one (a floor) are left out where the sweep has an axis.

    A search tries a load again: the stage that judged most stands for it.
    """
    if sweep.plan.axis is None:
        return sweep.stages
    known = [(stage.ask.level, stage) for stage in sweep.stages if stage.ask.level is not None]
    rising = [stage for _, stage in sorted(known, key=lambda pair: (pair[0], pair[1].ask.number))]
    if sweep.found is None:
        return rising
    longest: dict[float | None, Stage] = {}
    for stage in rising:
        before = longest.get(stage.ask.level)
        if before is None or _weight(stage) > _weight(before):
            longest[stage.ask.level] = stage
    return list(longest.values())


def _weight(stage: Stage) -> tuple[bool, int]:
    """Whether a stage shows figures, and of how many requests."""
    made = (getattr(stage.point, name) for name in ("output_tokens_per_s", *OF_RESULTS)) if stage.point else ()
    shows = any(rate is not None for rate in made)
    return shows, stage.trial.judged if stage.trial else 0
