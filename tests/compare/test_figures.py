from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from made import build, ok_request

from loadcell.compare import compare
from loadcell.compare.effect import within_runs
from loadcell.compare.figures import _samples, figures, quantile_grid, rate_grid
from loadcell.metrics import build_result
from loadcell.metrics.interval import interval_ranks
from loadcell.metrics.model import Interval
from loadcell.metrics.rows import read_rows
from loadcell.recording.read import open_recording

Make = Callable[..., Path]


@pytest.mark.parametrize(
    "load", [{"concurrency": 1}, {"concurrency": 1, "warmup_s": 1.0}, {"concurrency": 1, "warmup_requests": 70}]
)
def test_it_takes_the_requests_that_the_result_tells_of(run: Make, load: dict[str, float]) -> None:
    recording = open_recording(run("a", load=load))
    result = build_result(recording)
    samples = _samples(result, recording, read_rows(recording))
    for metric in ("ttft", "tpot", "e2e"):
        summary = result.latency[f"{metric}_ms"].service
        assert samples.latency_ms[metric].size == summary.n
        assert samples.latency_ms[metric].mean() == pytest.approx(summary.mean)
    assert samples.gaps.n == result.latency["itl_ms"].service.n
    assert samples.with_gaps == result.counts.window.ok


def test_it_takes_of_users_who_leave_and_who_read_slowly_what_the_result_takes(tmp_path: Path) -> None:
    rows = [ok_request(i, start_ms=50.0 * i) for i in range(200)]
    for i in range(0, 200, 10):
        rows[i] |= {name: rows[i][name] + 10**9 for name in ("first_any_ns", "first_answer_ns", "last_ns", "end_ns")}
        rows[i + 1] |= {"status": "abandoned", "gave_up": "tokens"}
    plan = [{"read_tokens_per_s": 1.0 if i % 10 == 0 else None} for i in range(200)]
    users = {"slow_readers": "10%@1t/s", "cancel": ["10%@1t"]}
    recording = build(tmp_path / "run", rows, carried=plan, behaviour=users, load={"concurrency": 1, "warmup_s": 0})
    result = build_result(recording)
    samples = _samples(result, recording, read_rows(recording))
    assert (samples.latency_ms["ttft"].size, samples.latency_ms["e2e"].size) == (180, 160)
    for metric in ("ttft", "tpot", "e2e"):
        summary = result.latency[f"{metric}_ms"].service
        assert samples.latency_ms[metric].size == summary.n
        assert samples.latency_ms[metric].mean() == pytest.approx(summary.mean)
    assert samples.gaps.n == result.latency["itl_ms"].service.n


def test_the_grid_is_about_the_value_and_as_wide_as_the_interval(run: Make) -> None:
    recording = open_recording(run("a", n=1000))
    result = build_result(recording)
    for key, figure in figures(result, recording).items():
        if figure.grid is None or figure.open:
            continue
        assert figure.value is not None and figure.low is not None and figure.high is not None, key
        low, high = np.quantile(figure.grid, (0.025, 0.975))
        assert np.median(figure.grid) == pytest.approx(figure.value, rel=0.02), key
        rel = 0.15 if key.endswith(".p99") else 0.05  # few samples lie beyond it, and ranks are whole numbers
        assert (low, high) == pytest.approx((figure.low, figure.high), rel=rel), key


@pytest.mark.parametrize(("permille", "n"), [(500, 100), (900, 1000), (990, 5000)])
def test_the_grid_of_a_quantile_has_the_binomial_ranks(permille: int, n: int) -> None:
    """Of the samples 1 to n, it spans the ranks of the exact interval, to two ranks."""
    low, high = interval_ranks(permille, n)
    grid = quantile_grid(np.arange(1.0, n + 1), permille / 1000, n)
    assert np.quantile(grid, (0.025, 0.975)).tolist() == pytest.approx([low, high], abs=2)


def test_fewer_effective_samples_make_a_wider_grid() -> None:
    ordered = np.sort(np.random.default_rng(3).lognormal(0, 1, 2000))
    wide, narrow = (np.log(quantile_grid(ordered, 0.5, m)).std() for m in (500, 2000))
    assert wide / narrow == pytest.approx(2, rel=0.15)


def test_the_grid_of_a_rate_has_its_interval() -> None:
    grid = rate_grid(10.0, Interval(low=8.0, high=12.0))
    assert np.quantile(grid, (0.025, 0.975)).tolist() == pytest.approx([8, 12], abs=0.05)
    assert rate_grid(1.0, Interval(low=0.0, high=5.0)).min() == 0


@pytest.mark.parametrize("n", [1, 2, 3, 19])
def test_a_handful_of_requests_shows_no_difference(run: Make, n: int) -> None:
    """A mean of one request had an interval of no width: any other was "better" or "worse"."""
    several, few = run("a", n=300, seed=1), run("b", n=n, seed=2, slower=1.6)
    for order in ((several, few), (few, several)):
        for change in compare(order).pairs[0].changes:
            if change.stat in ("mean", "geomean") and change.unit == "ms":
                assert (change.low, change.high, change.finding, change.short) == (None, None, "too little data", True)
            if n < 3:
                assert change.finding == "too little data", change


def test_an_end_below_all_samples_is_no_end(run: Make) -> None:
    """The least of five samples is no lower end of their median, so that the truth may lie below it."""
    recording = open_recording(run("a", n=5))
    figure = replace(figures(build_result(recording), recording)["ttft.p50"], open=None)
    assert figure.low is None and figure.open_below and figure.grid is not None and figure.value is not None
    slower = replace(figure, grid=figure.grid * 9, value=figure.value * 9, open_below=None)
    effect = within_runs(figure, slower, True)
    assert effect.high is None and effect.low is not None
    assert (within_runs(slower, figure, True).low, within_runs(slower, figure, True).open) == (None, figure.open_below)


def test_tokens_that_nobody_counted_are_why_there_is_no_rate(run: Make) -> None:
    result = build_result(open_recording(run("a", n=40)))
    rates = msgspec.structs.replace(result.throughput, output_tokens_per_s=None, output_tokens_interval=None)
    told = figures(msgspec.structs.replace(result, throughput=rates), None)["output_tokens_per_s.mean"]
    assert told.value is None and told.why is not None and "how many tokens" in told.why
