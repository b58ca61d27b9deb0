"""Prompts of blocks are their blocks' texts, however many are made at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.traces.model import ragged
from loadcell.workload import SyntheticPrompts
from loadcell.workload.blocks import BlockPrompts

WORDS = tuple(f"{a}{b}{c}" for a in "abcd" for b in "efgh" for c in "ijklm")


def made(lengths: list[int], blocks: list[list[int]], seed: int = 0) -> BlockPrompts:
    return BlockPrompts(SyntheticPrompts(WORDS, np.array(lengths, np.int32), seed), ragged(blocks))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12), seed=st.integers(0, 2**70))
def test_a_prompt_is_its_blocks_in_their_order(data: st.DataObject, lengths: list[int], seed: int) -> None:
    numbers = st.integers(0, len(lengths) - 1)
    blocks = data.draw(st.lists(st.lists(numbers, min_size=1, max_size=6), min_size=1, max_size=20))
    prompts = made(lengths, blocks, seed)
    texts = list(prompts.texts)
    wanted = [" ".join(texts[number] for number in each) for each in blocks]
    assert list(prompts) == wanted
    assert prompts.lengths.tolist() == [text.count(" ") + 1 for text in wanted]
    rows = data.draw(st.lists(st.integers(0, len(blocks) - 1), max_size=9))
    assert list(prompts.select(np.array(rows, np.int64))) == [wanted[row] for row in rows]


def test_blocks_join_alike_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    prompts = made(rng.integers(1, 40, 50).tolist(), [rng.integers(0, 50, n).tolist() for n in rng.integers(1, 9, 90)])
    whole = list(prompts)
    monkeypatch.setattr("loadcell.workload.prompts._BLOCK_TOKENS", 25)
    monkeypatch.setattr("loadcell.workload.blocks._WORDS_AT_ONCE", 70)
    assert list(prompts) == whole
