"""The written-down checks of a curve, by their official names: of the curve as a whole here, of points in point_checks.

Each rule gives one finding where all is well, and one for each point where it is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from loadcell.errors import UsageError
from loadcell.mlperf.curve.model import CurvePoint, Region, Regions
from loadcell.mlperf.curve.point_checks import judge_points
from loadcell.mlperf.curve.regions import BANDS, NAMES, bounds, c_min_of, covers, region_of, regions_of
from loadcell.mlperf.curve.seed_checks import check_seeds
from loadcell.mlperf.findings import failed, held, judged, noted, ordered
from loadcell.mlperf.model import Finding
from loadcell.mlperf.rules.forms import EndpointsRules

_COVERAGE: dict[Region, str] = {
    "low_latency": "ultra-low-coverage",
    "low_concurrency": "low-concurrency-coverage",
    "med_concurrency": "med-concurrency-coverage",
    "high_concurrency": "high-concurrency-coverage",
}
Points = Sequence[CurvePoint]


def check_points(points: Points, rules: EndpointsRules) -> list[Finding]:
    """What the rules of MLPerf Endpoints find in the points of one curve, what failed first.

    What a point does not tell cannot be judged: such a finding has ok None.
    """
    return ordered(finding for check in CHECKS for finding in check(points, rules))


def _counts(points: Points, rules: EndpointsRules) -> Iterator[Finding]:
    dedicated = any(point.offline == "dedicated" for point in points)
    least = rules.points_min_with_dedicated_offline if dedicated else rules.points_min_elected_or_agentic
    kind = "a dedicated Offline point among them" if dedicated else "without a dedicated Offline point"
    n = len(points)
    says = f"{n} points, {kind}: at least {least} are needed"
    yield judged("point-count", n >= least, says, advice=f"run {least - n} more (--points)")
    says = f"{n} points: at most {rules.points_max} are allowed"
    yield judged("point-cap", n <= rules.points_max, says, advice="leave some out")


# --- regions ---------------------------------------------------------------------------------------------------------


def _levels(points: Points) -> list[int]:
    """The concurrencies that regions follow from: a dedicated Offline point has no part in them."""
    return [point.concurrency for point in points if point.concurrency is not None and point.offline != "dedicated"]


def _overridden(points: Points) -> bool:
    return any(point.c_min_override is not None for point in points)


def _declared(points: Points, rules: EndpointsRules) -> Iterator[Finding]:
    """C_max, C_min and what follows from them: regions, coverage, where each point lies."""
    yield from _override(points, rules)
    found = regions_of_points(points)
    if isinstance(found, str):
        yield failed("region-computation", found, advice="declare one C_max above 32 at every point")
        return
    shown = ", ".join(f"{NAMES[name]} {low}-{high}" for name, (low, high) in bounds(found) if low <= high)
    yield held("region-computation", f"C_max {found.c_max}, C_min {found.c_min}: {shown}")
    override = _overridden(points)
    for band, rule in _COVERAGE.items():
        inside = sorted(level for level in _levels(points) if covers(found, band, level, override=override))
        low, high = getattr(found, band)
        if band == "low_latency" and not override:
            high = rules.ultra_low_max_concurrency
        empty = "" if low <= high else f"; the region is empty: C_max {found.c_max} is too small for it"
        says = f"{NAMES[band]} ({low}-{high}) has {_listed(inside)}{empty}"
        advice = "declare a larger C_max" if empty else f"add a point at {low} to {high}"
        yield judged(rule, bool(inside), says, advice=advice)
    yield from _placed(points, found)


def regions_of_points(points: Points) -> Regions | str:
    """The regions that points declare, or why there are none."""
    declared = sorted({point.c_max for point in points if point.c_max is not None})
    if len(declared) != 1:
        return "no point declares C_max" if not declared else f"points declare different C_max: {_listed(declared)}"
    overrides = {point.c_min_override for point in points if point.c_min_override is not None}
    try:
        return regions_of(declared[0], c_min_of(_levels(points), max(overrides, default=None)))
    except UsageError as error:
        return str(error)


def _placed(points: Points, regions: Regions) -> Iterator[Finding]:
    placed = [
        (point, point.concurrency) for point in points if point.concurrency is not None and point.offline != "dedicated"
    ]
    end = regions.margin[1]
    beyond = [(point, level) for point, level in placed if level > end]
    for point, level in beyond:
        says = f"concurrency {level} is above the margin, which ends at {end}"
        yield failed("concurrency-in-range", says, point.where, "take the point out, or declare a larger C_max")
    if placed and not beyond:
        yield held("concurrency-in-range", f"every point is at {end} or below")
    told = [(point, level, region_of(regions, level)) for point, level in placed if point.region is not None]
    wrong = [one for one in told if one[0].region != one[2]]
    for point, level, region in wrong:
        says = f"concurrency {level} is called {point.region} and lies in {region}"
        yield failed("region-placement", says, point.where, f"write {region}")
    if told and not wrong:
        yield held("region-placement", f"{len(told)} points lie in the regions that they name")


def _override(points: Points, rules: EndpointsRules) -> Iterator[Finding]:
    values, most = {point.c_min_override for point in points}, rules.ultra_low_max_concurrency
    if values <= {None}:
        return
    (value, *more) = sorted(v for v in values if v is not None)
    wrong = None
    if more or None in values:
        wrong = "c_min_override is not the same at every point"
    elif not 1 <= value <= most:
        wrong = f"c_min_override is {value}: it must be 1 to {most}"
    elif value not in {point.concurrency for point in points}:
        wrong = f"c_min_override is {value}: no point has that concurrency"
    says = wrong or f"c_min_override {value} is that of a point, and the same everywhere"
    advice = "declare the concurrency of one of the points, at every point"
    yield judged("c-min-override", wrong is None, says, advice=advice)


# --- offline ---------------------------------------------------------------------------------------------------------


def _offline(points: Points, rules: EndpointsRules) -> Iterator[Finding]:
    offline = [point for point in points if point.offline is not None]
    agentic = any(point.agentic for point in points)
    says = f"{len(offline)} Offline points; {'none is allowed here' if agentic else 'exactly one is needed'}"
    advice = "elect the point at C_max, or run a dedicated one (--offline)"
    yield judged("offline-point-present", len(offline) == (0 if agentic else 1), says, advice=advice)
    for point in offline:
        if point.offline == "dedicated":
            yield _ordering(point, points, rules)
        else:
            at_c_max = point.concurrency is not None and point.concurrency == point.c_max
            says = f"the elected Offline point is at concurrency {point.concurrency}, C_max is {point.c_max}"
            yield judged("offline-ordering", at_c_max, says, point.where, "elect the point at C_max")


def _ordering(offline: CurvePoint, points: Points, rules: EndpointsRules) -> Finding:
    """A dedicated Offline run must not be slower than the point at C_max, nor have fewer in flight."""
    peak = next((p for p in points if p is not offline and p.concurrency == p.c_max and p.c_max is not None), None)
    if peak is None or None in (peak.system_tps, offline.system_tps, offline.concurrency):
        says = "the tokens/s of the dedicated Offline point and of a point at C_max cannot be compared: one is missing"
        return noted("offline-ordering", says, offline.where)
    share = (offline.system_tps or 0.0) / (peak.system_tps or math.inf)
    least = rules.tolerances.offline_tps_vs_c_max
    ok = share >= least and (offline.concurrency or 0) >= (peak.c_max or 0)
    says = (
        f"dedicated Offline at concurrency {offline.concurrency} reaches {share:.3f} of the tokens/s at C_max "
        f"({peak.c_max}); at least {least:g} and at least C_max are needed"
    )
    return judged("offline-ordering", ok, says, offline.where, "elect the point at C_max instead")


# --- all points alike ------------------------------------------------------------------------------------------------


def _alike(points: Points, _: EndpointsRules) -> Iterator[Finding]:
    one = len({point.agentic for point in points}) <= 1
    says = "every point is of one type" if one else "agentic and other points are in one curve"
    yield judged("benchmark-type-consistency", one, says)
    for field in ("dataset", "model"):
        values = sorted({str(value) for point in points if (value := getattr(point, field)) is not None})
        missing = sum(getattr(point, field) is None for point in points)
        ok = None if len(values) == 1 and missing else len(values) == 1
        says = f"{field}: {', '.join(values) or 'none told'}" + (f"; {missing} points do not tell" if missing else "")
        advice = f"use one {field} at every point, and write it down"
        yield judged(f"config-consistency-{field}", ok, says, advice=advice)


def _accuracy(points: Points, rules: EndpointsRules) -> Iterator[Finding]:
    """Accuracy runs: exactly one in each of the four bands, and one of Offline; each must pass."""
    if any(point.agentic for point in points):
        return
    ran = [point for point in points if point.accuracy_passed is not None]
    if not ran:
        need = rules.accuracy_points["single_turn"]
        says = f"no point has an accuracy run; {need} are needed: one in each band and one of Offline"
        yield noted("accuracy-coverage", says, advice="loadcell mlperf accuracy measures it")
        return
    regions = regions_of_points(points)
    if isinstance(regions, str):
        yield noted("accuracy-coverage", f"bands are unknown: {regions}")
        return
    levels = [point.concurrency or 0 for point in ran if point.offline != "dedicated"]
    override = _overridden(points)
    bare = [NAMES[band] for band in BANDS if not any(covers(regions, band, c, override=override) for c in levels)]
    bare += [] if any(point.offline for point in ran) else ["Offline"]
    says = f"{len(ran)} accuracy runs" + (f"; none in {', '.join(bare)}" if bare else ", every band and Offline")
    yield judged("accuracy-coverage", not bare, says, advice="run the accuracy pass there")


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values)) or "no point"


CHECKS: tuple[Callable[[Points, EndpointsRules], Iterator[Finding]], ...] = (
    _counts, _declared, _offline, _alike, judge_points, check_seeds, _accuracy,
)  # fmt: skip
