"""A system prompt before every talk, and talks against a context."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from loadcell.errors import UsageError
from loadcell.spec import Spec, build_spec, with_defaults
from loadcell.workload import plan


def spec_of(**sections: dict[str, Any]) -> Spec:
    tree: dict[str, dict[str, Any]] = {
        "endpoint": {"url": "http://127.0.0.1:1"},
        "load": {"concurrency": 2, "requests": 12},
        "workload": {"input_tokens": 20, "output_tokens": 10},
        "sessions": {"turns": 3, "history": "planned"},
        "run": {"salt": "s"},
    }
    for name, values in sections.items():
        tree[name] = tree.get(name, {}) | values
    return with_defaults(build_spec(tree))


@pytest.mark.parametrize("history", ["planned", "served"])
def test_every_turn_begins_with_the_same_words_of_the_system_and_counts_them(history: str) -> None:
    made = plan(spec_of(prefix={"system_tokens": 30}, sessions={"history": history}))
    bodies = [msgspec.json.decode(one)["messages"] for one in made.prompts]
    assert {one[0]["role"] for one in bodies} == {"system"}
    (said,) = {one[0]["content"] for one in bodies}
    assert len(said.split()) == 30
    bare = plan(spec_of(sessions={"history": history}))
    assert np.array_equal(made.schedule.input_tokens, bare.schedule.input_tokens + 30)
    assert [one[1:] for one in bodies] == [msgspec.json.decode(one)["messages"] for one in bare.prompts]


def test_what_a_cache_without_bounds_has_is_all_that_was_said_before() -> None:
    schedule = plan(spec_of(prefix={"system_tokens": 30})).schedule
    assert schedule.shared_tokens is not None
    # 3 turns of 20 in and 10 out: 50, 80, 110 tokens, of which all but the last 20 stood there before
    assert schedule.shared_tokens.tolist() == [0, 60, 90, *[30, 60, 90] * 3]
    assert schedule.input_tokens.tolist() == [50, 80, 110] * 4


def test_a_text_has_the_system_at_its_start() -> None:
    texts = [str(one) for one in plan(spec_of(endpoint={"api": "completions"}, prefix={"system_tokens": 5})).prompts]
    assert len({tuple(text.split("\n")[0].split()) for text in texts}) == 1


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"prefix": {"groups": 2, "tokens": 5}}, "turns of sessions"),
        ({"load": {"cache": "warm"}, "prefix": {"system_tokens": 5}}, "turns fill the cache"),
    ],
)
def test_what_talks_cannot_have_is_said(sections: dict[str, dict[str, Any]], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        spec_of(**sections)


def test_talks_that_outgrow_the_context_are_refused_with_the_arithmetic() -> None:
    assert plan(spec_of(workload={"context_tokens": 90})).schedule.input_tokens.max() == 80
    with pytest.raises(UsageError, match=r"4 of 12 turns .* 80 tokens in \+ 10 out = 90 > 89 .*shorter"):
        plan(spec_of(workload={"context_tokens": 89}))
    agents = {"agent": {"steps": 4}, "sessions": {"turns": None, "history": "served"}}
    with pytest.raises(UsageError, match=r"calls are longer than the model's context"):
        plan(spec_of(workload={"context_tokens": 40}, **agents))
