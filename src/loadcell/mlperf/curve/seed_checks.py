"""The checks of a curve's seeds: one published set at every point, in its time, and really used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from loadcell.mlperf.curve.model import CurvePoint
from loadcell.mlperf.model import Finding
from loadcell.mlperf.rules.forms import EndpointsRules

_COHORT = re.compile(r"(\d{4})-(0[1-9]|1[0-2])-C([01])")
_SEEDS = ("scheduler_rng_seed", "sample_index_rng_seed", "model_seed")


def check_seeds(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    """seed-set-consistency, -membership, -adoption, seed-runtime-match and target-cohort of one curve."""
    ids = sorted({point.seeds.id for point in points if point.seeds is not None and point.seeds.id is not None})
    if not ids:
        says = "no point names its seed set"
        yield Finding(rule="seed-set-consistency", ok=None, says=says, advice="name the published set that was used")
        return
    whole = len(ids) == 1 and all(point.seeds is not None and point.seeds.id == ids[0] for point in points)
    says = f"seed sets: {', '.join(ids)}" + ("" if whole else "; one set at every point is needed")
    yield Finding(rule="seed-set-consistency", ok=whole, says=says, advice=None if whole else "use one set throughout")
    known = {one.id: one for one in rules.seed_sets}
    unknown = [name for name in ids if name not in known]
    says = f"seed set {', '.join(ids)}; published: {', '.join(known)}"
    advice = "use a published set" if unknown else None
    yield Finding(rule="seed-set-membership", ok=not unknown, says=says, advice=advice)
    yield from _runtime(points, rules)
    yield from _cohort(points, rules, ids)


def _runtime(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    known, judged = {one.id: one for one in rules.seed_sets}, 0
    bad = False
    for point in points:
        if point.seeds is None or point.seeds.id not in known:
            continue
        judged += 1
        wanted = known[point.seeds.id]
        used = {name: getattr(point.seeds, name) for name in _SEEDS}
        wrong = [name for name, value in used.items() if value is not None and value != getattr(wanted, name)]
        missing = [name for name, value in used.items() if value is None]
        if wrong or missing:
            bad = True
            told = [f"{name} is {used[name]} instead of {getattr(wanted, name)}" for name in wrong]
            told += [f"{name} is not told" for name in missing]
            yield Finding(
                rule="seed-runtime-match",
                ok=False if wrong else None,
                says=f"seed set {wanted.id}: {'; '.join(told)}",
                advice="run with the seeds of the set",
                where=point.where,
            )
    if judged and not bad:
        yield Finding(rule="seed-runtime-match", ok=True, says=f"{judged} points ran with the seeds of their set")


def _cohort(points: Sequence[CurvePoint], rules: EndpointsRules, ids: Sequence[str]) -> Iterator[Finding]:
    """A set serves its publication cohort and the next ones, two a month."""
    cohorts = sorted({point.target_cohort for point in points if point.target_cohort is not None})
    if not cohorts:
        yield Finding(rule="target-cohort", ok=None, says="no point names its target cohort (YYYY-MM-C0 or C1)")
        return
    numbers = [_number(cohort) for cohort in cohorts]
    ok = len(cohorts) == 1 and None not in numbers
    advice = None if ok else "write one cohort, as in 2026-10-C1, at every point"
    yield Finding(rule="target-cohort", ok=ok, says=f"target cohort {', '.join(cohorts)}", advice=advice)
    for one in rules.seed_sets:
        since, target = _number(one.cohort), numbers[0]
        if one.id not in ids or since is None or target is None:
            continue
        served = 0 <= target - since < rules.seed_set_window_cohorts
        yield Finding(
            rule="seed-set-adoption",
            ok=served,
            says=f"set {one.id} of {one.cohort} serves {rules.seed_set_window_cohorts} cohorts; {cohorts[0]} is "
            + ("one of them" if served else "none of them"),
            advice=None if served else "use the set of that cohort",
        )


def _number(cohort: str) -> int | None:
    """Position of a cohort in the row of all, two a month; None if it is not written as one."""
    match = _COHORT.fullmatch(cohort)
    return None if match is None else (int(match[1]) * 12 + int(match[2]) - 1) * 2 + int(match[3])
