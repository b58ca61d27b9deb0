"""From C_max and what a person asks for to the points of a curve, their sizes and their expected time.

Nothing here speaks to an endpoint.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from loadcell import __version__
from loadcell.errors import UsageError
from loadcell.mlperf.curve.levels import lowest_of, spread, uncovered
from loadcell.mlperf.curve.model import CurvePlan, Offline, Peak, PeakStage, PlannedPoint, Regions, UsedSeeds
from loadcell.mlperf.curve.points import benchmark_of
from loadcell.mlperf.curve.regions import ULTRA_LOW_MOST, c_min_of, region_of, regions_of
from loadcell.mlperf.datasets import Dataset
from loadcell.mlperf.model import Rules
from loadcell.mlperf.rules.forms import EndpointsRules
from loadcell.mlperf.settings import check_given
from loadcell.spec import Spec, redact
from loadcell.workload.arrivals import MAX_REQUESTS

QUICK_SAMPLES, QUICK_DURATION_S = 64, 5.0
"""Of a curve with --quick: samples at most, and the least time of a point."""
WARN_S, LONGEST_S = 24 * 3600.0, 14 * 24 * 3600.0
"""Expected time of all points from which on it is pointed out, and refused."""
_HEADROOM = 1.1
"""Requests beyond what the expected rate asks for: a rate that was guessed low makes a point too short."""
_FREE = {
    "load.timeout_s", "load.connect_timeout_s", "load.ramp_s", "workload.tokenizer", "workload.output_tokens",
}  # fmt: skip
"""Fields of load, workload, loadgen and slo that a person may set; the rules say the others."""


@dataclass(frozen=True, kw_only=True)
class CurveWish:
    """What a person asks for beside the benchmark."""

    c_max: int | None = None
    points: int | None = None
    """All of them, a dedicated Offline point among them."""
    concurrencies: tuple[int, ...] = ()
    """Instead of `points`: these."""
    c_min_override: int | None = None
    offline: Offline = "elected"
    quick: bool = False
    given: Collection[str] = ()
    """Fields of the Spec that a person set, by dotted path."""


def check_wish(wish: CurveWish, rules: EndpointsRules) -> None:
    """UsageError where the curve that is asked for cannot be a legal one."""
    check_given(wish.given, _FREE, "curve")
    if wish.c_max is not None and wish.c_max <= ULTRA_LOW_MOST:
        raise UsageError(f"--c-max {wish.c_max}: a curve needs a C_max above {ULTRA_LOW_MOST}")
    least = rules.points_min_elected_or_agentic
    least = rules.points_min_with_dedicated_offline if wish.offline == "dedicated" else least
    count = wish.points if wish.points is not None else None
    if wish.concurrencies:
        if count is not None:
            raise UsageError("--points and --concurrency: give one of them")
        count = len(set(wish.concurrencies)) + (wish.offline == "dedicated")
    if count is not None and not least <= count <= rules.points_max:
        with_offline = " with a dedicated Offline point among them" if wish.offline == "dedicated" else ""
        raise UsageError(f"{count} points: a curve has {least} to {rules.points_max}{with_offline}")
    override = wish.c_min_override
    if override is not None and not 1 <= override <= ULTRA_LOW_MOST:
        raise UsageError(f"--c-min-override {override}: it must be 1 to {ULTRA_LOW_MOST}")
    if override is not None and wish.concurrencies and override not in wish.concurrencies:
        raise UsageError(f"--c-min-override {override}: it must be one of --concurrency")


# --- how much, how long ----------------------------------------------------------------------------------------------


def expected_rate(stages: Sequence[PeakStage], concurrency: int) -> float | None:
    """Requests/s at a concurrency, between measured ones on a log-log line.

    Below them it falls with the concurrency, above them it stays. None if nothing was measured.
    """
    known = sorted((stage.concurrency, stage.requests_per_s) for stage in stages if stage.requests_per_s)
    if not known:
        return None
    below = [one for one in known if one[0] <= concurrency]
    above = [one for one in known if one[0] >= concurrency]
    if not below:
        level, rate = above[0]
        return float(rate or 0.0) * concurrency / level
    if not above or below[-1][0] == concurrency:
        return below[-1][1]
    (low, slow), (high, fast) = below[-1], above[0]
    share = math.log(concurrency / low) / math.log(high / low)
    return float(math.exp((1 - share) * math.log(slow or 0.0) + share * math.log(fast or 0.0)))


def requests_for(samples: int, rate: float | None, min_duration_s: float) -> int:
    """Whole passes over the data set that last at least `min_duration_s` at the expected rate; one where none is known.

    UsageError if they are more than a run may plan.
    """
    passes = max(1, math.ceil(min_duration_s * (rate or 0.0) * _HEADROOM / samples))
    if passes * samples > MAX_REQUESTS:
        raise UsageError(
            f"{passes * samples:,} requests would be needed for {min_duration_s:g} s, more than the {MAX_REQUESTS:,} "
            "that one run may plan"
        )
    return passes * samples


def make_plan(
    rules: Rules, endpoints: EndpointsRules, dataset: Dataset, spec: Spec, peak: Peak, wish: CurveWish, cap: int
) -> CurvePlan:
    """The points of a curve up to `peak.c_max`.

    `spec` is that of `base_spec`, `cap` is how many connections this machine can have. UsageError if it cannot be, or
    would take absurdly long.
    """
    check_wish(wish, endpoints)
    known, samples = benchmark_of(rules), len(dataset.samples)
    dedicated = wish.offline == "dedicated"
    count = wish.points or (
        endpoints.points_min_with_dedicated_offline if dedicated else endpoints.points_min_elected_or_agentic
    )
    lowest = wish.c_min_override or lowest_of(peak.c_max)
    if wish.concurrencies:
        levels = sorted(set(wish.concurrencies))
        regions = regions_of(peak.c_max, c_min_of(levels, wish.c_min_override))
    else:
        regions = regions_of(peak.c_max, lowest)
        levels = spread(regions, count - dedicated)
    if levels[-1] > cap:
        raise UsageError(f"a point has {levels[-1]:,} connections: this machine can have {cap:,}; raise ulimit -n")
    made = [_point(level, regions, samples, endpoints, peak, wish) for level in levels]
    if dedicated:
        made.append(_dedicated(regions, samples, levels, peak, cap))
    elif made[-1].concurrency == peak.c_max:
        made[-1] = msgspec.structs.replace(made[-1], offline="elected")
    shortened = [f"{samples:,} samples instead of {rules.dataset_size:,}"] if samples < rules.dataset_size else []
    if wish.quick:
        shortened.append(f"points of {QUICK_DURATION_S:g} s instead of {_spans(endpoints)}")
    if "workload.output_tokens" in wish.given:
        shortened.append(f"{spec.workload.output_tokens} output tokens at most instead of {rules.max_output_tokens}")
    seeds = endpoints.seed_sets[-1]
    plan = CurvePlan(
        loadcell=__version__,
        round="endpoints v1.0",
        benchmark=rules.benchmark,
        model=known.model,
        dataset=known.dataset,
        dataset_size=rules.dataset_size,
        dataset_sha256=dataset.sha256,
        look_alike=dataset.look_alike,
        samples=samples,
        quick=wish.quick,
        shortened=shortened,
        peak=peak,
        c_min_override=wish.c_min_override,
        offline=wish.offline,
        regions=regions,
        points=made,
        uncovered=uncovered(regions, levels, override=wish.c_min_override is not None),
        seeds=UsedSeeds(
            id=seeds.id,
            scheduler_rng_seed=seeds.scheduler_rng_seed,
            sample_index_rng_seed=seeds.sample_index_rng_seed,
        ),
        target_cohort=seeds.cohort,
        max_output_tokens=rules.max_output_tokens,
        spec=redact(spec),
    )
    _check_time(plan)
    return plan


def _point(
    level: int, regions: Regions, samples: int, endpoints: EndpointsRules, peak: Peak, wish: CurveWish
) -> PlannedPoint:
    rate = expected_rate(peak.stages, level)
    least_s = QUICK_DURATION_S if wish.quick else float(endpoints.min_duration_at(level))
    requests = requests_for(samples, rate, least_s)
    return PlannedPoint(
        folder=f"r{level}",
        concurrency=level,
        region=region_of(regions, level),
        min_duration_s=least_s,
        requests=requests,
        eta_s=requests / rate if rate else None,
    )


def _dedicated(regions: Regions, samples: int, levels: Sequence[int], peak: Peak, cap: int) -> PlannedPoint:
    """The whole data set at once, as far as this machine has connections."""
    level = min(samples, cap)
    rate = expected_rate(peak.stages, level)
    return PlannedPoint(
        folder=f"r{level}" if level not in levels else f"r{level}-offline",
        concurrency=level,
        region=region_of(regions, level),
        offline="dedicated",
        min_duration_s=0.0,
        requests=samples,
        eta_s=samples / rate if rate else None,
    )


# --- what is foreseen ------------------------------------------------------------------------------------------------


def total_s(points: Sequence[PlannedPoint]) -> float | None:
    """Expected time of all points; None if one has none."""
    times = [point.eta_s for point in points]
    return None if None in times else sum(time for time in times if time is not None)


def foreseen(plan: CurvePlan, cap: int) -> list[str]:
    """What a person must know before the first point, in words."""
    notes = [*plan.peak.says, *(f"not covered: {words}" for words in plan.uncovered)]
    if plan.shortened:
        notes.append(f"smaller than the rules ask: {'; '.join(plan.shortened)}")
    total = total_s(plan.points)
    if total is not None and total > WARN_S:
        worst = max(plan.points, key=lambda point: point.eta_s or 0.0)
        notes.append(
            f"about {total / 86400:.1f} days in all, {(worst.eta_s or 0.0) / 3600:.1f} h of them at concurrency "
            f"{worst.concurrency}: a higher lowest concurrency (--concurrency) makes it shorter; --quick tries it out"
        )
    dedicated = next((point for point in plan.points if point.offline == "dedicated"), None)
    if dedicated is not None and dedicated.concurrency < plan.samples:
        notes.append(
            f"Offline sends {dedicated.concurrency:,} of {plan.samples:,} samples at once: this machine can have "
            f"{cap:,} connections (ulimit -n)"
        )
    if dedicated is not None and dedicated.concurrency < plan.regions.c_max:
        notes.append(
            f"dedicated Offline has {dedicated.concurrency:,} requests at once, less than C_max: "
            "offline-ordering cannot hold; elect the point at C_max instead"
        )
    return notes


def _check_time(plan: CurvePlan) -> None:
    total = total_s(plan.points)
    if total is not None and total > LONGEST_S:
        worst = max(plan.points, key=lambda point: point.eta_s or 0.0)
        raise UsageError(
            f"the curve would take about {total / 86400:.0f} days, {(worst.eta_s or 0.0) / 86400:.0f} of them at "
            f"concurrency {worst.concurrency} ({worst.requests:,} requests): begin at a higher concurrency "
            "(--concurrency), take fewer samples (--samples, not comparable), or try --quick"
        )


def _spans(rules: EndpointsRules) -> str:
    return f"{rules.min_duration_at(1)} and {rules.min_duration_at(ULTRA_LOW_MOST + 1)} s"
