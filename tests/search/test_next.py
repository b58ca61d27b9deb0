"""Which stage comes next, and the answer, in the cases that a simulated server does not bring about."""

from __future__ import annotations

import itertools
import re

import msgspec
import pytest
from virtual import Server, plan_of, stage_of

from loadcell.metrics import Estimate, Goodput
from loadcell.metrics.interval import wilson
from loadcell.search.answer import answer
from loadcell.search.levels import bracket, levels_of
from loadcell.search.model import Ask, Plan, Stage, Trial
from loadcell.search.next import (
    FLOOR_REQUESTS,
    MOST_AT_A_LOAD,
    MOST_STAGES,
    floor_s,
    least_stage_s,
    longest_stage_s,
    next_ask,
)

SERVER = Server(4, 0.1, 0.01, (11, 11), 0.3)
"""A request takes 200 ms."""
PLAN = plan_of(0.9, 60.0)
USERS = msgspec.structs.replace(PLAN, axis="load.concurrency")
FLOOR = stage_of(SERVER, PLAN, Ask(number=1, phase="floor", changes={}, level=None), 0)


def stage(
    plan: Plan, ask: Ask, answer: str, *, sound: bool = True, stable: bool | None = True, weight: float = 2.0
) -> Stage:
    """A stage that ended with `answer`, and that many decades of evidence."""
    for_pass, for_fail = {"pass": (weight, -weight), "fail": (-weight, weight), "undecided": (-0.5, -0.5)}[answer]
    missed = {"pass": 2, "fail": 60, "undecided": 10}[answer]
    trial = Trial(
        answer=answer, judged=100, missed=missed, attainment=wilson(100 - missed, 100), pass_evidence=for_pass,
        fail_evidence=for_fail, dependence=1.0, stable=stable, binding="ttft_ms", sound=sound, says="",
    )  # fmt: skip
    return msgspec.structs.replace(FLOOR, ask=ask, trial=trial)


def search(
    plan: Plan, answers: dict[float, str] | None = None, *, limit: float = 10.0, most: int = MOST_STAGES
) -> list[Stage]:
    """A search on a server that holds every load up to `limit`, but for loads that `answers` names."""
    stages = [FLOOR]
    while (ask := next_ask(plan, stages)) is not None and len(stages) < most:
        assert ask.level is not None
        stages.append(stage(plan, ask, (answers or {}).get(ask.level, "pass" if ask.level <= limit else "fail")))
    return stages


def test_the_floor_comes_first_and_is_one_user_alone() -> None:
    ask = next_ask(PLAN, [])
    assert ask is not None and ask.phase == "floor" and ask.level is None and not ask.stops
    assert ask.changes["load.concurrency"] == 1 and ask.changes["load.requests"] == FLOOR_REQUESTS
    assert floor_s(FLOOR) == pytest.approx(0.2)


def test_an_exact_server_is_bracketed_within_the_width_and_both_ends_twice() -> None:
    stages = search(PLAN)
    found = answer(PLAN, stages)
    assert found.word == "bracketed" and found.low and found.high and found.width is not None
    assert found.low.level <= 10.0 < found.high.level and found.width <= 0.0501
    assert len(found.low.stages) >= 2 and len(found.high.stages) >= 2
    assert found.binding == "ttft_ms" and found.cliff
    assert [s.ask.phase for s in stages[:3]] == ["floor", "ramp", "ramp"] and stages[-1].ask.phase == "confirm"
    assert [s.ask.number for s in stages[1:]] == list(range(2, len(stages) + 1))
    seeds = [s.ask.changes["run.seed"] for s in stages[1:]]
    assert len(set(seeds)) == len(seeds), "each stage has arrivals of its own"


def test_users_come_in_whole_numbers() -> None:
    stages = search(USERS, limit=13)
    found = answer(USERS, stages)
    assert found.word == "bracketed" and found.low and found.high
    assert (found.low.level, found.high.level) == (13, 14)
    assert all(s.ask.changes["load.rate"] is None for s in stages[1:])
    assert all(isinstance(s.ask.changes["load.concurrency"], int) for s in stages[1:])


def test_a_server_that_even_two_users_break_holds_one() -> None:
    found = answer(USERS, search(USERS, limit=1))
    assert found.low and found.high and (found.low.level, found.high.level) == (1, 2)


def test_no_load_holds_when_the_lowest_allowed_fails() -> None:
    plan = msgspec.structs.replace(PLAN, lowest=20.0, highest=40.0)
    found = answer(plan, search(plan))
    assert found.word == "none holds" and found.low is None and found.high and found.high.level == 20.0
    assert "20 requests/s" in found.says


def test_every_load_holds_when_the_highest_allowed_does() -> None:
    plan = msgspec.structs.replace(PLAN, lowest=1.0, highest=7.77777)
    stages = search(plan)
    found = answer(plan, stages)
    assert found.word == "all hold" and found.low and found.low.level == 7.77777
    assert len(found.low.stages) >= 2 and max(s.ask.level or 0 for s in stages) == 7.77777


def test_the_ramp_doubles_the_load_up_to_the_highest_allowed() -> None:
    ramp = [s.ask.level or 0.0 for s in search(msgspec.structs.replace(PLAN, highest=9.0)) if s.ask.phase == "ramp"]
    assert len(ramp) > 2 and ramp[-1] == 9.0
    assert all(after == min(2 * before, 9.0) for before, after in itertools.pairwise(ramp))


def test_an_answer_says_how_long_its_stages_took() -> None:
    """But for those of which nobody knows."""
    stages = [
        msgspec.structs.replace(s, took_s=took) for s, took in zip(search(PLAN)[:3], (4.0, None, 2.5), strict=True)
    ]
    assert answer(PLAN, stages).took_s == 6.5


def test_a_stage_in_which_the_client_was_in_trouble_is_run_again() -> None:
    stages = search(PLAN)
    place = next(i for i, s in enumerate(stages) if s.ask.phase == "bisect")
    bad = stages[: place + 1]
    bad[-1] = stage(PLAN, bad[-1].ask, "fail", sound=False)
    again = next_ask(PLAN, bad)
    assert again is not None and again.level == bad[-1].ask.level and again.phase == "bisect"
    healed = [*bad, stage(PLAN, again, "pass")]
    assert next(x for x in levels_of(healed) if x.level == again.level).answer == "pass", (
        "the disturbed one is left out"
    )
    worse = [*bad, stage(PLAN, again, "fail", sound=False)]
    assert next(x for x in levels_of(worse) if x.level == again.level).answer == "fail", "twice: it counts after all"


def test_a_load_that_passes_and_fails_is_a_finding_and_not_an_end() -> None:
    stages = search(PLAN)
    found = answer(PLAN, stages)
    assert found.low is not None
    changed = [*stages[:-2]]
    ask = next_ask(PLAN, changed)
    assert ask is not None and ask.phase == "confirm" and ask.level == found.low.level
    changed.append(stage(PLAN, ask, "fail"))
    while (ask := next_ask(PLAN, changed)) is not None:
        assert ask.level is not None
        changed.append(stage(PLAN, ask, "pass" if ask.level <= 9.0 else "fail"))
    now = answer(PLAN, changed)
    assert any("unstable" in text for text in now.findings)
    assert now.low is not None and now.low.level < found.low.level


def test_a_pass_above_a_fail_is_a_finding() -> None:
    stages = search(PLAN)
    ask = msgspec.structs.replace(stages[-1].ask, number=99, level=30.0)
    found = answer(PLAN, [*stages, stage(PLAN, ask, "pass")])
    assert any(text.startswith("not monotone") for text in found.findings)
    assert found.high and found.high.level < 30.0


def test_a_load_that_stays_undecided_gets_neighbours_and_the_search_ends() -> None:
    undecided = {s.ask.level: "undecided" for s in search(PLAN) if s.ask.level is not None and 9 < s.ask.level < 11}
    stages = search(PLAN, undecided)
    low, high = bracket(levels_of(stages))
    assert low and high and len(stages) < MOST_STAGES
    near = [x for x in levels_of(stages) if x.answer == "undecided"]
    assert near and low.level < near[0].level < high.level


def test_a_server_of_nothing_but_undecided_loads_does_not_keep_one_for_ever() -> None:
    stages = [FLOOR]
    while (ask := next_ask(PLAN, stages)) is not None:
        kind = (
            "pass" if ask.phase == "ramp" and (ask.level or 0) < 8 else "fail" if ask.phase == "ramp" else "undecided"
        )
        stages.append(stage(PLAN, ask, kind))
    assert len(stages) < 25
    found = answer(PLAN, stages)
    assert found.word == "undecided" and found.says.startswith("undecided")


def test_a_load_that_never_settles_is_not_repeated_for_ever() -> None:
    stages = [FLOOR]
    while (ask := next_ask(PLAN, stages)) is not None:
        assert ask.level is not None
        stages.append(stage(PLAN, ask, "pass" if ask.level <= 10 else "fail", weight=0.0))
    by_level = [len(x.stages) for x in levels_of(stages)]
    assert max(by_level) <= MOST_AT_A_LOAD and len(stages) <= MOST_STAGES


def test_stages_too_short_to_pass_are_said_before_hours_are_spent() -> None:
    plan = plan_of(0.999, 30.0)
    assert least_stage_s(plan, 0.2) > 30
    assert longest_stage_s(plan, 0.2) == 30 and longest_stage_s(plan_of(0.999, None), 0.2) > least_stage_s(plan, 0.2)
    assert next_ask(plan, [FLOOR]) is None
    found = answer(plan, [FLOOR])
    assert found.word == "undecided" and "--duration" in found.findings[0] and "--attainment" in found.findings[0]
    easier = re.search(r"no more than --attainment (\d+)%", found.findings[0])
    assert easier and next_ask(plan_of(int(easier[1]) / 100, 30.0), [FLOOR]) is not None, "the advice helps"
    (finding,) = answer(plan_of(0.999, 1.0), [FLOOR]).findings
    assert "--duration" in finding and "--attainment" not in finding, "no share can be shown by stages of a second"
    longer = plan_of(0.999, 1.01 * least_stage_s(plan, 0.2))
    assert next_ask(longer, [FLOOR]) is not None


def test_a_stage_that_was_cut_off_tells_what_was_due_by_then() -> None:
    stages = search(PLAN, most=3)
    ask = next_ask(PLAN, stages)
    assert ask is not None
    cut = msgspec.structs.replace(stage(PLAN, ask, "fail"), state="interrupted")
    found = answer(PLAN, [*stages, cut])
    assert found.word == "unfinished" and found.likely is not None and found.likely.high == ask.level
    assert found.likely.low is not None and found.likely.low < found.likely.high
    nothing = msgspec.structs.replace(cut, trial=msgspec.structs.replace(cut.trial, judged=0, missed=0))
    assert levels_of([*stages, nothing]) == levels_of(stages)


def test_a_short_stage_that_decided_is_not_called_undecided() -> None:
    """The table of stages says fail there: the sentence above it does not contradict it."""
    stages = search(PLAN, limit=0.0, most=2)
    assert stages[-1].trial is not None and stages[-1].trial.answer == "fail"
    found = answer(PLAN, [*stages[:-1], msgspec.structs.replace(stages[-1], state="interrupted")])
    assert found.likely is not None and "fails, in a short stage alone" in found.says


def test_a_floor_without_a_reply_is_said_with_what_to_do() -> None:
    assert FLOOR.point is not None
    empty = msgspec.structs.replace(FLOOR.point, e2e_ms={"p50": Estimate()})
    found = answer(PLAN, [msgspec.structs.replace(FLOOR, point=empty)])
    assert found.word == "undecided" and "--duration" in found.findings[0]


def test_where_one_user_misses_the_slo_nothing_is_said_of_longer_stages() -> None:
    assert FLOOR.trial is not None
    plan = plan_of(0.999, 30.0)
    missed = msgspec.structs.replace(FLOOR, trial=msgspec.structs.replace(FLOOR.trial, judged=15, missed=15))
    found = answer(plan, [missed])
    assert found.word == "none holds" and not found.findings


def test_the_stable_load_is_another_than_that_of_the_slo() -> None:
    stages = [FLOOR]
    while (ask := next_ask(PLAN, stages)) is not None:
        assert ask.level is not None
        kind = "pass" if ask.level <= 10 else "fail"
        stages.append(stage(PLAN, ask, kind, stable=ask.level <= 15))
    stages = [msgspec.structs.replace(s, took_s=60.0) for s in stages]
    stable = answer(PLAN, stages).stable
    assert stable.low is not None and stable.high is not None and 10 < stable.low <= 15 < stable.high


def test_goodput_at_an_end_is_the_mean_of_its_stages() -> None:
    def with_goodput(s: Stage, rate: float) -> Stage:
        assert s.point is not None
        goodput = Goodput(
            anchor="response", planned=100, good=90, goodput_per_s=rate, attainment=wilson(90, 100), limits={}
        )
        return msgspec.structs.replace(s, point=msgspec.structs.replace(s.point, goodput=goodput))

    stages = search(PLAN)
    found = answer(PLAN, stages)
    assert found.low is not None
    rates = iter((8.0, 10.0, 12.0, 14.0))
    numbered = [with_goodput(s, next(rates)) if s.ask.number in found.low.stages else s for s in stages]
    low = answer(PLAN, numbered).low
    assert low is not None and low.goodput_per_s == pytest.approx(9.0)


def test_a_floor_without_a_median_goes_by_its_mean() -> None:
    """Fifteen replies that drift may be worth fewer than the five that a median needs."""
    assert FLOOR.point is not None
    unknown = msgspec.structs.replace(FLOOR.point.e2e_ms["p50"], value=None)
    point = msgspec.structs.replace(FLOOR.point, e2e_ms=FLOOR.point.e2e_ms | {"p50": unknown}, e2e_mean_ms=210.0)
    assert floor_s(msgspec.structs.replace(FLOOR, point=point)) == pytest.approx(0.21)
    nothing = msgspec.structs.replace(point, e2e_mean_ms=None)
    assert floor_s(msgspec.structs.replace(FLOOR, point=nothing)) is None
