"""Arrival processes against what is known of them, and rates that vary."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.load.prepare import schedule_columns
from loadcell.recording.write import write_part
from loadcell.spec import Load, Series, build_spec, parse_arrivals, parse_series, with_defaults
from loadcell.spec.series import read_series
from loadcell.workload import plan
from loadcell.workload.arrivals import peak_rate, planned_ns, repeated, weibull_shape
from loadcell.workload.schedule import lay_out

KINDS = ["constant", "poisson", "gamma:2", "gamma:0.3", "weibull:2", "weibull:0.4", "bursts:1s,2s", "bursts:1s,3s,20%"]
STEPS = "10@6s,50@6s,50..10@3s,0@1s"


def moments(gaps: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean, coefficient of variation and skewness."""
    centred = gaps - gaps.mean()
    return float(gaps.mean()), float(gaps.std() / gaps.mean()), float((centred**3).mean() / gaps.std() ** 3)


def test_weibull_and_gamma_of_one_variation_differ_in_their_third_moment() -> None:
    """At a CV of 2 a gamma law's skewness is 4, a Weibull law's 5.6: equal means and CVs are not all of it."""
    gaps = {}
    for kind in ("gamma", "weibull"):
        times = planned_ns(parse_arrivals(f"{kind}:2"), 40.0, seed=4, requests=1_000_000)
        gaps[kind] = np.diff(times, prepend=0) / 1e9
    k = weibull_shape(2.0)
    g = [math.gamma(1 + n / k) for n in range(4)]
    skew = (g[3] - 3 * g[2] * g[1] + 2 * g[1] ** 3) / (g[2] - g[1] ** 2) ** 1.5
    assert k == pytest.approx(0.5427, abs=1e-4) and skew == pytest.approx(5.58, abs=0.01)
    for kind, third in (("gamma", 4.0), ("weibull", skew)):
        mean, cv, found = moments(gaps[kind])
        assert mean == pytest.approx(1 / 40, rel=0.01) and cv == pytest.approx(2, rel=0.015)
        assert found == pytest.approx(third, rel=0.1)


@pytest.mark.parametrize("cv", [0.01, 0.3, 1.0, 3.0, 100.0])
def test_the_shape_of_a_weibull_law_follows_from_its_variation(cv: float) -> None:
    k = weibull_shape(cv)
    log_ratio = math.lgamma(1 + 2 / k) - 2 * math.lgamma(1 + 1 / k)
    assert math.sqrt(math.expm1(log_ratio)) == pytest.approx(cv, rel=1e-6)
    if cv == 1.0:
        assert k == pytest.approx(1.0)


@pytest.mark.parametrize(("text", "base"), [("bursts:2s,6s", 0.0), ("bursts:2s,6s,25%", 0.25)])
def test_bursts_disperse_as_a_process_of_two_states_does(text: str, base: float) -> None:
    """Variance over mean of counts in a time (Fischer and Meier-Hellstern 1993), pooled over many plans."""
    rate, on_s, off_s, bin_s, bins = 20.0, 2.0, 6.0, 10.0, 40
    counts = np.concatenate(
        [
            np.bincount(
                planned_ns(parse_arrivals(text), rate, seed=seed, duration_s=bin_s * bins) // 10**10, minlength=bins
            )
            for seed in range(250)
        ]
    ).astype(float)
    leave_on, leave_off = 1 / on_s, 1 / off_s
    off = base * rate
    on = off + (rate - off) * (on_s + off_s) / on_s
    both = leave_on + leave_off
    heavy = 2 * leave_on * leave_off * (on - off) ** 2 / (both**2 * (on * leave_off + off * leave_on))
    dispersion = 1 + heavy * (1 - (1 - math.exp(-both * bin_s)) / (both * bin_s))
    assert counts.mean() == pytest.approx(rate * bin_s, rel=0.03)
    assert counts.var() / counts.mean() == pytest.approx(dispersion, rel=0.06)
    assert peak_rate(Load(rate=rate, arrivals=text)) == pytest.approx(on)


def test_bursts_are_exponential_and_poisson_within() -> None:
    times = planned_ns(parse_arrivals("bursts:10s,30s"), 100.0, seed=1, duration_s=20_000.0) / 1e9
    gaps = np.diff(times)
    silences = gaps[gaps > 0.5]  # within a burst 400 a second come: none so long in e^200
    assert silences.mean() == pytest.approx(30.5, rel=0.15) and silences.std() / silences.mean() == pytest.approx(
        1, abs=0.15
    )
    within = gaps[gaps < 0.5]
    assert np.median(within) == pytest.approx(math.log(2) / 400, rel=0.01)
    assert np.quantile(within, 0.9) == pytest.approx(math.log(10) / 400, rel=0.01)


series = st.lists(
    st.tuples(st.floats(0.1, 20), st.floats(0, 40), st.floats(0, 40), st.booleans()), min_size=1, max_size=6
).map(
    lambda pieces: Series(
        tuple(s for s, *_ in pieces),
        tuple(a for _, a, *_ in pieces),
        tuple(a if flat else b for _, a, b, flat in pieces),
    )
).filter(lambda one: one.mean > 0.1)  # fmt: skip


@given(
    kind=st.sampled_from(KINDS),
    course=series,
    n=st.integers(1, 300),
    more=st.integers(0, 300),
    seed=st.integers(0, 2**70),
)
def test_with_a_series_too_a_longer_schedule_begins_with_the_shorter(
    kind: str, course: Series, n: int, more: int, seed: int
) -> None:
    process = parse_arrivals(kind)
    short = planned_ns(process, course.mean, seed=seed, requests=n, series=course)
    long = planned_ns(process, course.mean, seed=seed, requests=n + more, series=course)
    assert len(short) == n and np.array_equal(long[:n], short)
    assert short[0] >= 0 and np.all(np.diff(long) >= 0)
    until_s = float(long[-1]) / 1e9 + 1e-3
    timed = planned_ns(process, course.mean, seed=seed, duration_s=until_s, series=course)
    assert np.array_equal(timed[: n + more], long)


@given(course=series, times=st.integers(1, 3), part=st.floats(0, 1), scale=st.floats(0.1, 10))
def test_the_expected_count_is_the_integral_of_the_rate(course: Series, times: int, part: float, scale: float) -> None:
    """A process of equal gaps has, up to any time, as many arrivals as the integral, to one."""
    until_s = course.length_s * (times - 1 + part)
    steps = np.linspace(0, until_s, 20_001)
    phase = np.mod((steps[1:] + steps[:-1]) / 2, course.length_s)
    edges = np.cumsum(course.lengths_s)
    place = np.minimum(np.searchsorted(edges, phase, side="right"), len(edges) - 1)
    lengths, begins, ends = (np.array(x) for x in (course.lengths_s, course.begins, course.ends))
    since = (phase - (edges - lengths)[place]) / lengths[place]
    rates = scale * (begins[place] + (ends - begins)[place] * since)
    wanted = float((rates * np.diff(steps)).sum())
    found = (
        planned_ns(parse_arrivals("constant"), scale * course.mean, seed=0, duration_s=until_s, series=course)
        if until_s
        else []
    )
    slack = 1.01 + scale * 40 * until_s / 20_000 * len(lengths) * times
    assert abs(len(found) - wanted) <= slack


@pytest.mark.parametrize("kind", KINDS)
def test_every_process_keeps_to_a_series_in_the_mean(kind: str) -> None:
    course, seen = parse_series(STEPS), []
    for seed in range(150):
        times = planned_ns(parse_arrivals(kind), course.mean, seed=seed, duration_s=32.0, series=course)
        seen.append(np.histogram(times / 1e9, bins=[0, 6, 12, 15, 16, 22, 28, 31, 32])[0])
    wanted = np.array([60, 300, 90, 0] * 2)
    wide = np.maximum(np.std(seen, axis=0) / math.sqrt(150) * 4.5, 1.01)
    assert np.all(np.abs(np.mean(seen, axis=0) - wanted) <= wide)
    assert not np.any(np.array(seen)[:, [3, 7]])


def test_load_beyond_the_end_goes_on_at_the_last_rate_and_changes_nothing_before() -> None:
    load = Load(rate=40.0, rate_series="10@5s,40..70@5s", duration_s=10.0, ramp_s=0.0)
    scaled = parse_series(load.rate_series or "").scaled(40.0)
    plain, kept = (lay_out(load, seed=3, mean_output_tokens=1, beyond_s=beyond) for beyond in (0.0, 10.0))
    assert plain.planned_ns is not None and kept.planned_ns is not None
    assert kept.planned == len(plain.planned_ns) and np.array_equal(kept.planned_ns[: kept.planned], plain.planned_ns)
    assert kept.beyond == pytest.approx(10 * scaled.ends[-1], rel=0.15)
    assert scaled.mean == pytest.approx(40) and scaled.ends[-1] == pytest.approx(70 * 40 / 32.5)
    held = repeated(scaled, 30.0, 10.0)
    assert held.expected(20.0) - held.expected(10.0) == pytest.approx(10 * scaled.ends[-1])


def test_the_run_ends_with_its_series_and_scales_it_by_a_rate() -> None:
    def spec(**load: object) -> Load:
        return with_defaults(build_spec({"endpoint": {"url": "localhost:1"}, "load": load})).load

    found = spec(rate_series="10@60s, 50@1m,50..10@30s")
    assert (found.rate, found.duration_s, found.rate_series) == (30.0, 150.0, "10@60s,50@60s,50..10@30s")
    assert (spec(rate_series="1@1s", rate=7).rate, spec(rate_series="1@1s", duration_s=5).duration_s) == (7, 5)
    assert spec(rate_series="1@1s", requests=5).duration_s is None
    assert peak_rate(found) == pytest.approx(50)


@pytest.mark.parametrize(
    ("load", "says"),
    [
        ({"ramp_s": 3}, "0..10@5s"),
        ({"stop_when_saturated": True}, "cannot be told"),
        ({"rate_series": "0@5s"}, "every rate is 0"),
        ({"rate_series": "5@0s"}, "lasts no time"),
        ({"rate_series": "-5@3s"}, "is no rate"),
        ({"rate_series": "5@3s,"}, "no step"),
        ({"rate_series": "5@3 parsecs"}, "not a duration"),
        ({"rate_series": "5@400h"}, "days"),
        ({"rate_series": "5@1ms"}, "the least is 0.01 s"),
        ({"rate_series": "rates.csv"}, "there is no file rates.csv: write RATE@TIME"),
    ],
)
def test_a_series_that_cannot_be_is_refused(load: dict[str, object], says: str) -> None:
    tree = {"endpoint": {"url": "localhost:1"}, "load": {"rate_series": "5@3s"} | load}
    with pytest.raises(UsageError, match=says):
        build_spec(tree)


def test_a_series_from_a_file_holds_each_rate_until_the_next_row(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("t_s,rate,comment\n100,5,a\n160,5,b\n220,20,c\n250,0,d\n")
    found = read_series(str(file), "x")
    assert found.written() == "5@120s,20@30s,0@30s"
    assert parse_series(found.written()) == found
    file.write_text("t_ms,requests_per_s\n0,5\n60000,1.5\n")
    assert read_series(str(file), "x").written() == "5@60s,1.5@60s"
    tree = {"endpoint": {"url": "localhost:1"}, "load": {"rate_series": str(file)}}
    assert build_spec(tree).load.rate == 3.25


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("t_s,rate\n0,5\n", "1 rows: two are needed"),
        ("t_s,rate\n0,5\n60,x\n", r"rates.csv:3: rate is 'x': a number is needed"),
        ("t_s,rate\n0,5\n60,\n", r"rates.csv:3: rate is nothing"),
        ("t_s,rate\n0,5\n60,-1\n90,1\n", r"rates.csv:3: a rate of -1"),
        ("t_s,rate\n0,5\n60,1\n30,1\n", r"rates.csv:4: 30 comes after 60"),
        ("t_s,rate\n0,5\n60,1\n60,1\n", r"rates.csv:4: 60 comes after 60"),
        ("t_s,rate\n0,5\n1200000,1\n2400000,1\n", "are its times milliseconds"),
        ("time,rate\n0,5\n60,1\n", r"no column t_s or t_ms; it has: time, rate"),
        ("t_s,qps\n0,5\n60,1\n", r"no column rate or requests_per_s; it has: t_s, qps"),
        ("t_s,t_ms,rate\n0,0,5\n60,1,1\n", "mean the same"),
        ("t_s,rate\n0,0\n60,0\n", "every rate is 0"),
        ("", "is empty"),
    ],
)
def test_a_file_of_rates_that_is_wrong_is_named_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_series(str(file), "load.rate_series")


@pytest.mark.parametrize(
    "text",
    [
        *("bursts", "bursts:", "bursts:2s", "bursts:0s,3s", "bursts:1s,2s,100%", "bursts:1s,2s,3s,4s", "bursts:1,x"),
        *("weibull", "weibull:0", "weibull:101", "weibull:x"),
    ],
)
def test_a_process_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"bursts|weibull"):
        parse_arrivals(text)


def test_few_bursts_say_how_far_chance_moved_the_mean() -> None:
    notes = [
        lay_out(Load(rate=20.0, arrivals="bursts:10s,30s", duration_s=300.0), seed=seed, mean_output_tokens=1).notes
        for seed in (2, 3, 4)
    ]
    assert any("in so few bursts chance moves the mean" in note for each in notes for note in each)


@pytest.mark.parametrize("arrivals", ["poisson", "weibull:2", "bursts:1s,4s,10%"])
def test_the_saved_plan_tells_its_own_law(tmp_path: Path, arrivals: str) -> None:
    """From schedule.parquet alone: counts of each step against the series, and gaps against the law, in SQL."""
    text = "20@50s,80@50s,20..80@50s"
    load = {"rate_series": text, "arrivals": arrivals, "requests": 200_000}
    spec = build_spec({"endpoint": {"url": "localhost:1"}, "load": load, "workload": {"input_tokens": "64"}})
    write_part(tmp_path, "schedule", schedule_columns(plan(spec)))
    found = duckdb.sql(
        f"""
        SELECT ((planned_ns % 150_000_000_000) // 50_000_000_000)::INT AS step, count(*) AS n
        FROM '{tmp_path / "schedule.parquet"}' WHERE planned_ns < 25 * 150_000_000_000 GROUP BY step ORDER BY step
        """
    ).fetchall()
    counts = np.array([n for _, n in found])
    dispersion = {"poisson": 1.0, "weibull:2": 4.0, "bursts:1s,4s,10%": 320.0}[arrivals]
    wanted = np.array([1000, 4000, 2500]) * 25
    assert np.all(np.abs(counts - wanted) < 4.5 * np.sqrt(dispersion * wanted))
    in_order = duckdb.sql(
        f"SELECT bool_and(gap >= 0) FROM (SELECT planned_ns - lag(planned_ns) OVER (ORDER BY request) AS gap "
        f"FROM '{tmp_path / 'schedule.parquet'}')"
    ).fetchall()
    assert in_order == [(True,)]
    if arrivals == "poisson":  # the number in disjoint seconds of the steady steps is Poisson
        ((ratio,),) = duckdb.sql(
            f"""
            SELECT var_samp(n - (CASE WHEN s % 150 < 50 THEN 20 ELSE 80 END)) / avg(n) FROM (
                SELECT planned_ns // 1_000_000_000 AS s, count(*) AS n FROM '{tmp_path / "schedule.parquet"}'
                GROUP BY s) WHERE s % 150 < 100 AND s < 3750
            """
        ).fetchall()
        assert ratio == pytest.approx(1, abs=0.1)


def test_bursts_too_short_to_plan_and_gaps_too_even_are_refused() -> None:
    with pytest.raises(UsageError, match="bursts in 1,000 s are more than"):
        planned_ns(parse_arrivals("bursts:0.01ms,0.01ms"), 10.0, seed=1, duration_s=1000.0)
    with pytest.raises(UsageError, match="from 1e-06 to 100"):
        parse_arrivals("gamma:1e-300")
    assert len(planned_ns(parse_arrivals("gamma:1e-6"), 10.0, seed=1, requests=10)) == 10
