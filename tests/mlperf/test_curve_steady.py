"""Steady state by simulation: how often still loads are called unsteady, and drifts and staircases seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.mlperf.curve.model import Steady
from loadcell.mlperf.curve.steady import steady_of

pytestmark = pytest.mark.usefixtures("thorough")

Level = Callable[[Any], Any]
RUNS = 20
FLAT: Level = lambda u: 1 + 0 * u  # noqa: E731


def series(level: Level, n: int, passes: float, *, spread: float = 0.3, seed: int = 0) -> np.ndarray[Any, Any]:
    """TPOT in ms of requests in issue order: each pass a permutation of the same samples, with a noise of 10 %."""
    rng = np.random.default_rng(seed)
    own = 10 * np.exp(rng.normal(0, spread, n))
    order = np.concatenate([rng.permutation(n) for _ in range(int(np.ceil(passes)))])[: round(n * passes)]
    u = np.arange(len(order)) / max(1, len(order))
    return own[order] * np.exp(rng.normal(0, 0.1, len(order))) * level(u)


def judged(level: Level, n: int, passes: float, *, seed: int = 0, every_s: float = 1.0, **how: Any) -> Steady:
    tpot = series(level, n, passes, seed=seed, **how)
    return steady_of(np.arange(len(tpot)) * every_s, tpot, 5 * tpot, size=n, min_duration_s=600)


def verdicts(level: Level, n: int, passes: float) -> Counter[str]:
    return Counter(judged(level, n, passes, seed=seed).verdict for seed in range(RUNS))


@pytest.mark.parametrize(("n", "passes"), [(24, 8), (64, 4), (64, 20), (500, 4), (500, 12)])
def test_a_still_load_is_steady(n: int, passes: int) -> None:
    assert verdicts(FLAT, n, passes)["STEADY STATE"] >= 0.9 * RUNS


@pytest.mark.parametrize(("change", "word"), [(0.3, "drifting_up"), (-0.3, "drifting_down")])
@pytest.mark.parametrize(("n", "passes"), [(200, 5), (64, 20), (500, 12)])
def test_a_drift_is_seen(n: int, passes: int, change: float, word: str) -> None:
    assert verdicts(lambda u: 1 + change * u, n, passes)[word] >= 0.9 * RUNS


def test_a_step_and_a_staircase_are_anomalies() -> None:
    assert verdicts(lambda u: 1 + 0.2 * (u > 0.5), 500, 12)["anomaly"] >= 0.9 * RUNS
    assert verdicts(lambda u: 1 + 0.15 * (u > 0.34) + 0.15 * (u > 0.67), 500, 12)["anomaly"] >= 0.9 * RUNS


def test_the_first_plateau_counts_and_the_shift_is_told() -> None:
    found = judged(lambda u: 1 + 0.2 * (u > 0.5), 500, 12)
    assert found.window is not None
    assert (found.window.super_pass_start, found.window.super_pass_end) == (0, 6)
    told = re.search(r"by \+(\d+)% at the median", found.says)
    assert told is not None
    assert 15 <= int(told[1]) <= 25
    assert all(trend.state == "Plateau" for trend in found.trends if trend.gating)


def test_a_better_plateau_later_does_not_count() -> None:
    found = judged(lambda u: 1 - 0.2 * (u > 0.34), 500, 12)
    assert found.verdict == "anomaly"
    assert found.window is not None
    assert found.window.super_pass_start == 0


def test_a_warm_up_is_left_out() -> None:
    found = judged(lambda u: 1 + 1.0 * (u < 1 / 16), 500, 16)
    assert found.verdict == "STEADY STATE"
    assert found.window is not None
    assert (found.window.super_pass_start, found.window.super_pass_end) == (1, 16)


def test_a_drift_gives_a_range_and_no_window() -> None:
    found = judged(lambda u: 1 + 0.3 * u, 500, 12)
    assert (found.status, found.window, found.basis) == (None, None, "run")
    (p90,) = (trend for trend in found.trends if trend.metric == "tpot_p90_ms")
    assert p90.state == "Drifting Up"
    assert p90.low is not None
    assert p90.high is not None
    assert 1.2 < p90.high / p90.low < 1.4


@pytest.mark.parametrize(
    ("passes", "every_s", "status"),
    [
        (0.5, 1.0, "partial_dataset"),
        (1, 1.0, "insufficient_passes"),
        (3.9, 1.0, "insufficient_passes"),
        (4, 0.1, "insufficient_duration"),
        (4, 1.0, "windowable"),
    ],
)
def test_statuses(passes: float, every_s: float, status: str) -> None:
    found = judged(FLAT, 200, passes, every_s=every_s)
    assert found.status == status
    assert found.basis == ("window" if status == "windowable" else "run")
    assert (found.window is not None) == (status in ("windowable", "insufficient_duration"))


def test_without_tpot_nothing_is_found() -> None:
    nothing = np.full(800, np.nan)
    found = steady_of(np.arange(800.0), nothing, nothing, size=100, min_duration_s=600)
    assert (found.status, found.verdict) == (None, "not found")


def test_ttft_gates_nothing() -> None:
    tpot = series(FLAT, 200, 10)
    ttft = 100 * (1 + np.arange(len(tpot)) / len(tpot))
    found = steady_of(np.arange(len(tpot)) * 1.0, tpot, ttft, size=200, min_duration_s=600)
    assert found.verdict == "STEADY STATE"
    assert {trend.metric: trend.state for trend in found.trends}["ttft_p90_ms"] == "Drifting Up"


def test_many_small_passes_are_drawn_together() -> None:
    found = judged(FLAT, 20, 500)
    assert found.super_passes == 500
    assert found.window is not None
    assert found.window.super_pass_size % 20 == 0
    assert len(found.trends[0].values) <= 48


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 80), st.integers(4, 12), st.floats(0.5, 50))
def test_the_unit_does_not_matter_and_constants_are_steady(seed: int, n: int, passes: int, scale: float) -> None:
    tpot = series(FLAT, n, passes, seed=seed)
    times = np.arange(len(tpot)) * 10.0
    one, other = (steady_of(times, t, t, size=n, min_duration_s=60) for t in (tpot, scale * tpot))
    assert (one.status, one.verdict, one.window) == (other.status, other.verdict, other.window)
    still = steady_of(times, 0 * tpot + scale, tpot, size=n, min_duration_s=60)
    assert (still.status, still.verdict) == ("windowable", "STEADY STATE")
