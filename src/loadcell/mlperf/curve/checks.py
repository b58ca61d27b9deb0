"""The written-down checks of a curve, by their official names: of the curve as a whole here, of points in point_checks.

Each rule gives one finding where all is well, and one for each point where it is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from loadcell.errors import UsageError
from loadcell.mlperf.curve.model import CurvePoint, Regions
from loadcell.mlperf.curve.point_checks import POINT_RULES, judge_points
from loadcell.mlperf.curve.regions import BANDS, NAMES, bounds, c_min_of, covers, region_of, regions_of
from loadcell.mlperf.curve.seed_checks import check_seeds
from loadcell.mlperf.model import Finding
from loadcell.mlperf.rules.forms import EndpointsRules

_COVERAGE = dict(zip(BANDS, ("ultra-low", "low", "med", "high"), strict=True))


def check_points(points: Sequence[CurvePoint], rules: EndpointsRules) -> list[Finding]:
    """What the rules of MLPerf Endpoints find in the points of one curve, what failed first.

    What a point does not tell cannot be judged: such a finding has ok None.
    """
    found = [
        *_counts(points, rules),
        *_declared(points, rules),
        *_offline(points, rules),
        *_alike(points),
        *(finding for rule in POINT_RULES for finding in judge_points(rule, points, rules)),
        *check_seeds(points, rules),
        *_accuracy(points, rules),
    ]
    return sorted(found, key=lambda finding: {False: 0, None: 1, True: 2}[finding.ok])


def _counts(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    dedicated = any(point.offline == "dedicated" for point in points)
    least = rules.points_min_with_dedicated_offline if dedicated else rules.points_min_elected_or_agentic
    kind = "a dedicated Offline point among them" if dedicated else "without a dedicated Offline point"
    yield Finding(
        rule="point-count",
        ok=len(points) >= least,
        says=f"{len(points)} points, {kind}: at least {least} are needed",
        advice=None if len(points) >= least else f"run {least - len(points)} more (--points)",
    )
    yield Finding(
        rule="point-cap",
        ok=len(points) <= rules.points_max,
        says=f"{len(points)} points: at most {rules.points_max} are allowed",
        advice=None if len(points) <= rules.points_max else "leave some out",
    )


# --- regions ---------------------------------------------------------------------------------------------------------


def _declared(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    """C_max, C_min and what follows from them: regions, coverage, where each point lies."""
    yield from _override(points, rules)
    found = regions_of_points(points)
    if isinstance(found, str):
        yield Finding(
            rule="region-computation", ok=False, says=found, advice="declare one C_max above 32 at every point"
        )
        return
    shown = ", ".join(f"{NAMES[name]} {low}-{high}" for name, (low, high) in bounds(found) if low <= high)
    yield Finding(rule="region-computation", ok=True, says=f"C_max {found.c_max}, C_min {found.c_min}: {shown}")
    override = any(point.c_min_override is not None for point in points)
    levels = [point.concurrency for point in points if point.concurrency is not None and point.offline != "dedicated"]
    for band, short in _COVERAGE.items():
        inside = sorted(level for level in levels if covers(found, band, level, override=override))
        low, high = getattr(found, band)
        if band == "low_latency" and not override:
            high = rules.ultra_low_max_concurrency
        empty = "" if low <= high else f"; the region is empty: C_max {found.c_max} is too small for it"
        yield Finding(
            rule=f"{short}-concurrency-coverage" if short != "ultra-low" else "ultra-low-coverage",
            ok=bool(inside),
            says=f"{NAMES[band]} ({low}-{high}) has {_listed(inside)}{empty}",
            advice=None if inside else ("declare a larger C_max" if empty else f"add a point at {low} to {high}"),
        )
    yield from _placed(points, found)


def regions_of_points(points: Sequence[CurvePoint]) -> Regions | str:
    """The regions that points declare, or why there are none. A dedicated Offline point has no part in C_min."""
    declared = sorted({point.c_max for point in points if point.c_max is not None})
    if len(declared) != 1:
        return "no point declares C_max" if not declared else f"points declare different C_max: {_listed(declared)}"
    overrides = {point.c_min_override for point in points if point.c_min_override is not None}
    levels = [point.concurrency for point in points if point.concurrency is not None and point.offline != "dedicated"]
    try:
        return regions_of(declared[0], c_min_of(levels, max(overrides, default=None)))
    except UsageError as error:
        return str(error)


def _placed(points: Sequence[CurvePoint], regions: Regions) -> Iterator[Finding]:
    placed = [point for point in points if point.concurrency is not None and point.offline != "dedicated"]
    beyond = [point for point in placed if (point.concurrency or 0) > regions.margin[1]]
    for point in beyond:
        yield Finding(
            rule="concurrency-in-range",
            ok=False,
            says=f"concurrency {point.concurrency} is above the margin, which ends at {regions.margin[1]}",
            advice="take the point out, or declare a larger C_max",
            where=point.where,
        )
    if placed and not beyond:
        yield Finding(rule="concurrency-in-range", ok=True, says=f"every point is at {regions.margin[1]} or below")
    wrong = [
        (point, region_of(regions, point.concurrency or 0))
        for point in placed
        if point.region is not None and point.region != region_of(regions, point.concurrency or 0)
    ]
    for point, region in wrong:
        yield Finding(
            rule="region-placement",
            ok=False,
            says=f"concurrency {point.concurrency} is called {point.region} and lies in {region}",
            advice=f"write {region}",
            where=point.where,
        )
    told = sum(point.region is not None for point in placed)
    if told and not wrong:
        yield Finding(rule="region-placement", ok=True, says=f"{told} points lie in the regions that they name")


def _override(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    values = {point.c_min_override for point in points}
    if values <= {None}:
        return
    says, ok = "", True
    (value, *more) = sorted(v for v in values if v is not None)
    if more or None in values:
        says, ok = "c_min_override is not the same at every point", False
    elif not 1 <= value <= rules.ultra_low_max_concurrency:
        says, ok = f"c_min_override is {value}: it must be 1 to {rules.ultra_low_max_concurrency}", False
    elif value not in {point.concurrency for point in points}:
        says, ok = f"c_min_override is {value}: no point has that concurrency", False
    yield Finding(
        rule="c-min-override",
        ok=ok,
        says=says or f"c_min_override {value} is that of a point, and the same everywhere",
        advice=None if ok else "declare the concurrency of one of the points, at every point",
    )


# --- offline ---------------------------------------------------------------------------------------------------------


def _offline(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    offline = [point for point in points if point.offline is not None]
    agentic = any(point.agentic for point in points)
    wanted = 0 if agentic else 1
    yield Finding(
        rule="offline-point-present",
        ok=len(offline) == wanted,
        says=f"{len(offline)} Offline points; {'none is allowed here' if agentic else 'exactly one is needed'}",
        advice=None if len(offline) == wanted else "elect the point at C_max, or run a dedicated one (--offline)",
    )
    for point in offline:
        if point.offline == "dedicated":
            yield _ordering(point, points, rules)
        else:
            at_c_max = point.concurrency is not None and point.concurrency == point.c_max
            yield Finding(
                rule="offline-ordering",
                ok=at_c_max,
                says=f"the elected Offline point is at concurrency {point.concurrency}, C_max is {point.c_max}",
                advice=None if at_c_max else "elect the point at C_max",
                where=point.where,
            )


def _ordering(offline: CurvePoint, points: Sequence[CurvePoint], rules: EndpointsRules) -> Finding:
    """A dedicated Offline run must not be slower than the point at C_max, nor have fewer in flight."""
    peak = next((p for p in points if p is not offline and p.concurrency == p.c_max and p.c_max is not None), None)
    if peak is None or None in (peak.system_tps, offline.system_tps, offline.concurrency):
        says = "the tokens/s of the dedicated Offline point and of a point at C_max cannot be compared: one is missing"
        return Finding(rule="offline-ordering", ok=None, says=says, where=offline.where)
    share = (offline.system_tps or 0.0) / (peak.system_tps or math.inf)
    enough = (offline.concurrency or 0) >= (peak.c_max or 0)
    least = rules.tolerances.offline_tps_vs_c_max
    return Finding(
        rule="offline-ordering",
        ok=share >= least and enough,
        says=f"dedicated Offline at concurrency {offline.concurrency} reaches {share:.3f} of the tokens/s at C_max "
        f"({peak.c_max}); at least {least:g} and at least C_max are needed",
        advice=None if share >= least and enough else "elect the point at C_max instead",
        where=offline.where,
    )


# --- all points alike ------------------------------------------------------------------------------------------------


def _alike(points: Sequence[CurvePoint]) -> Iterator[Finding]:
    kinds = {point.agentic for point in points}
    yield Finding(
        rule="benchmark-type-consistency",
        ok=len(kinds) <= 1,
        says="every point is of one type" if len(kinds) <= 1 else "agentic and other points are in one curve",
    )
    for field in ("dataset", "model"):
        values = sorted({str(value) for point in points if (value := getattr(point, field)) is not None})
        missing = sum(getattr(point, field) is None for point in points)
        ok = None if len(values) == 1 and missing else len(values) == 1
        says = f"{field}: {', '.join(values) or 'none told'}" + (f"; {missing} points do not tell" if missing else "")
        advice = None if ok else f"use one {field} at every point, and write it down"
        yield Finding(rule=f"config-consistency-{field}", ok=ok, says=says, advice=advice)


def _accuracy(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    """Accuracy runs: exactly one in each of the four bands, and one of Offline; each must pass."""
    if any(point.agentic for point in points):
        return
    ran = [point for point in points if point.accuracy_passed is not None]
    need = rules.accuracy_points["single_turn"]
    if not ran:
        says = f"no point has an accuracy run; {need} are needed: one in each band and one of Offline"
        yield Finding(rule="accuracy-coverage", ok=None, says=says, advice="loadcell mlperf accuracy measures it")
        return
    regions = regions_of_points(points)
    if isinstance(regions, str):
        yield Finding(rule="accuracy-coverage", ok=None, says=f"bands are unknown: {regions}")
        return
    levels = [point.concurrency or 0 for point in ran if point.offline != "dedicated"]
    override = any(point.c_min_override is not None for point in points)
    bare = [NAMES[band] for band in BANDS if not any(covers(regions, band, c, override=override) for c in levels)]
    bare += [] if any(point.offline for point in ran) else ["Offline"]
    yield Finding(
        rule="accuracy-coverage",
        ok=not bare,
        says=f"{len(ran)} accuracy runs" + (f"; none in {', '.join(bare)}" if bare else ", every band and Offline"),
        advice="run the accuracy pass there" if bare else None,
    )


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values)) or "no point"
