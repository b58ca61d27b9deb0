"""What a folder is: where its runs lie, and what the names of the folders around them say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from loadcell.errors import UsageError
from loadcell.mlperf.files.accuracy_log import ACCURACY_LOG, ACCURACY_TEXT
from loadcell.mlperf.files.loadgen_logs import DETAIL, SUMMARY
from loadcell.mlperf.model import SCENARIOS, Scenario

CONFIG, RESULT, ACCURACY_RESULT, POINT = "config.yaml", "result_summary.json", "accuracy_results.json", "point.yaml"
PLAN, ACCURACY_PLAN, CURVE = "mlperf.json", "accuracy-plan.json", "curve.json"
DIVISIONS = ("closed", "open", "network")
MAX_ENTRIES = 200_000
"""Files and folders that are looked at; a whole round has fewer."""
Kind = Literal["run", "curve", "loadgen", "endpoints", "point"]
_LOGS = {DETAIL, SUMMARY, ACCURACY_LOG, ACCURACY_TEXT}
_TEST = re.compile(r"TEST\d\d$", re.IGNORECASE)
_ROUND = re.compile(r"(?:^|inference_|results_|submissions_)v?(\d\.\d)$")
_SOUGHT = (
    f"a folder of loadcell mlperf ({PLAN} or {CURVE}), LoadGen's logs ({DETAIL}), output of the MLPerf Endpoints "
    f"client ({RESULT}), a submission (closed/ORGANISATION/results/SYSTEM/BENCHMARK/SCENARIO), or points of a curve "
    f"({POINT})"
)


@dataclass(frozen=True)
class Place:
    """One thing to check: a run of ours, a curve, the runs of one scenario, a point of a curve."""

    kind: Kind
    folder: Path
    performance: Path | None = None
    """Folder of the performance run's files."""
    accuracy: Path | None = None
    round: str | None = None
    division: str | None = None
    organisation: Path | None = None
    """Folder of the submitter, which holds results/."""
    system: str | None = None
    benchmark: str | None = None
    """Name of the benchmark's folder."""
    scenario: Scenario | None = None


@dataclass
class Found:
    """All that is below a folder."""

    folder: Path
    places: list[Place] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    whole: bool = True
    """False: there is more than `MAX_ENTRIES`, and only so much was looked at."""


def look(folder: Path) -> Found:
    """What there is to check in `folder`; UsageError says what was looked for, if there is nothing."""
    try:
        found = Found(folder)
        walked = list(islice(_walk(folder), MAX_ENTRIES + 1))
    except NotADirectoryError:
        raise UsageError(f"{folder} is a file: name the folder that holds it") from None
    except FileNotFoundError:
        raise UsageError(f"{folder}: there is no such folder") from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}") from None
    found.whole = len(walked) <= MAX_ENTRIES
    found.files = [path for path, is_file in walked if is_file]
    folders = [path for path, is_file in walked if not is_file]
    found.places = list(_places(folder, found.files, folders))
    if not found.places:
        raise UsageError(f"{folder} holds nothing to check. Looked for: {_SOUGHT}")
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Everything below, the folders of each before its files; no links are followed, unreadable folders passed by."""
    left = [os.fspath(folder)]
    while left:
        entries = sorted(os.scandir(left.pop()), key=lambda entry: entry.name)
        inside = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        yield from ((Path(entry.path), False) for entry in inside)
        yield from ((Path(entry.path), True) for entry in entries if entry.is_file())
        left += [entry.path for entry in reversed(inside) if os.access(entry.path, os.R_OK | os.X_OK)]


def _places(folder: Path, files: list[Path], folders: list[Path]) -> Iterator[Place]:
    ours = {path.parent for path in files if path.name in (PLAN, ACCURACY_PLAN)}
    curves = {path.parent for path in files if path.name == CURVE}
    mine = ours | curves
    yield from (Place("run", path) for path in sorted(ours))
    yield from (Place("curve", path) for path in sorted(curves))
    points = {path.parent for path in files if path.name == POINT and not _inside(path, mine)}
    yield from (Place("point", path) for path in sorted(points))
    rest = [path for path in files if not _inside(path, mine | points) and not _of_test(path, folder)]
    scenarios: dict[Path, set[str]] = {}
    for path in rest:
        if path.name in _LOGS | {CONFIG, RESULT, ACCURACY_RESULT}:
            scenarios.setdefault(_scenario_folder(path), set()).add(path.name)
    for path in folders:  # results/SYSTEM/BENCHMARK/SCENARIO without any of the files
        if path.parts[-4:-3] == ("results",) and scenario_of(path.name) and not _inside(path / "x", mine | points):
            scenarios.setdefault(path, set())
    for path, names in sorted(scenarios.items()):
        if names == {CONFIG}:
            continue  # a configuration of something else
        kind: Kind = "endpoints" if names & {RESULT, ACCURACY_RESULT} and not names & {DETAIL, SUMMARY} else "loadgen"
        yield _named(Place(kind, path, _performance(path, kind), _accuracy(path, kind)))


def _inside(path: Path, folders: set[Path]) -> bool:
    return any(parent in folders for parent in path.parents)


def _of_test(path: Path, folder: Path) -> bool:
    return any(_TEST.match(part) for part in path.relative_to(folder).parts)


def _scenario_folder(path: Path) -> Path:
    """The folder of the scenario that a file belongs to: the one around performance/ or accuracy/."""
    for parent in path.parents:
        if parent.name in ("performance", "accuracy"):
            return parent.parent
        if not parent.name.startswith("run_"):
            break
    return path.parent


def _performance(folder: Path, kind: Kind) -> Path | None:
    if kind == "endpoints":
        return folder / "performance" if (folder / "performance").is_dir() else folder
    candidates = [folder / "performance" / "run_1", folder / "performance", folder]
    for candidate in candidates:
        if (candidate / DETAIL).exists() or (candidate / SUMMARY).exists():
            return candidate
    return None


def _accuracy(folder: Path, kind: Kind) -> Path | None:
    if (folder / "accuracy").is_dir():
        return folder / "accuracy"
    if kind == "endpoints":
        return folder if (folder / ACCURACY_RESULT).exists() else None
    return folder if (folder / ACCURACY_TEXT).exists() else None


def _named(place: Place) -> Place:
    """With what the names of the folders say, from results/ upwards and downwards."""
    whole = place.folder.resolve()
    parts = whole.parts
    numbers = [match[1] for part in parts if (match := _ROUND.search(part.lower()))]
    place = replace(place, round=f"v{numbers[-1]}" if numbers else None, scenario=scenario_of(whole.name))
    for at in range(len(parts) - 4, 1, -1):
        if parts[at] != "results":
            continue
        system, benchmark = parts[at + 1], parts[at + 2]
        division = parts[at - 2] if parts[at - 2] in DIVISIONS else None
        up = place.folder.absolute()
        for _ in range(len(parts) - at):
            up = up.parent
        return replace(place, system=system, benchmark=benchmark, division=division, organisation=up)
    return place


def scenario_of(name: str) -> Scenario | None:
    """The scenario that a folder's name means, in any case; None if it means none."""
    word = re.sub(r"[\s_-]", "", name.lower())
    return next((scenario for scenario in SCENARIOS if scenario == word), None)
