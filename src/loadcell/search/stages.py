"""One stage: its Spec, its load, and what its recording shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from loadcell.errors import LoadcellError, RecordingError, UsageError
from loadcell.load import run_load
from loadcell.load.fit import check_fit
from loadcell.load.prepare import worker_count
from loadcell.metrics import Result, TokenClosure, build_result
from loadcell.metrics.checks import ALL_LIMITS
from loadcell.metrics.imported import placed
from loadcell.metrics.model import Host
from loadcell.phrases import joined, phrase
from loadcell.recording.campaign import set_aside_of
from loadcell.recording.read import Recording, dump_json, open_recording, read_json, read_manifest
from loadcell.recording.schema import Manifest
from loadcell.search.folder import STAGE, SWEEP, stage_folders, stage_name
from loadcell.search.grid import changed_spec, label
from loadcell.search.model import Ask, Plan, Stage
from loadcell.search.points import point_of
from loadcell.spec import Spec, with_defaults

if TYPE_CHECKING:
    from loadcell.load.fleet import Watch
    from loadcell.load.steer import Steer

_CUTS = 1000
"""A stage that is run again has prompts of its own: repetitions beyond those of any other stage."""
_LOOKS, _LEAST_EVERY_S = 20, 0.25
"""Looks at the server that a stage has at least, as far as they come no faster than this."""
_TAIL = 5
"""Requests at the end of a stage that all failed: the endpoint had died."""


@dataclass(frozen=True)
class Facts:
    """What one stage's recording tells that matters beside another's."""

    model: str | None
    address: str | None
    loadcell: str
    machine: str | None
    server_place: str | None
    place_declared: bool
    cached_share: float | None
    ok: int
    failed: int
    timeouts: int
    failure: str | None
    """The most frequent failure, in words."""
    dead_at_end: bool
    """The last requests that ended all failed."""


@dataclass(frozen=True)
class Seen:
    """A stage and the facts of its recording; None where it cannot be read."""

    stage: Stage
    facts: Facts | None


# --- before its load -------------------------------------------------------------------------------------------------


def stage_spec(spec: Spec, plan: Plan, ask: Ask, cuts: int = 0) -> Spec:
    """The Spec of a stage; UsageError if it cannot be.

    Its prompts are those of a repetition of their own: the server's prefix cache knows them from no other stage, nor
    from the `cuts` of this one that were begun before. Lengths and (in an open loop) the pattern of arrivals are the
    same in all stages that do not change them: common random numbers.
    """
    settings: dict[str, Any] = {
        "run.seed": plan.seed,
        "run.repetition": spec.run.repetition + ask.number + _CUTS * cuts,
        "load.duration_s": ask.changes.get("load.duration_s", plan.stage_s),
    }
    if plan.mode == "search":  # what is given up at the end of a stage would be a load on the next
        settings["load.keep_load"] = False
    if spec.observe.every_s:  # some looks at the server in short stages too
        length_s = float(settings["load.duration_s"] or 0.0)
        settings["observe.every_s"] = min(spec.observe.every_s, max(_LEAST_EVERY_S, length_s / _LOOKS))
    if ask.warmup_s is not None:
        settings |= {"load.warmup_s": ask.warmup_s, "load.warmup_requests": 0}
    return changed_spec(spec, settings | ask.changes)


def check_stages(spec: Spec, plan: Plan) -> None:
    """UsageError if a stage of a grid cannot be run as it is asked for: told before the first request is sent."""
    for number, changes in enumerate(plan.stages, 1):
        try:
            ask = Ask(number=number, phase="grid", changes=changes, level=None)
            stage = with_defaults(stage_spec(spec, plan, ask))
            check_fit(stage, worker_count(stage))
        except UsageError as error:
            raise UsageError(f"stage {number} ({label(changes)}): {error}") from None


def steer_for(spec: Spec, plan: Plan, ask: Ask) -> Steer | None:
    """Who may end the stage before its time."""
    if plan.mode == "search":
        from loadcell.search.trial import steer_of

        return steer_of(spec, plan, ask)
    if ask.stops and spec.load.rate is not None and spec.load.rate_series is None and spec.trace.name is None:
        from loadcell.search.saturation import saturation_steer

        return saturation_steer()
    return None


# --- its load --------------------------------------------------------------------------------------------------------


def run_stage(
    spec: Spec,
    plan: Plan,
    ask: Ask,
    folder: Path,
    watch: Watch,
    *,
    selftest: dict[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Seen:
    """Run one stage of the sweep in `folder` and read it; `notes` go into its result.

    Errors as `run_load`. A stage whose recording cannot be read afterwards is one without a point.
    """
    name = stage_name(plan, ask)
    asked = stage_spec(spec, plan, ask, len(set_aside_of(folder / name)))

    def before_load(manifest: Manifest, machine: dict[str, Any]) -> list[str]:
        dump_json(folder / name / STAGE, ask)  # not earlier: a recording begins in an empty folder
        return list(notes)

    run_load(asked, folder / name, watch, selftest=selftest, review=before_load, steer=steer_for(asked, plan, ask))
    return see_stage(folder / name, plan)


# --- after it --------------------------------------------------------------------------------------------------------


def read_stage(folder: Path, plan: Plan | None = None) -> Stage:
    """The stage in `folder`; RecordingError if it does not say which it is. Without `plan`, that of its sweep."""
    return see_stage(folder, plan).stage


def read_stages(folder: Path, plan: Plan | None = None) -> list[Stage]:
    """All stages of the sweep in `folder` by their numbers, also those that were cut off; not what was set aside."""
    return [one.stage for one in see_stages(folder, plan or SWEEP.read(folder))]


def see_stages(folder: Path, plan: Plan) -> list[Seen]:
    """As `read_stages`, with facts; folders that do not say which stage they are are left out."""
    return [see_stage(stage, plan) for stage in stage_folders(folder) if asked_in(stage) is not None]


def asked_in(folder: Path) -> Ask | None:
    """What was asked of the stage in `folder`; None if its stage.json is missing or damaged."""
    try:
        ask: Ask = read_json(folder / STAGE, Ask)
    except RecordingError:
        return None
    return ask


def see_stage(folder: Path, plan: Plan | None = None) -> Seen:
    """As `read_stage`, with the facts of its recording."""
    return see_recording(folder, read_json(folder / STAGE, Ask), plan or SWEEP.read(folder.parent))


def see_recording(folder: Path, ask: Ask, plan: Plan) -> Seen:
    """The same of a recording of which `ask` tells what stage it is."""
    manifest: Manifest | None = None
    try:
        manifest = read_manifest(folder)
        recording = open_recording(folder)
        result = build_result(recording)
    except LoadcellError as error:
        state = manifest.state if manifest else "broken"
        return Seen(_stage(folder, ask, manifest, state=state, ended=str(error)), None)
    trial = None
    if plan.mode == "search":
        from loadcell.search.trial import trial_of

        trial = trial_of(recording, result, plan, ask)
    stage = _stage(folder, ask, manifest, state=manifest.state, ended=_why_ended(manifest))
    stage = msgspec.structs.replace(
        stage,
        took_s=_took_s(recording) if placed(recording.imported) else None,
        point=point_of(result, recording.audits),
        trial=trial,
    )
    return Seen(stage, _facts(recording, result))


def _stage(folder: Path, ask: Ask, manifest: Manifest | None, *, state: str, ended: str | None) -> Stage:
    return Stage(
        ask=ask,
        folder=folder.name,
        state=state,
        ended=ended,
        took_s=None,
        started_at=manifest.started_at if manifest else "",
        point=None,
    )


def _why_ended(manifest: Manifest) -> str | None:
    if manifest.state == "complete":
        return manifest.stopped.reason if manifest.stopped else None
    texts = {
        "interrupted": phrase("interrupted by a person"),
        "running": phrase("the process was ended before the stage was"),
    }
    return texts.get(manifest.state) or joined("; ", manifest.invalid) or phrase("it broke off")


def _took_s(recording: Recording) -> float | None:
    """From the first send to the last reply."""
    rows = recording.requests(("send_start_ns", "end_ns"))
    starts, ends = (np.asarray(rows[name], np.float64) for name in ("send_start_ns", "end_ns"))
    if np.isnan(starts).all() or np.isnan(ends).all():
        return None
    return float(np.nanmax(ends) - np.nanmin(starts)) / 1e9


def _facts(recording: Recording, result: Result) -> Facts:
    effective, host = recording.manifest.effective, result.instrument.host
    rows = recording.requests(("status", "error_kind", "end_ns"))
    order = np.argsort(np.asarray(rows["end_ns"], np.float64), kind="stable")
    statuses = rows["status"][order]
    statuses = statuses[statuses != "cancelled"]
    worst = max(result.errors, key=lambda failure: failure.count, default=None)
    return Facts(
        model=effective.get("model"),
        address=effective.get("address"),
        loadcell=recording.manifest.loadcell,
        machine=recording.environment.get("host"),
        server_place=None if _left_alone(host) else host.server,
        place_declared=host.declared,
        cached_share=_cached_share(result.instrument.tokens),
        ok=result.counts.run.ok,
        failed=result.counts.run.failed,
        timeouts=int(np.count_nonzero(rows["error_kind"] == "timeout")),
        failure=None if worst is None else f"{worst.kind}: {worst.sample}",
        dead_at_end=placed(recording.imported) and bool(len(statuses)) and bool(np.all(statuses[-_TAIL:] == "failed")),
    )


def _cached_share(tokens: TokenClosure) -> float | None:
    """Prompt tokens from a cache, the chat template's part left out where it is known."""
    return tokens.cached_share if tokens.cached_beyond_share is None else tokens.cached_beyond_share


def _left_alone(host: Host) -> bool:
    """The load took too little from the server beside it to matter."""
    limit = ALL_LIMITS["shared_host"].valid
    return host.taken_share is not None and host.taken_share <= limit


def served_nothing(facts: Facts) -> bool:
    """Every request failed, and not for being slow: the endpoint is gone, or was never right."""
    return facts.failed > 0 and not facts.ok and not facts.timeouts
