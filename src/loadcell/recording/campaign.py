"""A campaign: a folder with a plan, worked at until all of it is there, in as many calls as that takes.

sweeps/tuesday/sweep.json           the plan; who goes on must ask for the same
sweeps/tuesday/002-rate-10/         a part: a recording
sweeps/tuesday/002-rate-10.cut-1/   the same, begun before and not whole: set aside, never deleted
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from loadcell.errors import RecordingError, UsageError
from loadcell.recording.claim import NEW_FOLDER, claimed, locked
from loadcell.recording.read import dump_json, open_recording, read_manifest, read_versioned

P = TypeVar("P", bound=msgspec.Struct)
_CUT = re.compile(r"\.cut-\d+$")
_NAMED = 4
"""Differences of two plans that are told."""


def everything(plan: msgspec.Struct) -> dict[str, Any]:
    """All that a plan says but for the version that began it; what its Spec asks for stands beside that."""
    tree: dict[str, Any] = msgspec.to_builtins(plan)
    asked = {name: value for name, value in tree.items() if name not in ("format", "loadcell", "spec")}
    return {**asked, **tree.get("spec", {})}


@dataclass(frozen=True, kw_only=True)
class Campaign(Generic[P]):
    """One kind of campaign, and what is done with a folder of it."""

    noun: str
    """As in "a sweep"."""
    part: str
    """What a recording in it is, as in "a stage"."""
    command: str
    """Who makes it, as in "loadcell sweep"."""
    place: str
    """Where its folders are made, as in "sweeps"."""
    file: str
    """Where the plan lies, as in "sweep.json"."""
    form: type[P]
    newest: int
    """Newest format of the plan that is understood."""
    asked: Callable[[P], Mapping[str, Any]] = everything
    """What was asked for, as plain sections and values: what must be the same where it is gone on with."""
    prepared: Collection[str] = ()
    """Names in a folder that are worth nothing where no part was recorded beside them."""
    reported: bool = False
    """Whether loadcell report shows it."""

    def again(self, folder: Path | str) -> str:
        """The command that goes on with the one in `folder`."""
        return f"{self.command} {folder} --resume"

    def there(self, folder: Path) -> bool:
        """Whether `folder` is one of this kind."""
        return os.path.isfile(folder / self.file)  # noqa: PTH113 - Path's raises where the folder cannot be entered

    def read(self, folder: Path) -> P:
        """The plan in `folder`; RecordingError says what the folder is, if it holds none."""
        if not self.there(folder):
            raise RecordingError(self._what(folder))
        plan: P = read_versioned(folder / self.file, self.form, self.newest)
        return plan

    def _what(self, folder: Path) -> str:
        name = f"name the folder that {self.command} wrote"
        if not folder.exists():
            return f"{folder} is not {self.noun}: there is no such folder"
        if not folder.is_dir():
            return f"{folder} is not {self.noun} but a file: {name}"
        if (folder / "recording.json").exists():
            part = f"; it is {self.part} of {folder.parent}" if self.there(folder.parent) else ""
            return f"{folder} is the recording of one run{part}: see it with loadcell report {folder}"
        return f"{folder} is not {self.noun}: it has no {self.file}; {name}"

    def write(self, folder: Path, plan: P) -> None:
        """Write the plan."""
        dump_json(folder / self.file, plan)

    def keep(self, folder: Path, plan: P) -> P:
        """The plan that `folder` holds; `plan`, which is written, if there is none.

        UsageError if the one that is there asks for something else.
        """
        if not self.there(folder):
            self.write(folder, plan)
            return plan
        kept = self.read(folder)
        if changed := self.differences(kept, plan):
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            raise UsageError(
                f"{folder} holds {self.noun} of another plan: {'; '.join(changed[:_NAMED])}{more}. Give the flags with "
                "which it began, or --output a new folder"
            )
        return kept

    def differences(self, before: P, now: P) -> list[str]:
        """What is asked for otherwise than before, as in "load.timeout_s 120 -> 60"."""
        old, new = dict(_flat(self.asked(before))), dict(_flat(self.asked(now)))
        return [_changed(key, old.get(key), new.get(key)) for key in {**new, **old} if old.get(key) != new.get(key)]

    @contextmanager
    def own(self, folder: Path, *, resume: bool) -> Iterator[None]:
        """Have `folder` to oneself: a new one, or with `resume` one that is there.

        RecordingError if it cannot be made, holds other things, or a process is at work in it. A new folder in which
        nothing but what was prepared lies is taken away again after an error.
        """
        if resume and folder.is_dir():
            with locked(folder):
                yield
            return
        go_on = f"those of {self.noun}; give --resume to go on with it, or --output a new folder"
        with claimed(folder, go_on if self.there(folder) else NEW_FOLDER):
            try:
                yield
            except BaseException:
                if {path.name for path in folder.iterdir()} <= {self.file, *self.prepared}:
                    for path in folder.iterdir():
                        _take_away(path)
                raise


def _take_away(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _changed(key: str, old: Any, new: Any) -> str:
    lists = [value for value in (old, new) if isinstance(value, list) and value and isinstance(value[0], Mapping)]
    if len(lists) < 2:
        return f"{key} {_say(old)} -> {_say(new)}"
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False), 1) if a != b), None)
    where = "" if first is None else f", from {key.removesuffix('s')} {first} on"
    return f"the {key} ({len(old)} -> {len(new)}{where})"


def _say(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


# --- its parts -------------------------------------------------------------------------------------------------------


def is_whole(part: Path) -> bool:
    """Whether the recording `part` came to its end with at least one answer."""
    if not (part / "recording.json").exists():
        return False
    try:
        return read_manifest(part).state == "complete" and "ok" in open_recording(part).requests(("status",))["status"]
    except RecordingError:  # a damaged one is run again
        return False


def keep_whole(part: Path) -> bool:
    """Whether the recording `part` is whole; one that is there and is not is set aside."""
    whole = is_whole(part)
    if not whole and part.exists():
        set_aside(part)
    return whole


def set_aside(part: Path) -> Path:
    """Rename a part's folder so that it can be run again; nothing is deleted."""
    numbers = [int(path.name.rpartition("-")[2]) for path in set_aside_of(part)]
    aside = part.with_name(f"{part.name}.cut-{max(numbers, default=0) + 1}")
    try:
        part.rename(aside)
    except OSError as error:
        raise RecordingError(f"cannot set {part} aside as {aside.name}: {error.strerror}") from None
    return aside


def set_aside_of(part: Path) -> list[Path]:
    """The folders under which `part` was set aside before."""
    return [path for path in all_set_aside(part.parent) if path.name.startswith(f"{part.name}.cut-")]


def all_set_aside(folder: Path) -> list[Path]:
    """What was set aside in the folder of a campaign."""
    return sorted(path for path in folder.iterdir() if is_set_aside(path.name))


def is_set_aside(name: str) -> bool:
    """Whether a folder of this name was set aside."""
    return _CUT.search(name) is not None
