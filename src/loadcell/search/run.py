"""The loop of a sweep: ask for a stage, run it, read it, until there is nothing more to ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.errors import EndpointError, LoadcellError, RecordingError
from loadcell.recording.campaign import set_aside
from loadcell.recording.read import dump_json
from loadcell.search.build import together
from loadcell.search.folder import SESSIONS, SWEEP, read_sessions, stage_folders
from loadcell.search.idle import requests_there, wait_idle
from loadcell.search.model import Ask, Plan, Stage, Sweep
from loadcell.search.next import next_ask
from loadcell.search.stages import Seen, asked_in, check_stages, run_stage, see_stage, served_nothing
from loadcell.spec import Spec

if TYPE_CHECKING:
    from loadcell.load.fleet import Watch


def run_sweep(
    spec: Spec,
    plan: Plan,
    folder: Path,
    watch: Watch,
    on_stage: Callable[[Stage], None],
    *,
    on_ask: Callable[[Ask], None] = lambda _: None,
    selftest: dict[str, Any] | None = None,
    resume: bool = False,
) -> Sweep:
    """Run the stages of `plan` into `folder` one after the other; what they show together.

    `spec` is the plan's with its secrets. `on_ask` is told of each stage before it runs, `on_stage` of what it showed.
    With `resume` the stages that `folder` has in full are kept (and told to `on_stage`), those cut off are set aside
    and run again; the plan must be the same.

    A stage that a person interrupts ends the sweep: it is the last one of the Sweep, and its state says so. Between two
    stages, KeyboardInterrupt is raised. LoadcellError says why it could not go on, and how it can; the stages so far
    are kept, and `build_sweep(folder)` tells of them.
    """
    check_stages(spec, plan)
    if resume:
        SWEEP.read(folder)  # which says what the folder is, if it is none
    with SWEEP.own(folder, resume=resume):
        SWEEP.keep(folder, plan)
        seen = _kept(folder, plan)
        for one in seen:
            on_stage(one.stage)
        before, start_s = read_sessions(folder), time.monotonic()
        usual = requests_there(spec)
        while (ask := next_ask(plan, [one.stage for one in seen])) is not None:
            on_ask(ask)
            late = wait_idle(spec, usual, seen[-1].stage) if seen else None
            try:
                one = run_stage(spec, plan, ask, folder, watch, selftest=selftest, notes=[late] if late else [])
            except LoadcellError as error:
                raise _with_advice(error, folder, seen) from error
            seen.append(one)
            dump_json(folder / SESSIONS, [*before, time.monotonic() - start_s])
            on_stage(one.stage)
            if one.stage.state == "interrupted":
                break
            _require_sound(folder, seen)
        return together(folder, plan, seen)


def _kept(folder: Path, plan: Plan) -> list[Seen]:
    """The stages that need not be run again; the others are set aside.

    In a search every stage follows from those before it: what came after one that was cut goes with it.
    """
    kept: list[Seen] = []
    cut = False
    for stage in stage_folders(folder):
        one = None if asked_in(stage) is None or (cut and plan.mode == "search") else see_stage(stage, plan)
        if one is None or one.stage.state != "complete" or one.facts is None or served_nothing(one.facts):
            set_aside(stage)
            cut = True
        else:
            kept.append(one)
    return kept


def _with_advice(error: LoadcellError, folder: Path, seen: Sequence[Seen]) -> LoadcellError:
    """The error with what is kept and how to go on."""
    kept, words = list(seen), str(error).rstrip(".")
    if isinstance(error, EndpointError) and kept and kept[-1].facts is not None and kept[-1].facts.dead_at_end:
        died = kept.pop().stage  # its figures are those of a dying server
        aside = set_aside(folder / died.folder)
        words += f". It failed during stage {died.ask.number} already, which was set aside as {aside.name}"
    elif not kept:
        return error
    return type(error)(f"{words}. {_count(kept)} kept in {folder}; to go on: loadcell sweep {folder} --resume")


def _require_sound(folder: Path, seen: Sequence[Seen]) -> None:
    """An error where the last stage says that the next one would show nothing."""
    stage, facts = seen[-1].stage, seen[-1].facts
    if stage.state != "complete":
        why = RecordingError(f"stage {stage.ask.number} broke off: {stage.ended}")
        raise _with_advice(why, folder, seen[:-1] or seen)
    if facts is not None and served_nothing(facts):
        lost = EndpointError(
            f"no request of stage {stage.ask.number} succeeded ({facts.failure}): the sweep ends here; --resume runs "
            "this stage again"
        )
        raise _with_advice(lost, folder, seen[:-1]) if len(seen) > 1 else lost


def _count(kept: Sequence[Seen]) -> str:
    return "1 stage is" if len(kept) == 1 else f"{len(kept) or 'No'} stages are"
