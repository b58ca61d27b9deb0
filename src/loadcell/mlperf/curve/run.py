"""Running the points of a plan one after the other; what is there in full is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from loadcell.errors import EndpointError
from loadcell.load import run_load
from loadcell.mlperf.curve.folder import POINT, read_point
from loadcell.mlperf.curve.model import CurvePlan, PlannedPoint, PointRun
from loadcell.mlperf.curve.planning import expected_rate, requests_for
from loadcell.mlperf.curve.points import point_spec
from loadcell.recording.campaign import keep_whole, set_aside
from loadcell.recording.read import dump_json
from loadcell.spec import Spec

if TYPE_CHECKING:
    from loadcell.load.fleet import Watch


def run_points(
    plan: CurvePlan,
    spec: Spec,
    folder: Path,
    watch: Watch,
    on_begin: Callable[[PlannedPoint], None],
    on_point: Callable[[PointRun], None],
    say: Callable[[str], None],
    *,
    selftest: dict[str, Any] | None = None,
) -> list[PointRun]:
    """Run every point into its folder; `on_begin` is told of each with its size and time by what is known by then.

    KeyboardInterrupt if a person ended a point; EndpointError if nothing succeeded. What is recorded stays.
    """
    done: list[PointRun] = []
    correction = 1.0
    for planned in plan.points:
        found = _run_point(_sized(planned, plan, correction), plan, spec, folder, watch, on_begin, say, selftest)
        guess = expected_rate(plan.peak.stages, planned.concurrency)
        if guess:
            correction = found.run.completed / found.run.duration_s / guess
        done.append(found)
        on_point(found)
    return done


def _sized(planned: PlannedPoint, plan: CurvePlan, correction: float) -> PlannedPoint:
    """The point with its requests and its time by the rate expected now: the search's, corrected by the last point."""
    guess = expected_rate(plan.peak.stages, planned.concurrency)
    if guess is None:
        return planned
    rate = guess * correction
    requests = plan.samples
    if planned.offline != "dedicated":
        requests = requests_for(plan.samples, rate, planned.min_duration_s)
    return msgspec.structs.replace(planned, requests=requests, eta_s=requests / rate)


def _run_point(
    planned: PlannedPoint,
    plan: CurvePlan,
    spec: Spec,
    folder: Path,
    watch: Watch,
    on_begin: Callable[[PlannedPoint], None],
    say: Callable[[str], None],
    selftest: dict[str, Any] | None,
) -> PointRun:
    """One point; if it was too short, once more, sized by the rate that it showed."""
    home = folder / planned.folder
    for last in (False, True):
        if not keep_whole(home):
            on_begin(planned)
            requests = planned.requests or plan.samples
            if run_load(point_spec(spec, planned, requests), home, watch, selftest=selftest).state == "interrupted":
                raise KeyboardInterrupt
        found = read_point(home, plan, planned)
        if not found.run.completed:
            raise EndpointError(
                f"no request at concurrency {planned.concurrency} succeeded: see why with loadcell report {home}"
            )
        dump_json(home / POINT, found)
        again = None if last else _longer(found, plan)
        if again is None:
            break
        span_s = found.point.issue_span_s or 0.0
        say(
            f"concurrency {planned.concurrency} took {span_s:.4g} s, less than {planned.min_duration_s:g} s: once more "
            f"with {again:,} requests"
        )
        planned = msgspec.structs.replace(planned, requests=again)
        set_aside(home)
    return found


def _longer(found: PointRun, plan: CurvePlan) -> int | None:
    """Requests that would have been enough for a point that was too short; None if it may stand as it is."""
    span_s, least_s = found.point.issue_span_s, found.planned.min_duration_s
    if plan.quick or found.planned.offline == "dedicated" or not span_s or span_s >= least_s:
        return None
    return requests_for(plan.samples, found.run.issued / span_s, least_s)
