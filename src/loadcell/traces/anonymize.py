"""Own logs as a trace without their text: when requests came, how long they were, which beginnings they share, who
waited.

Prompts are parted into blocks of tokens. A block is known by an HMAC-SHA256 over itself and the hash of all before it,
with a key that nobody keeps; and what is written is not even that, but the number of the block in order of appearance.
"""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.traces import litellm, otel, requests
from loadcell.traces.calls import Call, draft_of
from loadcell.traces.files import Source, open_source
from loadcell.traces.model import Change, Ragged, Trace, ragged
from loadcell.traces.read import kind_of
from loadcell.traces.settle import settle
from loadcell.traces.shape import shared_blocks, turns_of

Encode = Callable[[Sequence[str]], Iterable[Sequence[int]]]
"""Texts to the ids of their tokens."""
KINDS = ("otel", "litellm", "requests")
KEY_BYTES = 32
_BATCH = 256
_HASH_BITS = 62
"""Of a hash, where hashes are written: a positive number in any reader of JSON with 64 bits."""


class Disclosure(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace still gives away."""

    requests: int
    unique_lengths: int
    """Requests whose input and output lengths no other has."""
    sharing: int
    """Requests that begin like an earlier one, by a block or more."""
    sessions: int
    """Of more than one request."""
    unique_turns: int
    """Of those the ones whose number of turns no other has."""
    step_s: float | None
    """To which times are told; None: as exactly as the log had them."""
    hashed: bool
    """Whether blocks are written by their keyed hashes: who has the key can try texts."""


def anonymized(
    paths: Sequence[Path], encode: Encode, *, block_tokens: int, key: bytes | None = None, round_s: float | None = None,
    kind: str | None = None, skip_bad: bool = False,
) -> tuple[Trace, Disclosure]:  # fmt: skip
    """The logs as one trace, and what it still gives away.

    Without a `key` a fresh one is used and forgotten, and blocks are numbered; with one they are written by 62 bits of
    their hashes, so that traces made with the same key know each other's blocks. `round_s` rounds times and delays to
    multiples. UsageError for a log that cannot be read, or has no text.
    """
    found, changes = _calls(paths, kind)
    if not any(call.messages for call in found):
        raise UsageError(f"{_said(paths)} holds no text: it is a trace already, read it by loadcell trace describe")
    blocks, guess = _blocked(found, encode, block_tokens, key or secrets.token_bytes(KEY_BYTES))
    draft = draft_of(paths[0].name, _said(paths), "plain", found, time="time")
    draft.changes = (*changes, *guess, *draft.changes)
    numbers: dict[bytes, int] = {}
    named = (int.from_bytes(each[:8], "big") >> (64 - _HASH_BITS) for mine in blocks for each in mine)
    counted = (numbers.setdefault(each, len(numbers)) for mine in blocks for each in mine)
    flat = iter(counted if key is None else named)
    draft.blocks, draft.block_tokens = ragged([[next(flat) for _ in mine] for mine in blocks]), block_tokens
    trace = settle(draft, skip_bad=skip_bad)
    trace = trace if round_s is None else _rounded(trace, round_s)
    trace = trace if key is not None else _renumbered(trace)
    return trace, disclosure(trace, round_s, hashed=key is not None)


def written(trace: Trace) -> Iterable[bytes]:
    """A trace as lines of JSON, which `read_trace` reads as it was: numbers alone, under fixed names."""
    encode = msgspec.json.encode
    for row in range(len(trace)):
        line: dict[str, Any] = {}
        if trace.t_s is not None and np.isfinite(trace.t_s[row]):
            line["t"] = round(float(trace.t_s[row]), 6)
        line |= {"in": int(trace.input_tokens[row]), "out": int(trace.output_tokens[row])}
        if trace.session is not None:
            line["session"] = int(trace.session[row])
        if trace.waits is not None and trace.delay_s is not None and len(mine := trace.waits.of(row)):
            line |= {"delay": round(float(trace.delay_s[row]), 6), "waits": mine.tolist()}
        if trace.blocks is not None:
            line |= {"blocks": trace.blocks.of(row).tolist(), "block_tokens": trace.block_tokens}
        yield encode(line) + b"\n"


def disclosure(trace: Trace, step_s: float | None, *, hashed: bool) -> Disclosure:
    """What it gives away, counted."""
    pairs = Counter(zip(trace.input_tokens.tolist(), trace.output_tokens.tolist(), strict=True))
    turns = turns_of(trace)
    turns = turns[turns > 1]
    counts = Counter(turns.tolist())
    return Disclosure(
        requests=len(trace),
        unique_lengths=sum(count == 1 for count in pairs.values()),
        sharing=0 if trace.blocks is None else int((shared_blocks(trace.blocks) > 0).sum()),
        sessions=len(turns),
        unique_turns=sum(count == 1 for count in counts.values()),
        step_s=step_s,
        hashed=hashed,
    )


# --- what is read ----------------------------------------------------------------------------------------------------


def _calls(paths: Sequence[Path], kind: str | None) -> tuple[list[Call], tuple[Change, ...]]:
    """The calls of all logs in order of time, and what was left out."""
    found: list[Call] = []
    changes: tuple[Change, ...] = ()
    for path in paths:
        source = open_source(path)
        match kind or _kind(source):
            case "otel":
                more, left = otel.calls(source)
                found, changes = found + more, (*changes, *left)
            case "litellm":
                more, left = litellm.calls(source)
                found, changes = found + more, (*changes, *left)
            case "requests":
                found += requests.calls(source)
            case other:
                raise UsageError(f"--kind {other}: logs with text are {', '.join(KINDS)}")
    return sorted(found, key=lambda call: (np.isnan(call.start_s), call.start_s)), changes


def _kind(source: Source) -> str:
    found = kind_of(source)
    if found in KINDS:
        return found
    if source.form == "jsonl" and {*requests.TEXTS, "request", "body", "request_body"} & {*source.columns}:
        return "requests"
    what = f"is of the format {found}, which has no text" if found else "is no log"
    raise UsageError(
        f"{source.path} {what}: logs with text are OpenTelemetry spans, LiteLLM's, and JSON Lines with a time and "
        "messages or a prompt"
    )


def _said(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


# --- what is hashed --------------------------------------------------------------------------------------------------


def _blocked(
    found: Sequence[Call], encode: Encode, block_tokens: int, key: bytes
) -> tuple[list[list[bytes]], tuple[Change, ...]]:
    """The hashes of each prompt's blocks. Lengths that a log does not tell are those of the texts."""
    out: list[list[bytes]] = []
    guessed = 0
    for start in range(0, len(found), _BATCH):
        batch = found[start : start + _BATCH]
        prompts = encode(["\n".join(call.messages) for call in batch])
        replies = encode([call.output for call in batch])
        for call, prompt, reply in zip(batch, prompts, replies, strict=True):
            out.append(hashes(prompt, block_tokens, key))
            lacks = np.isnan(call.input_tokens) and len(prompt), np.isnan(call.output_tokens) and len(reply)
            call.input_tokens = float(len(prompt)) if lacks[0] else call.input_tokens
            call.output_tokens = float(len(reply)) if lacks[1] else call.output_tokens
            guessed += any(lacks)
    if not guessed:
        return out, ()
    words = phrase(
        "tokens of {:,} requests are not told: the tokenizer counted their texts, without a template", guessed
    )
    return out, (Change("guess", guessed, words),)


def hashes(ids: Sequence[int], block_tokens: int, key: bytes) -> list[bytes]:
    """Of each block of a prompt the hash of itself and all before it, in order."""
    tokens = np.asarray(ids, np.int64)
    out: list[bytes] = []
    last = b""
    for start in range(0, len(tokens), block_tokens):
        last = hmac.digest(key, last + tokens[start : start + block_tokens].tobytes(), "sha256")
        out.append(last)
    return out


def _renumbered(trace: Trace) -> Trace:
    """Blocks by their order of appearance in what is left of the log, and in its order."""
    blocks = trace.blocks
    if blocks is None or not len(blocks.values):
        return trace
    _, first, which = np.unique(blocks.values, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return replace(trace, blocks=Ragged(rank[which], blocks.ends))


def _rounded(trace: Trace, step_s: float) -> Trace:
    """Times and delays as multiples of a step, down: their order stays."""
    words = phrase("times and delays of {:,} requests were rounded down to multiples of {:g} s", len(trace), step_s)
    return replace(
        trace,
        t_s=None if trace.t_s is None else np.floor(trace.t_s / step_s) * step_s,
        delay_s=None if trace.delay_s is None else np.floor(trace.delay_s / step_s) * step_s,
        changes=(*trace.changes, Change("round", len(trace), words)),
    )
