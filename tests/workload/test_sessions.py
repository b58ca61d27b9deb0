"""Sessions as they are planned: turns, pauses, growing prompts, and what each turn says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.sessions import parse_times, sticky_header
from loadcell.spec import build_spec, with_defaults
from loadcell.workload import plan
from loadcell.workload.sessions import chains, counts_within, grown, pauses_ns
from loadcell.workload.streams import stream
from loadcell.workload.talks import MARK, turn_ends


def fields_of(prompts: Iterable[Any]) -> list[Any]:
    """What each prompt says of its request."""
    return [json.loads(own) for own in prompts]


def spec_of(load: dict[str, Any], sessions: dict[str, Any], **more: Any) -> Any:
    workload = {"input_tokens": "10", "output_tokens": "uniform:3,5"} | more.pop("workload", {})
    tree = {
        "endpoint": {"url": "http://127.0.0.1:1", "api": more.pop("api", "chat")},
        "load": load,
        "workload": workload,
        "sessions": sessions,
        "run": {"salt": "x"},
        **more,
    }
    return with_defaults(build_spec(tree))


def test_times_are_read_as_people_write_them() -> None:
    assert parse_times("2s") == ("constant", 2.0, 0.0)
    assert parse_times("500ms") == ("constant", 0.5, 0.0)
    assert parse_times("exponential:5s") == ("exponential", 5.0, 0.0)
    assert parse_times("lognormal:2s,1.5") == ("lognormal", 2.0, 1.5)
    assert parse_times("uniform:1s,5s").mean == 3.0
    for wrong in ("", "fast", "exponential:", "exponential:0", "uniform:5s,1s", "lognormal:1s", "1s,2s", "normal:1,2"):
        with pytest.raises(UsageError, match=r"sessions\.think"):
            parse_times(wrong)


def test_pauses_follow_their_law() -> None:
    n = 40_000
    for text, mean in (("2s", 2.0), ("exponential:5s", 5.0), ("uniform:1s,5s", 3.0), ("lognormal:2s,0.5", 2.2663)):
        drawn = pauses_ns(parse_times(text), n, stream(1, "think"))
        assert abs(drawn.mean() / 1e9 / mean - 1) < 0.03
        np.testing.assert_array_equal(drawn[:10], pauses_ns(parse_times(text), 10, stream(1, "think")))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 200))
def test_the_last_session_ends_with_the_rows(counts: list[int], rows: int) -> None:
    rows = min(rows, sum(counts))
    kept = counts_within(np.array(counts), rows)
    assert kept.sum() == rows
    assert kept.min() > 0
    assert kept[:-1].tolist() == counts[: len(kept) - 1]


@given(st.lists(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=6), min_size=1))
def test_a_prompt_holds_all_that_was_said(talks: list[list[tuple[int, int]]]) -> None:
    new, replies = (np.array([turn[k] for talk in talks for turn in talk]) for k in (0, 1))
    sessions = chains(np.array([len(talk) for talk in talks]))
    expected = [sum(a + b for a, b in talk[:turn]) + talk[turn][0] for talk in talks for turn in range(len(talk))]
    assert grown(new, replies, sessions).tolist() == expected


def test_requests_are_turns_in_either_loop() -> None:
    for load in ({"requests": 18, "concurrency": 3}, {"requests": 18, "rate": 5.0}):
        schedule = plan(spec_of(load, {"turns": "4", "think": "1s"})).schedule
        assert len(schedule) == schedule.planned == 18
        assert schedule.sessions is not None
        assert np.bincount(schedule.sessions.session).tolist() == [4, 4, 4, 4, 2]
        assert schedule.delay_ns is not None
        assert set(schedule.delay_ns[schedule.sessions.first].tolist()) == {0}
        assert set(schedule.delay_ns[~schedule.sessions.first].tolist()) == {10**9}


def test_an_open_loop_begins_sessions_at_its_rate() -> None:
    load = {"rate": 10.0, "duration_s": 20.0}
    schedule = plan(spec_of(load, {"turns": "uniform:2,6"})).schedule
    alone = plan(spec_of(load, {})).schedule
    assert schedule.sessions is not None and schedule.planned_ns is not None
    assert schedule.planned is None  # how many there are before its end follows from the server
    first = schedule.sessions.first
    np.testing.assert_array_equal(schedule.planned_ns[first], alone.planned_ns)
    assert set(schedule.planned_ns[~first].tolist()) == {-1}
    assert schedule.starts_ns is not None
    assert schedule.beyond == int(np.count_nonzero(schedule.starts_ns >= 20e9))


def test_planned_turns_carry_what_was_said() -> None:
    planned = plan(spec_of({"requests": 8, "concurrency": 2}, {"turns": "4", "history": "planned"}))
    talks = [own["messages"] for own in fields_of(planned.prompts)]
    for row, talk in enumerate(talks):
        assert [one["role"] for one in talk] == (["user", "assistant"] * 4)[: 2 * (row % 4) + 1]
        if row % 4:
            assert talk[: len(talks[row - 1])] == talks[row - 1]
        words = sum(len(one["content"].split()) for one in talk)
        assert words == planned.schedule.input_tokens[row]
    # any rows, in any order, are the same
    rows = np.array([7, 2, 3, 0])
    assert [own["messages"] for own in fields_of(planned.prompts.select(rows))] == [talks[row] for row in rows]


def test_first_turns_may_bring_more() -> None:
    asked = {"turns": "3", "first_input_tokens": "100"}
    schedule = plan(spec_of({"requests": 6, "concurrency": 2}, asked, workload={"output_tokens": "5"})).schedule
    assert schedule.input_tokens.tolist() == [100, 115, 130] * 2


def test_served_turns_leave_a_place_for_replies() -> None:
    planned = plan(spec_of({"requests": 4, "concurrency": 2}, {"turns": "4"}))
    for own in fields_of(planned.prompts):
        said = [one["content"] for one in own["messages"]]
        assert said[0] == said[2] == MARK
        assert len(said[1].split()) == 10


TALK = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "reply one"},
    {"role": "user", "content": "two"},
    {"role": "user", "content": "and more"},
    {"role": "assistant", "content": "reply two"},
    {"role": "user", "content": "three"},
    {"role": "assistant", "content": "reply three"},
]


def test_conversations_of_a_file_become_sessions(tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    path.write_text("\n".join(json.dumps({"messages": talk, "temperature": 0.5}) for talk in (TALK, TALK[:2])))
    assert turn_ends(TALK) == [2, 5, 7]
    asked = {"turns": "all", "history": "recorded"}
    planned = plan(spec_of({"requests": 8, "concurrency": 2}, asked, workload={"prompts": str(path)}))
    sent = fields_of(planned.prompts)
    assert [one["messages"] for one in sent[:4]] == [TALK[:2], TALK[:5], TALK[:7], TALK[:2]]
    assert {one["temperature"] for one in sent} == {0.5}
    assert planned.schedule.sessions is not None
    assert planned.schedule.sessions.session.tolist() == [0, 0, 0, 1, 2, 2, 2, 3]
    served = plan(spec_of({"requests": 4, "concurrency": 2}, {"turns": "2"}, workload={"prompts": str(path)}))
    second = fields_of(served.prompts)[1]["messages"]
    mark = {"role": "user", "content": MARK}
    assert second == [TALK[0], mark, TALK[3], TALK[4], mark]
    counts = served.schedule.input_tokens - planned.schedule.input_tokens[[0, 1, 3, 4]]
    assert counts[0] == 0
    # of the recorded reply the two words, of the server's own as many tokens as are asked for
    assert counts[1] == served.schedule.output_tokens[0] - 2


@pytest.mark.parametrize(
    ("load", "sessions", "more", "says"),
    [
        ({}, {"think": "1s", "sticky": "connection"}, {}, "sessions.sticky is of sessions"),
        ({"rate": 2.0}, {"think": "1s"}, {}, "with a rate nobody waits"),
        ({}, {"turns": "all"}, {}, "name it with --prompts"),
        ({}, {"turns": "3", "history": "recorded"}, {}, "recorded replies are those of a file"),
        ({}, {"turns": "3", "sticky": "cookie"}, {}, "header:NAME"),
        ({}, {"turns": "3", "sticky": "header:Host"}, {}, "take another name"),
        ({"lockstep": True}, {"turns": "3"}, {}, "load.lockstep"),
        ({}, {"turns": "3"}, {"api": "embeddings", "workload": {"output_tokens": None}}, "has no turns"),
        ({}, {"turns": "3"}, {"media": {"images": "1"}}, "images or audio"),
        ({}, {"turns": "20000"}, {}, "20,000 turns"),
        ({"rate": 1.0, "requests": 10**9}, {"turns": "2"}, {}, "that one run may plan"),
        ({"rate": 1e5, "duration_s": 90.0}, {"turns": "9"}, {}, "fewer --turns"),
    ],
)
def test_what_cannot_be_is_said_before_the_load(
    load: dict[str, Any], sessions: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        plan(spec_of(load, sessions, **more))


def test_the_header_of_a_session() -> None:
    assert sticky_header("header:X-Session-Id") == "X-Session-Id"
    assert sticky_header("none") is sticky_header("connection") is None
