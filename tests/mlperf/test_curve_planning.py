"""Planning a curve: which points, how much, how long; and how C_max is searched for."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.errors import EndpointError, UsageError
from loadcell.mlperf.curve.levels import spread
from loadcell.mlperf.curve.model import CurvePlan, Peak, PeakStage
from loadcell.mlperf.curve.peak import LEAST_C_MAX, flat, next_level, peak_of, surely_flat
from loadcell.mlperf.curve.planning import (
    CurveWish,
    check_wish,
    expected_rate,
    foreseen,
    make_plan,
    requests_for,
    total_s,
)
from loadcell.mlperf.curve.points import BENCHMARKS, base_spec, benchmark_of, expected_output, point_spec
from loadcell.mlperf.curve.regions import bounds, regions_of
from loadcell.mlperf.datasets import find_dataset
from loadcell.mlperf.rules import endpoints_rules, find_rules
from loadcell.spec import build_spec

RULES = endpoints_rules()
STAGES = [
    PeakStage(concurrency=c, requests_per_s=r, system_tps=128 * r) for c, r in ((2, 4.0), (64, 100.0), (256, 200.0))
]


def planned(peak: Peak, *, samples: int | None = None, cap: int = 10_000, size: int = 0, **wish: Any) -> CurvePlan:
    rules = find_rules(None, "llama3.1-8b", "offline")
    dataset = find_dataset(rules, None, look_alike=True, samples=samples, accuracy=False)
    if size:
        dataset = msgspec.structs.replace(dataset, samples=dataset.samples[:1] * size)
    spec = build_spec({"endpoint": {"url": "http://127.0.0.1:9"}})
    asked = CurveWish(**wish)
    made = base_spec(rules, spec, Path("prompts.jsonl"), RULES.seed_sets[-1], asked.given)
    return make_plan(rules, RULES, dataset, made, peak, asked, cap)


def peak(c_max: int, stages: list[PeakStage] | None = None) -> Peak:
    return Peak(c_max=c_max, found=None, stages=STAGES if stages is None else stages)


# --- points ----------------------------------------------------------------------------------------------------------


@given(st.integers(33, 100_000), st.integers(1, 32), st.integers(7, 32))
def test_points_are_legal_and_cover_every_region_that_can_be(c_max: int, c_min: int, count: int) -> None:
    regions = regions_of(c_max, c_min)
    found = spread(regions, count)
    assert found == sorted(set(found))
    assert len(found) == min(count, c_max - c_min + 1)
    assert (found[0], found[-1]) == (c_min, c_max)
    for _, (low, high) in list(bounds(regions))[:-1]:
        assert low > high or any(low <= level <= high for level in found)


@given(st.integers(200, 100_000), st.integers(7, 20))
def test_points_are_spread_by_ratios(c_max: int, count: int) -> None:
    found = spread(regions_of(c_max, 2), count)
    steps = [math.log(high / low) for low, high in pairwise(found) if low >= 8]
    assert max(steps) <= 3.5 * sum(steps) / len(steps)


def test_a_plan_has_the_points_that_the_rules_ask_for() -> None:
    elected, dedicated = planned(peak(256)), planned(peak(256), offline="dedicated", size=300)
    assert (len(elected.points), len(dedicated.points)) == (7, 8)
    assert [p.offline for p in elected.points] == [None] * 6 + ["elected"]
    assert dedicated.points[-1].offline == "dedicated"
    assert (dedicated.points[-1].concurrency, dedicated.points[-1].requests) == (300, 300)
    assert {p.region for p in elected.points} == {
        "low_latency", "low_concurrency", "med_concurrency", "high_concurrency",
    }  # fmt: skip
    assert not elected.uncovered


def test_durations_and_whole_passes_and_time() -> None:
    plan = planned(peak(256))
    for point in plan.points:
        assert point.min_duration_s == (600 if point.concurrency <= 32 else 1200)
        rate = expected_rate(STAGES, point.concurrency)
        assert rate is not None
        assert point.requests is not None
        assert point.requests % plan.samples == 0
        assert point.requests >= point.min_duration_s * rate
        assert point.eta_s == pytest.approx(point.requests / rate)
    assert total_s(plan.points) == pytest.approx(sum(p.eta_s or 0 for p in plan.points))


def test_quick_is_short_and_says_so() -> None:
    plan = planned(peak(64), quick=True)
    assert all(p.min_duration_s == 5 for p in plan.points)
    assert any("instead of 600 and 1200 s" in words for words in plan.shortened)
    assert any("smaller than the rules ask" in note for note in foreseen(plan, 1000))


def test_points_of_ones_own_and_a_declared_c_min() -> None:
    plan = planned(peak(256), concurrencies=(2, 8, 12, 40, 64, 128, 256), c_min_override=8)
    assert [p.concurrency for p in plan.points] == [2, 8, 12, 40, 64, 128, 256]
    assert (plan.regions.c_min, plan.c_min_override) == (8, 8)
    low = planned(peak(256), concurrencies=(64, 80, 100, 128, 150, 200, 256))
    assert low.regions.c_min == 32
    assert low.uncovered == ["Ultra Low: 1-32 has no point", "Low: 33-38 has no point"]


def test_a_small_c_max_says_what_cannot_be_covered() -> None:
    plan = planned(peak(33), concurrencies=(26, 27, 28, 29, 30, 31, 32), c_min_override=32)
    assert plan.uncovered[1:] == [
        "Medium: it is empty, C_max 33 is too small",
        "High: it is empty, C_max 33 is too small",
    ]
    assert all(note in " ".join(foreseen(plan, 1000)) for note in plan.uncovered)


def test_offline_at_once_is_bounded_by_what_the_machine_can() -> None:
    plan = planned(peak(256), offline="dedicated", size=5000, cap=1000)
    assert plan.points[-1].concurrency == 1000
    assert any("1,000 of 5,000 samples at once" in note for note in foreseen(plan, 1000))
    small = planned(peak(256), offline="dedicated")
    assert any("offline-ordering cannot hold" in note for note in foreseen(small, 10_000))


def test_a_folder_of_its_own_for_offline_at_the_concurrency_of_a_point() -> None:
    plan = planned(peak(300), offline="dedicated", size=300)
    assert len({p.folder for p in plan.points}) == len(plan.points)


def test_absurd_times_are_foreseen() -> None:
    slow = [PeakStage(concurrency=2, requests_per_s=1e-5, system_tps=0.1)]
    with pytest.raises(UsageError, match=r"would take about \d+ days.*--quick"):
        planned(peak(256, slow))
    long = [PeakStage(concurrency=2, requests_per_s=0.0001, system_tps=0.1)]
    assert any("days in all" in note for note in foreseen(planned(peak(33, long), samples=4), 1000))


def test_a_point_beyond_the_machine_is_refused() -> None:
    with pytest.raises(UsageError, match="ulimit"):
        planned(peak(256), cap=100)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"given": {"load.requests"}}, "load.requests is what the rules"),
        ({"c_max": 32}, "above 32"),
        ({"points": 6}, "7 to 32"),
        ({"points": 33}, "7 to 32"),
        ({"points": 7, "offline": "dedicated"}, "8 to 32"),
        ({"concurrencies": (1, 2, 3)}, "7 to 32"),
        ({"concurrencies": (1, 2, 3, 4, 5, 6, 40), "points": 7}, "one of them"),
        ({"c_min_override": 33}, "1 to 32"),
        ({"concurrencies": (1, 2, 3, 4, 5, 6, 40), "c_min_override": 8}, "one of --concurrency"),
    ],
)
def test_what_cannot_be_a_curve(wish: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_wish(CurveWish(**wish), RULES)


def test_a_benchmark_without_a_curve_lists_those_with_one() -> None:
    with pytest.raises(UsageError, match=r"llama3\.1-8b, gpt-oss-120b, deepseek-r1"):
        benchmark_of(find_rules(None, "llama2-70b-99.9", "offline"))
    assert all(one.model in RULES.allowed_models for one in BENCHMARKS.values())


def test_the_spec_of_a_point() -> None:
    plan = planned(peak(256))
    spec = point_spec(plan.spec, plan.points[3], 48)
    assert (spec.load.concurrency, spec.load.requests, spec.load.rate) == (plan.points[3].concurrency, 48, None)
    assert spec.load.ramp_s == 0.01 * plan.points[3].concurrency
    assert (spec.loadgen.scenario, spec.loadgen.equal_issue) == ("endpoints", True)
    assert spec.loadgen.sample_index_seed == RULES.seed_sets[-1].sample_index_rng_seed
    assert spec.workload.output_tokens == "128"
    assert expected_output(find_rules(None, "gpt-oss-120b", "offline"), None) < 2000
    assert expected_output(find_rules(None, "gpt-oss-120b", "offline"), 8) == 8


# --- rates -----------------------------------------------------------------------------------------------------------


def test_rates_between_below_and_above_what_was_measured() -> None:
    assert expected_rate(STAGES, 64) == 100
    assert expected_rate(STAGES, 1) == pytest.approx(2)
    assert expected_rate(STAGES, 1000) == 200
    assert expected_rate(STAGES, 128) == pytest.approx(math.sqrt(100 * 200))
    assert expected_rate([], 4) is None


@given(st.integers(1, 50_000), st.floats(0, 1000), st.floats(0, 1200))
def test_requests_are_whole_passes_that_last(samples: int, rate: float, span_s: float) -> None:
    found = requests_for(samples, rate, span_s)
    assert found % samples == 0
    assert found >= max(samples, rate * span_s)
    assert found < 1.1 * rate * span_s + samples + 1


def test_too_many_requests_for_one_run() -> None:
    with pytest.raises(UsageError, match="one run may plan"):
        requests_for(1000, 1e6, 1200)


# --- C_max -----------------------------------------------------------------------------------------------------------


def search(tps_at: Any, most: int = 100_000, noise: float = 0.0, seed: int = 0) -> tuple[Peak, list[int]]:
    """The search against a server whose throughput is known, but for a noise whose interval is known too."""
    rng, stages = random.Random(seed), list[PeakStage]()
    while (level := next_level(stages, most)) is not None:
        tps = tps_at(level) * (1 + rng.gauss(0, noise))
        half = 1.96 * noise * tps
        stages.append(PeakStage(concurrency=level, requests_per_s=tps, system_tps=tps, low=tps - half, high=tps + half))
    return peak_of(stages, most), [stage.concurrency for stage in stages]


def usl(peak_at: float) -> Any:
    """Throughput that grows nearly linearly, peaks at a concurrency and falls again."""
    kappa = 0.98 / peak_at**2
    return lambda n: n / (1 + 0.02 * (n - 1) + kappa * n * (n - 1))


@pytest.mark.parametrize("peak_at", [60, 200, 700, 3000])
def test_the_search_ends_where_throughput_is_near_its_peak(peak_at: int) -> None:
    found, tried = search(usl(peak_at))
    assert found.found is not None
    best = max(usl(peak_at)(n) for n in range(1, 2 * peak_at))
    assert usl(peak_at)(found.found) >= 0.9 * best
    assert len(tried) <= 12
    assert tried == sorted(tried)


def test_noise_does_not_end_the_search_early() -> None:
    ends = [search(usl(700), noise=0.03, seed=seed)[0].found or 0 for seed in range(200)]
    best = max(usl(700)(n) for n in range(1, 1400))
    assert sum(usl(700)(n) >= 0.85 * best for n in ends) >= 195


def test_a_server_of_few_slots_gets_the_least_legal_c_max() -> None:
    found, _ = search(lambda n: min(n, 8))
    assert found.c_max == LEAST_C_MAX
    assert any("33 is declared" in words for words in found.says)


def test_the_search_is_bounded() -> None:
    found, tried = search(lambda n: n, most=100)
    assert tried[-1] == found.c_max == 100
    assert any("still grew at 100" in words for words in found.says)


def test_no_growth_within_the_noise_is_told_as_such() -> None:
    one, same, much = (
        PeakStage(concurrency=c, requests_per_s=t, system_tps=t, low=t - 2, high=t + 2)
        for c, t in ((32, 100.0), (64, 101.0), (64, 150.0))
    )
    assert flat(one, same)
    assert surely_flat(one, msgspec.structs.replace(same, low=100.9, high=101.1))
    assert not surely_flat(one, msgspec.structs.replace(same, low=91, high=111))
    assert not flat(one, much)
    assert not surely_flat(one, msgspec.structs.replace(same, low=None))


def test_a_server_that_refuses_ends_it() -> None:
    good = [PeakStage(concurrency=c, requests_per_s=1, system_tps=10.0 * c, failed_share=0.0) for c in (2, 8, 16, 32)]
    refused = PeakStage(concurrency=64, requests_per_s=1, system_tps=900.0, failed_share=0.2)
    assert next_level([*good, refused], 1000) is None
    assert peak_of([*good, refused], 1000).found == 32
    with pytest.raises(EndpointError, match="--c-max"):
        peak_of([refused], 1000)
