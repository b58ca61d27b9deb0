"""How often a comparison is wrong, and how often it finds what is there: by simulation, seeded."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from loadcell.compare.effect import needed, within_runs
from loadcell.compare.figures import Figure, quantile_grid
from loadcell.compare.judge import Sides, judge
from loadcell.compare.measures import MEASURES
from loadcell.metrics.dependence import sample_inflation
from loadcell.metrics.interval import PERMILLE, floor_of

pytestmark = pytest.mark.usefixtures("thorough")

Floats = npt.NDArray[np.float64]
SIGMA = 0.5


def latencies(rng: np.random.Generator, n: int, rho: float = 0.0, sigma: float = SIGMA) -> Floats:
    """Lognormal latencies round 50 ms, in time order, their logarithms an AR(1) process."""
    noise = rng.standard_normal(n)
    if rho:
        noise, _ = lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, zi=[rho * rng.standard_normal()])
    return np.asarray(50 * np.exp(sigma * noise))


def figure(values: Floats, permille: int, effective: float) -> Figure:
    ordered = np.sort(values)
    value = float(ordered[-(-ordered.size * permille // 1000) - 1])
    return Figure(value, values.size, grid=quantile_grid(ordered, permille / 1000, effective))


def a_run(rng: np.random.Generator, n: int, rho: float, slower: float = 1.0) -> dict[str, Figure]:
    """Four independent latencies at three percentiles, judged by what they are found to be worth; no other measure."""
    found = {}
    for metric in ("ttft", "tpot", "itl", "e2e"):
        values = latencies(rng, n, rho) * slower
        mine = [m for m in MEASURES.values() if m.metric == metric and m.stat in PERMILLE]
        inflation = sample_inflation(values, [m.permille for m in mine])
        for measure in mine:
            worth = n / inflation.at[measure.permille]
            enough = worth >= floor_of(measure.permille)
            found[measure.key] = figure(values, measure.permille, worth) if enough else Figure(None, n, why="few")
    return {key: found.get(key, Figure(None, why="no SLO")) for key in MEASURES}


@cache
def findings(n: int, rho: float, slower: float, repetitions: int) -> list[list[tuple[str, str]]]:
    rng = np.random.default_rng([n, int(rho * 10), int(slower * 100)])
    pairs = [Sides("B", [a_run(rng, n, rho)], [a_run(rng, n, rho, slower)]) for _ in range(repetitions)]
    return [[(f"{c.metric}.{c.stat}", c.finding) for c in judge([pair], 0.05)[0]] for pair in pairs]


@pytest.mark.parametrize(("n", "rho"), [(1000, 0.0), (5000, 0.0), (1000, 0.5), (5000, 0.5)])
def test_two_runs_of_the_same_thing_are_rarely_called_different(n: int, rho: float) -> None:
    """Family-wise: 5 % of comparisons, over all their figures, may call any of them better or worse."""
    runs = 100
    wrong = sum(any(f in ("better", "worse") for _, f in found) for found in findings(n, rho, 1.0, runs))
    assert wrong <= binom.ppf(0.999, runs, 0.05)


def test_the_same_thing_is_called_so_where_there_is_data_for_it() -> None:
    found = [dict(f)["ttft.p50"] for f in findings(5000, 0.0, 1.0, 100)]
    assert found.count("no difference shown") > 0.9 * len(found)


def test_what_is_too_little_data_is_called_so() -> None:
    """A p99 of 1,000 requests, sigma 0.5: two of them differ by up to 16 % by chance; 5 % cannot be shown."""
    found = [dict(f)["ttft.p99"] for f in findings(1000, 0.0, 1.05, 60)]
    assert found.count("too little data") > 0.85 * len(found)
    assert found.count("no difference shown") == 0


def test_a_slower_side_is_found_where_there_is_data_for_it() -> None:
    ten = [dict(f) for f in findings(5000, 0.0, 1.10, 60)]
    for key in ("ttft.p50", "tpot.p50", "e2e.p90"):
        assert sum(f[key] == "worse" for f in ten) >= 0.95 * len(ten)
    assert not any(finding == "better" for f in ten for finding in f.values())


@pytest.mark.parametrize(("permille", "shift"), [(500, 0.05), (500, 0.10), (900, 0.05), (900, 0.10), (990, 0.10)])
def test_the_needed_requests_show_the_effect_four_times_out_of_five(permille: int, shift: float) -> None:
    """At the number that a first, smaller comparison asks for, power is 80 %; right within 1.5 times that number."""
    rng = np.random.default_rng(permille + int(shift * 1000))
    least, tests = np.log1p(shift), 12

    def pair(n: int, slower: float) -> tuple[Figure, Figure]:
        return figure(latencies(rng, n), permille, n), figure(latencies(rng, n) * slower, permille, n)

    asked = [needed(within_runs(*pair(2000, 1.0), True), float(least), tests) for _ in range(15)]
    n = int(np.median([a for a in asked if a is not None]))

    def power(size: int, repetitions: int = 60) -> float:
        ps = [within_runs(*pair(size, 1 + shift), True).p for _ in range(repetitions)]
        return float(np.mean([p is not None and p <= 0.05 / tests for p in ps]))

    # Were n wrong by 1.5 times, power at n / 1.5 would not be below 80 %, or that at 1.5 n not above it.
    assert power(int(n / 1.5)) < 0.8 < power(int(n * 1.5))
