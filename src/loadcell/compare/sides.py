"""What is compared, opened: recordings, folders of repeats, saved results."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from loadcell.compare.figures import Figure, figures
from loadcell.errors import LoadcellError, RecordingError, UsageError
from loadcell.metrics.checks_budget import only_budgets
from loadcell.metrics.fingerprint import differences
from loadcell.metrics.headline import as_now, word_of
from loadcell.metrics.imported import tallied
from loadcell.metrics.model import FORMAT, Result, Word
from loadcell.metrics.result import build_result
from loadcell.metrics.rows import Rows, read_rows
from loadcell.phrases import learn
from loadcell.recording.read import Recording, open_recording

WORDS: tuple[Word, ...] = ("VALID", "SUSPECT", "INVALID")


@dataclass(frozen=True)
class Loaded:
    """One run: its result, and its recording if that is at hand."""

    path: Path
    result: Result
    recording: Recording | None

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Its figures by measure."""
        return figures(self.result, self.recording, self.rows)

    @cached_property
    def rows(self) -> Rows | None:
        """Its requests, if its recording is at hand."""
        return None if self.recording is None else read_rows(self.recording)

    @property
    def word(self) -> Word:
        """Its verdict; reasons found outside the audit make it INVALID too."""
        return word_of(self.result)


@dataclass(frozen=True)
class Opened:
    """One side: a run, or repeats of one."""

    name: str
    path: Path
    runs: list[Loaded]

    @property
    def word(self) -> Word:
        """The worst verdict of its runs."""
        return max((run.word for run in self.runs), key=WORDS.index)

    @property
    def kind(self) -> str:
        """What the path is."""
        if self.runs[0].recording is None:
            return "result"
        return "recording" if self.runs[0].path == self.path else "repeats"


def void(run: Loaded) -> bool:
    """Whether nothing of a run can be compared: it is INVALID for more than the budgets of single figures."""
    return run.word == "INVALID" and not only_budgets(run.result)


def open_side(name: str, path: Path) -> Opened:
    """Open one side; errors say what is wrong with it."""
    side = Opened(name, path, open_runs(path))
    ids = [run.result.run.id for run in side.runs]
    if len(set(ids)) < len(ids):
        raise UsageError(f"{path} holds the same run twice: repeats must be runs of their own")
    first = side.runs[0]
    for other in side.runs[1:]:
        found = [
            d.says for d in differences(first.result, other.result, (first.path.name, other.path.name)) if not d.repeats
        ]
        if found:
            raise UsageError(f"{path} holds runs that are no repeats of one another ({'; '.join(found)}): name one")
    empty = [run.path for run in side.runs if not run.result.counts.window.ok and tallied(run.result.imported)]
    if empty:
        where = f"{name} ({path})" if len(side.runs) == 1 else f"{name}, run {empty[0].name} ({path})"
        raise LoadcellError(f"nothing to compare: {where} has no successful request in its window")
    return side


def open_runs(path: Path) -> list[Loaded]:
    """The run or runs at `path`."""
    if path.is_file():
        return [Loaded(path, read_result(path), None)]
    if not path.exists():
        raise RecordingError(f"{path} does not exist: name a recording, a folder of repeats or a saved result")
    folders = [path] if (path / "recording.json").exists() else _repeats(path)
    return [load_run(folder) for folder in folders]


def load_run(folder: Path) -> Loaded:
    """One recording and its result."""
    recording = open_recording(folder)
    return Loaded(folder, build_result(recording), recording)


def _repeats(folder: Path) -> list[Path]:
    found = [file.parent for file in folder.glob("*/recording.json")]
    if not found:
        raise RecordingError(f"{folder} is no recording, nor a folder of repeats: there is no recording.json in it")
    return sorted(found, key=lambda path: (not path.name.isdigit(), int(path.name) if path.name.isdigit() else 0, path))


class _Head(msgspec.Struct):
    """As much of a Result as tells whether it is one."""

    format: int
    loadcell: str
    methodology: dict[str, object]


_OTHERS = {"stages": "a sweep, not a run", "pairs": "a comparison, not a run", "figures": "repeats together, not a run"}
"""By a field that only they have: what else --json prints."""


def _other(text: bytes) -> str:
    """What JSON is that is no result."""
    told = msgspec.json.decode(text)
    fields = told if isinstance(told, dict) else {}
    return next((what for name, what in _OTHERS.items() if name in fields), "not a loadcell result")


def read_result(path: Path) -> Result:
    """A result that was saved with --json; RecordingError if it is not one of this version."""
    try:
        text = path.read_bytes()
        head = msgspec.json.decode(text, type=_Head)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from None
    except msgspec.ValidationError:
        raise RecordingError(
            f"{path} is {_other(text)}: name a recording, a folder of repeats, or what --json printed of a run"
        ) from None
    except msgspec.DecodeError as error:
        raise RecordingError(
            f"{path} is not JSON, so not a loadcell result, or it was cut short ({error}): "
            "name a recording, a folder of repeats, or what --json printed"
        ) from None
    if head.format != FORMAT:
        newer = head.format > FORMAT
        advice = "upgrade loadcell" if newer else "make it anew from its recording: loadcell report DIR --json"
        raise RecordingError(
            f"{path} is a result of format {head.format} by loadcell {head.loadcell}; "
            f"this version reads {FORMAT}: {advice}"
        )
    try:
        result = msgspec.json.decode(text, type=Result)
        learn(result.phrases)
        return as_now(result)
    except msgspec.DecodeError as error:
        raise RecordingError(f"{path} is a damaged loadcell result: {error}") from None
