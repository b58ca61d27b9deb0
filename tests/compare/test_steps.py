"""Steps in a figure: as rare as they are said to be where there is none, dated and sized where there is one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import steps as simulation
from hypothesis import given
from hypothesis import strategies as st

from loadcell.compare.steps import DRIFT, boundary, steps


def _any(before: float, after: float) -> bool:
    return True


@pytest.mark.parametrize("law", simulation.LAWS)
def test_false_alarms_are_no_more_than_said_whatever_the_law(law: str) -> None:
    rng, asked, height = np.random.default_rng(7), 100, boundary(100, 1)
    found = sum(len(steps(simulation.LAWS[law](rng, 2000).tolist(), height, _any)) for _ in range(60))
    alarms = 60 * 2000 / asked
    assert 0.4 * alarms < found < alarms


def test_the_boundary_is_siegmunds() -> None:
    b = boundary(1000, 6) + 1.166
    assert (math.exp(2 * DRIFT * b) - 2 * DRIFT * b - 1) / (2 * DRIFT**2) == pytest.approx(12_000)
    assert boundary(1000, 12) > boundary(1000, 6) > boundary(100, 6)


def test_a_step_is_dated_and_sized() -> None:
    rng = np.random.default_rng(3)
    values = [*rng.normal(50, 0.5, 60), *rng.normal(55, 0.5, 60), *rng.normal(50, 0.5, 30)]
    found = steps(values, boundary(1000, 6), _any)
    assert [step.after > step.before for step in found] == [True, False]
    up, down = found
    assert abs(up.since - 60) <= 3 and up.seen - 60 < 8
    assert up.before == pytest.approx(50, abs=0.3) and up.after == pytest.approx(55, abs=0.8)
    assert abs(down.since - 120) <= 3 and down.seen - 120 < 8


def test_what_does_not_matter_is_no_step_but_a_new_beginning() -> None:
    rng = np.random.default_rng(3)
    values = [*rng.normal(50, 0.1, 60), *rng.normal(51, 0.1, 60)]
    height = boundary(1000, 6)
    assert len(steps(values, height, _any)) == 1
    assert steps(values, height, lambda a, b: abs(b - a) >= 0.05 * a) == []


@pytest.mark.parametrize("values", [[], [1.0], [0.0] * 500, [5.0] * 30 + [5.0] * 30])
def test_what_never_moves_has_no_steps(values: list[float]) -> None:
    assert steps(values, boundary(100, 1), _any) == []


@given(st.lists(st.floats(-1e6, 1e6), max_size=80))
def test_only_the_order_counts_for_whether_there_is_a_step(values: list[float]) -> None:
    height = boundary(20, 1)
    seen = [step.seen for step in steps(values, height, _any)]
    places = {value: place for place, value in enumerate(sorted(set(values)))}
    ranks = [float(places[value]) for value in values]
    assert seen == [step.seen for step in steps(ranks, height, _any)]
    mirrored = steps([-value for value in values], height, _any)
    assert all(0 <= step.since <= step.seen < len(values) for step in mirrored)
