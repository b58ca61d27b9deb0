from __future__ import annotations

import dataclasses
import json
import os
import pickle
import string
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers

from loadcell.errors import LoadcellError, UsageError
from loadcell.spec import Spec
from loadcell.workload import SyntheticPrompts, Tokenizer, plan
from loadcell.workload.prompts import check_exact, find_words, stable_words

LETTERS = "abcdefgh"
TRIPLES = [a + b + c for a in LETTERS for b in LETTERS for c in LETTERS]


def synthetic(words: Sequence[str], lengths: Sequence[int] | np.ndarray, seed: int = 0) -> SyntheticPrompts:
    return SyntheticPrompts(tuple(words), np.asarray(lengths, np.int32), seed)


@pytest.fixture(scope="session")
def words(tokenizer: Tokenizer) -> list[str]:
    return stable_words(tokenizer)


@pytest.fixture(scope="session")
def foreign(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokens by one that is not packaged: nothing is known of its words."""
    return dataclasses.replace(tokenizer, packaged=False)


def metaspace_bpe() -> Tokenizer:
    """A SentencePiece-like tokenizer with merges, whose words carry the space before them."""
    vocabulary = {t: i for i, t in enumerate(["<unk>", "▁", *LETTERS])}
    merges = []
    for triple in TRIPLES[:100]:
        for left, right in (("▁", triple[0]), ("▁" + triple[0], triple[1]), ("▁" + triple[:2], triple[2])):
            if left + right not in vocabulary:
                vocabulary[left + right] = len(vocabulary)
                merges.append((left, right))
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Metaspace()
    return Tokenizer("metaspace", False, lambda: backend)


def word_level(vocabulary: list[str]) -> Tokenizer:
    backend = tokenizers.Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token=vocabulary[0]))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer("words", False, lambda: backend)


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 2000), min_size=1, max_size=8), seed=st.integers(0, 2**80))
def test_prompts_have_exactly_the_asked_tokens(
    tokenizer: Tokenizer, words: list[str], lengths: list[int], seed: int
) -> None:
    prompts = list(synthetic(words, lengths, seed))
    assert tokenizer.counts(prompts) == lengths
    # Templates strip contents and put them after other text: the count must not depend on it.
    assert [p.strip() for p in prompts] == prompts
    assert tokenizer.counts([f"user\n{p}" for p in prompts]) == [n + tokenizer.count("user\n") for n in lengths]


@settings(max_examples=40, deadline=None)
@given(
    base=st.integers(64, 512),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=300),
    more=st.lists(st.integers(1, 9), max_size=300),
    seed=st.integers(0, 2**64),
)
def test_a_prompt_depends_on_seed_index_and_length_alone(
    base: int, lengths: list[int], more: list[int], seed: int
) -> None:
    short, long = synthetic(TRIPLES[:base], lengths, seed), synthetic(TRIPLES[:base], lengths + more, seed)
    texts = list(long)
    assert texts[: len(lengths)] == list(short)
    assert len(long) == len(texts) == len(lengths + more)
    assert list(long) == texts == list(pickle.loads(pickle.dumps(long)))
    rows = np.arange(len(texts))[::-3]
    assert list(long.select(rows)) == [texts[i] for i in rows]
    assert long.repeats() == len(texts) - len(set(texts))


@pytest.mark.parametrize(
    ("base", "length", "rows"), [(64, 2, 4096), (64, 3, 100_000), (512, 1, 512), (512, 40, 50_000)]
)
def test_prompts_are_different_as_long_as_they_can_be(base: int, length: int, rows: int) -> None:
    prompts = synthetic(TRIPLES[:base], [length] * rows)
    assert prompts.repeats() == 0
    assert len(set(prompts)) == rows


def test_prompts_share_no_beginning_that_a_cache_could_keep(words: list[str]) -> None:
    texts = list(synthetic(words, [64] * 4096))
    assert len({t.split(" ", 1)[0] for t in texts}) == 4096
    again = list(synthetic(words, [64] * 4096, seed=1))
    # 16 words are one block of a prefix cache
    assert not {" ".join(t.split()[:16]) for t in texts} & {" ".join(t.split()[:16]) for t in again}


def test_repeats_that_cannot_be_avoided_are_counted() -> None:
    prompts = synthetic(TRIPLES[:64], [1] * 100)
    assert prompts.repeats() == 36 == 100 - len(set(prompts))


def test_words_are_drawn_evenly(words: list[str]) -> None:
    drawn = " ".join(synthetic(words[:64], [1000] * 200, seed=4)).split()
    counts = np.unique(drawn, return_counts=True)[1]
    chi2 = float(((counts - len(drawn) / 64) ** 2).sum() / (len(drawn) / 64))
    assert len(counts) == 64 and 30 < chi2 < 110  # 63 degrees of freedom: beyond p = 0.0005 on either side


def test_blocks_join_without_a_seam(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [5, 1, 200, 3, 3, 3, 90]
    whole = list(synthetic(words, lengths))
    monkeypatch.setattr("loadcell.workload.prompts._BLOCK_TOKENS", 10)
    assert list(synthetic(words, lengths)) == whole


def test_the_packaged_tokenizer_has_words_enough(words: list[str]) -> None:
    assert len(words) == len(set(words)) == 4096
    assert all(w.isascii() and w.islower() and w.isalpha() and len(w) >= 3 for w in words)


def test_words_that_carry_their_space_are_exact_too() -> None:
    tokenizer = metaspace_bpe()
    words = stable_words(tokenizer)
    assert sorted(words) == sorted(TRIPLES[:100])
    prompts = synthetic(words, list(range(1, 60)))
    assert tokenizer.counts(list(prompts)) == list(range(1, 60))
    assert check_exact(prompts, tokenizer) == 59


def test_a_tokenizer_without_stable_words_is_refused() -> None:
    with pytest.raises(UsageError, match="has only 10 words that stay one token"):
        stable_words(word_level(["<unk>", *TRIPLES[:10]]))
    assert len(stable_words(word_level(["<unk>", *TRIPLES]))) == len(TRIPLES)


def test_an_inexact_prompt_is_an_error(foreign: Tokenizer) -> None:
    split = next(w for w in TRIPLES if foreign.count(w) > 1)
    with pytest.raises(LoadcellError, match="instead of 3: its words do not stay one token"):
        check_exact(synthetic([split] * 64, [3]), foreign)


def test_many_prompts_are_checked_by_a_sample(
    foreign: Tokenizer, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadcell.workload.prompts._CHECK_ALL_TOKENS", 12_000)
    assert check_exact(synthetic(words, [10] * 1200), foreign) == 1200
    assert check_exact(synthetic(words, [10] * 5000), foreign) == 1000
    assert check_exact(synthetic(words, [7000] * 5), foreign) == 2


def test_the_library_of_tokenizers_starts_no_threads() -> None:
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_the_packaged_words_are_those_of_the_packaged_tokenizer(tokenizer: Tokenizer) -> None:
    assert tokenizer.packaged
    assert stable_words(tokenizer) == find_words(tokenizer), "run python tools/make_words.py"


def test_packaged_words_stay_one_token_each_whatever_stands_beside_them(tokenizer: Tokenizer, words: list[str]) -> None:
    """Why no prompt of them needs to be counted.

    The text is parted before any tokens are merged, and by the kinds of its characters alone: so if words of letters
    part at each space, any do. What is left is one piece each, with its space or without, and a piece is one token.
    """
    rules = json.loads(tokenizer.backend.to_str())
    digits, by_kind = rules["pre_tokenizer"]["pretokenizers"]
    assert (digits["type"], by_kind["type"], by_kind["use_regex"]) == ("Digits", "ByteLevel", True)
    assert rules["normalizer"] is None
    assert not any(set(added["content"]) <= set(string.ascii_lowercase + " ") for added in rules["added_tokens"])

    assert all(set(word) <= set(string.ascii_lowercase) for word in words)
    parting = tokenizer.backend.pre_tokenizer
    edges = {a + b: f"x{a} {b}x" for a in string.ascii_lowercase for b in string.ascii_lowercase}
    for (a, b), text in edges.items():
        assert [piece for piece, _ in parting.pre_tokenize_str(text)] == [f"x{a}", f"Ġ{b}x"]
    vocabulary = tokenizer.backend.get_vocab(with_added_tokens=False)
    first, later = [vocabulary[word] for word in words], [vocabulary[f"Ġ{word}"] for word in words]
    encode = tokenizer.backend.encode
    assert [encode(word).ids for word in words] == [[token] for token in first]
    for order in (np.random.default_rng(seed).permutation(len(words)).tolist() for seed in range(8)):
        ids = encode(" ".join(words[i] for i in order)).ids
        assert ids == [first[order[0]], *(later[i] for i in order[1:])]


def test_a_plan_of_packaged_words_reads_no_tokenizer(spec_of: Callable[..., Spec]) -> None:
    spec = spec_of(load_concurrency=2, load_requests=20, workload_input_tokens="128")
    vars(plan(spec).tokenizer).pop("backend", None)  # another test may have counted by it
    made = plan(spec)
    assert "backend" not in vars(made.tokenizer) and len(list(made.prompts)) == 20
    assert made.tokenizer.count("one two three") == 3 and "backend" in vars(made.tokenizer)
