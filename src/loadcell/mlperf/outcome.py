"""What a performance run is worth: from its folder to its Outcome."""

from __future__ import annotations

from pathlib import Path

from loadcell import __version__
from loadcell.metrics import build_result
from loadcell.mlperf.facts import facts_of
from loadcell.mlperf.folder import PERFORMANCE, RUN
from loadcell.mlperf.judge import judge, verdict
from loadcell.mlperf.model import Outcome, RunPlan
from loadcell.mlperf.queries import read_queries
from loadcell.mlperf.score import score
from loadcell.recording.read import Recording, open_recording


def outcome(folder: str | Path) -> Outcome:
    """The Outcome of the performance run in `folder`: a pure function of its plan and its recording.

    RecordingError says what is wrong with the folder.
    """
    place = Path(folder)
    plan = RUN.read(place)
    return outcome_of(plan, open_recording(place / PERFORMANCE))


def outcome_of(plan: RunPlan, recording: Recording) -> Outcome:
    """The Outcome of a recording by its plan."""
    queries = read_queries(recording, plan.rules.scenario)
    result = build_result(recording)
    figures = score(queries, plan.rules)
    findings = judge(plan, figures, facts_of(recording, result, queries))
    return Outcome(
        loadcell=__version__,
        plan=plan,
        state=recording.manifest.state,
        verdict=verdict(findings),
        score=figures,
        findings=findings,
        instrument=result.verdict.word,
        instrument_reasons=result.verdict.reasons,
        started_at=recording.manifest.started_at,
    )
