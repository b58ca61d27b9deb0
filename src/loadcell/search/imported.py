"""A folder of several imported runs of one tool, shown as a sweep is: each run a stage, by the load asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadcell import __version__
from loadcell.errors import UsageError
from loadcell.metrics.imported import named, placed
from loadcell.phrases import phrase
from loadcell.recording.imported import Imported
from loadcell.recording.read import read_json
from loadcell.search.build import numbers, together
from loadcell.search.grid import CONCURRENCY, RATE
from loadcell.search.model import Ask, Plan, Sweep
from loadcell.search.stages import see_recording
from loadcell.spec import Spec

_LEAST = 2
_FILE = "imported.json"


class _Run(NamedTuple):
    folder: Path
    imported: Imported
    spec: Spec


def is_imports(folder: Path) -> bool:
    """Whether a folder holds nothing but imported recordings, and several of them."""
    if not folder.is_dir() or (folder / "recording.json").exists():
        return False
    found = [file.parent for file in folder.glob("*/recording.json")]
    return len(found) >= _LEAST and all((one / _FILE).exists() for one in found)


def build_imports(folder: Path) -> Sweep:
    """What the imported runs in a folder say together. UsageError where they are of several tools."""
    runs = [
        _Run(one, read_json(one / _FILE, Imported), read_json(one / "spec.json", Spec))
        for one in sorted(file.parent for file in folder.glob("*/recording.json"))
    ]
    tools = sorted({named(run.imported) for run in runs})
    if len({run.imported.tool for run in runs}) > 1:
        raise UsageError(
            f"{folder} holds runs of several tools ({', '.join(tools)}), whose figures mean different things: name one "
            f"run, or set two beside each other: loadcell compare {runs[0].folder} {runs[1].folder}"
        )
    axis = _axis(runs)
    ordered = sorted(runs, key=lambda run: (_level(run, axis) or 0.0, run.folder.name))
    changes: list[dict[str, Any]] = [
        {axis: _level(run, axis)} if axis is not None else {"run": run.folder.name} for run in ordered
    ]
    plan = Plan(
        loadcell=__version__, mode="grid", axis=axis, stages=changes, stage_s=None, seed=0, spec=ordered[0].spec
    )
    seen = [
        see_recording(run.folder, Ask(number=i, phase="grid", changes=of_stage, level=_level(run, axis)), plan)
        for i, (run, of_stage) in enumerate(zip(ordered, changes, strict=True), 1)
    ]
    sweep = together(folder, plan, seen)
    return msgspec.structs.replace(sweep, imported=", ".join(tools), findings=[*_said(ordered), *sweep.findings])


def _axis(runs: Sequence[_Run]) -> str | None:
    """The load that all of them tell; None where there is none."""
    if all(run.imported.loop == "open" and run.spec.load.rate is not None for run in runs):
        return RATE
    return CONCURRENCY if all(run.spec.load.concurrency is not None for run in runs) else None


def _level(run: _Run, axis: str | None) -> float | None:
    return {RATE: run.spec.load.rate, CONCURRENCY: run.spec.load.concurrency}.get(str(axis))


def _said(runs: Sequence[_Run]) -> list[str]:
    """What a reader must know of runs that nobody here measured."""
    said = [phrase("these runs were imported: nobody judged the client that measured them")]
    told = [i for i, run in enumerate(runs, 1) if not run.imported.details]
    alone = [i for i, run in enumerate(runs, 1) if run.imported.details and not placed(run.imported)]
    if told:
        said.append(phrase("{}: figures as the tool told them, without intervals", numbers(told)))
    if alone:
        said.append(phrase("{}: without send times, so rates are as the tool told them", numbers(alone)))
    return said
