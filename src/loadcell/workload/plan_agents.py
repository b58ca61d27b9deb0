"""What a run of agents' tasks sends, each a tree of calls."""

from __future__ import annotations

import numpy as np

from loadcell.errors import UsageError
from loadcell.sessions import parse_times
from loadcell.spec import Spec, parse_lengths
from loadcell.workload.agents import FIRST, calls_of, shape_of, shared_of, tasks_for
from loadcell.workload.behaving import behave
from loadcell.workload.blocks import BlockPrompts
from loadcell.workload.context import Server
from loadcell.workload.dealing import deal
from loadcell.workload.fitting import held_against
from loadcell.workload.lengths import MAX_TOKENS, plan_lengths, sample_lengths
from loadcell.workload.planned import Plan
from loadcell.workload.schedule import beyond_s, schedule_of, slots_of_sessions
from loadcell.workload.sessions import pauses_ns
from loadcell.workload.streams import stream
from loadcell.workload.texts import Vocabulary, exact_texts
from loadcell.workload.tokenizer import Tokenizer


def plan_agents(spec: Spec, tokenizer: Tokenizer, words: Vocabulary, server: Server | None) -> Plan:
    """The plan of a run of agents' tasks, each a tree of calls."""
    agent, workload, seed = spec.agent, spec.workload, spec.run.seed
    arriving = spec.load.rate is not None and spec.load.requests is None  # so many tasks, else so many calls
    slots, counts = slots_of_sessions(
        spec.load, lambda n: shape_of(agent, n, seed).rows if arriving else tasks_for(agent, n, seed), seed=seed,
        mean_output_tokens=workload.mean_output_tokens, beyond_s=beyond_s(spec),
    )  # fmt: skip
    rows, notes = slots.rows, list(slots.notes)
    calls = calls_of(shape_of(agent, len(counts), seed), rows, system=agent.system_tokens is not None)
    delays = None
    if agent.tools is not None:
        delays = pauses_ns(parse_times(agent.tools), rows, stream(seed, "think"))
        delays[calls.sessions.first] = 0
    brings, output_tokens = plan_lengths(workload, rows, seed, notes)
    assert brings is not None
    if agent.task_tokens is not None:
        told = sample_lengths(parse_lengths(agent.task_tokens), rows, stream(seed, "first input lengths"))
        brings = np.where(calls.follows < 0, told, brings)
    system = 1 if agent.system_tokens is None else int(agent.system_tokens)
    tokens = np.concatenate(([system, system], np.column_stack((brings, output_tokens)).ravel())).astype(np.int32)
    template = np.zeros(len(tokens), np.int32)
    if agent.system_tokens is None:
        template[FIRST::2][calls.follows < 0] = workload.template_tokens or 0
    else:
        template[:FIRST] = workload.template_tokens or 0
    texts = exact_texts(spec, tokens, template, words, notes)
    sums = np.concatenate(([0], np.cumsum(tokens[calls.blocks.values], dtype=np.int64)))
    input_tokens = np.diff(sums[calls.blocks.ends], prepend=0)
    if input_tokens.max() > MAX_TOKENS:
        raise UsageError(
            f"a step has {input_tokens.max():,} input tokens; the most is {MAX_TOKENS:,}: give fewer steps"
        )
    context = held_against(spec, input_tokens, output_tokens, server, "calls")
    kinds = deal([one.share for one in spec.dealt], len(counts), seed=seed, by=spec.classes.deal)
    schedule = schedule_of(
        slots, input_tokens.astype(np.int32), output_tokens,
        kinds=None if kinds is None else kinds[calls.sessions.session], sessions=calls.sessions, delay_ns=delays,
        shared_tokens=shared_of(calls, input_tokens, int(agent.system_tokens or 0)).astype(np.int32),
        behaved=behave(spec.behaviour, slots.rows, seed=seed),
    )  # fmt: skip
    return Plan(schedule, BlockPrompts(texts, calls.blocks), tokenizer, notes, context=context)
