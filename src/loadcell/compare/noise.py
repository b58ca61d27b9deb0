"""The A/A noise floor: how far runs of the same thing differ. No smaller difference is a finding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from loadcell.compare.effect import RUNS_LEAST, scaled, unscaled
from loadcell.compare.figures import ABSENT
from loadcell.compare.judge import Noises, Runs
from loadcell.compare.measures import MEASURES, Measure
from loadcell.compare.model import Floor, Noise
from loadcell.compare.sides import Loaded
from loadcell.errors import UsageError
from loadcell.metrics.fingerprint import differences
from loadcell.phrases import phrase


def check_repeats(loaded: Sequence[Loaded], least: int = RUNS_LEAST) -> None:
    """UsageError unless these are enough runs, each of its own, of the same thing."""
    if len(loaded) < least:
        raise UsageError(
            f"--noise needs {least} runs or more of the same thing, not {len(loaded)}: "
            "make them with loadcell run ... --repeat 5"
        )
    ids = [run.result.run.id for run in loaded]
    if len(set(ids)) < len(ids):
        raise UsageError("--noise names the same run twice: repeats must be runs of their own")
    first = loaded[0]
    for other in loaded[1:]:
        found = [
            d.says for d in differences(first.result, other.result, (str(first.path), str(other.path))) if not d.repeats
        ]
        if found:
            raise UsageError(f"--noise needs repeats of the same thing, but these differ: {'; '.join(found)}")


def spreads(runs: Runs) -> dict[str, Noises]:
    """The spread between runs of each measure that every run has."""
    return {key: noise for key, measure in MEASURES.items() if (noise := _spread(measure, runs)) is not None}


def _spread(measure: Measure, runs: Runs) -> Noises | None:
    values = [run[measure.key].value for run in runs]
    known = np.array([v for v in values if v is not None], dtype=np.float64)
    if known.size < len(values):
        return None
    return Noises(float(scaled(known, measure.relative).std(ddof=1)), known.size)


def noise_floor(loaded: Sequence[Loaded]) -> Noise:
    """The noise floors of these repeats, as they are shown."""
    runs = [run.figures for run in loaded]
    found, shown = spreads(runs), [m for m in MEASURES.values() if _has(m, runs)]
    lacking = [m.title for m in shown if m.key not in found]
    return Noise(
        runs=[run.result.run.id for run in loaded],
        floors=[_floor(m, runs, found.get(m.key)) for m in shown],
        notes=[
            *(phrase("{} is {}", run.path, run.word) for run in loaded if run.word != "VALID"),
            *([phrase("no floor, for not every run has them: {}", ", ".join(lacking))] if lacking else []),
        ],
    )


def _has(measure: Measure, runs: Runs) -> bool:
    return any(run[measure.key].why not in ABSENT for run in runs)


def _floor(measure: Measure, runs: Runs, noise: Noises | None) -> Floor:
    mean = None
    if noise is not None:
        at = float(scaled(np.array([run[measure.key].value for run in runs], dtype=float), measure.relative).mean())
        mean = math.exp(at) if measure.relative else at
    return Floor(
        metric=measure.metric,
        stat=measure.stat,
        title=measure.title,
        unit=measure.unit,
        mean=mean,
        deviation=None if noise is None else unscaled(noise.deviation, measure.relative),
        floor=None if noise is None else unscaled(noise.floor(), measure.relative),
    )
