"""From the Spec to everything that a run sends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadcell.phrases import phrase
from loadcell.spec import Spec, keeps_load, parse_lengths
from loadcell.workload.files import FilePrompts, PromptFile, read_prompts
from loadcell.workload.lengths import sample_lengths
from loadcell.workload.loadgen import Traffic, traffic_of
from loadcell.workload.prompts import SyntheticPrompts, check_exact, stable_words
from loadcell.workload.schedule import Schedule, Slots, lay_out, schedule_of
from loadcell.workload.streams import prompt_seed, stream
from loadcell.workload.tokenizer import Tokenizer, load_tokenizer

_LEAST_WORDS, _MOST_WORDS, _PROMPTS_OF_WORDS = 128, 512, 4
"""Different words of a run's prompts: as many as four mean prompts have, within these. So few that a probe can send
each of them once and learn what the server counts for them."""


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
    mean = parse_lengths(spec.workload.input_tokens).mean
    wanted = min(max(math.ceil(_PROMPTS_OF_WORDS * mean), _LEAST_WORDS), _MOST_WORDS)
    order = stream(_prompt_seed(spec), "vocabulary").permutation(len(words))[:wanted]
    chosen = tuple(words[i] for i in order.tolist())
    return Vocabulary(tokenizer, chosen if spec.run.salt else tuple(words), " ".join(chosen), len(chosen))


def own_lengths(
    server_tokens: NDArray[np.int32], template: int, ratio: float, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Lengths by the spec's tokenizer of prompts that the server is to count as `server_tokens`, its template included.

    (server tokens - template) / ratio, at least 1; fractions are rounded up as often as they say: the mean holds.
    """
    exact = np.maximum((server_tokens - float(template)) / ratio, 1.0)
    lengths: NDArray[np.int32] = np.floor(exact + rng.random(len(exact))).astype(np.int32)
    return lengths


def _prompt_seed(spec: Spec) -> int:
    return prompt_seed(spec.run.seed, spec.run.repetition, spec.run.salt or "")


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run sends: the schedule and, row by row, its prompts."""

    schedule: Schedule
    prompts: SyntheticPrompts | FilePrompts
    tokenizer: Tokenizer
    notes: list[str]
    """What a reader of the result must know, in words."""


def plan(spec: Spec, known: Vocabulary | None = None) -> Plan:
    """Everything that a run of `spec` sends: a function of the spec, and of the files that it names.

    The load has its defaults: a concurrency or a rate, and an end. `known` is the vocabulary of this spec, if it was
    made already. UsageError says what cannot be.
    """
    seed, workload = spec.run.seed, spec.workload
    tokenizer = known.tokenizer if known else load_tokenizer(workload.tokenizer)
    asked = parse_lengths(workload.output_tokens)
    file = read_prompts(spec) if workload.prompts is not None else None

    slots, traffic = _slots(spec, file, asked.mean)
    output_tokens = sample_lengths(asked, slots.rows, stream(seed, "output lengths"))
    notes = list(slots.notes)

    prompts: SyntheticPrompts | FilePrompts
    if file:
        line = np.arange(slots.rows) % len(file) if traffic is None else traffic.samples
        input_tokens = file.input_tokens(line, tokenizer)
        output_tokens = np.where(file.output_tokens[line] > 0, file.output_tokens[line], output_tokens)
        notes += file.notes(slots.rows)
        prompts = FilePrompts(file.only(line), line)
        if spec.run.repetition:
            notes.append(phrase("repetitions send the same prompts of the file: a prefix cache can answer them"))
    else:
        input_lengths = parse_lengths(workload.input_tokens)
        input_tokens = sample_lengths(input_lengths, slots.rows, stream(seed, "input lengths"))
        template, ratio = workload.template_tokens or 0, workload.token_ratio or 1.0
        lengths = own_lengths(input_tokens, template, ratio, stream(seed, "prompt rounding"))
        prompts = SyntheticPrompts((known or vocabulary_of(spec)).words, lengths, _prompt_seed(spec))
        check_exact(prompts, tokenizer)
        least = template + ratio
        if below := int(np.count_nonzero(input_tokens < math.floor(least))):
            notes.append(
                phrase(
                    "{} of {} prompts were to have fewer tokens than the server's chat template and one "
                    "word have ({:.4g}): they are sent with one word",
                    below,
                    slots.rows,
                    least,
                )
            )
        if repeats := prompts.repeats():
            notes.append(
                phrase(
                    "{} of {} prompts repeat: they are too short to be all different; "
                    "a prefix cache can answer repeats",
                    repeats,
                    slots.rows,
                )
            )
    schedule = schedule_of(slots, input_tokens, output_tokens, None if traffic is None else line)
    return Plan(schedule, prompts, tokenizer, notes)


def _beyond_s(spec: Spec) -> float:
    """Time beyond the end for which an open loop is planned: as long as it, or as one request may take."""
    load = spec.load
    return min(load.duration_s or load.duration_most_s or 0.0, load.timeout_s) if keeps_load(spec) else 0.0


def _slots(spec: Spec, file: PromptFile | None, mean_output_tokens: float) -> tuple[Slots, Traffic | None]:
    """The places for requests, and who sits in them if LoadGen's traffic is asked for."""
    mean = file.mean_output_tokens(mean_output_tokens) if file else mean_output_tokens
    open_loadgen = spec.loadgen.scenario == "server" and spec.load.rate is not None
    slots = None
    if not open_loadgen:
        slots = lay_out(spec.load, seed=spec.run.seed, mean_output_tokens=mean, beyond_s=_beyond_s(spec))
    if spec.loadgen.scenario is None or file is None:
        assert slots is not None
        return slots, None
    traffic = traffic_of(spec.loadgen, len(file), rate=spec.load.rate, rows=slots.rows if slots else 0)
    if slots is None:
        rows = len(traffic.samples)
        slots = Slots("open", traffic.scheduled_ns, rows, rows, [])
    return slots, traffic
