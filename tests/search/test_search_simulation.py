"""Whole searches in virtual time, against a server whose true limit is computed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from virtual import Server, plan_of, simulate, true_limit, waits_s

from loadcell.engine.model import Model, Stream
from loadcell.engine.options import EngineOptions
from loadcell.search.answer import answer
from loadcell.search.model import Plan, Stage
from loadcell.search.next import next_ask

CASES = {
    "poisson, 90 %": (Server(16, 0.01, 0.002, (11, 11), 0.04), 0.9, 240.0),
    "constant arrivals, other lengths": (Server(16, 0.01, 0.001, (5, 37), 0.02, 0.0), 0.9, 60.0),
    "few slots": (Server(4, 0.01, 0.001, (5, 37), 0.02, 0.0), 0.9, 120.0),
}
LIMITS = {"poisson, 90 %": 498.28, "constant arrivals, other lengths": 521.11, "few slots": 122.05}
"""Their true limits, which take seconds to compute."""


@cache
def searched(case: str, seed: int) -> tuple[Plan, list[Stage]]:
    server, target, stage_s = CASES[case]
    plan = plan_of(target, stage_s, seed=100 * seed)
    return plan, simulate(server, plan, seed)


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("case", CASES)
def test_the_true_limits_are_those(case: str) -> None:
    server, target, _ = CASES[case]
    constant = server.tokens[0] == server.tokens[1]  # then a queue is quick to compute
    limit = true_limit(server, target) if constant else true_limit(server, target, 200_000, 2)
    assert limit == pytest.approx(LIMITS[case], rel=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_the_bracket_holds_the_truth(case: str, seeds: range) -> None:
    limit, held, narrow = LIMITS[case], 0, 0
    for seed in seeds:
        found = answer(*searched(case, seed))
        assert found.low is not None and found.high is not None
        held += found.low.level <= limit * 1.0005 and limit <= found.high.level * 1.0005
        narrow += found.word == "bracketed" and found.width is not None and found.width <= 0.0501
    assert held >= len(seeds) - 1
    assert narrow >= 0.75 * len(seeds), "the others say that they are wide"


@pytest.mark.parametrize(("slots", "tokens"), [(1, (5, 5)), (4, (3, 20)), (16, (11, 11))])
def test_the_virtual_server_is_the_engine(slots: int, tokens: tuple[int, int]) -> None:
    server = Server(slots, 0.01, 0.002, tokens, 0.02)
    rng = np.random.default_rng(5)
    arrivals, holds = server.arrivals(0.9 * slots / server.hold_s, 400, rng), server.holds(400, rng)
    model: Model[Stream] = Model(EngineOptions(slots=slots, ttft_s=server.ttft_s, itl_s=server.itl_s))
    firsts = _engine_firsts_s(model, arrivals, holds, server)
    assert firsts - arrivals - server.ttft_s == pytest.approx(waits_s(arrivals, holds, slots), abs=1e-6)


def _engine_firsts_s(model: Model[Stream], arrivals: np.ndarray, holds: np.ndarray, server: Server) -> np.ndarray:
    """When the engine's own model gives each request its first token, stepped from event to event."""
    totals = np.rint((holds - server.ttft_s) / server.itl_s).astype(int) + 1
    streams = [Stream(seq, 0, int(total)) for seq, total in enumerate(totals)]
    firsts, coming = np.full(len(streams), np.nan), list(np.rint(arrivals * 1e9).astype(int))
    place = 0
    while np.isnan(firsts).any() or place < len(coming):
        due = model.next_due()
        if place < len(coming) and (due is None or coming[place] <= due):
            model.submit(streams[place], int(coming[place]))
            place += 1
            continue
        assert due is not None
        for stream in model.advance(due, limit=1):
            if np.isnan(firsts[stream.seq]):
                firsts[stream.seq] = due / 1e9
            if stream.sent == stream.total:
                model.release(stream, due)
    return firsts


def test_a_search_that_is_resumed_asks_the_same() -> None:
    """The next stage follows from the plan and the stages alone, so it does not matter when one stopped."""
    server, target, stage_s = CASES["few slots"]
    plan = plan_of(target, stage_s)
    stages = simulate(server, plan, 3)
    for cut in range(len(stages)):
        ask = next_ask(plan, stages[:cut])
        assert ask == stages[cut].ask
    assert next_ask(plan, stages) is None


def test_no_load_is_tried_outside_the_bounds() -> None:
    server, target, stage_s = CASES["few slots"]
    limit = true_limit(server, target, 50_000, 1)
    for lowest, highest in ((limit / 3, limit * 3), (limit / 3, limit * 0.8), (limit * 1.3, limit * 3)):
        plan = plan_of(target, stage_s, lowest=lowest, highest=highest)
        stages = simulate(server, plan, 1)
        levels = [stage.ask.level for stage in stages if stage.ask.level is not None]
        assert min(levels) >= float(f"{lowest:.4g}") * 0.999 and max(levels) <= highest * 1.001
        word = answer(plan, stages).word
        assert word == ("bracketed" if lowest < limit < highest else "all hold" if limit > highest else "none holds")


def test_the_answer_of_an_unfinished_search_says_so() -> None:
    server, target, stage_s = CASES["few slots"]
    plan = plan_of(target, stage_s)
    stages = simulate(server, plan, 2)
    words = [answer(plan, stages[:cut]).word for cut in range(len(stages) + 1)]
    assert set(words[:-1]) == {"unfinished"} and words[-1] == "bracketed"
    assert answer(plan, []).low is None


def test_a_search_takes_less_than_a_sweep(seeds: range) -> None:
    """Its time, against ten stages as long as one must be to tell both ends of the bracket with the same certainty."""
    case = "poisson, 90 %"
    stage_s = CASES[case][2]
    took = [sum(stage.took_s or 0.0 for stage in searched(case, seed)[1]) for seed in seeds[:10]]
    assert float(np.median(took)) < 10 * stage_s / 3


def _floor_that_misses(stages: list[Stage]) -> list[Stage]:
    import msgspec

    trial = stages[0].trial
    assert trial is not None
    bad = msgspec.structs.replace(trial, judged=15, missed=15)
    return [msgspec.structs.replace(stages[0], trial=bad)]


def test_a_floor_that_misses_ends_the_search() -> None:
    server, target, stage_s = CASES["few slots"]
    plan = plan_of(target, stage_s)
    stages = _floor_that_misses(simulate(server, plan, 1)[:1])
    assert next_ask(plan, stages) is None
    found = answer(plan, stages)
    assert found.word == "none holds" and "one user alone" in found.says
    assert found.floor_ms["e2e_ms"] == pytest.approx(server.hold_s * 1e3)
