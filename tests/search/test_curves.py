"""Curves with known answers."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sweep import make_plan, make_point

from loadcell.search.curves import KNEES, curves, fit_law, knee, kneedle, law, left_out, pareto, scalability
from loadcell.search.model import Ask, Curves, Point, Stage


def stage(number: int, level: float | None = None, point: Point | None = None, **fields: Any) -> Stage:
    """A made stage; `fields` go over those of its point."""
    level = float(number) if level is None else level
    known = msgspec.structs.replace(point or make_point(level), **fields)
    ask = Ask(number=number, phase="grid", changes={"load.rate": level}, level=level)
    return Stage(ask=ask, folder="", state="complete", ended=None, took_s=1.0, started_at="", point=known)


def both(number: int, user: float | None, total: float | None, gpu: float | None = None, **fields: Any) -> Stage:
    figures = {"tokens_per_s_per_user": user, "output_tokens_per_s": total, "tokens_per_s_per_gpu": gpu}
    return stage(number, **figures, **fields)


# --- Pareto ----------------------------------------------------------------------------------------------------------


def test_the_front_is_what_none_beats() -> None:
    stages = [both(1, 100, 100), both(2, 80, 300), both(3, 70, 250), both(4, 20, 400), both(5, 20, 350)]
    assert pareto(stages) == [1, 2, 4]


def test_stages_that_are_alike_are_both_on_it() -> None:
    assert pareto([both(1, 50, 100), both(2, 50, 100), both(3, 50, 99)]) == [1, 2]


@pytest.mark.parametrize(
    ("fields", "why"),
    [({"verdict": "INVALID"}, "INVALID"), ({"stable": False}, "unstable"), ({"stable": None}, None), ({}, None)],
)
def test_what_cannot_be_set_beside_others_is_left_out(fields: dict[str, Any], why: str | None) -> None:
    best = both(2, 200, 900, **fields)
    assert left_out(best) == why
    assert pareto([both(1, 100, 100), best]) == ([1] if why else [2])
    empty = msgspec.structs.replace(best, point=None)
    assert left_out(empty) == "without figures"
    assert pareto([both(1, 100, 100), empty]) == [1]


def test_a_stage_that_was_cut_off_is_left_out() -> None:
    cut = msgspec.structs.replace(both(2, 200, 900), state="interrupted")
    assert left_out(cut) == "cut off" and pareto([both(1, 100, 100), cut]) == [1]


def test_what_is_not_known_is_no_zero() -> None:
    assert pareto([both(1, None, 100), both(2, 10, None), both(3, 5, 5)]) == [3]


def test_totals_are_a_gpu_where_all_are_known_so() -> None:
    """Twice the GPUs for the same total is no gain."""
    assert pareto([both(1, 50, 400, gpu=50), both(2, 50, 200, gpu=100)]) == [2]
    assert pareto([both(1, 50, 150), both(2, 50, 200, gpu=100)]) == [2]


figures = st.floats(0.1, 1e6).map(lambda x: float(f"{x:.3g}"))


def test_noise_makes_no_front() -> None:
    """A user's 99.98 and 100.02 tokens/s are the same: then the higher total wins."""
    assert pareto([both(1, 100.02, 40), both(2, 99.98, 310), both(3, 100.0, 80)]) == [2]


@settings(deadline=None)
@given(st.lists(st.tuples(figures, figures), min_size=1, max_size=12))
def test_no_member_is_beaten_and_every_other_is(pairs: list[tuple[float, float]]) -> None:
    front = set(pareto([both(i, user, total) for i, (user, total) in enumerate(pairs, 1)]))
    assert front

    def beaten(i: int) -> bool:
        a = pairs[i - 1]
        return any(b != a and b[0] >= a[0] and b[1] >= a[1] for b in pairs)

    assert front == {i for i in range(1, len(pairs) + 1) if not beaten(i)}


# --- knees -----------------------------------------------------------------------------------------------------------


def test_the_knee_of_a_curve_that_bends_once() -> None:
    """Straight up to 40, level beyond: the knee of the paper's definition is the corner."""
    x = np.arange(10.0, 101.0, 10.0)
    assert x[kneedle(x, np.minimum(x, 40.0)) or 0] == 40
    assert x[kneedle(x, np.maximum(x, 70.0) - 70.0, convex=True) or 0] == 70


def test_the_papers_example() -> None:
    """y = -1 / x + 5 (its figure 2): the knee in the middle of the bend, 0.22 on the scaled axis."""
    x = np.linspace(0.1, 1.0, 10)
    assert kneedle(x, -1 / x + 5) == 2


@settings(deadline=None)
@given(st.floats(0.1, 100), st.floats(1, 1e4), st.floats(-50, 50))
def test_a_knee_does_not_move_with_the_units(scale: float, high: float, shift: float) -> None:
    x = np.arange(1.0, 11.0)
    y = np.minimum(x, 4.0)
    assert kneedle(x * scale, y * high + shift) == kneedle(x, y) == 3


@pytest.mark.parametrize(
    "y",
    [
        np.arange(10.0),  # straight
        np.full(10, 3.0),  # level
        np.arange(10.0) ** 2,  # bends the other way
    ],
)
def test_no_knee(y: np.ndarray[Any, Any]) -> None:
    assert kneedle(np.arange(10.0), y) is None


def test_too_few_points_have_no_knee() -> None:
    assert kneedle(np.arange(4.0), np.minimum(np.arange(4.0), 1)) is None


def throughput(stages: list[Stage]) -> Any:
    return knee(stages, *KNEES[0])


def test_a_stage_past_saturation_shows_throughput_but_no_latency() -> None:
    """The made server carries 40/s; what is above is unstable."""
    stages = [stage(i, 10.0 * i) for i in range(1, 11)]
    assert [s.point.stable for s in stages if s.point] == [True] * 4 + [False] * 6
    found = throughput(stages)
    assert (found.level, found.stage) == (40, 4)
    assert "Kneedle" in found.method
    assert "decides nothing" in found.says
    assert knee(stages, *KNEES[1]) is None  # four stable loads only


def test_invalid_stages_and_the_floor_are_not_on_the_curve() -> None:
    stages = [stage(i, 10.0 * i) for i in range(1, 6)]
    wrong = stage(6, 5.0, output_tokens_per_s=1e9, verdict="INVALID")
    floor = stage(7, 5.0, output_tokens_per_s=1e9)
    floor = msgspec.structs.replace(floor, ask=msgspec.structs.replace(floor.ask, phase="floor"))
    assert throughput([*stages, wrong, floor]) == throughput(stages)


def test_loads_that_were_repeated_count_once() -> None:
    stages = [stage(i, 10.0 * i) for i in range(1, 11)]
    again = [stage(10 + i, 40.0) for i in range(1, 4)]
    assert throughput([*again, *stages]).level == 40


# --- the scalability law ---------------------------------------------------------------------------------------------


def fitted(gamma: float, sigma: float, kappa: float, flights: list[float]) -> list[Stage]:
    rates = law(np.array(flights), gamma, sigma, kappa)
    return [
        stage(i, concurrency=n, output_tokens_per_s=float(x), stable=True)
        for i, (n, x) in enumerate(zip(flights, rates, strict=True), 1)
    ]


FLIGHTS = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]


@settings(deadline=None)
@given(st.floats(1, 1e4), st.floats(0.001, 0.5), st.floats(1e-5, 0.01))
def test_the_fit_finds_the_laws_own_parameters(gamma: float, sigma: float, kappa: float) -> None:
    found = scalability(fitted(gamma, sigma, kappa, FLIGHTS))
    assert found is not None
    assert found.gamma == pytest.approx(gamma, rel=1e-3)
    assert found.sigma == pytest.approx(sigma, rel=1e-2, abs=1e-5)
    assert found.kappa == pytest.approx(kappa, rel=1e-2, abs=1e-7)
    assert found.peak == pytest.approx(np.sqrt((1 - sigma) / kappa), rel=1e-2)
    assert found.r_squared == pytest.approx(1, abs=1e-6)
    assert "decides nothing" in found.says


def test_a_server_that_only_shares_has_a_ceiling_and_no_peak() -> None:
    found = scalability(fitted(100, 0.1, 0.0, FLIGHTS))
    assert found is not None
    assert found.peak is None
    assert found.kappa == 0
    assert "ceiling of 1e+03 tokens/s" in found.says


def test_a_straight_line_has_neither() -> None:
    found = scalability(fitted(100, 0.0, 0.0, FLIGHTS))
    assert found is not None
    assert (found.peak, found.kappa) == (None, 0)
    assert found.sigma == 0
    assert "no ceiling" in found.says


def test_a_peak_beyond_what_was_measured_is_called_a_guess() -> None:
    found = scalability(fitted(100, 0.01, 1e-5, FLIGHTS))
    assert found is not None
    assert found.peak == pytest.approx(315, rel=0.05)
    assert "a guess" in found.says


@settings(deadline=None)
@given(st.lists(st.floats(0.5, 1e5), min_size=4, max_size=8))
def test_no_parameter_is_negative_whatever_the_data(rates: list[float]) -> None:
    flight = np.array(FLIGHTS[: len(rates)] + [128.0] * (len(rates) - len(FLIGHTS)))
    gamma, sigma, kappa = fit_law(flight, np.array(rates))
    assert gamma > 0
    assert sigma >= 0
    assert kappa >= 0


def test_fewer_than_four_usable_loads_are_not_fitted() -> None:
    stages = fitted(100, 0.1, 0.001, FLIGHTS[:4])
    assert scalability(stages) is not None
    assert scalability(stages[:3]) is None
    assert scalability([*stages[:3], stages[2]]) is None
    for fields in ({"stable": False}, {"verdict": "INVALID"}, {"concurrency": None}, {"concurrency": 0.4}):
        worse = msgspec.structs.replace(stages[3], point=msgspec.structs.replace(stages[3].point, **fields))
        assert scalability([*stages[:3], worse]) is None


def test_without_an_axis_there_are_no_knees() -> None:
    stages = [stage(i, 10.0 * i) for i in range(1, 11)]
    assert curves(make_plan(), stages).knees
    assert curves(make_plan(axis=None), stages).knees == []
    assert curves(make_plan(), []) == Curves(pareto=[], knees=[], scalability=None)
