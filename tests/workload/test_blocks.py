"""Prompts of blocks: what they share as text, and what is planned that a cache would know."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.traces import Ragged
from loadcell.traces.model import ragged
from loadcell.workload.blocks import BlockPrompts, shared_tokens
from loadcell.workload.prompts import SyntheticPrompts

WORDS = tuple(f"w{i}" for i in range(128))


def by_text(prompts: list[list[int]]) -> list[int]:
    """The longest beginning that each has in common with an earlier one, pair by pair."""
    out = []
    for row, one in enumerate(prompts):
        best = 0
        for other in prompts[:row]:
            same = 0
            while same < min(len(one), len(other)) and one[same] == other[same]:
                same += 1
            best = max(best, same)
        out.append(best)
    return out


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=5), max_size=12))
def test_shared_tokens_are_those_of_the_longest_common_beginning(rows: list[list[tuple[int, int]]]) -> None:
    """Token by token: block b at place k is (b, k, 0), (b, k, 1) ...; a block with fewer is the beginning of it."""
    blocks = ragged([[number for number, _ in row] for row in rows])
    tokens = np.array([size for row in rows for _, size in row], np.int32)
    names: dict[tuple[int, int], int] = {}
    texts = [[names.setdefault((number, i), len(names)) for number, size in row for i in range(size)] for row in rows]
    assert shared_tokens(blocks, tokens).tolist() == by_text(_once(texts, rows))


def _once(texts: list[list[int]], rows: list[list[tuple[int, int]]]) -> list[list[int]]:
    """Tokens with the block's place in them: a block that is cut and goes on elsewhere is not the longer one."""
    out = []
    for row in rows:
        tokens: list[tuple[object, ...]] = []
        before: tuple[object, ...] = ()
        for number, size in row:
            tokens += [(before, number, i) for i in range(size)]
            before = (before, number, size)
        out.append(tokens)
    names: dict[object, int] = {}
    return [[names.setdefault(token, len(names)) for token in tokens] for tokens in out]


def test_a_block_is_the_same_text_wherever_it_stands_and_a_cut_one_its_beginning() -> None:
    blocks = ragged([[0, 1], [0, 2], [0], []])
    texts = SyntheticPrompts(WORDS, np.array([50, 20, 30], np.int32), seed=3)
    prompts = BlockPrompts(texts, blocks, np.array([50, 20, 50, 30, 10], np.int32))
    first, second, third, none = (text.split() for text in prompts)
    assert first[:50] == second[:50]
    assert third == first[:10]
    assert none == []
    assert len(first), len(second) == (70, 80)
    assert first[50:54] != second[50:54]
    assert prompts.lengths.tolist() == [70, 80, 10, 0]
    assert list(pickle.loads(pickle.dumps(prompts))) == list(prompts)
    assert list(prompts.select(np.array([2, 0]))) == [" ".join(third), " ".join(first)]


def test_prompts_are_the_same_however_they_are_read() -> None:
    rng = np.random.default_rng(1)
    lists = [rng.integers(0, 40, rng.integers(1, 9)).tolist() for _ in range(50)]
    texts = SyntheticPrompts(WORDS, rng.integers(1, 30, 40).astype(np.int32), seed=9)
    prompts = BlockPrompts(texts, ragged(lists))
    whole = list(prompts)
    assert [next(iter(prompts.select(np.array([row])))) for row in range(50)] == whole
    assert [len(text.split()) for text in whole] == prompts.lengths.tolist()
    assert isinstance(prompts.blocks, Ragged)
