"""What the stages of a search say of each load that was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadcell.search.evidence import SETTLES, STEERS, answer_of
from loadcell.search.model import Answer, Stage, Trial


@dataclass(frozen=True)
class Level:
    """One load and the stages at it."""

    level: float
    stages: tuple[Stage, ...]
    """Those that count: long ones if there is any, else those of the ramp."""
    answer: Answer
    firm: bool
    """Whether a long stage tells; a stage of the ramp only shows the way."""
    settled: bool = False
    """Whether two stages or more agree beyond doubt."""

    @property
    def disturbed(self) -> bool:
        """Whether its one stage says nothing, for the client itself was in trouble: it is to be run again."""
        return len(self.stages) == 1 and not _sound(self.stages[0])

    @property
    def conflict(self) -> bool:
        """Whether one stage gives evidence for an answer, and another as much against it."""
        trials = [stage.trial for stage in self.stages if stage.trial]
        sides = [t.pass_evidence for t in trials], [t.fail_evidence for t in trials]
        return any(side and max(side) >= STEERS and min(side) <= -STEERS for side in sides)


def levels_of(stages: Sequence[Stage]) -> list[Level]:
    """Every load that was tried, in rising order. Evidence of stages at one load adds up: their arrivals differ.

    A stage that a person cut off tells what was due by then.
    """
    by_level: dict[float, list[Stage]] = {}
    for stage in stages:
        told = stage.state in ("complete", "interrupted") and stage.trial is not None and stage.trial.judged > 0
        if told and stage.ask.phase != "floor" and stage.ask.level is not None:
            by_level.setdefault(stage.ask.level, []).append(stage)
    return [_level(level, found) for level, found in sorted(by_level.items())]


def _level(level: float, stages: list[Stage]) -> Level:
    long = [stage for stage in stages if stage.ask.phase != "ramp"]
    # Of stages in which the client was in trouble one is run again; where that does not help they count, and say so.
    long, stages = ([stage for stage in group if _sound(stage)] or group for group in (long, stages))
    if not long:
        failed = any(stage.trial is not None and _looks_bad(stage.trial) for stage in stages)
        return Level(level, tuple(stages), "fail" if failed else "pass", firm=False)
    trials = [stage.trial for stage in long if stage.trial is not None]
    for_pass, for_fail = sum(t.pass_evidence for t in trials), sum(t.fail_evidence for t in trials)
    settled = len(long) > 1 and max(for_pass, for_fail) >= SETTLES
    return Level(level, tuple(long), answer_of(for_pass, for_fail), firm=True, settled=settled)


def _sound(stage: Stage) -> bool:
    return stage.trial is None or stage.trial.sound


def _looks_bad(trial: Trial) -> bool:
    """Whether a stage of the ramp is taken for a failure, for the time being."""
    return trial.answer == "fail" or trial.stable is False or trial.fail_evidence > trial.pass_evidence


def bracket(levels: Sequence[Level]) -> tuple[Level | None, Level | None]:
    """The lowest load that fails, and the highest below it that passes, as (low, high)."""
    high = next((level for level in levels if level.answer == "fail"), None)
    below = [x for x in levels if x.answer == "pass" and (high is None or x.level < high.level)]
    return (below[-1] if below else None), high
