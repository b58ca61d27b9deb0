"""From the Spec to everything that a run sends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.apis import find_api
from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.spec import Spec, parse_lengths
from loadcell.workload import replay as replaying
from loadcell.workload.attached import attach
from loadcell.workload.behaving import behave
from loadcell.workload.context import Server
from loadcell.workload.dealing import deal
from loadcell.workload.files import FilePrompts, PromptFile, read_prompts
from loadcell.workload.fitting import fit_file, fit_lengths, surely_sent
from loadcell.workload.lengths import MAX_TOKENS, plan_lengths, sample_lengths
from loadcell.workload.loadgen import Traffic, traffic_of
from loadcell.workload.plan_agents import plan_agents
from loadcell.workload.plan_replay import plan_replay
from loadcell.workload.plan_sessions import pauses_of, plan_sessions
from loadcell.workload.planned import Plan, Prompts
from loadcell.workload.prefixes import SystemPrompts, plan_shares, sharing
from loadcell.workload.prompts import SyntheticInputs, SyntheticPrompts, check_exact
from loadcell.workload.schedule import (
    MOST_TEXTS,
    NO_MEDIA,
    Slots,
    beyond_s,
    lay_out,
    schedule_of,
)
from loadcell.workload.streams import stream
from loadcell.workload.texts import Vocabulary, asked_lengths, exact_texts, own_lengths, text_seed, vocabulary_of
from loadcell.workload.tokenizer import load_tokenizer


def plan(
    spec: Spec,
    known: Vocabulary | None = None,
    replay: replaying.Replayed | None = None,
    server: Server | None = None,
) -> Plan:
    """Everything that a run of `spec` sends: a function of the spec, and of the files that it names.

    The load has its defaults: a concurrency or a rate, and an end. `known` is the vocabulary of this spec, if it was
    made already; `replay` the trace that it names, if that was read. Of long requests the `server` is asked whether it
    has room for them. UsageError says what cannot be.
    """
    replay = replay or replaying.replay_of(spec)
    if replay is not None:
        return plan_replay(spec, replay, known or vocabulary_of(replay.filled(spec)), server)
    seed, workload = spec.run.seed, spec.workload
    tokenizer = known.tokenizer if known else load_tokenizer(workload.tokenizer)
    file = read_prompts(spec) if workload.prompts is not None else None
    if spec.agent.any:
        return plan_agents(spec, tokenizer, known or vocabulary_of(spec), server)
    if spec.sessions.any:
        return plan_sessions(spec, file, tokenizer, known, server)

    slots, traffic = _slots(spec, file)
    notes, wanted, shared, warm, context = list[str](), None, None, None, None
    planned_inputs, output_tokens = plan_lengths(workload, slots.rows, seed, notes)
    if file and workload.generates:
        sent, fitting = surely_sent(slots.planned, slots.rows), list[str]()
        line = np.arange(sent) % len(file) if traffic is None else traffic.samples
        short, context = fit_file(spec, file, line, output_tokens, tokenizer, server, fitting)
        if len(short) != len(file):
            slots, traffic = _slots(spec, short)
            notes.clear()
            planned_inputs, output_tokens = plan_lengths(workload, slots.rows, seed, notes)
        file, notes = short, [*notes, *fitting]
    notes = [*slots.notes, *notes]
    kinds = deal([one.share for one in spec.dealt], slots.rows, seed=seed, by=spec.classes.deal)

    prompts: Prompts | None
    if workload.hears:
        prompts, input_tokens = None, np.zeros(slots.rows, np.int32)
    elif file:
        line = np.arange(slots.rows) % len(file) if traffic is None else traffic.samples
        input_tokens = file.input_tokens(line, tokenizer)
        output_tokens = np.where(file.output_tokens[line] > 0, file.output_tokens[line], output_tokens)
        wanted = None if workload.generates else file.wanted[line]
        notes += file.notes(slots.planned)
        prompts = FilePrompts(file.only(line), line)
        if spec.run.repetition:
            notes.append(phrase("repetitions send the same prompts of the file: a prefix cache can answer them"))
    else:
        words = known or vocabulary_of(spec)
        if workload.inputs is not None:
            asked = _inputs(spec, workload.inputs, slots.rows)
            input_tokens, wanted = asked.input_tokens, asked.wanted
            texts = exact_texts(spec, asked.tokens, asked.template, words, notes)
            prompts = SyntheticInputs(texts, asked.ends)
        else:
            assert planned_inputs is not None
            input_tokens = planned_inputs
            if workload.generates:
                sent = surely_sent(slots.planned, slots.rows)
                input_tokens, context = fit_lengths(spec, input_tokens, output_tokens, sent, server, notes)
            if spec.prefix.any:
                prompts, input_tokens, shared, warm = _sharing(spec, input_tokens, words, kinds, slots, notes)
            else:
                prompts = exact_texts(spec, input_tokens, np.array(workload.template_tokens or 0), words, notes)
    if spec.load.cache == "warm" and warm is None:
        raise UsageError(
            "load.cache warm sends once what prompts share, and these share nothing: give --system-tokens, "
            "--prefix-groups or --hit-share, or leave it out"
        )
    media = NO_MEDIA
    if spec.media.any:
        assert prompts is None or isinstance(prompts, SyntheticPrompts | FilePrompts)
        prompts = attach(spec.endpoint.api, spec.media, prompts, slots.rows, seed, text_seed(spec), notes)
        media = prompts.columns()
    assert prompts is not None
    lines = None if traffic is None else line
    delays = pauses_of(spec, slots.rows)
    schedule = schedule_of(
        slots,
        input_tokens,
        output_tokens,
        lines,
        wanted,
        kinds,
        media,
        delay_ns=delays,
        shared_tokens=shared,
        behaved=behave(spec.behaviour, slots.rows, seed=seed),
    )
    return Plan(schedule, prompts, tokenizer, notes, warm, context=context)


class _Sharing(NamedTuple):
    """Prompts that share beginnings, with what is planned of them."""

    prompts: Prompts
    input_tokens: NDArray[np.int32]
    shared_tokens: NDArray[np.int32]
    warm: Prompts | None


def _sharing(
    spec: Spec, tokens: NDArray[np.int32], words: Vocabulary, kinds: NDArray[np.int32] | None, slots: Slots,
    notes: list[str],
) -> _Sharing:  # fmt: skip
    """Prompts that the server is to count as `tokens`, with the beginnings that the spec asks for."""
    ratio, template = spec.workload.token_ratio or 1.0, spec.workload.template_tokens or 0
    lengths = own_lengths(tokens, template, ratio, stream(spec.run.seed, "prompt rounding"))
    counted = slots.planned or slots.rows - slots.beyond
    warm_first = spec.load.cache == "warm"
    shares = plan_shares(
        spec.prefix, tokens, lengths, template, ratio, spec.run.seed, counted, kinds, warm=warm_first
    )  # fmt: skip
    notes += shares.notes
    found = sharing(words.words, shares.words, shares.blocks, text_seed(spec), ratio, kinds, warm=warm_first)
    check_exact(found.prompts.texts, words.tokenizer)
    prompts: Prompts = found.prompts
    warm: Prompts | None = found.warm
    if spec.prefix.system_tokens and find_api(spec.endpoint.api).talks:
        prompts = SystemPrompts(found.prompts)
        warm = None if found.warm is None else SystemPrompts(found.warm)
    return _Sharing(prompts, shares.input_tokens, found.shared_tokens, warm)


class _Inputs(NamedTuple):
    """The texts of requests with several inputs, one after another."""

    tokens: NDArray[np.int32]
    """Of each text by the server."""
    template: NDArray[np.int32]
    """Of these: what the server adds to it."""
    ends: NDArray[np.int64]
    """Where the texts of each request end."""
    input_tokens: NDArray[np.int32]
    """Of all that the server reads for a request: a query once with each of its documents."""
    wanted: NDArray[np.int32]


def _inputs(spec: Spec, asked: str, rows: int) -> _Inputs:
    """Texts for requests with as many inputs as are `asked`; UsageError if they are too many."""
    seed, workload, dialect = spec.run.seed, spec.workload, find_api(spec.endpoint.api)
    counts = sample_lengths(parse_lengths(asked), rows, stream(seed, "inputs")).astype(np.int64)
    total, template = int(counts.sum()), workload.template_tokens or 0
    if total > MOST_TEXTS:
        raise UsageError(
            f"{rows:,} requests with {asked} inputs are {total:,} texts, and a run may plan {MOST_TEXTS:,}: give fewer "
            "--inputs, or a shorter run"
        )
    tokens = sample_lengths(asked_lengths(workload), total, stream(seed, "input lengths"))
    templates, starts = np.full(total, template, np.int32), np.cumsum(counts) - counts
    sums = np.add.reduceat(tokens, starts, dtype=np.int64)
    if workload.query_tokens is not None:
        queries = sample_lengths(parse_lengths(workload.query_tokens), rows, stream(seed, "query lengths"))
        tokens, templates = np.insert(tokens, starts, queries), np.insert(templates, starts, 0)
        sums += counts * queries
    sizes, place = np.unique(counts, return_inverse=True)
    results = np.array([dialect.results(size, spec.endpoint.extra_body) for size in sizes.tolist()])[place]
    if sums.max() > MAX_TOKENS:
        raise UsageError(f"a request has {sums.max():,} input tokens; the most is {MAX_TOKENS:,}: give fewer --inputs")
    ends = np.cumsum(counts + (workload.query_tokens is not None))
    wanted = np.column_stack((counts, results)).astype(np.int32)
    return _Inputs(tokens, templates, ends, sums.astype(np.int32), wanted)


def _slots(spec: Spec, file: PromptFile | None) -> tuple[Slots, Traffic | None]:
    """The places for requests, and who sits in them if LoadGen's traffic is asked for."""
    workload = spec.workload
    mean, texts = workload.mean_output_tokens, None
    if file:
        mean = file.mean_output_tokens(mean)
    if not workload.generates:
        texts = 0.0 if workload.inputs is None else parse_lengths(workload.inputs).mean
    open_loadgen = spec.loadgen.scenario == "server" and spec.load.rate is not None
    slots = None
    if not open_loadgen:
        slots = lay_out(
            spec.load, seed=spec.run.seed, mean_output_tokens=mean, mean_inputs=texts, beyond_s=beyond_s(spec)
        )
    if spec.loadgen.scenario is None or file is None:
        assert slots is not None
        return slots, None
    traffic = traffic_of(spec.loadgen, len(file), rate=spec.load.rate, rows=slots.rows if slots else 0)
    if slots is None:
        rows = len(traffic.samples)
        slots = Slots("open", traffic.scheduled_ns, rows, rows, [])
    return slots, traffic
