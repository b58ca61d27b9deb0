"""From the folder of a sweep to what it says: a pure function of the plan and the recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from loadcell import __version__
from loadcell.phrases import joined, phrase
from loadcell.recording.campaign import all_set_aside
from loadcell.search.curves import curves, left_out
from loadcell.search.folder import SWEEP, read_sessions, stage_folders
from loadcell.search.model import Plan, Stage, Sweep
from loadcell.search.stages import Facts, Seen, see_stages, served_nothing

_CACHED = 0.1
"""Share of a stage's prompt tokens from a cache above which it is said."""


def build_sweep(folder: Path) -> Sweep:
    """What the sweep in `folder` says, as far as it came; RecordingError if it is none."""
    plan = SWEEP.read(folder)
    return together(folder, plan, see_stages(folder, plan))


def together(folder: Path, plan: Plan, seen: Sequence[Seen]) -> Sweep:
    """The same from stages that were read already."""
    seen = sorted(seen, key=lambda one: one.stage.ask.number)
    stages = [one.stage for one in seen]
    found = None
    if plan.mode == "search":
        from loadcell.search.answer import answer

        # A stage that nobody answered says nothing of its load: the server was gone, and it is to be run again.
        gone = {one.stage.ask.number for one in seen if one.facts is not None and served_nothing(one.facts)}
        found = answer(plan, [s for s in stages if s.ask.number not in gone or s.ask.phase == "floor"])
    planned = len(plan.stages) if plan.mode == "grid" else None
    loads_s = [stage.took_s for stage in stages if stage.took_s is not None]
    return Sweep(
        loadcell=__version__,
        plan=plan,
        planned=planned,
        stages=stages,
        found=found,
        curves=curves(plan, stages),
        findings=[*_whole(folder, plan, stages), *_apart(stages), *_drift(plan, seen)],
        took_s=sum(read_sessions(folder)) or (sum(loads_s) if loads_s else None),
    )


def numbers(stages: Sequence[int]) -> str:
    """Numbers of stages in words, as in "stages 2 to 5 and 8"."""
    runs: list[list[int]] = []
    for number in sorted(stages):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [phrase("{} to {}", run[0], run[-1]) if len(run) > 2 else joined(" and ", map(str, run)) for run in runs]
    return phrase(phrase("stages {}") if len(stages) > 1 else phrase("stage {}"), joined(", ", parts))


def _whole(folder: Path, plan: Plan, stages: Sequence[Stage]) -> Iterator[str]:
    """Whether the sweep came to its end."""
    missing = set(range(1, len(plan.stages) + 1)) - {stage.ask.number for stage in stages}
    if missing and plan.mode == "grid":
        yield phrase(
            "{} of {} did not run; to go on: loadcell sweep {} --resume",
            numbers(list(missing)),
            len(plan.stages),
            folder,
        )
    for stage in stages:
        if stage.state != "complete" or stage.point is None:
            ended = stage.ended or phrase("its figures cannot be had")
            says = phrase("stage {}: {}", stage.ask.number, ended)
            yield says if stage.state == "complete" else phrase("{}; --resume runs it again", says)
    known = {stage.folder for stage in stages}
    if strange := [path.name for path in stage_folders(folder) if path.name not in known]:
        yield phrase(
            "not counted, for they do not say which stage they are: {}; --resume runs them again", ", ".join(strange)
        )
    if aside := all_set_aside(folder):
        yield phrase(
            "set aside because they were cut off, and counted nowhere: {}", ", ".join(path.name for path in aside)
        )


def _apart(stages: Sequence[Stage]) -> Iterator[str]:
    """Stages that may not be set beside the others."""
    invalid = [stage for stage in stages if stage.point is not None and stage.point.verdict == "INVALID"]
    if invalid and (point := invalid[0].point) is not None:
        why = next(iter(point.reasons), phrase("see its report"))
        some = numbers([stage.ask.number for stage in invalid])
        if len(invalid) == 1:
            yield phrase("{} INVALID: {}", some, why)
        else:
            yield phrase("{} INVALID, stage {} because: {}", some, invalid[0].ask.number, why)
    unstable = [stage.ask.number for stage in stages if left_out(stage) == "unstable"]
    if unstable:
        yield phrase(
            "{} unstable: latencies there grow with the length of the stage. They are in the table, "
            "and in no Pareto front and no fit",
            numbers(unstable),
        )


def _drift(plan: Plan, seen: Sequence[Seen]) -> Iterator[str]:
    """What was not the same in all stages, or bent them."""
    known = [(one.stage.ask.number, one.facts) for one in seen if one.facts is not None]
    changed = {path for changes in plan.stages for path in changes}
    for what, tell, paths in _SAME:
        values = {value for _, facts in known if (value := tell(facts)) is not None}
        if len(values) > 1 and not changed & set(paths):
            first = next((n for n, facts in known if tell(facts) not in (None, tell(known[0][1]))), None)
            yield phrase(
                "{} changed at stage {}: {}; the stages are not alike", what, first, ", ".join(map(str, sorted(values)))
            )
    shared = [number for number, facts in known if facts.server_place not in (None, "elsewhere", phrase("other cores"))]
    declared = all(facts.place_declared for _, facts in known)
    if shared and not declared:
        yield phrase(
            "client and server share this machine's cores: more load slows the server by more than its own work"
        )
    cached = [number for number, facts in known if facts.cached_share is not None and facts.cached_share > _CACHED]
    if cached:
        yield phrase(
            "{}: the server took prompts from its prefix cache, and is faster there than for new ones", numbers(cached)
        )
    differing = [path for path in changed if path.startswith("workload.")]
    if differing:
        yield phrase("stages differ in {}: their tokens/s are those of different work", ", ".join(sorted(differing)))


_SAME: tuple[tuple[str, Callable[[Facts], str | None], tuple[str, ...]], ...] = (
    (phrase("the model"), lambda facts: facts.model, ("endpoint.model", "endpoint.url")),
    (phrase("the server's address"), lambda facts: facts.address, ("endpoint.url",)),
    (phrase("the version of loadcell"), lambda facts: facts.loadcell, ()),
    (phrase("this machine"), lambda facts: facts.machine, ()),
)
