"""From the Spec to everything that a run sends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loadcell.spec import Spec, keeps_load, parse_lengths
from loadcell.workload.files import FilePrompts, PromptFile, read_prompts
from loadcell.workload.lengths import sample_lengths
from loadcell.workload.loadgen import Traffic, traffic_of
from loadcell.workload.prompts import SyntheticPrompts, check_exact, stable_words
from loadcell.workload.schedule import Schedule, Slots, lay_out, schedule_of
from loadcell.workload.streams import prompt_seed, stream
from loadcell.workload.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run sends: the schedule and, row by row, its prompts."""

    schedule: Schedule
    prompts: SyntheticPrompts | FilePrompts
    tokenizer: Tokenizer
    notes: list[str]
    """What a reader of the result must know, in words."""


def plan(spec: Spec) -> Plan:
    """Everything that a run of `spec` sends: a function of the spec, and of the files that it names.

    The load has its defaults: a concurrency or a rate, and an end. UsageError says what cannot be.
    """
    seed, workload = spec.run.seed, spec.workload
    tokenizer = load_tokenizer(workload.tokenizer)
    asked = parse_lengths(workload.output_tokens)
    file = read_prompts(workload.prompts, tokenizer) if workload.prompts is not None else None

    slots, traffic = _slots(spec, file, asked.mean)
    output_tokens = sample_lengths(asked, slots.rows, stream(seed, "output lengths"))
    notes = list(slots.notes)

    prompts: SyntheticPrompts | FilePrompts
    if file:
        line = np.arange(slots.rows) % len(file) if traffic is None else traffic.samples
        input_tokens = file.input_tokens[line]
        output_tokens = np.where(file.output_tokens[line] > 0, file.output_tokens[line], output_tokens)
        prompts = FilePrompts(file, line)
        notes += file.notes(slots.rows)
        if spec.run.repetition:
            notes.append("repetitions send the same prompts of the file: a prefix cache can answer them")
    else:
        input_lengths = parse_lengths(workload.input_tokens)
        input_tokens = sample_lengths(input_lengths, slots.rows, stream(seed, "input lengths"))
        prompts = SyntheticPrompts(tuple(stable_words(tokenizer)), input_tokens, prompt_seed(seed, spec.run.repetition))
        check_exact(prompts, tokenizer)
        if repeats := prompts.repeats():
            notes.append(
                f"{repeats} of {slots.rows} prompts repeat: they are too short to be all different; "
                "a prefix cache can answer repeats"
            )
    schedule = schedule_of(slots, input_tokens, output_tokens, prompts.digest(), None if traffic is None else line)
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
