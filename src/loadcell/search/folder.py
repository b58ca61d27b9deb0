"""The folder of a sweep: sweep.json, and a folder for each stage, which is its recording and holds stage.json too.

sweeps/tuesday/sweep.json
sweeps/tuesday/001-rate-5/           a recording
sweeps/tuesday/002-rate-10/
sweeps/tuesday/002-rate-10.cut-1/    a stage that was cut off, set aside when the sweep went on
sweeps/tuesday/sessions.json         seconds that each call of the sweep took
"""

from __future__ import annotations

import re
from pathlib import Path

from loadcell.recording.campaign import Campaign, is_set_aside
from loadcell.recording.read import read_json
from loadcell.search.model import FORMAT, Ask, Plan

STAGE, SESSIONS = "stage.json", "sessions.json"
_STAGE_NAME = re.compile(r"(\d{3,})(-.*)?")
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
    stages = [(int(name[1]), path) for path, name in found if name and not is_set_aside(path.name)]
    return [path for _, path in sorted(stages)]


SWEEP = Campaign(
    noun="a sweep",
    part="a stage",
    command="loadcell sweep",
    place="sweeps",
    file="sweep.json",
    form=Plan,
    newest=FORMAT,
    prepared=(SESSIONS,),
    reported=True,
)


def read_sessions(folder: Path) -> list[float]:
    """Seconds that each call of the sweep took so far; none in a folder without that file."""
    file = folder / SESSIONS
    found: list[float] = read_json(file, list[float]) if file.exists() else []
    return found
