"""What exports are made of: one of our own folders, opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loadcell import __version__
from loadcell.errors import RecordingError
from loadcell.mlperf.folder import ACCURACY, OUTCOME, PERFORMANCE, RUN, SCORED
from loadcell.mlperf.model import Accuracy, Outcome, Queries, RunPlan
from loadcell.mlperf.outcome import outcome_of
from loadcell.mlperf.queries import read_queries
from loadcell.recording.claim import claimed
from loadcell.recording.read import Recording, open_recording, read_json

GENERATOR = f"Loadcell {__version__}"
"""Stands in every export where LoadGen or the Endpoints client would name themselves."""


@dataclass(frozen=True)
class Run:
    """One of our folders: its performance run, and its accuracy pass if there is one."""

    folder: Path
    plan: RunPlan
    recording: Recording
    queries: Queries
    outcome: Outcome
    accuracy: Accuracy | None

    @property
    def has_replies(self) -> bool:
        """Whether the accuracy pass was recorded, not only scored."""
        return (self.folder / ACCURACY).is_dir()


def open_run(folder: Path) -> Run:
    """Open a folder of `loadcell mlperf run`; RecordingError says what is missing."""
    plan = RUN.read(folder)
    if not (folder / PERFORMANCE).is_dir():
        raise RecordingError(f"{folder} has no {PERFORMANCE}/: run it first, loadcell mlperf run {folder} --resume")
    recording = open_recording(folder / PERFORMANCE)
    scored = folder / SCORED
    return Run(
        folder=folder,
        plan=plan,
        recording=recording,
        queries=read_queries(recording, plan.rules.scenario),
        outcome=outcome_of(plan, recording),
        accuracy=read_json(scored, Accuracy) if scored.is_file() else None,
    )


def new_folder(folder: Path) -> None:
    """Make the folder of an export; RecordingError if it holds anything."""
    with claimed(folder):
        pass


__all__ = ["ACCURACY", "GENERATOR", "OUTCOME", "PERFORMANCE", "Run", "new_folder", "open_run"]
