"""What a run of talks sends: sessions, each a chain of turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadcell.apis import find_api
from loadcell.errors import UsageError
from loadcell.sessions import ALL, MOST_TURNS, parse_times, repeated_talks
from loadcell.spec import Spec, parse_lengths
from loadcell.workload.behaving import behave
from loadcell.workload.context import Server
from loadcell.workload.dealing import deal
from loadcell.workload.files import FilePrompts, PromptFile
from loadcell.workload.fitting import held_against
from loadcell.workload.lengths import MAX_TOKENS, plan_lengths, sample_lengths
from loadcell.workload.planned import Plan
from loadcell.workload.prompts import SyntheticPrompts
from loadcell.workload.schedule import beyond_s, schedule_of, slots_of_sessions
from loadcell.workload.sessions import Sessions, chains, grown, pauses_ns
from loadcell.workload.streams import stream
from loadcell.workload.talks import FileTalks, TalkPrompts, talk_notes, talk_tokens, turns_of
from loadcell.workload.texts import Vocabulary, exact_texts, text_seed, vocabulary_of
from loadcell.workload.tokenizer import Tokenizer


def pauses_of(spec: Spec, rows: int) -> NDArray[np.int64] | None:
    """How long after what it waits for each request is sent; None for at once."""
    if spec.sessions.think is None:
        return None
    return pauses_ns(parse_times(spec.sessions.think), rows, stream(spec.run.seed, "think"))


def plan_sessions(
    spec: Spec, file: PromptFile | None, tokenizer: Tokenizer, known: Vocabulary | None, server: Server | None
) -> Plan:
    """The plan of a run of sessions, each a chain of turns."""
    seed, served = spec.run.seed, spec.sessions.history == "served"
    held = None if file is None else turns_of(file, served=served)
    mean = file.mean_output_tokens(spec.workload.mean_output_tokens) if file else spec.workload.mean_output_tokens
    slots, counts = slots_of_sessions(
        spec.load, lambda n: _turns(spec, held, n), seed=seed, mean_output_tokens=mean, beyond_s=beyond_s(spec)
    )
    sessions = chains(counts)
    delays = pauses_of(spec, slots.rows)
    if delays is not None:
        delays[sessions.first] = 0
    notes = list(slots.notes)
    brings, output_tokens = plan_lengths(spec.workload, slots.rows, seed, notes)
    prompts: TalkPrompts | FileTalks
    lines, shared = None, None
    if file is not None:
        lines = sessions.session.astype(np.int64) % len(file)
        output_tokens = np.where(file.output_tokens[lines] > 0, file.output_tokens[lines], output_tokens)
        input_tokens = talk_tokens(file, lines, sessions.turn, output_tokens if served else None, tokenizer)
        prompts = FileTalks(FilePrompts(file.only(lines), lines), sessions.turn, served)
        notes += file.notes(None)
        notes += [] if slots.planned is None else repeated_talks(min(len(file), len(counts)), len(counts))
    else:
        assert brings is not None
        prompts, input_tokens = _talks(spec, sessions, brings, output_tokens, known or vocabulary_of(spec), notes)
        shared = (input_tokens - brings).astype(np.int32)  # all that was said before
        shared[0] = 0
    context = held_against(spec, input_tokens, output_tokens, server, "turns")
    notes += talk_notes(served, prompts.messages)
    kinds = deal([one.share for one in spec.dealt], len(counts), seed=seed, by=spec.classes.deal)
    schedule = schedule_of(
        slots, input_tokens.astype(np.int32), output_tokens, lines,
        kinds=None if kinds is None else kinds[sessions.session], sessions=sessions, delay_ns=delays,
        shared_tokens=shared, behaved=behave(spec.behaviour, slots.rows, seed=seed),
    )  # fmt: skip
    return Plan(schedule, prompts, tokenizer, notes, context=context)


def _turns(spec: Spec, held: NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
    """Turns of the first `n` sessions; `held` are those that the conversations of a file have."""
    asked = spec.sessions.turns
    assert asked is not None
    there = None if held is None else held[np.arange(n) % len(held)]
    if asked == ALL:
        assert there is not None
        return there
    drawn = sample_lengths(parse_lengths(asked), n, stream(spec.run.seed, "turns"), MOST_TURNS, "turns")
    return drawn.astype(np.int64) if there is None else np.minimum(drawn, there)


def _talks(
    spec: Spec,
    sessions: Sessions,
    brings: NDArray[np.int32],
    output_tokens: NDArray[np.int32],
    words: Vocabulary,
    notes: list[str],
) -> tuple[TalkPrompts, NDArray[np.int64]]:
    """Synthetic turns, and the input tokens of each: all that was said before it counts."""
    seed, workload, rows, served = spec.run.seed, spec.workload, len(output_tokens), spec.sessions.history == "served"
    first, system = sessions.first, ""
    if spec.sessions.first_input_tokens is not None:
        law = parse_lengths(spec.sessions.first_input_tokens)
        brings[first] = sample_lengths(law, int(first.sum()), stream(seed, "first input lengths"))
    template = np.where(first, workload.template_tokens or 0, 0)
    tokens = brings if served else np.column_stack((brings, output_tokens)).ravel()
    templates = template if served else np.column_stack((template, np.zeros(rows, np.int64))).ravel()
    texts = exact_texts(spec, tokens, templates, words, notes)
    follows = np.where(first, -1, np.arange(rows) - 1)
    input_tokens = grown(brings, output_tokens, sessions)
    if spec.prefix.system_tokens is not None:
        input_tokens += spec.prefix.system_tokens
        words_of_it = max(1, round(spec.prefix.system_tokens / (workload.token_ratio or 1.0)))
        system = next(iter(SyntheticPrompts(words.words, np.array([words_of_it], np.int32), text_seed(spec) + 1)))
    if input_tokens.max() > MAX_TOKENS:
        raise UsageError(
            f"a turn has {input_tokens.max():,} input tokens; the most is {MAX_TOKENS:,}: give fewer --turns"
        )
    return TalkPrompts(texts, follows, served, find_api(spec.endpoint.api).talks, system), input_tokens
