"""Synthetic agents: the calls of a task, what each waits for and carries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.agents import Agent, parse_agent, parse_fan_out
from loadcell.errors import UsageError
from loadcell.spec import build_spec, with_defaults
from loadcell.workload import plan
from loadcell.workload.agents import FIRST, SUB_SYSTEM, SYSTEM, Calls, Shape, calls_of, shape_of, shared_of, tasks_for
from loadcell.workload.blocks import shared_tokens

TASKS = st.lists(
    st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=1, max_size=5).map(lambda steps: [*steps[:-1], []]),
    min_size=1,
    max_size=4,
)
"""Of each task, of each of its steps, the calls of the sub-agents after it."""


def shape(tasks: list[list[list[int]]]) -> Shape:
    steps = [step for task in tasks for step in task]
    return Shape(
        np.array([len(task) for task in tasks]),
        np.array([len(step) for step in steps], np.int64),
        np.array([calls for step in steps for calls in step], np.int64),
    )


def walked(tasks: list[list[list[int]]], system: bool) -> list[tuple[int, set[int], list[int]]]:
    """(task, what it waits for, blocks) of each row, by going through the tasks as an agent would."""
    rows: list[tuple[int, set[int], list[int]]] = []
    for number, task in enumerate(tasks):
        line, before = [SYSTEM] if system else [], set[int]()
        for subs in task:
            row = len(rows)
            line = [*line, FIRST + 2 * row]
            rows.append((number, before, line))
            line = [*line, FIRST + 2 * row + 1]
            before = {row}
            joined = set()
            for calls in subs:
                own, waits = [SUB_SYSTEM] if system else [], {row}
                for _ in range(calls):
                    at = len(rows)
                    own = [*own, FIRST + 2 * at]
                    rows.append((number, waits, own))
                    own, waits = [*own, FIRST + 2 * at + 1], {at}
                joined |= waits
                line = [*line, FIRST + 2 * (len(rows) - 1) + 1]
            before = joined or before
    return rows


def depths(waits: list[set[int]]) -> list[int]:
    found: list[int] = []
    for before in waits:
        found.append(1 + max((found[one] for one in before), default=-1))
    return found


def rows_of(calls: Calls) -> list[tuple[int, set[int], list[int]]]:
    return [
        (int(calls.sessions.session[i]), set(calls.sessions.waits.of(i).tolist()), calls.blocks.of(i).tolist())
        for i in range(len(calls.blocks))
    ]


@given(TASKS, st.booleans(), st.data())
def test_calls_are_those_of_an_agent_that_goes_through_its_tasks(tasks, system, data) -> None:  # type: ignore[no-untyped-def]
    made, wanted = shape(tasks), walked(tasks, system)
    assert made.rows.tolist() == [sum(row[0] == number for row in wanted) for number in range(len(tasks))]
    rows = data.draw(st.integers(1, len(wanted)))
    calls = calls_of(made, rows, system=system)
    assert rows_of(calls) == wanted[:rows]
    assert calls.sessions.turn.tolist() == depths([row[1] for row in wanted])[:rows]
    assert (calls.follows < 0).tolist() == [len(row[2]) == 1 + system for row in wanted[:rows]]


def test_a_task_does_not_depend_on_how_many_there_are() -> None:
    agent = Agent(steps="uniform:2,6", fan_out="0.4*uniform:1,3", sub_steps="uniform:1,3")
    few, many = shape_of(agent, 20, 7), shape_of(agent, 200, 7)
    rows = int(few.rows.sum())
    assert few.rows.tolist() == many.rows[:20].tolist()
    assert rows_of(calls_of(few, rows, system=True)) == rows_of(calls_of(many, rows, system=True))


@given(TASKS, st.booleans())
def test_what_calls_share_is_what_their_blocks_do(tasks, system) -> None:  # type: ignore[no-untyped-def]
    made = shape(tasks)
    rows = int(made.rows.sum())
    calls = calls_of(made, rows, system=system)
    tokens = np.random.default_rng(0).integers(1, 50, FIRST + 2 * rows)
    tokens[SUB_SYSTEM] = tokens[SYSTEM]
    sizes = tokens[calls.blocks.values]
    sums = np.concatenate(([0], np.cumsum(sizes)))
    input_tokens = np.diff(sums[calls.blocks.ends], prepend=0)
    shared = shared_of(calls, input_tokens, int(tokens[SYSTEM]) if system else 0)
    assert shared.tolist() == shared_tokens(calls.blocks, sizes).tolist()


def test_as_many_tasks_are_drawn_as_the_calls_need() -> None:
    agent = Agent(steps="uniform:2,6", fan_out="0.4*2")
    rows = tasks_for(agent, 5000, 3)
    assert 5000 <= rows.sum() < 7000
    assert rows.tolist() == shape_of(agent, rows.size, 3).rows.tolist()


def test_laws_are_kept() -> None:
    made = shape_of(Agent(steps="5", fan_out="0.25*3", sub_steps="uniform:1,3"), 20_000, 1)
    chances = 4 * 20_000
    share = np.count_nonzero(made.fans) / chances
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / chances)
    assert set(made.fans.tolist()) == {0, 3}
    assert abs(made.lengths.mean() - 2) < 4 * np.sqrt(2 / 3 / made.lengths.size)
    assert not made.fans.reshape(-1, 5)[:, -1].any()


def spec_of(**agent: str) -> dict[str, object]:
    return {
        "endpoint": {"url": "http://localhost:8000"},
        "load": {"rate": 5.0, "duration_s": 20.0, "keep_load": False},
        "workload": {"input_tokens": "uniform:20,60", "output_tokens": "30", "template_tokens": 9},
        "agent": {"steps": "uniform:2,5"} | agent,
    }


def test_a_plan_has_real_shared_text_and_exact_counts() -> None:
    spec = with_defaults(build_spec(spec_of(tools="100ms", fan_out="0.5*2", task_tokens="200", system_tokens="150")))
    made = plan(spec)
    schedule = made.schedule
    assert schedule.sessions is not None
    assert schedule.planned_ns is not None
    assert schedule.delay_ns is not None
    first = schedule.sessions.first
    assert ((schedule.planned_ns >= 0) == first).all()
    assert set(schedule.delay_ns[~first].tolist()) == {100_000_000}
    texts = [text.split() for text in made.prompts.select(np.arange(len(schedule)))]  # type: ignore[arg-type, union-attr]
    sizes = np.array([len(text) for text in texts])
    assert (sizes == schedule.input_tokens - 9).all()
    assert schedule.shared_tokens is not None
    known: set[tuple[str, ...]] = set()
    for text, shared in zip(texts[:300], schedule.shared_tokens.tolist(), strict=False):
        if shared:
            assert tuple(text[: shared - 9]) in known
        known |= {tuple(text[:n]) for n in range(len(text) + 1)}
    waits = schedule.sessions.waits
    for row in np.flatnonzero(~first)[:200].tolist():
        if len(waits.of(row)) == 1 and schedule.shared_tokens[row] > 150:
            before = texts[int(waits.of(row)[0])]
            assert texts[row][: len(before)] == before
    again = plan(spec)
    assert again.schedule.hash == schedule.hash
    assert [*again.prompts.select(np.arange(5))] == [*made.prompts.select(np.arange(5))]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("step=3", "there is no step .did you mean steps"),
        ("steps", "is not NAME=VALUE"),
        ("steps=3,steps=4", "twice"),
    ],
)
def test_what_is_no_agent_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_agent(text)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ({"fan_out": "3"}, "is not P\\*N"),
        ({"fan_out": "1.5*3"}, "is not P\\*N"),
        ({"system_tokens": "uniform:1,2"}, "write a number"),
        ({"tools": "gamma:1"}, "agent.tools"),
        ({"steps": "many"}, "is not a number of steps"),
    ],
)
def test_what_no_load_can_have_is_refused(agent: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_spec(spec_of(**agent))


def test_an_agent_leaves_no_room_for_other_turns() -> None:
    with pytest.raises(UsageError, match="leave --turns out"):
        build_spec(spec_of() | {"sessions": {"turns": "3"}})
    with pytest.raises(UsageError, match="say how many steps"):
        build_spec(spec_of() | {"agent": {"tools": "1s"}})


def test_values_may_hold_commas() -> None:
    assert parse_agent("steps=uniform:4,12, tools=lognormal:800ms,1,fan_out=0.2*3") == {
        "steps": "uniform:4,12", "tools": "lognormal:800ms,1", "fan_out": "0.2*3",
    }  # fmt: skip
    assert parse_fan_out(".5*uniform:2,4").several.mean == 3
