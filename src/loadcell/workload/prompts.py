"""Synthetic prompts of exactly the asked number of tokens, all different.

A prompt is a row of words, each of which is one token wherever it stands. Word j of prompt i is a hash of (seed, i, j),
so a prompt depends on the seed, its index and its length alone. The first words write the index in a seeded way: no two
prompts of a length are the same, and a prefix cache finds nothing to share.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import LoadcellError, UsageError
from loadcell.workload.facts import Facts
from loadcell.workload.streams import stream
from loadcell.workload.tokenizer import PACKAGED, Tokenizer

PACKAGED_WORDS = "smollm2.words.txt"
"""Written by tools/make_words.py; tests compare, and prove that any of them in a row stay one token each."""
_WORDS_WANTED = 4096
_WORDS_NEEDED = 64
_WORD = re.compile(r"[Ġ▁]?([a-z]{3,})")  # byte-level and SentencePiece vocabularies mark a leading space so
_INDEX_SPACE = 2**31  # indices that the first words tell apart, where the prompt is long enough
_BLOCK_TOKENS, _BLOCK_ROWS = 1 << 20, 256
_CHECK_ALL_TOKENS = 200_000
_CHECK_PROMPTS = 1_000


def stable_words(tokenizer: Tokenizer) -> list[str]:
    """As `find_words`; those of the packaged tokenizer are packaged too, so that it need not be read to find them."""
    if not tokenizer.packaged:
        return find_words(tokenizer)
    return resources.files(__package__).joinpath("data", PACKAGED_WORDS).read_text("ascii").split()


def find_words(tokenizer: Tokenizer) -> list[str]:
    """Up to 4,096 lower-case words, commonest first, that are one token at the start of a text and after a space.

    UsageError if the tokenizer has fewer than 64 of them: prompts of an exact length cannot be made from it.
    """
    vocabulary = sorted((i, token) for token, i in tokenizer.backend.get_vocab(with_added_tokens=False).items())
    forms = Counter(m[1] for _, token in vocabulary if (m := _WORD.fullmatch(token)))
    # Byte-level words are stable if they are tokens both with and without the space: trying those first saves time.
    candidates = sorted(forms, key=lambda word: forms[word] < 2)
    words: list[str] = []
    for batch in (candidates[start : start + 1024] for start in range(0, len(candidates), 1024)):
        alone, thrice = tokenizer.counts(batch), tokenizer.counts([f"{w} {w} {w}" for w in batch])
        words += [w for w, a, t in zip(batch, alone, thrice, strict=True) if (a, t) == (1, 3)]
        if len(words) >= _WORDS_WANTED:
            break
    if len(words) < _WORDS_NEEDED:
        raise UsageError(
            f"the tokenizer {tokenizer.name!r} has only {len(words)} words that stay one token in any text, "
            f"too few for prompts of an exact length: give a file of prompts, or let the tokenizer {PACKAGED} count"
        )
    return words[:_WORDS_WANTED]


@dataclass(frozen=True, eq=False)
class SyntheticPrompts:
    """Prompts of `lengths[i]` tokens, made while they are read; reading again gives the same. Small, can be pickled."""

    words: tuple[str, ...]
    lengths: NDArray[np.int32]
    seed: int

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[str]:
        return self.select(np.arange(len(self)))

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[str]:
        """The prompts of `rows`, in that order, without making the others."""
        return self.joined(rows, np.arange(1, len(rows) + 1))

    def joined(self, rows: NDArray[np.integer[Any]], ends: NDArray[np.integer[Any]]) -> Iterator[str]:
        """Texts of several prompts each: the g-th of those in `rows` from where the one before ends up to `ends[g]`."""
        table = np.array(self.words, dtype=object)
        edges = np.concatenate(([0], ends))
        sums = np.concatenate(([0], np.cumsum(self.lengths[rows], dtype=np.int64)))[edges]
        start = 0
        while start < len(ends):
            stop = max(start + 1, int(np.searchsorted(sums, sums[start] + _BLOCK_TOKENS, side="right")) - 1)
            numbers = self._word_numbers(rows[edges[start] : edges[stop]])
            words, left = table[numbers].tolist(), 0
            for right in (sums[start + 1 : stop + 1] - sums[start]).tolist():
                yield " ".join(words[left:right])
                left = right
            start = stop

    def facts(self, rows: int) -> Facts:
        """What the first `rows` prompts follow from."""
        return Facts([self.lengths[:rows].astype("<i4").tobytes()], [msgspec.json.encode((self.words, str(self.seed)))])

    def repeats(self) -> int:
        """Prompts that equal an earlier one: only lengths too short to tell so many indices apart have any."""
        total = 0
        for length, capacity in self._capacities():
            rows = np.flatnonzero(self.lengths == length) if capacity < len(self) else np.empty(0, np.int64)
            total += len(rows) - len(np.unique(rows % capacity))
        return total

    def _capacities(self) -> list[tuple[int, int]]:
        """(length, how many indices its first words tell apart), up to the length from which all are."""
        base, out = len(self.words), []
        length, capacity = 1, base
        while capacity < _INDEX_SPACE:
            out.append((length, capacity))
            length, capacity = length + 1, capacity * base
        return [*out, (length, capacity)]

    def _word_numbers(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Word numbers of the prompts `rows`, one after the other."""
        lengths = self.lengths[rows].astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        position = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
        rng = stream(self.seed, "prompts")
        row_key = _mix(rows.astype(np.uint64) ^ rng.integers(2**64, dtype=np.uint64))
        hashed = _mix(np.repeat(row_key, lengths) + position.astype(np.uint64) * _GOLDEN)
        numbers = _below(hashed, len(self.words))
        self._write_index(numbers, rows, lengths, starts, rng)
        return numbers

    def _write_index(
        self,
        numbers: NDArray[np.int64],
        rows: NDArray[np.integer[Any]],
        lengths: NDArray[np.int64],
        starts: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:
        """Overwrite the first words by the digits of a seeded bijection of the index: a * i + b (mod base^digits)."""
        base, capacities = len(self.words), self._capacities()
        for digits, capacity in capacities:
            a, b = rng.integers(2**63, size=2).tolist()
            of_length = lengths >= digits if digits == len(capacities) else lengths == digits
            code = _affine(rows[of_length], a, b, capacity, base)
            for digit in range(digits):
                numbers[starts[of_length] + digit] = (code % np.uint64(base)).astype(np.int64)
                code //= np.uint64(base)


@dataclass(frozen=True, eq=False)
class SyntheticInputs:
    """Several texts a request, as an API takes them that generates nothing: those of row i end before `ends[i]`."""

    texts: SyntheticPrompts
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[list[str]]:
        return self.select(np.arange(len(self)))

    def facts(self, rows: int) -> Facts:
        """What the texts of the first `rows` follow from."""
        ends = self.ends[:rows]
        found = self.texts.facts(int(ends[-1]))
        return found._replace(columns=[*found.columns, ends.astype("<i8").tobytes()])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of all texts of each row."""
        sums = np.concatenate(([0], np.cumsum(self.texts.lengths, dtype=np.int64)))
        return np.diff(sums[self.ends], prepend=0)

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[list[str]]:
        """The texts of `rows`, in that order, without making the others."""
        starts = np.concatenate(([0], self.ends[:-1]))
        for block in np.split(rows, range(_BLOCK_ROWS, len(rows), _BLOCK_ROWS)):
            counts = self.ends[block] - starts[block]
            places = np.arange(int(counts.sum())) + np.repeat(starts[block] - (np.cumsum(counts) - counts), counts)
            texts = self.texts.select(places)
            for count in counts.tolist():
                yield list(islice(texts, count))


def check_exact(prompts: SyntheticPrompts, tokenizer: Tokenizer) -> int:
    """Encode prompts and compare their lengths: all of them up to 200,000 tokens, else a seeded sample that large.

    Returns how many were checked: none by the packaged tokenizer, of whose words it is known. LoadcellError if one is
    not exact.
    """
    if tokenizer.packaged:
        return 0
    rows = stream(prompts.seed, "check").permutation(len(prompts))
    if int(prompts.lengths.sum(dtype=np.int64)) > _CHECK_ALL_TOKENS:
        tokens = np.cumsum(prompts.lengths[rows], dtype=np.int64)
        rows = rows[: min(_CHECK_PROMPTS, 1 + int(np.searchsorted(tokens, _CHECK_ALL_TOKENS)))]
    counts = tokenizer.counts(list(prompts.select(rows)))
    for row, count in zip(rows.tolist(), counts, strict=True):
        if count != prompts.lengths[row]:
            raise LoadcellError(
                f"prompt {row} has {count} tokens by {tokenizer.name!r} instead of {prompts.lengths[row]}: its words "
                f"do not stay one token; give a file of prompts, or let the tokenizer {PACKAGED} count"
            )
    return len(rows)


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A random-looking bijection of 64 bits, which takes neighbours far apart."""
    return _mix(x ^ _GOLDEN)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), in place: a random-looking bijection."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def _below(x: NDArray[np.uint64], n: int) -> NDArray[np.int64]:
    """Numbers 0 to n - 1 from random 64 bits, by the high half."""
    return (((x >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


def _affine(rows: NDArray[np.integer[Any]], a: int, b: int, capacity: int, base: int) -> NDArray[np.uint64]:
    """a * i + b (mod capacity), with the factor moved to one prime to `base`, below 2^32 so that nothing overflows."""
    factor = a % min(capacity, 2**32 - base) or 1
    while np.gcd(factor, base) != 1:
        factor += 1
    return (rows.astype(np.uint64) * np.uint64(factor) + np.uint64(b % capacity)) % np.uint64(capacity)
