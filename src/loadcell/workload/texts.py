"""Synthetic texts of the lengths that a server is to count: their words, their seed, what a template takes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadcell.phrases import phrase
from loadcell.spec import Lengths, Spec, Workload, parse_lengths
from loadcell.workload.prompts import SyntheticPrompts, check_exact, stable_words
from loadcell.workload.streams import prompt_seed, stream
from loadcell.workload.tokenizer import Tokenizer, load_tokenizer

_LEAST_WORDS, _MOST_WORDS, _PROMPTS_OF_WORDS = 128, 512, 4
"""Different words of a run's prompts: as many as four mean prompts have, within these. So few that a probe can send
each of them once and learn what the server counts for them."""
_OF_AN_INPUT = 0.7
"""Where nothing is generated a probe is no longer than this part of an input: these models take short ones."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What synthetic prompts are made of: a tokenizer, and words that are one of its tokens each."""

    tokenizer: Tokenizer
    words: tuple[str, ...]
    probe: str
    """A text with each word once, or with as many as a probe should send."""
    probe_words: int


def vocabulary_of(spec: Spec) -> Vocabulary:
    """The words of the run's synthetic prompts: chosen by seed, repetition and salt; without a salt, all there are."""
    tokenizer = load_tokenizer(spec.workload.tokenizer)
    words = stable_words(tokenizer)
    mean = asked_lengths(spec.workload).mean
    most = _MOST_WORDS if spec.workload.generates else max(_LEAST_WORDS, int(_OF_AN_INPUT * mean))
    wanted = min(max(math.ceil(_PROMPTS_OF_WORDS * mean), _LEAST_WORDS), _MOST_WORDS, most)
    order = stream(text_seed(spec), "vocabulary").permutation(len(words))[:wanted]
    chosen = tuple(words[i] for i in order.tolist())
    return Vocabulary(tokenizer, chosen if spec.run.salt else tuple(words), " ".join(chosen), len(chosen))


def own_lengths(
    server_tokens: NDArray[np.int32], template: int | NDArray[np.int32], ratio: float, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Lengths by the spec's tokenizer of prompts that the server is to count as `server_tokens`, its template included.

    (server tokens - template) / ratio, at least 1; fractions are rounded up as often as they say: the mean holds.
    """
    exact = np.maximum((server_tokens - np.asarray(template, np.float64)) / ratio, 1.0)
    lengths: NDArray[np.int32] = np.floor(exact + rng.random(len(exact))).astype(np.int32)
    return lengths


def text_seed(spec: Spec) -> int:
    return prompt_seed(spec.run.seed, spec.run.repetition, spec.run.salt or "")


def asked_lengths(workload: Workload) -> Lengths:
    """The lengths of synthetic prompts that are asked for."""
    assert workload.input_tokens is not None
    return parse_lengths(workload.input_tokens)


def exact_texts(
    spec: Spec, tokens: NDArray[np.int32], template: NDArray[np.int32], words: Vocabulary, notes: list[str]
) -> SyntheticPrompts:
    """Texts that the server is to count as `tokens`, with a template of so many; `notes` takes what must be known."""
    ratio = spec.workload.token_ratio or 1.0
    lengths = own_lengths(tokens, template, ratio, stream(spec.run.seed, "prompt rounding"))
    texts = SyntheticPrompts(words.words, lengths, text_seed(spec))
    check_exact(texts, words.tokenizer)
    notes += too_short(tokens, template + ratio)
    if repeats := texts.repeats():
        notes.append(
            phrase(
                "{} of {} prompts repeat: they are too short to be all different; a prefix cache can answer repeats",
                repeats,
                len(tokens),
            )
        )
    return texts


def too_short(tokens: NDArray[np.int32], least: NDArray[np.floating[Any]]) -> list[str]:
    """Prompts that cannot be as short as they are to be."""
    below = int(np.count_nonzero(tokens < np.floor(least)))
    if not below:
        return []
    return [
        phrase(
            "{} of {} prompts were to have fewer tokens than the server's chat template and one "
            "word have ({:.4g}): they are sent with one word",
            below,
            len(tokens),
            float(least.max()),
        )
    ]
