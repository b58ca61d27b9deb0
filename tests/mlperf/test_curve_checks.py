"""The written-down checks of a curve: one that keeps them all, and every rule failed by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_curve import STEADY, changed, point, run_of

from loadcell.mlperf.curve.checks import check_points
from loadcell.mlperf.curve.folder import steps_of
from loadcell.mlperf.curve.model import CurvePoint, Stated, Warmup
from loadcell.mlperf.model import Finding
from loadcell.mlperf.rules import endpoints_rules

RULES = endpoints_rules()
LEVELS = (2, 5, 8, 20, 42, 100, 256)


def curve(**at: dict[str, Any]) -> list[CurvePoint]:
    """A curve that keeps every rule, but for the fields given for points, as in c42={"failed": 1}; `every` is all."""
    return [point(c, **at.get("every", {}), **at.get(f"c{c}", {})) for c in LEVELS]


def failed(points: list[CurvePoint]) -> set[str]:
    return {finding.rule for finding in check_points(points, RULES) if finding.ok is False}


def unjudged(points: list[CurvePoint]) -> set[str]:
    return {finding.rule for finding in check_points(points, RULES) if finding.ok is None}


def test_a_good_curve_keeps_every_rule() -> None:
    found = check_points(curve(), RULES)
    assert all(finding.ok for finding in found)
    assert {finding.rule for finding in found} >= {
        "point-count", "point-cap", "ultra-low-coverage", "low-concurrency-coverage", "med-concurrency-coverage",
        "high-concurrency-coverage", "region-computation", "concurrency-in-range", "region-placement",
        "offline-point-present", "offline-ordering", "load-pattern", "benchmark-type-consistency", "point-duration",
        "min-query-count", "steady-state-valid", "steady-state-consistency", "steady-state-basis",
        "metric-consistency-duration", "metric-consistency-accounting", "metric-consistency-output-tokens",
        "metric-consistency-system-tps", "metric-consistency-tpot-p90", "metric-consistency-tps-per-user",
        "seed-set-consistency", "seed-set-membership", "seed-set-adoption", "seed-runtime-match", "target-cohort",
        "config-consistency-dataset", "config-consistency-model", "model-name-valid", "warmup-present",
        "accuracy-coverage", "accuracy-gate", "accuracy-sample-count", "result-summary-present",
        "point-dirname-concurrency",
    }  # fmt: skip


GOOD = point(42)


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ({"region": "low_concurrency"}, {"region-placement"}),
        ({"c_max": 300}, {"region-computation"}),
        ({"load_pattern": "poisson"}, {"load-pattern"}),
        ({"issue_span_s": 1199.0}, {"point-duration"}),
        ({"completed": 13367, "failed": 80208 - 13367}, {"min-query-count"}),
        ({"completed": 80208, "failed": 7}, {"metric-consistency-accounting"}),
        ({"stated": Stated(duration_s=1000.0)}, {"metric-consistency-duration"}),
        ({"stated": Stated(output_tokens=1e6)}, {"metric-consistency-output-tokens"}),
        ({"stated": Stated(system_tps=8000.0)}, {"metric-consistency-system-tps"}),
        ({"stated": Stated(tpot_p90_ms=9.8)}, {"metric-consistency-tpot-p90"}),
        ({"stated": Stated(tps_per_user=101.5)}, {"metric-consistency-tps-per-user"}),
        ({"model": "llama2-70b"}, {"model-name-valid", "config-consistency-model"}),
        ({"dataset": "open_orca"}, {"config-consistency-dataset"}),
        ({"steady": changed(STEADY, verdict="good")}, {"steady-state-valid"}),
        ({"steady": changed(STEADY, status=None)}, {"steady-state-valid", "steady-state-basis"}),
        ({"steady": changed(STEADY, verdict="drifting_up")}, {"steady-state-consistency"}),
        ({"steady": changed(STEADY, window=changed(STEADY.window, super_pass_end=4))}, {"steady-state-consistency"}),
        ({"steady": changed(STEADY, window=changed(STEADY.window, super_pass_end=0))},
         {"steady-state-valid", "steady-state-consistency"}),
        ({"steady_basis": "run"}, {"steady-state-basis"}),
        ({"warmup": Warmup(requests_issued=10, data_source="cnn_dailymail", salted=False)}, {"warmup-salt"}),
        ({"seeds": changed(GOOD.seeds, id="B")}, {"seed-set-consistency", "seed-set-membership"}),
        ({"seeds": changed(GOOD.seeds, model_seed=1)}, {"seed-runtime-match"}),
        ({"target_cohort": "2026-11-C0"}, {"target-cohort"}),
        ({"accuracy_passed": False}, {"accuracy-gate"}),
        ({"accuracy_samples": 100}, {"accuracy-sample-count"}),
        ({"has_summary": False}, {"result-summary-present"}),
        ({"dirname_concurrency": 43}, {"point-dirname-concurrency"}),
        ({"offline": "elected"}, {"offline-point-present", "offline-ordering"}),
        ({"agentic": True}, {"benchmark-type-consistency", "load-pattern", "offline-point-present", "point-duration"}),
    ],
)  # fmt: skip
def test_one_wrong_point_fails_by_name(fields: dict[str, Any], rules: set[str]) -> None:
    found = check_points(curve(c42=fields), RULES)
    assert {finding.rule for finding in found if finding.ok is False} == rules
    assert not any(finding.ok for finding in found[: sum(finding.ok is False for finding in found)])  # failed first


@pytest.mark.parametrize(
    ("points", "rules"),
    [
        ([p for p in curve() if p.concurrency != 20], {"point-count"}),
        ([*curve(), *(point(c) for c in range(101, 128))], {"point-cap"}),
        ([p for p in curve() if p.concurrency not in (5, 8)] + [point(30), point(50)],
         {"low-concurrency-coverage", "accuracy-coverage"}),
        ([*curve(), point(283, region="outside")], {"concurrency-in-range"}),
        (curve(every={"c_min_override": 8}), {"region-placement", "low-concurrency-coverage", "accuracy-coverage"}),
        (curve(every={"c_min_override": 7}), {"c-min-override", "region-placement"}),
        (curve(c42={"c_min_override": 8}),
         {"c-min-override", "region-placement", "low-concurrency-coverage", "accuracy-coverage"}),
        (curve(c256={"offline": None}), {"offline-point-present", "accuracy-coverage"}),
        (curve(every={"target_cohort": "2027-01-C0"}), {"seed-set-adoption"}),
        (curve(every={"target_cohort": "soon"}), {"target-cohort"}),
        (curve(every={"c_max": 32}), {"region-computation", "offline-ordering"}),
        (curve(c2={"accuracy_passed": None}, c5={"accuracy_passed": None}, c8={"accuracy_passed": None},
               c20={"accuracy_passed": None}), {"accuracy-coverage"}),
    ],
)  # fmt: skip
def test_the_curve_as_a_whole_fails_by_name(points: list[CurvePoint], rules: set[str]) -> None:
    assert failed(points) == rules


def test_a_dedicated_offline_point_must_not_be_slower_than_c_max() -> None:
    base = curve(c256={"offline": None})
    good = point(13368, offline="dedicated", region=None, steady=None, issue_span_s=0.1)
    assert failed([*base, good]) == set()
    assert failed([*base, changed(good, system_tps=0.97 * (good.system_tps or 0))]) == {"offline-ordering"}
    assert failed([*base, changed(good, concurrency=100, dirname_concurrency=100)]) == {"offline-ordering"}
    assert failed([*(p for p in base if p.concurrency != 20), good]) == {"point-count"}  # 7 points are too few with it
    assert unjudged([*base[:-1], good]) == {"offline-ordering"}


@pytest.mark.parametrize(
    ("field", "rules"),
    [
        ("load_pattern", {"load-pattern"}),
        ("issue_span_s", {"point-duration"}),
        ("issued", {"metric-consistency-accounting"}),
        ("model", {"model-name-valid", "config-consistency-model", "accuracy-sample-count"}),
        ("dataset", {"config-consistency-dataset"}),
        ("warmup", {"warmup-present"}),
        ("steady", {"steady-state-valid"}),
        ("duration_s", {"metric-consistency-duration", "metric-consistency-system-tps"}),
        ("concurrency", {"point-duration"}),
        ("seeds", set()),
    ],
)
def test_what_is_not_told_is_not_judged_and_no_pass(field: str, rules: set[str]) -> None:
    points = [changed(p, **{field: None}) if p.concurrency == 42 else p for p in curve()]
    assert unjudged(points) == rules
    assert failed(points) == ({"seed-set-consistency"} if field == "seeds" else set())


def test_points_that_tell_nothing_are_not_crashed_on() -> None:
    for points in ([], [CurvePoint()], [CurvePoint()] * 8, [CurvePoint(c_max=100)], [CurvePoint(offline="dedicated")]):
        assert all(isinstance(finding, Finding) for finding in check_points(points, RULES))
        assert "region-computation" in failed(points)


# --- the step function -----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), max_size=12))
def test_steps_are_the_points_that_none_beats(figures: list[tuple[int, int]]) -> None:
    steps = steps_of([run_of(user, total) for user, total in figures])
    chosen = [figures[i] for i in steps]
    assert chosen == sorted(chosen)
    assert [total for _, total in chosen] == sorted((total for _, total in chosen), reverse=True)
    assert len(set(chosen)) == len(chosen)
    for user, total in figures:
        assert any(u >= user and t >= total for u, t in chosen)


def test_points_that_drift_or_lack_a_figure_are_no_step() -> None:
    runs = [run_of(10, 10), run_of(20, 20, "drifting_up"), run_of(None, 30), run_of(30, None)]
    assert steps_of(runs) == [0]
