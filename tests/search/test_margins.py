"""How near requests came to their limit: the reading of a stage, the limit over loads, and whole searches by them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from virtual import batcher, plan_of, simulate

from loadcell.search.answer import answer
from loadcell.search.likely import elapsed_s
from loadcell.search.margins import Company, Reading, company, fit_limit, read_margin
from loadcell.search.model import Found
from loadcell.search.next import next_ask

pytestmark = pytest.mark.usefixtures("thorough")

SERVER = batcher(8.0, 0.95)
"""Keeps its limit on TPOT for 95 % of requests up to 8 requests/s."""


def company_by_hand(planned: np.ndarray, spans: np.ndarray, one: int) -> float:
    """The mean number in the system beside one request: overlaps of intervals, summed."""
    low, high = planned[one], planned[one] + spans[one]
    overlaps = np.minimum(high, planned + spans) - np.maximum(low, planned)
    return float(np.clip(overlaps, 0, None).sum() / spans[one])


def test_the_company_of_a_request_is_what_overlaps_it() -> None:
    rng = np.random.default_rng(4)
    planned, spans = np.sort(rng.random(80) * 20), 0.2 + 3 * rng.random(80)
    found = company(planned, spans)
    assert found == pytest.approx([company_by_hand(planned, spans, i) for i in range(80)])


def reading(rate: float, length_s: float, seed: int, *, corrected: bool = True) -> Reading:
    rng = np.random.default_rng(seed)
    arrivals = SERVER.arrivals(rate, math.ceil(rate * length_s), rng)
    figures, spans = SERVER.serve(arrivals, SERVER.lengths(arrivals.size, rng))
    usual, kept = float(spans.mean()), arrivals > 20
    law = company(SERVER.arrivals(rate, 100_000, np.random.default_rng(9)), np.full(100_000, usual))[1_000:-1_000]
    around = Company(company(arrivals, np.full(arrivals.size, usual))[kept], law) if corrected else None
    found = read_margin(np.log(figures[kept]), arrivals[kept], usual, 0.95, around)
    assert found is not None
    return found


def test_the_reading_of_a_stage_at_the_limit_is_zero_within_its_error() -> None:
    found = [reading(8.0, 200.0, seed) for seed in range(24)]
    values = np.array([x.value for x in found])
    assert abs(values.mean()) < 3 * values.std() / len(found) ** 0.5 + 0.002
    assert sum(abs(x.value) < 1.96 * x.error for x in found) >= 21


def test_what_the_arrivals_made_of_it_is_taken_off() -> None:
    """The schedule is ours: without that, a stage would have to last some times as long."""
    plain = np.std([reading(8.0, 200.0, seed, corrected=False).value for seed in range(16)])
    assert np.std([reading(8.0, 200.0, seed).value for seed in range(16)]) < plain / 2


def test_company_that_explains_nothing_changes_nothing_but_the_noise() -> None:
    rng = np.random.default_rng(2)
    values, times = rng.standard_normal(4_000) / 10, np.arange(4_000) / 10
    law = rng.standard_normal(50_000)
    with_it = read_margin(values, times, 1.0, 0.95, Company(rng.standard_normal(4_000), law))
    without = read_margin(values, times, 1.0, 0.95)
    assert with_it is not None and without is not None
    assert with_it.value == pytest.approx(without.value, abs=without.error)


def test_too_few_requests_are_not_read() -> None:
    assert read_margin(np.zeros(5), np.arange(5.0), 0.1, 0.9) is None
    assert read_margin(np.zeros(50), np.arange(50) / 50, 10.0, 0.9) is None, "shorter than a few of its requests"


def test_failed_requests_are_as_far_from_the_limit_as_can_be() -> None:
    values = np.where(np.arange(400) % 5 == 0, np.inf, -0.5)
    found = read_margin(values, np.arange(400.0), 1.0, 0.9)
    assert found is not None and found.value == pytest.approx(1.5)


def test_the_limit_lies_where_the_readings_cross_it() -> None:
    points = [(level, Reading(0.6 * math.log(level / 8), 0.01)) for level in (4, 7.6, 7.8, 8.2, 8.4, 12)]
    found = fit_limit(points, 1.96)
    assert found.value == pytest.approx(8.0, rel=0.003) and found.slope == pytest.approx(0.6, rel=0.1)
    assert found.low is not None and found.high is not None and found.low < 8 < found.high < 1.05 * found.low


def test_readings_on_one_side_bound_the_limit_on_that_side_alone() -> None:
    found = fit_limit([(2.0, Reading(-0.5, 0.02)), (4.0, Reading(-0.3, 0.02))], 1.96)
    assert (found.value, found.low, found.high) == (None, 4.0, None)


def test_noisy_readings_cover_the_limit() -> None:
    rng, held = np.random.default_rng(3), 0
    for _ in range(200):
        levels = 8 * np.exp(rng.uniform(-0.08, 0.08, 4))
        points = [(float(x), Reading(0.5 * math.log(x / 8) + 0.01 * rng.standard_normal(), 0.01)) for x in levels]
        points += [(level, Reading(0.5 * math.log(level / 8) - 0.02, 0.02)) for level in (4.0, 14.0)]
        found = fit_limit(points, 1.96)
        held += (found.low or 0) <= 8 <= (found.high or math.inf)
    assert held >= 186


# --- whole searches on a server that batches -------------------------------------------------------------------------


def search(seed: int, most_s: float | None) -> tuple[Found, float]:
    plan = plan_of(0.95, None, seed=100 * seed, most_s=most_s)
    stages = simulate(SERVER, plan, seed)
    for cut in range(len(stages)):
        assert next_ask(plan, stages[:cut]) == stages[cut].ask
    return answer(plan, stages), elapsed_s(stages)


@pytest.mark.parametrize(("most_s", "widest"), [(None, 0.0501), (1200.0, 0.12), (600.0, 0.25)])
def test_a_search_ends_and_its_bracket_holds_the_truth(most_s: float | None, widest: float) -> None:
    found = [search(seed, most_s) for seed in range(4)]
    for one, took_s in found:
        assert took_s <= (most_s or 2_400)
        assert one.likely is not None and one.width is not None and one.width <= widest
        assert one.word == ("likely" if one.width <= 0.0501 else "undecided")
        assert "likely between" in one.says and "kept" in one.says
        if one.width > 0.0501:
            assert any("--max-time" in text for text in one.findings), "what more time would buy"
    held = [one.likely.low <= 8.0 <= one.likely.high for one, _ in found if one.likely and one.likely.low]
    assert sum(held) >= 3


def test_a_search_that_is_interrupted_says_what_is_likely_by_then() -> None:
    plan = plan_of(0.95, None)
    stages = simulate(SERVER, plan, 1)
    for cut in range(9, len(stages)):
        found = answer(plan, stages[:cut])
        assert found.word == "unfinished" and found.likely is not None
        assert (found.likely.low or 0) <= 8.2 and (found.likely.high or math.inf) >= 7.8


def test_no_stage_begins_that_would_have_next_to_no_requests() -> None:
    """A schedule of none is an error: the time is over then."""
    for most_s in (60.0, 90.0, 120.0, 200.0):
        plan = plan_of(0.95, None, most_s=most_s)
        slow = batcher(0.3, 0.95, 8.0)
        stages = simulate(slow, plan, 3)
        asked = [s.ask.level * s.ask.changes["load.duration_s"] for s in stages if s.ask.level is not None]
        assert not asked or min(asked) >= 7
        assert answer(plan, stages).word in ("undecided", "likely")
