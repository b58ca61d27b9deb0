"""From the Spec to everything that a run sends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.apis import find_api
from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.sessions import ALL, MOST_TURNS, parse_times
from loadcell.spec import Lengths, Load, Spec, Workload, keeps_load, parse_lengths
from loadcell.traces.transform import units
from loadcell.workload import replay as replaying
from loadcell.workload.agents import FIRST, calls_of, shape_of, shared_of, tasks_for
from loadcell.workload.attached import AttachedPrompts, attach
from loadcell.workload.behaving import behave
from loadcell.workload.blocks import BlockPrompts
from loadcell.workload.context import Context, Server, fit
from loadcell.workload.dealing import deal
from loadcell.workload.files import FilePrompts, PromptFile, read_prompts
from loadcell.workload.fitting import context_of, fit_file, fit_lengths, surely_sent
from loadcell.workload.lengths import MAX_TOKENS, plan_lengths, sample_lengths
from loadcell.workload.loadgen import Traffic, traffic_of
from loadcell.workload.prefixes import SystemPrompts, plan_shares, sharing
from loadcell.workload.prompts import SyntheticInputs, SyntheticPrompts, check_exact, stable_words
from loadcell.workload.schedule import MOST_TEXTS, NO_MEDIA, Schedule, Slots, lay_out, schedule_of, slots_of_sessions
from loadcell.workload.sessions import Sessions, chains, grown, pauses_ns
from loadcell.workload.streams import prompt_seed, stream
from loadcell.workload.talks import FileTalks, TalkPrompts, talk_notes, talk_tokens, turns_of
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
    mean = _asked(spec.workload).mean
    most = _MOST_WORDS if spec.workload.generates else max(_LEAST_WORDS, int(_OF_AN_INPUT * mean))
    wanted = min(max(math.ceil(_PROMPTS_OF_WORDS * mean), _LEAST_WORDS), _MOST_WORDS, most)
    order = stream(_prompt_seed(spec), "vocabulary").permutation(len(words))[:wanted]
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


def _prompt_seed(spec: Spec) -> int:
    return prompt_seed(spec.run.seed, spec.run.repetition, spec.run.salt or "")


Prompts = (
    SyntheticPrompts | SyntheticInputs | FilePrompts | AttachedPrompts | TalkPrompts | FileTalks | BlockPrompts
    | SystemPrompts
)  # fmt: skip
"""What requests say, row by row."""


def file_of(prompts: Prompts) -> FilePrompts | None:
    """The file that prompts come from; None for synthetic ones."""
    if isinstance(prompts, FileTalks):
        return prompts.whole
    texts = prompts.texts if isinstance(prompts, AttachedPrompts) else prompts
    return texts if isinstance(texts, FilePrompts) else None


def gapped(prompts: Prompts) -> bool:
    """Whether prompts leave a place for what the server said (`talks.MARK`)."""
    return isinstance(prompts, TalkPrompts | FileTalks) and prompts.served


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run sends: the schedule and, row by row, its prompts."""

    schedule: Schedule
    prompts: Prompts
    tokenizer: Tokenizer
    notes: list[str]
    """What a reader of the result must know, in words."""
    warm: Prompts | None = None
    """What prompts share, each once, to be sent before the load; None where nothing is to be."""
    trace: dict[str, Any] | None = None
    """What a recording tells of the trace that is replayed."""
    context: Context | None = None
    """The context that its requests were held against; None where none was known, or all of them are short."""


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
        return _plan_replay(spec, replay, known or vocabulary_of(replay.filled(spec)), server)
    seed, workload = spec.run.seed, spec.workload
    tokenizer = known.tokenizer if known else load_tokenizer(workload.tokenizer)
    file = read_prompts(spec) if workload.prompts is not None else None
    if spec.agent.any:
        return _agents(spec, tokenizer, known or vocabulary_of(spec))
    if spec.sessions.any:
        return _sessions(spec, file, tokenizer, known)

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
            texts = _texts(spec, asked.tokens, asked.template, words, notes)
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
                prompts = _texts(spec, input_tokens, np.array(workload.template_tokens or 0), words, notes)
    if spec.load.cache == "warm" and warm is None:
        raise UsageError(
            "load.cache warm sends once what prompts share, and these share nothing: give --system-tokens, "
            "--prefix-groups or --hit-share, or leave it out"
        )
    media = NO_MEDIA
    if spec.media.any:
        assert prompts is None or isinstance(prompts, SyntheticPrompts | FilePrompts)
        prompts = attach(spec.endpoint.api, spec.media, prompts, slots.rows, seed, _prompt_seed(spec), notes)
        media = prompts.columns()
    assert prompts is not None
    lines = None if traffic is None else line
    delays = _pauses(spec, slots.rows)
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
    found = sharing(words.words, shares.words, shares.blocks, _prompt_seed(spec), ratio, kinds, warm=warm_first)
    check_exact(found.prompts.texts, words.tokenizer)
    prompts: Prompts = found.prompts
    warm: Prompts | None = found.warm
    if spec.prefix.system_tokens and find_api(spec.endpoint.api).talks:
        prompts = SystemPrompts(found.prompts)
        warm = None if found.warm is None else SystemPrompts(found.warm)
    return _Sharing(prompts, shares.input_tokens, found.shared_tokens, warm)


def _pauses(spec: Spec, rows: int) -> NDArray[np.int64] | None:
    """How long after what it waits for each request is sent; None for at once."""
    if spec.sessions.think is None:
        return None
    return pauses_ns(parse_times(spec.sessions.think), rows, stream(spec.run.seed, "think"))


def _sessions(spec: Spec, file: PromptFile | None, tokenizer: Tokenizer, known: Vocabulary | None) -> Plan:
    """The plan of a run of sessions, each a chain of turns."""
    seed, served = spec.run.seed, spec.sessions.history == "served"
    held = None if file is None else turns_of(file, served=served)
    mean = file.mean_output_tokens(spec.workload.mean_output_tokens) if file else spec.workload.mean_output_tokens
    slots, counts = slots_of_sessions(
        spec.load, lambda n: _turns(spec, held, n), seed=seed, mean_output_tokens=mean, beyond_s=_beyond_s(spec)
    )
    sessions = chains(counts)
    delays = _pauses(spec, slots.rows)
    if delays is not None:
        delays[sessions.first] = 0
    notes = list(slots.notes)
    brings, output_tokens = plan_lengths(spec.workload, slots.rows, seed, notes)
    prompts: TalkPrompts | FileTalks
    lines = None
    if file is not None:
        lines = sessions.session.astype(np.int64) % len(file)
        output_tokens = np.where(file.output_tokens[lines] > 0, file.output_tokens[lines], output_tokens)
        input_tokens = talk_tokens(file, lines, sessions.turn, output_tokens if served else None, tokenizer)
        prompts = FileTalks(FilePrompts(file.only(lines), lines), sessions.turn, served)
        notes += file.notes(len(counts))
    else:
        prompts, input_tokens = _talks(spec, sessions, brings, output_tokens, known or vocabulary_of(spec), notes)
    notes += talk_notes(served, prompts.messages)
    kinds = deal([one.share for one in spec.dealt], len(counts), seed=seed, by=spec.classes.deal)
    schedule = schedule_of(
        slots, input_tokens.astype(np.int32), output_tokens, lines,
        kinds=None if kinds is None else kinds[sessions.session], sessions=sessions, delay_ns=delays,
        behaved=behave(spec.behaviour, slots.rows, seed=seed),
    )  # fmt: skip
    return Plan(schedule, prompts, tokenizer, notes)


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
    brings: NDArray[np.int32] | None,
    output_tokens: NDArray[np.int32],
    words: Vocabulary,
    notes: list[str],
) -> tuple[TalkPrompts, NDArray[np.int64]]:
    """Synthetic turns, and the input tokens of each: all that was said before it counts."""
    seed, workload, rows, served = spec.run.seed, spec.workload, len(output_tokens), spec.sessions.history == "served"
    assert brings is not None
    first = sessions.first
    if spec.sessions.first_input_tokens is not None:
        law = parse_lengths(spec.sessions.first_input_tokens)
        brings[first] = sample_lengths(law, int(first.sum()), stream(seed, "first input lengths"))
    template = np.where(first, workload.template_tokens or 0, 0)
    tokens = brings if served else np.column_stack((brings, output_tokens)).ravel()
    templates = template if served else np.column_stack((template, np.zeros(rows, np.int64))).ravel()
    texts = _texts(spec, tokens, templates, words, notes)
    follows = np.where(first, -1, np.arange(rows) - 1)
    input_tokens = grown(brings, output_tokens, sessions)
    if input_tokens.max() > MAX_TOKENS:
        raise UsageError(
            f"a turn has {input_tokens.max():,} input tokens; the most is {MAX_TOKENS:,}: give fewer --turns"
        )
    return TalkPrompts(texts, follows, served, find_api(spec.endpoint.api).talks), input_tokens


def _plan_replay(spec: Spec, replay: replaying.Replayed, words: Vocabulary, server: Server | None) -> Plan:
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
        prompts = _texts(spec, sent.input_tokens, np.array(template), words, notes)
    else:
        ratio = spec.workload.token_ratio or 1.0
        prompts = replaying.texts_of(pieces, words.words, _prompt_seed(spec), template, ratio)
        check_exact(prompts.texts, words.tokenizer)
        shared = replaying.shared_of(pieces, sent)
        notes += _short(sent.input_tokens, np.array(template) + ratio)
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


def _agents(spec: Spec, tokenizer: Tokenizer, words: Vocabulary) -> Plan:
    """The plan of a run of agents' tasks, each a tree of calls."""
    agent, workload, seed = spec.agent, spec.workload, spec.run.seed
    arriving = spec.load.rate is not None and spec.load.requests is None  # so many tasks, else so many calls
    slots, counts = slots_of_sessions(
        spec.load, lambda n: shape_of(agent, n, seed).rows if arriving else tasks_for(agent, n, seed), seed=seed,
        mean_output_tokens=workload.mean_output_tokens, beyond_s=_beyond_s(spec),
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
    texts = _texts(spec, tokens, template, words, notes)
    sums = np.concatenate(([0], np.cumsum(tokens[calls.blocks.values], dtype=np.int64)))
    input_tokens = np.diff(sums[calls.blocks.ends], prepend=0)
    if input_tokens.max() > MAX_TOKENS:
        raise UsageError(
            f"a step has {input_tokens.max():,} input tokens; the most is {MAX_TOKENS:,}: give fewer steps"
        )
    kinds = deal([one.share for one in spec.dealt], len(counts), seed=seed, by=spec.classes.deal)
    schedule = schedule_of(
        slots, input_tokens.astype(np.int32), output_tokens,
        kinds=None if kinds is None else kinds[calls.sessions.session], sessions=calls.sessions, delay_ns=delays,
        shared_tokens=shared_of(calls, input_tokens, int(agent.system_tokens or 0)).astype(np.int32),
        behaved=behave(spec.behaviour, slots.rows, seed=seed),
    )  # fmt: skip
    return Plan(schedule, BlockPrompts(texts, calls.blocks), tokenizer, notes)


def _asked(workload: Workload) -> Lengths:
    """The lengths of synthetic prompts that are asked for."""
    assert workload.input_tokens is not None
    return parse_lengths(workload.input_tokens)


def _texts(
    spec: Spec, tokens: NDArray[np.int32], template: NDArray[np.int32], words: Vocabulary, notes: list[str]
) -> SyntheticPrompts:
    """Texts that the server is to count as `tokens`, with a template of so many; `notes` takes what must be known."""
    ratio = spec.workload.token_ratio or 1.0
    lengths = own_lengths(tokens, template, ratio, stream(spec.run.seed, "prompt rounding"))
    texts = SyntheticPrompts(words.words, lengths, _prompt_seed(spec))
    check_exact(texts, words.tokenizer)
    notes += _short(tokens, template + ratio)
    if repeats := texts.repeats():
        notes.append(
            phrase(
                "{} of {} prompts repeat: they are too short to be all different; a prefix cache can answer repeats",
                repeats,
                len(tokens),
            )
        )
    return texts


def _short(tokens: NDArray[np.int32], least: NDArray[np.floating[Any]]) -> list[str]:
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
    tokens = sample_lengths(_asked(workload), total, stream(seed, "input lengths"))
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


def _beyond_s(spec: Spec) -> float:
    """Time beyond the end for which an open loop is planned: as long as it, or as one request may take."""
    load = spec.load
    return min(load.duration_s or load.duration_most_s or 0.0, load.timeout_s) if keeps_load(spec) else 0.0


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
            spec.load, seed=spec.run.seed, mean_output_tokens=mean, mean_inputs=texts, beyond_s=_beyond_s(spec)
        )
    if spec.loadgen.scenario is None or file is None:
        assert slots is not None
        return slots, None
    traffic = traffic_of(spec.loadgen, len(file), rate=spec.load.rate, rows=slots.rows if slots else 0)
    if slots is None:
        rows = len(traffic.samples)
        slots = Slots("open", traffic.scheduled_ns, rows, rows, [])
    return slots, traffic
