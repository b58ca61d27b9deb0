"""The rules of a self-test: which loads, what they keep, what is measured again, and what is called the limit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.metrics import Bias, Rung
from loadcell.selftest import climb, limits
from loadcell.selftest.ladder import LADDER, QUICK, Step
from loadcell.selftest.truth import bias_of, nearest_rank

STEPS = [Step(16, 50), Step(32, 50), Step(64, 50), Step(64, 100), Step(128, 100), Step(256, 100), Step(256, 200)]


def bias(p50: float = 0.0, p99: float = 0.0, truth_ms: float = 20.0) -> Bias:
    """Of shares, against a truth of that many ms."""
    return Bias(p50=p50, p99=p99, p50_ms=p50 * truth_ms, p99_ms=p99 * truth_ms)


def rung(step: Step = STEPS[0], p50: float = 0.0, p99: float = 0.0, **more: object) -> Rung:
    told = {
        "streams": step.streams, "rate": step.rate, "asked_tokens_per_s": step.asked_tokens_per_s,
        "tokens_per_s": step.asked_tokens_per_s, "workers": 1, "engine_pace": 1.0, "cpu_us_per_token": 10.0,
        "merged_by_client_share": 0.0, "bias": {"ttft": bias(p50, p99), "itl": bias(), "e2e": bias()},
    }  # fmt: skip
    return Rung(**(told | more))


BAD, FULL = {"p50": 1.0}, {"engine_pace": 0.8}
Script = Sequence[dict[str, object]]


def climb_over(scripts: list[list[dict[str, object]]], times: int = 2) -> tuple[list[Rung], list[int]]:
    """Climb over loads that measure as told, one entry a measurement, the last for ever. Also the order of loads."""
    order: list[int] = []

    def one(step: Step, _: int) -> Rung:
        place = STEPS.index(step)
        before = order.count(place)
        order.append(place)
        return rung(step, **scripts[place][min(before, len(scripts[place]) - 1)])

    return climb._measure_all(STEPS[: len(scripts)], times, one), order


@pytest.mark.parametrize("steps", [LADDER, QUICK])
def test_each_load_is_heavier_than_the_one_before(steps: tuple[Step, ...]) -> None:
    asked = [step.asked_tokens_per_s for step in steps]
    assert asked == sorted(set(asked))
    assert max(b / a for a, b in pairwise(asked)) < 8
    assert asked[0] < 1000
    assert LADDER[-1].asked_tokens_per_s > 95_000


@pytest.mark.parametrize("step", LADDER + QUICK)
def test_a_window_holds_whole_replies_once_all_streams_are_at_their_pace(step: Step) -> None:
    start_s, end_s = step.window_s
    starts = [step.ramp_s * k / step.streams for k in range(step.streams)]
    sent = [start + n * step.cycle_s for start in starts for n in range(step.most_requests // step.streams)]
    inside = sum(start_s <= t < end_s for t in sent)
    assert inside == pytest.approx(step.streams * step.replies, abs=1)  # a send on the very edge, by rounding
    assert start_s >= starts[-1] + step.cycle_s
    assert max(sent) > end_s - step.cycle_s
    assert inside * step.output_tokens / step.seconds == pytest.approx(step.asked_tokens_per_s, rel=0.03)


@pytest.mark.parametrize(
    ("p50", "p99", "truth_ms", "level"),
    [
        (0.0, 0.0, 20, 1),
        (0.0069, 0.0, 20, 1),
        (0.0071, 0.0, 20, 2),
        (-0.0141, 0.0, 20, 5),
        (0.0351, 0.0, 20, None),
        (0.0, 0.0209, 20, 1),
        (0.0, 0.0211, 20, 2),
        (0.0, -0.11, 20, None),
        (0.0, 0.11, 1, 1),  # 0.11 ms, inside 70 % of 0.2 ms
        (0.0, 0.15, 1, None),
    ],
)
def test_a_level_is_kept_with_a_margin(p50: float, p99: float, truth_ms: float, level: int | None) -> None:
    for metric in ("ttft", "itl", "e2e"):
        found = {name: bias() for name in ("ttft", "itl", "e2e")} | {metric: bias(p50, p99, truth_ms)}
        assert limits.level(rung(bias=found)) == level


@pytest.mark.parametrize("spoiled", [FULL, {"failed": 1}, {"tokens_per_s": 700.0}])
def test_what_was_not_served_keeps_nothing(spoiled: dict[str, object]) -> None:
    assert limits.level(rung(**spoiled)) is None


def test_a_bias_without_samples_keeps_nothing() -> None:
    assert limits.level(rung(bias={"ttft": Bias(p50=None, p99=None, p50_ms=None, p99_ms=None)})) is None


shares = st.floats(-1, 1)


@given(shares, shares, shares, shares)
def test_two_measurements_keep_no_more_than_the_worse(a: float, b: float, c: float, d: float) -> None:
    one, other = rung(p50=a, p99=b), rung(p50=c, p99=d)
    both = limits.worse(one, other)
    assert both.measured == 2
    for percent in limits.LEVELS:
        assert limits.keeps(both, percent) <= (limits.keeps(one, percent) and limits.keeps(other, percent))
    assert limits.worse(other, one).bias == both.bias or abs(a) == abs(c) or abs(b) == abs(d)


@given(st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.2]), min_size=1, max_size=7))
def test_a_limit_holds_for_its_load_and_all_below_and_grows_with_the_level(biases: list[float]) -> None:
    rungs = [rung(step, p50=p50) for step, p50 in zip(STEPS, biases, strict=False)]
    tops = [limits.top(rungs, percent) for percent in limits.LEVELS]
    assert tops == sorted(tops)
    for percent, top in zip(limits.LEVELS, tops, strict=True):
        assert all(limits.keeps(r, percent) for r in rungs[: top + 1])
        assert top + 1 == len(rungs) or not limits.keeps(rungs[top + 1], percent)


def test_the_ladder_ends_two_loads_beyond_one_that_keeps_nothing() -> None:
    rungs, order = climb_over([[{}], [{}], [BAD], [BAD], [BAD], [BAD]])
    assert order == [0, 1, 2, 3, 4, 1]
    assert [r.measured for r in rungs] == [1, 2, 1, 1, 1]
    assert limits.highest(rungs, 5).ends == "client"
    assert limits.highest(rungs, 1).streams == STEPS[1].streams


def test_a_load_that_keeps_less_than_a_heavier_one_is_measured_anew() -> None:
    rungs, order = climb_over([[{}], [BAD, {}], [{}], [{}]])
    assert order == [0, 1, 2, 3, 1, 3]
    assert limits.highest(rungs, 1).streams == STEPS[3].streams


def test_a_load_that_fails_twice_ends_the_limit_below_it() -> None:
    rungs, _ = climb_over([[{}], [BAD], [{}], [{}]])
    assert limits.highest(rungs, 1).streams == STEPS[0].streams


def test_what_a_limit_rests_on_is_confirmed_or_given_up() -> None:
    """The second look at the third load is worse: the limit goes down to the second, which is looked at again too."""
    rungs, order = climb_over([[{}], [{}], [{}, {"p50": 0.01}], [BAD], [BAD], [BAD]])
    assert order == [0, 1, 2, 3, 4, 5, 2, 1]
    assert [limits.highest(rungs, p).streams for p in limits.LEVELS] == [STEPS[i].streams for i in (1, 2, 2)]
    assert rungs[1].measured == rungs[2].measured == 2


def test_a_full_engine_says_nothing_against_the_client() -> None:
    rungs, _ = climb_over([[{}], [{}], [FULL], [FULL], [FULL]])
    assert limits.highest(rungs, 1).ends == "engine"
    assert limits.highest(rungs, 1).streams == STEPS[1].streams
    none, _ = climb_over([[FULL], [FULL], [FULL]])
    assert limits.highest(none, 1).tokens_per_s is None
    assert limits.highest(climb_over([[{}], [{}]])[0], 1).ends == "ladder"


def test_a_quick_one_measures_each_load_once() -> None:
    assert climb_over([[{}], [BAD, {}], [{}]], times=1)[1] == [0, 1, 2]


def test_bias_is_reported_less_true_at_nearest_rank() -> None:
    truth = np.arange(1, 101) * 1.0
    found = bias_of(truth * 1.1, truth)
    assert (found.p50, found.p50_ms) == (pytest.approx(0.1), pytest.approx(5.0))
    assert (found.p99, found.p99_ms) == (pytest.approx(0.1), pytest.approx(9.9))
    assert bias_of(np.empty(0), truth).p50 is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0.1, 100))
def test_nearest_rank_is_the_least_sample_that_enough_are_not_above(values: list[float], percent: float) -> None:
    found = nearest_rank(np.array(values), percent)
    assert found in values
    at_most = sum(v <= found for v in values)
    below = sum(v < found for v in values)
    assert at_most >= percent / 100 * len(values) - 1e-9
    assert below < percent / 100 * len(values) + 1e-9


@pytest.mark.parametrize(("busy", "kept"), [(None, 1), (0.5, 1), (0.6, 2), (0.7, 5), (0.81, None)])
def test_a_client_without_room_to_catch_up_keeps_no_tight_limit(busy: float | None, kept: int | None) -> None:
    assert limits.level(rung(busy_share=busy)) == kept
