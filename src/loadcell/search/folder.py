"""The folder of a sweep: sweep.json, and a folder for each stage, which is its recording and holds stage.json too.

sweeps/tuesday/sweep.json
sweeps/tuesday/001-rate-5/           a recording
sweeps/tuesday/002-rate-10/
sweeps/tuesday/002-rate-10.cut-1/    a stage that was cut off, set aside when the sweep went on
sweeps/tuesday/sessions.json         seconds that each call of the sweep took
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from loadcell.errors import RecordingError
from loadcell.recording.claim import NEW_FOLDER, claimed, locked
from loadcell.recording.read import dump_json, read_json, read_versioned
from loadcell.search.model import FORMAT, Ask, Plan

PLAN, STAGE, SESSIONS = "sweep.json", "stage.json", "sessions.json"
_STAGE_NAME = re.compile(r"(\d{3,})(-.*)?")
_CUT = re.compile(r"\.cut-(\d+)$")
_GO_ON = "give --resume to go on with its sweep, or --output a new folder"
_LONGEST = 60
"""Characters of a stage's folder."""


def stage_name(plan: Plan, ask: Ask) -> str:
    """The name of a stage's folder: its number, then what it varies, as in 003-rate-12.5."""
    if plan.axis is not None and ask.level is not None:
        words = f"{plan.axis.partition('.')[2]}-{ask.level:g}"
    elif ask.phase != "grid":
        words = ask.phase
    else:
        words = "-".join(f"{path.partition('.')[2]}-{value}" for path, value in ask.changes.items())
    plain = re.sub(r"[^A-Za-z0-9._,-]+", "_", words).strip("._")
    return f"{ask.number:03}-{plain}"[:_LONGEST].rstrip("-._")


def stage_folders(folder: Path) -> list[Path]:
    """The stages' folders in the order of their numbers, without those that were set aside."""
    found = [(path, _STAGE_NAME.fullmatch(path.name)) for path in folder.iterdir() if path.is_dir()]
    stages = [(int(name[1]), path) for path, name in found if name and not _CUT.search(path.name)]
    return [path for _, path in sorted(stages)]


def cut_folders(folder: Path, name: str = "") -> list[Path]:
    """What was set aside, of all stages or of the one whose folder is `name`."""
    return sorted(path for path in folder.iterdir() if _CUT.search(path.name) and path.name.startswith(name))


def set_aside(stage: Path) -> Path:
    """Rename a stage's folder so that the stage can be run again; nothing is deleted."""
    taken = len(cut_folders(stage.parent, f"{stage.name}.cut-"))
    aside = stage.with_name(f"{stage.name}.cut-{taken + 1}")
    try:
        stage.rename(aside)
    except OSError as error:
        raise RecordingError(f"cannot set {stage} aside as {aside.name}: {error.strerror}") from None
    return aside


# --- the plan --------------------------------------------------------------------------------------------------------


def read_plan(folder: Path) -> Plan:
    """The plan of a sweep's folder; RecordingError says what the folder is, if it is none."""
    if not folder.exists():
        raise RecordingError(f"{folder} is not a sweep: there is no such folder")
    if not folder.is_dir():
        raise RecordingError(f"{folder} is not a sweep but a file: name the folder that loadcell sweep wrote")
    if not (folder / PLAN).exists():
        if (folder / "recording.json").exists():
            part = f"; it is a stage of {folder.parent}" if (folder.parent / PLAN).exists() else ""
            raise RecordingError(f"{folder} is the recording of one run{part}: see it with loadcell report {folder}")
        raise RecordingError(f"{folder} is not a sweep: it has no {PLAN}. Name the folder that loadcell sweep wrote")
    plan: Plan = read_versioned(folder / PLAN, Plan, FORMAT)
    return plan


def plan_differences(before: Plan, now: Plan) -> list[str]:
    """What is not as it was, as in "load.timeout_s 120 -> 60"; the version of loadcell may be another."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(now)
    changed = [
        f"{name} {_say(old[name])} -> {_say(new[name])}"
        for name in new
        if name not in ("loadcell", "spec", "stages") and old[name] != new[name]
    ]
    if old["stages"] != new["stages"]:
        pairs = zip(old["stages"], new["stages"], strict=False)
        first = next((i for i, (a, b) in enumerate(pairs, 1) if a != b), None)
        where = "" if first is None else f", from stage {first} on"
        changed.append(f"the stages ({len(old['stages'])} -> {len(new['stages'])}{where})")
    then, here = _fields(old["spec"]), _fields(new["spec"])
    return changed + [
        f"{path} {_say(then.get(path))} -> {_say(here.get(path))}"
        for path in dict.fromkeys((*here, *then))
        if then.get(path) != here.get(path)
    ]


def _fields(spec: dict[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, values in spec.items() for key, value in values.items()}


def _say(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


# --- one sweep at a time ---------------------------------------------------------------------------------------------


@contextmanager
def own(folder: Path, plan: Plan, *, resume: bool) -> Iterator[None]:
    """Have the folder of `plan` to oneself: a new one, or with `resume` one that holds the same plan.

    RecordingError if it cannot be made, holds other things or another plan, or a process is at work in it. A new
    folder is taken away again if the sweep fails before its first stage.
    """
    if resume:
        if changed := plan_differences(read_plan(folder), plan):
            raise RecordingError(
                f"{folder} holds a sweep of another plan: {'; '.join(changed)}. Give the flags with which it began, or "
                "--output a new folder"
            )
        with locked(folder):
            yield
        return
    sweep = (folder / PLAN).exists()
    with claimed(folder, _GO_ON if sweep else NEW_FOLDER):
        dump_json(folder / PLAN, plan)
        try:
            yield
        except BaseException:
            if {path.name for path in folder.iterdir()} <= {PLAN, SESSIONS}:
                for name in (PLAN, SESSIONS):
                    (folder / name).unlink(missing_ok=True)
            raise


def read_sessions(folder: Path) -> list[float]:
    """Seconds that each call of the sweep took so far; none in a folder without that file."""
    file = folder / SESSIONS
    found: list[float] = read_json(file, list[float]) if file.exists() else []
    return found
