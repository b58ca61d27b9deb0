"""The folder of a curve, and what it tells.

mlperf/curve-tuesday/plan.json       the CurvePlan
mlperf/curve-tuesday/prompts.jsonl   what is sent, a sample a line
mlperf/curve-tuesday/search/c64/     a recording: a stage of the search for C_max; no result
mlperf/curve-tuesday/r64/            the recording of the point at concurrency 64, and its point.json
mlperf/curve-tuesday/r64.cut-1/      one that was cut off or too short, set aside
mlperf/curve-tuesday/curve.json      the Curve
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from loadcell import __version__
from loadcell.errors import RecordingError
from loadcell.mlperf.curve.checks import check_points
from loadcell.mlperf.curve.metrics import figures_of_run, figures_of_window, measure
from loadcell.mlperf.curve.model import FORMAT, Curve, CurvePlan, CurvePoint, Figures, PlannedPoint, PointRun, Warmup
from loadcell.mlperf.curve.steady import steady_of
from loadcell.mlperf.model import Finding
from loadcell.mlperf.rules import endpoints_rules
from loadcell.recording.campaign import Campaign
from loadcell.recording.read import dump_json, open_recording

PROMPTS, SEARCH, POINT, DRAWN = "prompts.jsonl", "search", "point.json", "curve.json"
_DRIFTS = ("drifting_up", "drifting_down")
_SMALLER = ("point-duration", "min-query-count")
"""Rules that a curve of shorter points or fewer samples cannot keep."""
_CACHED = 0.01
"""Prompt tokens from a cache from which on a point says so."""


def _asked(plan: CurvePlan) -> dict[str, Any]:
    """What a person asks for; sizes and times may differ."""
    tree = msgspec.to_builtins(plan)
    names = ("benchmark", "samples", "dataset_sha256", "quick", "offline", "c_min_override", "regions")
    points = [planned.concurrency for planned in plan.points]
    return {**{name: tree[name] for name in names}, "points": points, **tree["spec"]}


CURVE = Campaign(
    noun="a curve",
    part="a point",
    command="loadcell mlperf curve",
    place="mlperf",
    file="plan.json",
    form=CurvePlan,
    newest=FORMAT,
    asked=_asked,
    prepared=(PROMPTS,),
)


def read_point(home: Path, plan: CurvePlan, planned: PlannedPoint) -> PointRun:
    """What the recording of a point shows; RecordingError if it cannot be read or holds no request."""
    from loadcell.metrics import build_result, reasons_of, word_of

    recording = open_recording(home)
    result, measured = build_result(recording), measure(recording)
    whole = figures_of_run(measured)
    if whole is None:
        raise RecordingError(f"{home} holds no request that was sent: run the point again")
    steady, window = None, None
    if planned.offline != "dedicated":
        steady = steady_of(
            measured.issue_s,
            measured.tpot_ms,
            measured.ttft_ms,
            size=plan.samples,
            min_duration_s=endpoints_rules().min_duration_at(planned.concurrency),
        )
        if steady.window is not None:
            window = figures_of_window(measured, steady.window)
    basis = None if steady is None else steady.basis
    official = window if basis == "window" and window is not None else whole
    point = CurvePoint(
        where=str(home),
        concurrency=planned.concurrency,
        region=planned.region,
        c_max=plan.peak.c_max,
        c_min_override=plan.c_min_override,
        offline=planned.offline,
        load_pattern="concurrency",
        model=plan.model,
        dataset=plan.dataset,
        dataset_size=plan.dataset_size,
        min_duration_s=planned.min_duration_s,
        issue_span_s=measured.issue_span_s,
        duration_s=whole.duration_s,
        issued=whole.issued,
        completed=whole.completed,
        failed=whole.failed,
        output_tokens=whole.output_tokens,
        system_tps=official.system_tps,
        tps_per_user=official.tps_per_user,
        tpot_p90_ms=official.tpot_p90_ms,
        ttft_p90_ms=official.ttft_p90_ms,
        steady=steady,
        steady_basis=basis,
        warmup=Warmup(duration_s=0.0, requests_issued=0, requests_completed=0),
        seeds=plan.seeds,
        target_cohort=plan.target_cohort,
    )
    return PointRun(
        planned=msgspec.structs.replace(planned, requests=whole.issued),
        point=point,
        run=whole,
        window=window,
        state=recording.manifest.state,
        instrument=word_of(result),
        instrument_reasons=reasons_of(result),
        started_at=recording.manifest.started_at,
        notes=_notes(result.instrument.tokens.cached_share, whole),
    )


def _notes(cached: float | None, whole: Figures) -> list[str]:
    notes = []
    if cached is not None and cached > _CACHED:
        notes.append(f"the server took {cached:.0%} of the prompt tokens from its cache: allowed here, and faster")
    if without := whole.completed - whole.tpot_samples:
        notes.append(
            f"{without:,} of {whole.completed:,} replies have no TPOT: not streamed, or no token after the first chunk"
        )
    return notes


def build_curve(folder: Path, plan: CurvePlan | None = None) -> Curve:
    """The curve in `folder`: a function of its plan and its recordings. Points not run in full are left out."""
    plan = plan or CURVE.read(folder)
    points = []
    for planned in plan.points:
        home = folder / planned.folder
        if (home / "recording.json").exists():
            point = read_point(home, plan, planned)
            if point.state == "complete":
                points.append(point)
    return curve_of(plan, points)


def curve_of(plan: CurvePlan, points: Sequence[PointRun]) -> Curve:
    """The curve of points that were run; without any there is nothing to judge."""
    findings = check_points([one.point for one in points], endpoints_rules()) if points else []
    return Curve(
        loadcell=__version__,
        plan=plan,
        points=list(points),
        steps=steps_of(points),
        findings=_excused(findings, plan),
        complete=len(points) == len(plan.points),
    )


def _excused(findings: Sequence[Finding], plan: CurvePlan) -> list[Finding]:
    """The findings; a rule that could not hold because the curve was made smaller on purpose is no failure of it."""
    if not plan.shortened:
        return list(findings)
    return sorted(
        (
            msgspec.structs.replace(one, ok=None, says=f"{one.says} (smaller on purpose)", advice=None)
            if one.ok is False and one.rule in _SMALLER
            else one
            for one in findings
        ),
        key=lambda one: {False: 0, None: 1, True: 2}[one.ok],
    )


def write_curve(folder: Path, curve: Curve) -> None:
    """Write curve.json, and point.json beside each recording."""
    for one in curve.points:
        dump_json(folder / one.planned.folder / POINT, one)
    dump_json(folder / DRAWN, curve)


def steps_of(points: Sequence[PointRun]) -> list[int]:
    """Positions of the points that no other beats in both system_tps and tps_per_user, by rising tps_per_user.

    A point that drifts has no single figure, so it is none of them.
    """
    figures = {
        i: (one.point.tps_per_user, one.point.system_tps)
        for i, one in enumerate(points)
        if one.point.tps_per_user is not None
        and one.point.system_tps is not None
        and not (one.point.steady is not None and one.point.steady.verdict in _DRIFTS)
    }
    best = [
        i
        for i, (user, total) in figures.items()
        if not any(
            other[0] >= user and other[1] >= total and (other != (user, total) or j < i)
            for j, other in figures.items()
            if j != i
        )
    ]
    return sorted(best, key=lambda i: figures[i][0])
