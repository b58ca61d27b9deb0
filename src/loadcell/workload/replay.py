"""A trace as what a run sends: the settings applied to it, and its rows as columns of a schedule and pieces of text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.replaying import parse_window
from loadcell.spec import Spec, keeps_load
from loadcell.traces import Change, Ragged, Trace
from loadcell.traces import transform as change
from loadcell.traces.model import ragged
from loadcell.workload.blocks import BlockPrompts, shared_tokens
from loadcell.workload.context import Context, room_of
from loadcell.workload.prompts import SyntheticPrompts
from loadcell.workload.schedule import Slots
from loadcell.workload.sessions import Sessions
from loadcell.workload.streams import stream

_LONGEST_S = 8 * 86_400.0
"""A run that would send for longer was asked for by mistake; traces of a week there are."""
_FLAG = re.compile(r"--(kind|time-unit)\b")
_CLOSE = 8
"""Block numbers are close where the highest is not so many times their count."""


class Pieces(NamedTuple):
    """What prompts are made of: pieces of text by number, each with as many tokens as it stands there for."""

    blocks: Ragged
    tokens: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Replayed:
    """A trace as it is sent, in the order of the schedule's rows."""

    trace: Trace
    length_s: float | None
    """Time that it covers; None where it has no times, or they are dropped."""
    spec: Spec
    """With what follows from the trace: the rate or the number of requests, mean lengths."""
    read: int
    """Rows of the file."""
    sha256: str | None
    """Of the file; None for a trace that came from none."""
    notes: tuple[str, ...] = ()
    """What a reader must know besides what was done to the trace."""

    def filled(self, spec: Spec) -> Spec:
        """The Spec of the run with what follows from the trace."""
        load = msgspec.structs.replace(spec.load, rate=self.spec.load.rate, requests=self.spec.load.requests)
        workload = msgspec.structs.replace(
            spec.workload,
            input_tokens=self.spec.workload.input_tokens,
            output_tokens=self.spec.workload.output_tokens,
        )
        return msgspec.structs.replace(spec, load=load, workload=workload)

    def asked(self, spec: Spec, before: Spec) -> Spec:
        """The Spec of the run with what was asked `before` in place of what follows from the trace."""
        load = msgspec.structs.replace(spec.load, rate=before.load.rate, requests=before.load.requests)
        workload = msgspec.structs.replace(
            spec.workload,
            input_tokens=before.workload.input_tokens,
            output_tokens=before.workload.output_tokens,
        )
        return msgspec.structs.replace(spec, load=load, workload=workload)

    def told(self, sent: int) -> dict[str, Any]:
        """What a recording tells of it, of which so many requests are sent."""
        trace = self.trace
        return {
            "name": trace.name,
            "kind": trace.kind,
            "source": trace.source or None,
            "sha256": self.sha256,
            "rows": self.read,
            "sent": sent,
            "sessions": None if trace.session is None else int(trace.session.max(initial=-1)) + 1,
            "length_s": self.length_s,
            "block_tokens": None if trace.blocks is None else trace.block_tokens,
            "changes": [{"what": one.what, "rows": one.rows, "words": one.words} for one in trace.changes],
        }


def replay_of(spec: Spec) -> Replayed | None:
    """The trace that a run replays, read and changed as it is asked for; None where it replays none."""
    asked = spec.trace
    if asked.name is None:
        return None
    from loadcell.traces.named import named_traces, path_of
    from loadcell.traces.read import read_trace

    try:
        trace = read_trace(
            asked.name, skip_bad=spec.workload.skip_bad, kind=asked.kind, unit=asked.time_unit, seed=spec.run.seed
        )
    except UsageError as error:  # which names the flags of `loadcell trace`
        raise UsageError(_FLAG.sub(r"--trace-\1", str(error))) from None
    return replayed(spec, trace, sha256_of(path_of(asked.name) if asked.name in named_traces() else Path(asked.name)))


def replayed(spec: Spec, trace: Trace, sha256: str | None = None) -> Replayed:
    """A trace as a run of `spec` sends it; UsageError says what cannot be."""
    asked, load, read, seed = spec.trace, spec.load, len(trace), spec.run.seed
    if not read:
        raise UsageError(f"{trace.name} holds no requests")
    closed = not spec.open_loop
    whole = change.timed(trace)
    if asked.spread and not closed:
        whole = change.spread(whole, stream(seed, "trace spread"))
    if asked.window is not None:
        whole = change.window(whole, parse_window(asked.window), asked.window)
    cut, length_s = whole
    for most, of in ((asked.max_input_tokens, "input"), (asked.max_output_tokens, "output")):
        if most is not None:
            cut = change.capped(cut, most, of, asked.too_long)
    whole = change.faster(change.Timed(cut, length_s), asked.speed)
    own_times = whole.length_s is not None
    if own_times and not closed and load.arrivals != type(load)().arrivals:
        raise UsageError(f"load.arrivals {load.arrivals}: {trace.name} brings its own times: leave it out")
    factor = asked.scale
    if load.rate is not None and own_times:
        if asked.scale != 1:
            raise UsageError("trace.scale and load.rate both say how much of a trace is sent: give one of them")
        factor = load.rate / _rate(whole)
    whole = change.scaled(whole, factor, stream(seed, "trace scale"), share_copies=asked.share_copies)
    if closed:
        whole = change.Timed(_without_times(whole.trace), None)
    elif not own_times and load.rate is None:
        raise UsageError(
            f"{trace.name} has no times: give --rate R, or --concurrency N for a closed loop of its lengths"
        )
    sent = _in_order(whole.trace)
    rate = _rate(whole) if load.rate is None and not closed else load.rate
    workload = msgspec.structs.replace(
        spec.workload,
        input_tokens=str(max(1, round(float(sent.input_tokens.mean())))),
        output_tokens=str(max(1, round(float(sent.output_tokens.mean())))),
    )
    requests, notes = load.requests, list[str]()
    if requests is not None and requests > len(sent):
        notes.append(phrase("the trace has {:,} of the {:,} requests that were asked for", len(sent), requests))
    if (closed and load.duration_s is None) or (requests is not None and requests > len(sent)):
        requests = min(requests or len(sent), len(sent))
    filled = msgspec.structs.replace(
        spec, load=msgspec.structs.replace(load, rate=rate, requests=requests), workload=workload
    )
    return Replayed(sent, whole.length_s, filled, read, sha256, tuple(notes))


def _rate(whole: change.Timed) -> float:
    """Requests a second, on average."""
    if not whole.length_s:
        raise UsageError(f"{whole.trace.name} covers no time: it has no rate; give --concurrency N for a closed loop")
    return len(whole.trace) / whole.length_s


def _without_times(trace: Trace) -> Trace:
    if trace.t_s is None:
        return trace
    says = phrase("closed loop: the times of the trace are left out, its requests come in their order")
    kept = None if trace.waits is None else trace.t_s
    return replace(trace, t_s=kept, changes=(*trace.changes, Change("times", len(trace), says)))


def _in_order(trace: Trace) -> Trace:
    """The rows of a session together, in the order of the first of each; requests that wait for none by their times."""
    if trace.waits is None or not len(trace.waits.values):
        if trace.t_s is None or np.all(np.diff(trace.t_s) >= 0):
            return trace
        return change.taken(trace, np.argsort(trace.t_s, kind="stable"))
    if trace.session is None:
        raise UsageError(f"{trace.name}: its requests wait for each other, and it does not tell their sessions")
    first = trace.session if trace.t_s is None else change.first_s(trace)
    return change.taken(trace, np.lexsort((np.arange(len(trace)), change.turns(trace), trace.session, first)))


def within(replay: Replayed, context: Context, remedy: str) -> Replayed:
    """The trace without what is longer than the model's context: clipped, or dropped with its session (`remedy`)."""
    trace = replay.trace
    room = room_of(trace.output_tokens, context)
    over = trace.input_tokens > room
    if not over.any():
        return replay
    many = int(np.count_nonzero(over))
    if remedy == "clip":
        if (room[over] < 1).any():
            raise UsageError(
                f"an output of {trace.name} leaves nothing of the model's context of {context.tokens:,} tokens to its "
                "prompt: give --max-output-tokens N, or --too-long drop"
            )
        shorter = np.minimum(trace.input_tokens, room).astype(np.int32)
        key = phrase("{:,} of {:,} prompts of the trace were clipped to the model's context of {:,} tokens ({})")
        did = Change("clip", many, phrase(key, many, len(trace), context.tokens, context.by))
        return replace(replay, trace=change.clipped(trace, shorter, did))
    unit = change.units(trace)
    rows = np.flatnonzero(~np.isin(unit, unit[over]))
    if not len(rows):
        raise UsageError(f"nothing of {trace.name} is left within the model's context of {context.tokens:,} tokens")
    key = phrase(
        "{:,} of {:,} requests of the trace are longer than the model's context of {:,} tokens ({}): left out with "
        "their sessions, {:,} requests in all"
    )
    did = Change("drop", len(trace) - len(rows), phrase(
        key, many, len(trace), context.tokens, context.by, len(trace) - len(rows)))  # fmt: skip
    return replace(replay, trace=change.taken(trace, rows, did))


# --- columns ---------------------------------------------------------------------------------------------------------


def slots_of(sent: Replayed, lay_out_rate: Any) -> Slots:
    """The places of the requests; `lay_out_rate` makes those of an open loop whose trace has no times."""
    spec, trace = sent.spec, sent.trace
    load, rows, notes = spec.load, len(trace), [*(one.words for one in trace.changes), *sent.notes]
    if load.rate is None:
        rows = rows if load.requests is None else min(rows, _whole(trace, load.requests))
        planned = rows if load.duration_s is None else None
        if load.duration_s is not None:
            notes.append(phrase("the run ends after {:,} requests, should it get there", rows))
        return Slots("closed", None, rows, planned, [*notes, *_left(sent, rows)])
    if sent.length_s is None:
        slots: Slots = lay_out_rate(msgspec.structs.replace(load, requests=min(load.requests or rows, rows)))
        return replace(slots, notes=[*notes, *slots.notes, *_left(sent, slots.rows)])
    assert trace.t_s is not None
    waits = np.isnan(trace.t_s)
    times = np.where(waits, -1, np.rint(np.nan_to_num(trace.t_s) * 1e9)).astype(np.int64)
    planned = rows if load.requests is None else min(rows, _whole(trace, load.requests))
    rows = planned
    if load.duration_s is not None:
        first = change.first_s(trace)[:planned]
        planned = int(np.searchsorted(first, load.duration_s))
        beyond_s = min(load.duration_s, load.timeout_s) if keeps_load(spec) and load.requests is None else 0.0
        rows = int(np.searchsorted(first, load.duration_s + beyond_s))
    if not planned:
        raise UsageError(f"no request of {trace.name} comes within {load.duration_s:g} s: give a longer --duration")
    if (last_s := float(times[:planned].max()) / 1e9) > _LONGEST_S:
        raise UsageError(
            f"{trace.name} would be sent for {last_s / 86_400:,.0f} days: give --trace-window, --trace-speed, a "
            "--duration, or --concurrency N for a closed loop without its times"
        )
    return Slots("open", times[:rows], rows, planned, [*notes, *_left(sent, planned)], beyond=rows - planned)


def _whole(trace: Trace, requests: int) -> int:
    """As many rows, or fewer: whole sessions; of the first as much as there may be."""
    if trace.waits is None or trace.session is None or requests >= len(trace):
        return requests
    return int(np.searchsorted(trace.session, trace.session[requests])) or requests


def cut(trace: Trace, rows: NDArray[np.int64]) -> Trace:
    """The first rows of a trace, whole sessions or the beginning of one."""
    return change.taken(trace, rows)


def _left(sent: Replayed, rows: int) -> list[str]:
    """What is not sent because the run ends before."""
    if rows == len(sent.trace):
        return []
    return [phrase("the run sends the first {:,} of {:,} requests of the trace", rows, len(sent.trace))]


def sessions_of(trace: Trace) -> tuple[Sessions | None, NDArray[np.int64] | None]:
    """What waits for what, and for how long (ns); None where nothing waits."""
    if trace.waits is None or trace.session is None or not len(trace.waits.values):
        return None, None
    delay_s = np.zeros(len(trace)) if trace.delay_s is None else np.nan_to_num(trace.delay_s)
    return Sessions(trace.session, change.turns(trace), trace.waits), np.rint(delay_s * 1e9).astype(np.int64)


# --- text ------------------------------------------------------------------------------------------------------------


def pieces_of(trace: Trace) -> Pieces | None:
    """What the prompts are made of, if the trace tells what they share."""
    if trace.blocks is None:
        return None if trace.prefix_tokens is None or trace.waits is None else _grown(trace, trace.prefix_tokens)
    total = trace.input_tokens.astype(np.int64)
    counts = trace.blocks.counts
    place = np.arange(len(trace.blocks.values)) - np.repeat(trace.blocks.ends - counts, counts)
    tokens = np.minimum(trace.block_tokens, np.repeat(total, counts) - place * trace.block_tokens)
    return Pieces(trace.blocks, tokens)


def _grown(trace: Trace, prefix_tokens: NDArray[np.int32]) -> Pieces:
    """Prompts that begin as the last one that each waited for, and go on with text of their own."""
    assert trace.waits is not None
    total, made = trace.input_tokens.tolist(), list[list[tuple[int, int]]]()
    for row, prefix in enumerate(prefix_tokens.tolist()):
        before, own = trace.waits.of(row), list[tuple[int, int]]()
        left = min(prefix, total[row]) if len(before) else 0
        for number, tokens in made[int(before[-1])] if left else ():
            own.append((number, min(tokens, left)))
            left -= own[-1][1]
            if not left:
                break
        shared = sum(tokens for _, tokens in own)
        made.append([*own, (row, total[row] - shared)] if shared < total[row] else own)
    blocks = ragged([[number for number, _ in own] for own in made])
    return Pieces(blocks, np.array([tokens for own in made for _, tokens in own], np.int64))


def texts_of(pieces: Pieces, words: tuple[str, ...], seed: int, template: int, ratio: float) -> BlockPrompts:
    """Prompts of pieces that the server is to count as their tokens, with `template` tokens of its own before them.

    A piece that ends after x tokens of a prompt ends after (x - template) / ratio words of it, to the nearest: so
    equal beginnings have the same bytes. Each prompt has a word at least.
    """
    blocks, tokens = pieces
    counts = blocks.counts
    sums = np.concatenate(([0], np.cumsum(tokens)))
    starts = blocks.ends - counts
    ends = sums[1:] - np.repeat(sums[starts], counts)

    def at(place: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.floor(np.maximum(place - template, 0) / ratio + 0.5).astype(np.int64)

    length = at(ends) - at(ends - tokens)
    total = np.concatenate(([0], np.cumsum(length)))
    empty = np.flatnonzero(total[blocks.ends] == total[starts])
    length[blocks.ends[empty] - 1] = 1
    held = length > 0
    which, different = _numbered(blocks.values[held])
    longest = np.zeros(different, np.int32)
    np.maximum.at(longest, which, length[held].astype(np.int32))
    kept = np.concatenate(([0], np.cumsum(held)))[blocks.ends]
    own = length[held].astype(np.int32)
    cut = bool(np.any(own < longest[which]))
    return BlockPrompts(SyntheticPrompts(words, longest, seed), Ragged(which, kept), own if cut else None)


def _numbered(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """The same values told apart by numbers from 0, and how many there are. Without sorting, where they lie close."""
    highest = int(values.max(initial=-1))
    if highest >= _CLOSE * len(values) or values.min(initial=0) < 0:
        found, which = np.unique(values, return_inverse=True)
        return which.reshape(-1), len(found)
    used = np.zeros(highest + 1, bool)
    used[values] = True
    return (np.cumsum(used) - 1)[values], int(np.count_nonzero(used))


def shared_of(pieces: Pieces, trace: Trace) -> NDArray[np.int32]:
    """Tokens of each prompt that a prefix cache without bounds has by then: in the order of sending, replies taken to
    need no time."""
    order = np.arange(len(trace)) if trace.t_s is None else np.argsort(change.starts_s(trace), kind="stable")
    blocks = pieces.blocks.take(order)
    tokens = Ragged(pieces.tokens, pieces.blocks.ends).take(order).values
    out = np.zeros(len(trace), np.int32)
    out[order] = shared_tokens(blocks, tokens)
    return out


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder by their names, in hex."""
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
