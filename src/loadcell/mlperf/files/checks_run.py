"""The checks of our own folders: a run and its recording, a curve and its points, points of other people's curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from loadcell.errors import LoadcellError
from loadcell.mlperf.curve.checks import check_points
from loadcell.mlperf.curve.folder import build_curve
from loadcell.mlperf.curve.model import Curve
from loadcell.mlperf.files.checks_accuracy import check_gates
from loadcell.mlperf.files.checks_endpoints import check_summary
from loadcell.mlperf.files.curve_points import read_curve_point
from loadcell.mlperf.files.layout import CURVE, PLAN, RESULT, Place
from loadcell.mlperf.findings import failed, judged, noted
from loadcell.mlperf.judge import fails
from loadcell.mlperf.model import Accuracy, Finding, Outcome, RunPlan
from loadcell.mlperf.outcome import outcome
from loadcell.mlperf.rules import endpoints_rules, find_rules
from loadcell.recording.read import Recording, open_recording, read_json
from loadcell.workload.loadgen import traffic_of

_UNTOLD = ("point-duration",)
"""Rules for which the files have no field where a point has no steady window."""
_SIZES = (
    "performance_sample_count", "offline_min_samples", "min_queries", "min_duration_s", "max_output_tokens", "seeds",
    "equal_issue",
)  # fmt: skip
"""Fields of the rules that a smaller run has of its own."""
OUTCOME, SCORED, PERFORMANCE = "outcome.json", "accuracy.json", "performance"


def check_run(folder: Path) -> Iterator[Finding]:
    """Our own run, judged again from its recording: nothing that its JSON files claim is taken on trust."""
    try:
        if (folder / PLAN).is_file():
            yield from _performance(folder)
        else:
            yield noted("performance", "no performance run in this folder", folder)
        yield from _accuracy(folder)
    except LoadcellError as error:
        yield failed("recording", str(error), folder, "run again, or take the folder as it was written")


def _performance(folder: Path) -> Iterator[Finding]:
    again = outcome(folder)
    where = folder / PERFORMANCE
    for found in again.findings:
        ok = False if fails(found) else found.ok
        yield msgspec.structs.replace(found, ok=ok, where=found.where or str(where))
    yield from _rules(again.plan, folder / PLAN)
    yield from _traffic(open_recording(where), again.plan)
    if not (folder / OUTCOME).is_file():
        yield noted("outcome", f"{OUTCOME} is missing: the run was judged again", folder)
        return
    kept: Outcome = read_json(folder / OUTCOME, Outcome)
    wrong = [
        f"{name} {_say(mine)} in {OUTCOME}, {_say(theirs)} by the recording"
        for name in kept.score.__struct_fields__
        if not _alike(mine := getattr(kept.score, name), theirs := getattr(again.score, name))
    ]
    if kept.verdict != again.verdict:
        wrong.insert(0, f"{kept.verdict} in {OUTCOME}, {again.verdict} by the recording")
    if kept.plan != again.plan:
        wrong.append(f"{OUTCOME} is of another plan than {PLAN}")
    says = "; ".join(wrong[:5]) or f"{OUTCOME} says what the recording gives again"
    advice = "the file was edited, or an older version wrote it: loadcell mlperf run --resume writes it again"
    yield judged("outcome", not wrong, says, folder / OUTCOME, advice)


def _rules(plan: RunPlan, path: Path) -> Iterator[Finding]:
    """The rules that the run is judged by are the round's, but for the size of a run that says to be smaller."""
    official = find_rules(plan.rules.round, plan.rules.benchmark, plan.rules.scenario)
    free = _SIZES if plan.shortened else ()
    wrong = [
        f"{name} {_say(mine)} instead of {_say(theirs)}"
        for name in official.__struct_fields__
        if name not in ("notes", "suites", *free)
        and (mine := getattr(plan.rules, name)) != (theirs := getattr(official, name))
        and not (name == "min_queries" and mine > theirs)  # early stopping may need more
    ]
    says = f"judged by rules of {official.round}" + (f" with {'; '.join(wrong)}" if wrong else "")
    advice = "the plan was edited, or made by a version with other rules: run again"
    yield judged("rules", not wrong, says, path, advice)


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-12)
    return bool(a == b)


def _say(value: Any) -> str:
    return f"{value!r:.60}"


def _traffic(recording: Recording, plan: RunPlan) -> Iterator[Finding]:
    """What the schedule says was sent is LoadGen's traffic for the seeds of the Spec."""
    rows = recording.schedule(("prompt", "planned_ns"))
    spec, count = recording.spec, len(rows["prompt"])
    traffic = traffic_of(spec.loadgen, plan.samples, rate=spec.load.rate, rows=count)
    same = len(traffic.samples) == count and np.array_equal(rows["prompt"].astype(np.float64), traffic.samples)
    if traffic.scheduled_ns is not None:
        same = same and np.array_equal(rows["planned_ns"].astype(np.float64), traffic.scheduled_ns)
    says = f"the schedule of {count:,} requests {'is' if same else 'is not'} LoadGen's for the seeds of the round"
    where = recording.path / "schedule.parquet"
    yield judged("generated-traffic", same, says, where, "the recording is of another plan, or was edited")
    seeds, loadgen = plan.rules.seeds, spec.loadgen
    used = (loadgen.qsl_seed, loadgen.sample_index_seed, loadgen.schedule_seed)
    if used != (seeds.qsl, seeds.sample_index, seeds.schedule):
        yield failed("seeds", f"the run has the seeds {used}, {plan.rules.round} has others", recording.path)


def _accuracy(folder: Path) -> Iterator[Finding]:
    path = folder / SCORED
    if not path.is_file():
        says = "no accuracy pass was scored: speed without accuracy is no MLPerf-style result"
        yield noted("accuracy", says, folder, f"loadcell mlperf accuracy, with --output {folder}")
        return
    scored: Accuracy = read_json(path, Accuracy)
    for found in scored.findings:
        yield msgspec.structs.replace(found, where=found.where or str(path))
    rules = find_rules(scored.round, scored.benchmark, scored.scenario)
    if scored.passed and scored.samples == rules.accuracy_sample_count:  # a part has bounds of its own
        known = {name: value for name, value in scored.scores.items() if value is not None}
        yield from check_gates(rules, known, path)
    says = f"the accuracy gate {'is passed' if scored.passed else 'is not passed'}"
    yield judged("accuracy-gate", scored.passed, says, path, "see the scores: loadcell mlperf accuracy shows them")


def check_curve(folder: Path) -> Iterator[Finding]:
    """Our own curve, made again from its recordings."""
    try:
        again, kept = build_curve(folder), read_json(folder / CURVE, Curve)
    except LoadcellError as error:
        yield failed("recording", str(error), folder, "run again, or take the folder as it was written")
        return
    for found in again.findings:
        yield msgspec.structs.replace(found, where=found.where or str(folder))
    if not again.complete:
        yield failed("point-count", "not every planned point was run", folder, "loadcell mlperf curve --resume")
    figures = ("concurrency", "issued", "completed", "failed", "output_tokens", "system_tps", "tps_per_user")
    wrong = [
        f"{name} of {new.planned.folder} {_say(getattr(old.point, name))}, {_say(getattr(new.point, name))} again"
        for old, new in zip(kept.points, again.points, strict=False)
        for name in figures
        if not _alike(getattr(old.point, name), getattr(new.point, name))
    ]
    if len(kept.points) != len(again.points):
        wrong.insert(0, f"{len(kept.points)} points, {len(again.points)} recordings")
    says = f"{CURVE}: " + ("; ".join(wrong[:5]) or "what the recordings give again")
    yield judged("outcome", not wrong, says, folder / CURVE, "the file was edited, or an older version wrote it")


def check_points_of(places: Sequence[Place]) -> Iterator[Finding]:
    """Points in folders r<C>, one curve for each folder around them. What a point does not tell fails its rule."""
    curves: dict[Path, list[Place]] = {}
    for place in places:
        curves.setdefault(place.folder.parent, []).append(place)
    for curve, inside in curves.items():
        problems: list[Finding] = []
        points = []
        for place in inside:
            point, summary = read_curve_point(place.folder, problems)
            points.append(point)
            if summary is not None:
                yield from check_summary(summary, place.folder / RESULT, None)
        yield from problems
        for found in check_points(points, endpoints_rules()):
            ok = False if found.ok is None and found.rule not in _UNTOLD else found.ok
            yield msgspec.structs.replace(found, ok=ok, where=found.where or str(curve))
