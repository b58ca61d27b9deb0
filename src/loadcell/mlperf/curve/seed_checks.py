"""The checks of a curve's seeds: one published set at every point, in its time, and really used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from loadcell.mlperf.curve.model import CurvePoint
from loadcell.mlperf.findings import held, judged, noted
from loadcell.mlperf.model import Finding
from loadcell.mlperf.rules.forms import EndpointsRules

_COHORT = re.compile(r"(\d{4})-(0[1-9]|1[0-2])-C([01])")
_SEEDS = ("scheduler_rng_seed", "sample_index_rng_seed", "model_seed")


def check_seeds(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    """seed-set-consistency, -membership, -adoption, seed-runtime-match and target-cohort of one curve."""
    told = [None if point.seeds is None else point.seeds.id for point in points]
    ids = sorted({name for name in told if name is not None})
    if not ids:
        says = "no point names its seed set"
        yield noted("seed-set-consistency", says, advice="name the published set that was used")
        return
    whole = len(set(told)) == 1
    says = f"seed sets: {', '.join(ids)}" + ("" if whole else "; one set at every point is needed")
    yield judged("seed-set-consistency", whole, says, advice="use one set throughout")
    known = {one.id for one in rules.seed_sets}
    says = f"seed set {', '.join(ids)}; published: {', '.join(one.id for one in rules.seed_sets)}"
    yield judged("seed-set-membership", known.issuperset(ids), says, advice="use a published set")
    yield from _runtime(points, rules)
    yield from _cohort(points, rules, ids)


def _runtime(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    known = {one.id: one for one in rules.seed_sets}
    pairs = [(point, point.seeds, known[point.seeds.id]) for point in points if point.seeds and point.seeds.id in known]
    bad = False
    for point, seeds, wanted in pairs:
        used = {name: (getattr(seeds, name), getattr(wanted, name)) for name in _SEEDS}
        wrong = [f"{name} is {got} instead of {want}" for name, (got, want) in used.items() if got not in (None, want)]
        untold = [f"{name} is not told" for name, (got, _) in used.items() if got is None]
        if wrong or untold:
            bad = True
            says = f"seed set {wanted.id}: {'; '.join([*wrong, *untold])}"
            yield judged(
                "seed-runtime-match", False if wrong else None, says, point.where, "run with the seeds of the set"
            )
    if pairs and not bad:
        yield held("seed-runtime-match", f"{len(pairs)} points ran with the seeds of their set")


def _cohort(points: Sequence[CurvePoint], rules: EndpointsRules, ids: Sequence[str]) -> Iterator[Finding]:
    """A set serves its publication cohort and the next ones, two a month."""
    cohorts = sorted({point.target_cohort for point in points if point.target_cohort is not None})
    if not cohorts:
        yield noted("target-cohort", "no point names its target cohort (YYYY-MM-C0 or C1)")
        return
    numbers = [_number(cohort) for cohort in cohorts]
    ok = len(cohorts) == 1 and None not in numbers
    advice = "write one cohort, as in 2026-10-C1, at every point"
    yield judged("target-cohort", ok, f"target cohort {', '.join(cohorts)}", advice=advice)
    for one in rules.seed_sets:
        since, target = _number(one.cohort), numbers[0]
        if one.id not in ids or since is None or target is None:
            continue
        served = 0 <= target - since < rules.seed_set_window_cohorts
        says = f"set {one.id} of {one.cohort} serves {rules.seed_set_window_cohorts} cohorts; {cohorts[0]} is "
        says += "one of them" if served else "none of them"
        yield judged("seed-set-adoption", served, says, advice="use the set of that cohort")


def _number(cohort: str) -> int | None:
    """Position of a cohort in the row of all, two a month; None if it is not written as one."""
    match = _COHORT.fullmatch(cohort)
    return None if match is None else (int(match[1]) * 12 + int(match[2]) - 1) * 2 + int(match[3])
