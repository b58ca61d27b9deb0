"""Intervals and rates of sessions against truths that are known, over many seeds."""

from __future__ import annotations

import math

import made_loop
import numpy as np
import pytest

from loadcell.metrics.dependence import cluster_inflation
from loadcell.metrics.interval import summarise_array
from loadcell.metrics.session_plan import Plan, lives, settled_ns
from loadcell.metrics.sessions import sessions
from loadcell.metrics.survival import summarise_censored, survival
from loadcell.metrics.window import Span

SEEDS = 240
LEAST = 0.95 - 3 * math.sqrt(0.95 * 0.05 / SEEDS)
"""Coverage of a 95 % interval is at least this, but for one case in a thousand."""
MOST = 0.998
"""And an interval that always covers is too wide to be one."""


def turns(rng: np.random.Generator, several: int, each: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """TTFT of `several` sessions of `each` turns, turn by turn among the others', and the session of each: lognormal,
    higher with each turn, with `share` of the variance of the logarithm between sessions."""
    luck = rng.standard_normal((several, 1)) * math.sqrt(share)
    own = rng.standard_normal((several, each)) * math.sqrt(1 - share)
    values = 50 * np.exp(0.08 * np.arange(each) + 0.5 * (luck + own))
    begin = np.sort(rng.uniform(0, 10 * several, several))[:, None] + np.cumsum(rng.exponential(60, (several, each)), 1)
    order = np.argsort(begin.ravel(), kind="stable")
    return values.ravel()[order], np.repeat(np.arange(several), each)[order]


def truth(each: int, p: float) -> float:
    """The percentile of turns in general, by bisection over their mixture."""
    low, high = 1.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        below = [math.erf((math.log(middle / 50) - 0.08 * k) / 0.5 / math.sqrt(2)) / 2 + 0.5 for k in range(each)]
        low, high = (middle, high) if sum(below) / each < p else (low, middle)
    return low


def covered(share: float, each: int, *, clusters: bool) -> dict[str, float]:
    wanted = {"p50": truth(each, 0.5), "p90": truth(each, 0.9)}
    hits = dict.fromkeys([*wanted, "mean"], 0)
    mean = 50 * math.exp(0.125) * sum(math.exp(0.08 * k) for k in range(each)) / each
    for seed in range(SEEDS):
        values, session = turns(np.random.default_rng(seed), 150, each, share)
        found = summarise_array(values, clusters=session if clusters else None)
        for name, value in wanted.items():
            estimate = getattr(found, name)
            hits[name] += estimate.low <= value <= (math.inf if estimate.high is None else estimate.high)
        assert found.mean_interval is not None
        hits["mean"] += found.mean_interval.low <= mean <= found.mean_interval.high
    return {name: count / SEEDS for name, count in hits.items()}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_intervals_of_many_turns_cover_what_sessions_are_in_general(share: float) -> None:
    found = covered(share, 8, clusters=True)
    assert all(value >= LEAST for value in found.values()), found
    if share == 0.3:
        assert all(value <= MOST for value in found.values()), found


def test_without_sessions_as_clusters_intervals_are_too_narrow() -> None:
    assert covered(0.8, 8, clusters=False)["p50"] < 0.85


def test_one_turn_a_session_is_worth_what_it_is() -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=500)
    assert cluster_inflation(values > np.median(values), np.arange(500)) == 1.0
    few = np.repeat(np.arange(10), 50)
    assert cluster_inflation(values > np.median(values), few) >= 50


# --- sessions cut short ----------------------------------------------------------------------------------------------


def test_where_none_is_cut_short_it_is_the_plain_summary() -> None:
    values = np.random.default_rng(0).lognormal(size=300)
    assert summarise_censored(values, np.ones(300, bool), 1.0) == summarise_array(values)
    at, lasts, _ = survival(values, np.ones(300, bool))
    share = 1 - lasts
    assert np.allclose(share, np.arange(1, 301) / 300)
    assert (at == np.sort(values)).all()


def test_the_product_limit_is_that_of_a_worked_example() -> None:
    """Of 6: ends at 1, 3, 3 and 6; cut short at 2 and 5."""
    at, lasts, _ = survival(np.array([1.0, 2, 3, 3, 5, 6]), np.array([True, False, True, True, False, True]))
    share = 1 - lasts
    assert at.tolist() == [1, 3, 6]
    assert share == pytest.approx([1 / 6, 1 - 5 / 6 * 2 / 4, 1])


def test_times_of_sessions_that_the_end_cuts_short_are_not_biased_to_short_ones() -> None:
    """Lives of a median of 20 s in a load of 60 s: a third or more of them are cut."""
    hits, naive, values = 0, 0, []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        begins, took = np.sort(rng.uniform(0, 60, 300)), rng.lognormal(math.log(20), 0.7, 300)
        whole = begins + took <= 60
        found = summarise_censored(np.where(whole, took, 60 - begins), whole, 1.0)
        estimate = found.p50
        assert estimate.value is not None
        assert estimate.low is not None
        values.append(estimate.value)
        hits += estimate.low <= 20 <= (math.inf if estimate.high is None else estimate.high)
        naive += float(np.median(took[whole])) < 18
        assert found.mean is None
    assert LEAST <= hits / SEEDS <= MOST
    assert abs(np.mean(values) - 20) < 0.5
    assert naive > 0.9 * SEEDS


def plan_of(begins: np.ndarray, took: np.ndarray, until: float) -> Plan:
    """Sessions of two turns each, of half of its time each; what would begin after `until` is not sent."""
    n = begins.size
    begin = np.column_stack((begins, begins + took / 2)).ravel()
    end = begin + np.repeat(took / 2, 2)
    sent = begin < until
    times = np.where(sent, begin, np.nan)
    ends = np.where(sent, end, np.nan)
    request = np.arange(2 * n)
    return Plan(
        request=request, session=np.repeat(np.arange(n), 2), turn=request % 2, row=np.where(sent, request, -1),
        child=request[1::2], parent=request[::2], ok=sent, failed=np.zeros(2 * n, bool),
            abandoned=np.zeros(2 * n, bool), slow=np.zeros(2 * n, bool), begin=times, sent=times,
        last=ends, end=ends, counted=sent,
    )  # fmt: skip


def test_sessions_per_second_are_not_biased_by_those_that_the_end_cuts_short() -> None:
    rates, whole = [], []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        n = int(rng.poisson(4 * 120))
        begins, took = np.sort(rng.uniform(0, 120, n)) * 1e9, rng.lognormal(math.log(10), 0.6, n) * 1e9
        plan = plan_of(begins, took, 120e9)
        settled = settled_ns(plan, 120e9)
        span = Span(settled, 120e9, "", "found", 120e9)
        rows = made_loop.answered(np.nan_to_num(plan.sent), 1e6)
        none = np.zeros(len(rows), bool)
        found = sessions(plan, rows, none, span, span, 120e9, settled, lambda ok, failed: {}, None)
        assert found is not None
        assert found.settled
        assert found.begun == n
        rates.append(found.sessions_per_s)
        whole.append(found.whole / 120)
        lived = lives(plan, 120e9)
        assert (lived.end[~lived.whole] >= 120e9).all()
    error = np.std(rates) / math.sqrt(SEEDS)
    assert abs(np.mean(rates) - 4) < max(3.5 * error, 0.03)
    assert np.mean(whole) < 3.9  # all whole ones over all of the time


def test_a_percentile_is_of_as_many_sessions_as_tell_of_it() -> None:
    """11 of 13 were given up early: the last that ended whole says little, and no interval is made of it."""
    times = np.append(np.linspace(10, 60, 11), [900.0, 918.0])
    found = summarise_censored(times, times > 100, 1.0)
    assert found.p50.value == 900.0
    assert found.p50.open and found.p50.low is None and found.p50.high is None
    assert found.p50.effective is not None and found.p50.effective <= 2
    assert found.p90.value is None and found.p90.withheld
    alone = summarise_censored(times[:-1], times[:-1] > 100, 1.0)
    assert alone.p50.value is None and alone.p50.withheld


def test_a_few_that_were_given_up_take_little_from_what_is_known() -> None:
    values = np.random.default_rng(8).lognormal(4, 0.3, 300)
    ended = np.arange(300) % 60 != 7
    found = summarise_censored(values, ended, 1.0)
    for name in ("p50", "p90", "p99"):
        one = getattr(found, name)
        assert one.value is not None and one.effective > 200, name
