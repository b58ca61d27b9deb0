from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import ok_request
from scipy import stats

from loadcell.metrics import Estimate, Repeated, Result, Verdict, build_repeats, build_result, repeats_schema, word_of
from loadcell.metrics.model import Budget
from loadcell.metrics.repeats import _chi2_95, _t_975, dominating, next_run
from loadcell.metrics.verdict import judge
from loadcell.recording.read import Recording

Make = Callable[..., Recording]
replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def result(make: Make) -> Result:
    """A VALID one."""
    built = build_result(make([ok_request(i, start_ms=200 * i) for i in range(20)], slo={"ttft_ms": 60}))
    return replace(built, verdict=Verdict(word="VALID", reasons=[], checks=[]))


def alike(result: Result, p50_ms: float | None, half_ms: float | None = 1.0, **more: Any) -> Result:
    """The result with another median TTFT."""
    ends = (None, None) if p50_ms is None or half_ms is None else (p50_ms - half_ms, p50_ms + half_ms)
    p50 = Estimate(value=p50_ms, low=ends[0], high=ends[1], needs=None if p50_ms else 5)
    ttft = result.latency["ttft_ms"]
    ttft = replace(ttft, service=replace(ttft.service, p50=p50))
    method = replace(result.methodology, bodies_hash=str(p50_ms))
    return replace(result, latency=result.latency | {"ttft_ms": ttft}, methodology=method, **more)


def ttft(results: list[Result], **options: Any) -> Repeated:
    figures = build_repeats(results, **options).figures
    return next(f for f in figures if (f.metric, f.statistic, f.anchor) == ("ttft_ms", "p50", "service"))


def test_median_interval_and_spread(result: Result) -> None:
    row = ttft([alike(result, value, half) for value, half in ((50, 1), (53, 2), (49, 4))])
    assert (row.values, row.median, row.within, row.between_range) == ([50, 53, 49], 50, 2, 4)
    assert row.between_sd == pytest.approx(statistics.stdev([50, 53, 49]))
    assert (row.within_share, row.range_share) == (pytest.approx(0.04), pytest.approx(0.08))
    assert (row.title, row.unit) == ("TTFT", "ms")


@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=8), st.floats(0.1, 100))
def test_the_unit_and_the_order_do_not_matter(values: list[float], factor: float) -> None:
    """Law: the spread is a property of the set, and shares are free of the unit."""
    sd, scaled = statistics.stdev(values), statistics.stdev([v * factor for v in reversed(values)])
    assert scaled == pytest.approx(sd * factor, rel=1e-6, abs=1e-6 * factor)
    for within in (sd / 4, sd, sd * 4):
        if sd > 1e-3:
            assert dominating(sd, within, len(values)) == dominating(sd * factor, within * factor, len(values))


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("n", [3, 5, 10, 20])
@pytest.mark.parametrize("law", ["normal", "lognormal"])
def test_the_prediction_interval_holds_the_next_run(n: int, law: str) -> None:
    """Medians and p99 of runs: the one near normal, the other skewed."""
    rng = np.random.default_rng(n)
    made = rng.standard_normal((4000, n + 1)) * 0.05
    runs = 100 * (np.exp(made) if law == "lognormal" else 1 + made)
    found = [next_run(row[:-1].tolist()) for row in runs]
    held = np.mean([low <= row[-1] <= high for (low, high), row in zip(found, runs, strict=True)])  # type: ignore[operator]
    assert 0.935 <= held <= 0.965


def test_the_prediction_interval_is_students() -> None:
    values = [50.0, 53.0, 49.0, 52.0]
    half = stats.t.ppf(0.975, 3) * np.std(values, ddof=1) * np.sqrt(1.25)
    assert next_run(values) == pytest.approx((51 - half, 51 + half), rel=1e-5)
    assert next_run(values[:2]) == (None, None)
    assert next_run([0.99, 1.0, 1.0], whole=1.0)[1] == 1.0
    for degrees in range(1, 60):
        assert _t_975(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=0.0015)


def test_every_figure_is_there(result: Result) -> None:
    names = {(f.metric, f.anchor, f.statistic) for f in build_repeats([result, result]).figures}
    for metric in ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"):
        assert {(metric, "service", "p50"), (metric, "service", "p99")} <= names
    assert {("requests_per_s", "", "mean"), ("output_tokens_per_s", "", "mean")} <= names
    assert {("goodput", "service", "mean"), ("slo_attainment", "service", "all")} <= names


def test_what_one_run_cannot_tell_is_not_estimable(result: Result) -> None:
    row = ttft([alike(result, 50), alike(result, None), alike(result, 52)])
    assert row.values == [50, None, 52]
    assert (row.median, row.within, row.between_sd, row.between_range, row.dominates) == (None,) * 5
    row = ttft([alike(result, 50), alike(result, 51, None), alike(result, 52)])
    assert (row.median, row.within, row.dominates) == (51, None, None)
    p99 = next(f for f in build_repeats([result] * 3).figures if f.statistic == "p99")
    assert p99.values == [None] * 3 and p99.median is None  # 20 requests give none


def test_one_run_has_no_spread(result: Result) -> None:
    row = ttft([alike(result, 50)])
    assert (row.median, row.within, row.between_sd, row.between_range, row.dominates) == (50, 1, None, None, None)
    assert any("3 times or more" in line for line in build_repeats([result]).says)


def test_the_plain_words(result: Result) -> None:
    apart = build_repeats([alike(result, 50 + 10 * i, 0.5) for i in range(3)])
    assert ttft([alike(result, 50 + 10 * i, 0.5) for i in range(3)]).dominates == "runs"
    assert any(line.startswith("runs differ more than the samples within a run explain") for line in apart.says)
    near = build_repeats([alike(result, 50 + 0.1 * i, 5) for i in range(3)])
    line = next(line for line in near.says if "explain" in line)
    assert "TTFT service p50" in line and line.startswith("the samples within a run explain")


def test_the_worst_verdict_is_that_of_the_set(result: Result) -> None:
    suspect = replace(result, verdict=Verdict(word="SUSPECT", reasons=["late"], checks=[]))
    invalid = replace(result, invalid=["the disk was full"])
    assert (word_of(suspect), word_of(invalid)) == ("SUSPECT", "INVALID")
    assert build_repeats([result, result]).verdict == "VALID"
    both = build_repeats([result, suspect])
    assert both.verdict == "SUSPECT" and both.figures
    assert both.runs[1].reasons == ["late"]
    worst = build_repeats([result, suspect, invalid], asked=5)
    assert (worst.verdict, worst.asked) == ("INVALID", 5) and worst.figures
    assert worst.runs[2].reasons == ["the disk was full"]


def test_a_figure_that_is_invalid_in_one_run_is_told_by_the_others(result: Result) -> None:
    def wide(of: Result, low: float) -> Result:
        ttft = of.latency["ttft_ms"]
        p50 = replace(ttft.service.p50, budget=Budget(low=low, high=999.0), value=999.0)
        bad = replace(of, latency=of.latency | {"ttft_ms": replace(ttft, service=replace(ttft.service, p50=p50))})
        return replace(bad, verdict=judge(bad))

    bad = wide(result, 1.0)
    assert word_of(bad) == "INVALID"
    together = build_repeats([result, bad, result])
    (row,) = [row for row in together.figures if (row.metric, row.statistic) == ("ttft_ms", "p50")]
    assert row.median == result.latency["ttft_ms"].service.p50.value and row.values[1] is None
    assert "TTFT p50 is without run 2: its error budget there is INVALID" in together.says
    every = build_repeats([bad, bad])
    (row,) = [row for row in every.figures if (row.metric, row.statistic) == ("ttft_ms", "p50")]
    assert row.median == 999.0, "shown all the same"


def test_runs_that_were_not_alike_are_named(result: Result) -> None:
    result = replace(result, methodology=replace(result.methodology, bodies_hash="1" * 64))
    other = replace(
        result, methodology=replace(result.methodology, effective=result.methodology.effective | {"model": "x"})
    )
    said = build_repeats([result, other]).says
    assert any("run 2 was not like run 1: model x instead of m" in line for line in said)
    assert any("run 2 sent the same prompts as run 1" in line for line in said)


def test_what_follows_from_each_runs_own_probe_makes_it_no_other_run(result: Result) -> None:
    def ran(**effective: object) -> Result:
        return replace(result, methodology=replace(result.methodology, effective=effective))

    first = ran(model="m", ramp_s=0.08, duration_s=30.0, rows=30, connections_by_address={"10.0.0.1": 4})
    again = ran(model="m", ramp_s=0.07, duration_s=31.0, rows=32, connections_by_address={"10.0.0.1": 5})
    moved = ran(model="m", ramp_s=0.07, duration_s=31.0, rows=32, connections_by_address={"10.0.0.2": 5})
    assert not [line for line in build_repeats([first, again]).says if "not like" in line]
    assert "run 2 was not like run 1: addresses 10.0.0.2 instead of 10.0.0.1" in build_repeats([first, moved]).says


@pytest.mark.parametrize("runs", [3, 5, 20])
def test_runs_alone_are_seldom_called_different(runs: int) -> None:
    """Where samples are all there is, 5 % are called "runs"; with as much again between runs, more and more are."""
    rng = np.random.default_rng(runs)

    def called(extra: float) -> float:
        values = rng.normal(100, np.hypot(1, extra), (4000, runs))
        return float(np.mean([dominating(float(sd), 1.96, runs) == "runs" for sd in values.std(axis=1, ddof=1)]))

    assert called(0) == pytest.approx(0.05, abs=0.015)
    assert called(5) > 0.8


def test_the_chi_square_point() -> None:
    for degrees in (2, 3, 5, 10, 50):
        assert _chi2_95(degrees) == pytest.approx(stats.chi2.ppf(0.95, degrees), rel=0.01)


def test_json_has_the_shape_of_its_schema(result: Result) -> None:
    tree = msgspec.json.decode(msgspec.json.encode(build_repeats([result, alike(result, None)])))
    assert list(tree) == list(repeats_schema()["$defs"]["Repeats"]["properties"])
    assert {f["median"] for f in tree["figures"] if f["metric"] == "ttft_ms"} == {None}
