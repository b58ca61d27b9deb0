"""Recordings as the files of other tools, so that dashboards and scripts go on working."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path

from loadcell.errors import RecordingError, UsageError, nearest
from loadcell.interop.formats import FORMATS
from loadcell.metrics import Result, build_result
from loadcell.recording.campaign import is_set_aside
from loadcell.recording.read import Recording, open_recording


@dataclass(frozen=True)
class Held:
    """A recording that is written, by a name of its own among those that are written with it."""

    name: str
    recording: Recording

    @cached_property
    def result(self) -> Result:
        """Its figures by our own definitions."""
        return build_result(self.recording)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person wants of a format that leaves a choice."""

    detailed: bool = False
    """vllm: the arrays of --save-detailed."""
    metrics: Sequence[str] = ("ttft", "tpot", "itl", "e2el")
    """vllm: of which percentiles are given."""
    percentiles: Sequence[float] = (50, 90, 95, 99)
    goodput_ms: dict[str, float] = field(default_factory=dict)
    """vllm: limits by its own names; empty: those of the spec's SLO."""
    head: dict[str, object] = field(default_factory=dict)
    """vllm: what goes over the keys that tell what was asked for."""
    metadata: dict[str, str] = field(default_factory=dict)
    """vllm: keys of a person's own, which later ones go over."""


@dataclass
class Written:
    """The files of a format by their names, and what they do not hold."""

    files: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def hold(folder: Path) -> list[Held]:
    """The recording at `folder`, or those right below it (a sweep, repeats), in the order of their names and numbers.

    Parts that were cut and set aside are none of them.
    """
    if not (folder / "recording.json").exists():
        found = [file.parent for file in folder.glob("*/recording.json") if not is_set_aside(file.parent.name)]
        if found:
            return [Held(path.name, open_recording(path)) for path in sorted(found, key=_numbered)]
    return [Held(folder.resolve().name, open_recording(folder))]


def _numbered(path: Path) -> list[str]:
    return [piece.zfill(20) for piece in re.split(r"(\d+)", path.name)]


def written(runs: Sequence[Held], name: str, asked: Asked) -> Written:
    """The files of the format `name`; UsageError where there is no such format, or it cannot hold what was recorded."""
    if name not in FORMATS:
        raise UsageError(f"--format {name!r}: write one of {', '.join(FORMATS)}{nearest(name, FORMATS)}")
    form = FORMATS[name]
    for run in runs:
        told = run.recording.imported
        if told is not None and not told.details and not form.judges and told.tool not in form.told:
            same = [other for other, one in FORMATS.items() if told.tool in one.told]
            raise UsageError(
                f"{run.recording.path} holds summaries of {told.title} and no requests: --format {name} has nothing to "
                f"be computed from" + (f"; --format {same[0]} gives them back" if same else "")
            )
    found: Written = import_module(f"loadcell.interop.writers.{form.module}").write(runs, asked, form.file)
    damage = [
        f"parts of {run.recording.path} that cannot be read: {', '.join(run.recording.damaged)}"
        for run in runs
        if run.recording.damaged
    ]
    found.left_out = list(dict.fromkeys([*damage, *found.left_out]))
    return found


_SUFFIXES = (".json", ".jsonl", ".yaml", ".yml", ".txt", ".prom", ".om")
"""What names a file rather than a folder."""


def save(files: dict[str, str], output: Path) -> list[Path]:
    """Write the files: one as `output` where that names a file, else into the folder `output`.

    RecordingError where one is there already, or cannot be written.
    """
    as_file = len(files) == 1 and output.suffix in _SUFFIXES and not output.is_dir()
    paths = [output] if as_file else [output / name for name in files]
    for path in paths:
        if path.exists():
            raise RecordingError(f"{path} is there already; name another place: --output PATH")
    for path, text in zip(paths, files.values(), strict=True):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RecordingError(f"cannot write {path}: {error.strerror}") from None
    return paths
