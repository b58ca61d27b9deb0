"""What a run sends that replays a trace."""

from __future__ import annotations

import numpy as np

from loadcell.errors import UsageError
from loadcell.spec import Load, Spec
from loadcell.traces.transform import units
from loadcell.workload import replay as replaying
from loadcell.workload.behaving import behave
from loadcell.workload.context import Server, fit
from loadcell.workload.dealing import deal
from loadcell.workload.fitting import context_of
from loadcell.workload.planned import Plan, Prompts
from loadcell.workload.prompts import check_exact
from loadcell.workload.schedule import Slots, lay_out, schedule_of
from loadcell.workload.texts import Vocabulary, exact_texts, text_seed, too_short


def plan_replay(spec: Spec, replay: replaying.Replayed, words: Vocabulary, server: Server | None) -> Plan:
    """What a run sends that replays a trace."""
    spec, remedy = replay.filled(spec), spec.workload.too_long
    longest = int((replay.trace.input_tokens + replay.trace.output_tokens).max())
    context = context_of(spec, longest, server)
    if context is not None and remedy != "refuse":
        replay = replaying.within(replay, context, remedy)

    def arrive(load: Load) -> Slots:
        return lay_out(load, seed=spec.run.seed, mean_output_tokens=spec.workload.mean_output_tokens)

    slots = replaying.slots_of(replay, arrive)
    trace, notes, shared = replay.trace, slots.notes, None
    rows = np.arange(slots.rows)
    sent = trace if slots.rows == len(trace) else replaying.cut(trace, rows)
    if context is not None and remedy == "refuse":
        try:
            fit(sent.input_tokens, sent.output_tokens, context, "refuse", f"requests of {trace.name}")
        except UsageError as error:
            advice = "clip or drop them by --too-long, or limit them by --max-input-tokens and --max-output-tokens"
            raise UsageError(f"{error}: {advice}") from None
    prompts: Prompts
    pieces = replaying.pieces_of(sent)
    template = spec.workload.template_tokens or 0
    if pieces is None:
        prompts = exact_texts(spec, sent.input_tokens, np.array(template), words, notes)
    else:
        ratio = spec.workload.token_ratio or 1.0
        prompts = replaying.texts_of(pieces, words.words, text_seed(spec), template, ratio)
        check_exact(prompts.texts, words.tokenizer)
        shared = replaying.shared_of(pieces, sent)
        notes += too_short(sent.input_tokens, np.array(template) + ratio)
    sessions, delay_ns = replaying.sessions_of(sent)
    unit = units(sent)  # a session stays with its endpoint
    kinds = deal([one.share for one in spec.dealt], int(unit.max()) + 1, seed=spec.run.seed, by=spec.classes.deal)
    kinds = None if kinds is None else kinds[unit]
    schedule = schedule_of(
        slots, sent.input_tokens, sent.output_tokens, kinds=kinds, sessions=sessions, delay_ns=delay_ns,
        shared_tokens=shared, behaved=behave(spec.behaviour, slots.rows, seed=spec.run.seed),
    )  # fmt: skip
    told = replay.told(slots.rows - slots.beyond)
    return Plan(schedule, prompts, words.tokenizer, notes, trace=told, context=context)
