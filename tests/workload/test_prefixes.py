"""Prompts that share beginnings: held against a trie of the words that are really sent."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.spec import build_spec
from loadcell.traces.model import ragged
from loadcell.workload import Plan, plan
from loadcell.workload.blocks import shared_beginnings, shared_tokens
from loadcell.workload.prefixes import draw_groups


def planned(prefix: dict[str, Any], tokens: str = "300", rows: int = 60, **more: Any) -> Plan:
    load = {"concurrency": 4, "requests": rows} | more.pop("load", {})
    workload = {"input_tokens": tokens} | more.pop("workload", {})
    tree = {"endpoint": {"url": "localhost:1"}, "load": load, "workload": workload, "prefix": prefix}
    return plan(build_spec({**tree, "run": {"salt": "s"} | more.pop("run", {}), **more}))


def words_of(prompt: Any) -> list[str]:
    """The words of a prompt as a server reads them: those of the system first."""
    if isinstance(prompt, bytes):
        messages = json.loads(prompt)["messages"]
        assert [message["role"] for message in messages] == ["system", "user"]
        return " ".join(message["content"] for message in messages).split()
    return str(prompt).split()


def trie_shares(prompts: list[list[str]]) -> list[int]:
    """Words of each that the ones before it had as a beginning, counted word by word."""
    root: dict[str, Any] = {}
    found = []
    for words in prompts:
        node, known, shared = root, True, 0
        for word in words:
            known = known and word in node
            shared += known
            node = node.setdefault(word, {})
        found.append(shared)
    return found


@settings(max_examples=25, deadline=None)
@given(
    system=st.none() | st.integers(1, 80),
    groups=st.integers(1, 9),
    length=st.sampled_from(("40", "uniform:1,120", "120")),
    zipf=st.sampled_from((0.0, 1.0)),
    tokens=st.sampled_from(("260", "uniform:90,400")),
    warm=st.booleans(),
)
def test_what_is_planned_to_be_shared_is_shared_in_the_words_sent(
    system: int | None, groups: int, length: str, zipf: float, tokens: str, warm: bool
) -> None:
    prefix = {"system_tokens": system, "groups": groups, "tokens": length, "zipf": zipf}
    made = planned(prefix, tokens, load={"cache": "warm" if warm else "as-is"})
    prompts = [words_of(prompt) for prompt in made.prompts]
    before = [words_of(prompt) for prompt in made.warm or ()]
    assert [len(words) for words in prompts] == made.schedule.input_tokens.tolist()
    shared = made.schedule.shared_tokens
    assert shared is not None
    found = np.array(trie_shares([*before, *prompts]))[len(before) :]
    # Two texts of their own may begin alike by chance, a word or two.
    assert (found >= shared).all()
    assert (found - shared).max() <= 3
    assert bool(made.warm) == warm
    if warm:
        assert len(set(map(tuple, before))) == len(before) <= groups * 256


@pytest.mark.parametrize("share", [0.1, 0.36, 0.6, 0.9])
@pytest.mark.parametrize("tokens", ["512", "lognormal:400,0.6"])
@pytest.mark.parametrize("more", [{}, {"groups": 12, "zipf": 1.2}, {"groups": 3, "system_tokens": 30}])
def test_a_share_of_hits_is_met(share: float, tokens: str, more: dict[str, Any]) -> None:
    made = planned({"hit_share": share, **more}, tokens, rows=600)
    schedule = made.schedule
    assert schedule.shared_tokens is not None
    assert abs(schedule.shared_tokens.sum() / schedule.input_tokens.sum() - share) < 0.005
    assert [len(words_of(prompt)) for prompt in made.prompts] == schedule.input_tokens.tolist()
    assert f"{share:.1%} were asked for" in " ".join(made.notes)


@pytest.mark.parametrize("groups", [3, 40, 100])
@pytest.mark.parametrize("classes", [{}, {"classes": {"models": {"a": 1, "b": 1}}}])
def test_a_share_of_hits_is_met_by_a_cache_that_is_warmed_with_what_two_prompts_share(
    groups: int, classes: dict[str, Any]
) -> None:
    made = planned({"hit_share": 0.4, "groups": groups}, "normal:300,60", 120, load={"cache": "warm"}, **classes)
    schedule = made.schedule
    assert schedule.shared_tokens is not None and made.warm is not None
    found = trie_shares([words_of(prompt) for prompt in [*made.warm, *made.prompts]])[len(made.warm) :]
    assert abs(sum(found) / schedule.input_tokens.sum() - 0.4) < 0.01
    assert abs(schedule.shared_tokens.sum() / schedule.input_tokens.sum() - 0.4) < 0.005


@pytest.mark.parametrize(
    ("prefix", "tokens", "says"),
    [
        ({"hit_share": "99%"}, "300", "cannot be met: 60 prompts in 1 groups give 98.0% at most"),
        ({"hit_share": "90%", "groups": 50}, "300", "cannot be met: 60 prompts in 50 groups give"),
        ({"hit_share": "10%", "system_tokens": 200}, "300", "a system prompt of 200 tokens gives"),
        ({"system_tokens": 300}, "300", "no prompt has room for a system prompt of 300 tokens"),
        ({"groups": 2, "tokens": "300"}, "300", "no prompt has room for what its group shares (300 tokens and more)"),
        ({"groups": 2}, "300", "--prefix-groups goes with --prefix-tokens"),
        ({"tokens": "20"}, "300", "--prefix-tokens goes with --prefix-groups"),
        ({"hit_share": 0.5, "tokens": 20}, "300", "leave one out"),
        ({"hit_share": 1.5}, "300", "write a share of input tokens"),
        ({"groups": 0, "tokens": 20}, "300", "prefix.groups is 0"),
        ({"zipf": 1.0}, "300", "--prefix-zipf is of the groups"),
        (
            {"groups": 8},
            "300",
            "goes with --prefix-tokens, which says how much the prompts of a group share",
        ),
        ({"groups": 2, "tokens": 20, "zipf": -1.0}, "300", "it must be 0 to 10"),
        ({"group": 2}, "300", "unknown key prefix.group in the spec (did you mean groups?)"),
    ],
)
def test_what_cannot_be_shared_is_said_with_the_arithmetic(prefix: dict[str, Any], tokens: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        planned(prefix, tokens)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_prompts_of_a_file_and_apis_that_generate_nothing_have_no_beginnings_to_share() -> None:
    with pytest.raises(UsageError, match="have beginnings of their own"):
        planned({"system_tokens": 5}, workload={"prompts": "some.jsonl"})
    with pytest.raises(UsageError, match=r"^--prefix-groups is .* turns of sessions \(but for --system-tokens\)"):
        planned({"system_tokens": 5, "groups": 2, "tokens": 9}, sessions={"turns": "3"})
    with pytest.raises(UsageError, match="the embeddings API generates no text"):
        planned({"system_tokens": 5}, endpoint={"url": "localhost:1", "api": "embeddings"}, workload={})


def test_a_cache_is_not_warmed_with_nothing() -> None:
    with pytest.raises(UsageError, match="these share nothing"):
        planned({}, load={"cache": "warm"})


def test_short_prompts_keep_their_length_and_have_what_fits() -> None:
    made = planned({"groups": 1, "tokens": "200"}, "uniform:100,300")
    assert any("too short for all that their group shares" in note for note in made.notes)
    first, *_ = [words_of(prompt) for prompt in made.prompts if len(words_of(prompt)) > 200]
    for prompt in made.prompts:
        words = words_of(prompt)
        common = next((i for i, (a, b) in enumerate(zip(words, first, strict=False)) if a != b), len(words))
        assert common >= min(200, len(words) - 1 - 200 // 16 - 1)


def test_a_system_prompt_that_most_have_room_for_lengthens_the_others_and_says_so() -> None:
    made = planned({"system_tokens": 100}, "uniform:60,300")
    assert made.schedule.input_tokens.min() == 101
    assert any("are sent with these" in note for note in made.notes)


def test_groups_follow_zipf() -> None:
    drawn = draw_groups(5, 1.0, 200_000, np.random.default_rng(1))
    weights = 1 / np.arange(1, 6)
    shares = np.bincount(drawn, minlength=5) / len(drawn)
    assert np.abs(shares - weights / weights.sum()).max() < 4 * np.sqrt(0.25 / len(drawn))
    assert (draw_groups(5, 1.0, 50, np.random.default_rng(1)) == drawn[:50]).all(), "more rows change none of the first"
    even = Counter(draw_groups(4, 0.0, 40_000, np.random.default_rng(2)).tolist())
    assert min(even.values()) > 9_500


def test_each_run_and_repetition_shares_other_words_unless_the_salt_says_the_same() -> None:
    prefix = {"system_tokens": 20, "groups": 2, "tokens": 40}

    def first(**run: Any) -> bytes:
        return next(iter(planned(prefix, run=run).prompts))  # type: ignore[return-value]

    assert first(salt="a") == first(salt="a")
    assert len({first(salt="a"), first(salt="b"), first(salt="a", repetition=1), first(salt="")}) == 4
    assert first(salt="") == first(salt="")


def test_an_api_that_takes_a_text_gets_the_system_prompt_at_its_start() -> None:
    chat = planned({"system_tokens": 20})
    text = planned({"system_tokens": 20}, endpoint={"url": "localhost:1", "api": "completions"})
    assert [words_of(prompt) for prompt in chat.prompts] == [str(prompt).split() for prompt in text.prompts]


def test_endpoints_share_no_cache() -> None:
    classes = {"also": [{"url": "localhost:2"}]}
    made = planned({"groups": 1, "tokens": 100}, classes=classes)
    shared, kinds = made.schedule.shared_tokens, made.schedule.kinds
    assert shared is not None
    assert kinds is not None
    for kind in (0, 1):
        mine = shared[kinds == kind]
        assert mine[0] == 0
        assert (mine[1:] == 100).all()


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=12))
def test_beginnings_that_are_sent_first_are_all_that_is_shared(lists: list[list[int]]) -> None:
    blocks = ragged(lists)
    beginnings = [
        blocks.tolist() for blocks in map(shared_beginnings(blocks).of, range(len(shared_beginnings(blocks))))
    ]
    common = {
        tuple(a[:length])
        for i, a in enumerate(lists) for b in lists[i + 1 :]
        for length in range(1, 6) if len(a) >= length and a[:length] == b[:length]
    }  # fmt: skip
    longest = {one for one in common if not any(other[: len(one)] == one != other for other in common)}
    assert sorted(map(tuple, beginnings)) == sorted(longest)
    tokens = 10 ** (blocks.values % 5)
    expected = []
    for i, mine in enumerate(lists):
        known = max((next((n for n, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b),
                          min(len(mine), len(other))) for other in lists[:i]), default=0)  # fmt: skip
        expected.append(sum(10 ** (value % 5) for value in mine[:known]))
    assert shared_tokens(blocks, tokens).tolist() == expected
