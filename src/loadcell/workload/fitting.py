"""A run's requests held against the model's context before anything is sent."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.spec import Spec
from loadcell.workload.clipping import clipped
from loadcell.workload.context import LEAST_ASKED, Context, Counts, Server, arithmetic, fit, room_of
from loadcell.workload.files import PromptFile
from loadcell.workload.requests import texts_of
from loadcell.workload.tokenizer import Tokenizer

_SURELY_SENT = 1000
"""Of a closed loop that a time ends nobody knows how many requests it sends: so many are held against the context."""
_PIECE = 1000
"""Characters of the prompts that the server is asked to count."""
_NEAR = 4.0
"""It is asked where a prompt may be too long if it counts so many times more tokens than the spec's tokenizer."""
_LEAST_RATIO, _MOST_RATIO = 0.15, 20.0
"""Tokens of a server for one of the packaged tokenizer's that can be."""
_NAMED = 5


class Counted(NamedTuple):
    """How the server counts prompts of a file."""

    template_tokens: int
    ratio: float
    """Its tokens for one of the tokenizer's."""
    by: str


def context_of(spec: Spec, longest: int, server: Server | None) -> Context | None:
    """The context that requests of up to `longest` tokens are held against; None where none is known or needed."""
    if (told := spec.workload.context_tokens) is not None:
        return Context(told, "--context-tokens")
    return server.context() if server is not None and longest > LEAST_ASKED else None


def surely_sent(planned: int | None, rows: int) -> int:
    """How many of the first rows are held against the context."""
    return min(rows, _SURELY_SENT) if planned is None else min(planned, rows)


def fit_lengths(
    spec: Spec, input_tokens: Counts, output_tokens: Counts, sent: int, server: Server | None, notes: list[str]
) -> tuple[Counts, Context | None]:
    """Planned lengths, of which the first `sent` are sent for sure, and the context that they were held against.

    UsageError where they are longer and are not to be clipped; `notes` takes how many were.
    """
    context = context_of(spec, int((input_tokens[:sent] + output_tokens[:sent]).max()), server)
    if context is None:
        return input_tokens, None
    try:
        if spec.workload.too_long != "clip":
            fit(input_tokens[:sent], output_tokens[:sent], context, "refuse", "planned requests")
            return input_tokens, context
        done = fit(input_tokens, output_tokens, context, "clip", "planned requests")
    except UsageError as error:
        raise UsageError(
            f"{error}: give fewer --input-tokens or --output-tokens, a longer context to the server, or --too-long clip"
        ) from None
    if done.clipped:
        notes.append(
            phrase(
                "{} of {} planned prompts were clipped to the model's context of {} tokens ({})",
                done.clipped,
                len(input_tokens),
                context.tokens,
                context.by,
            )
        )
    return done.input_tokens, context


def fit_file(
    spec: Spec,
    file: PromptFile,
    lines: NDArray[np.int64],
    output_tokens: Counts,
    tokenizer: Tokenizer,
    server: Server | None,
    notes: list[str],
) -> tuple[PromptFile, Context | None]:
    """The prompts of a file that the model's context has room for, by `workload.too_long`; and that context.

    `lines` are those that are sent for sure, with as many `output_tokens` where they ask for none of their own. To drop
    or to clip, every line is looked at. Only those are counted that have more bytes than the context has room for
    tokens. UsageError where they are refused; `notes` takes how many were dropped or clipped.
    """
    remedy, template = spec.workload.too_long, (server.template_tokens if server else None) or 0
    looked = np.unique(lines) if remedy == "refuse" else np.arange(len(file))
    asked = np.full(len(file), 0 if remedy == "refuse" else output_tokens.max(initial=0))
    np.maximum.at(asked, lines, output_tokens[: len(lines)])  # else it is not known which line gets which
    most = np.where(file.output_tokens > 0, file.output_tokens, asked)[looked]
    size = np.array([len(file.prompts[line]) for line in looked.tolist()], np.int64)
    context = context_of(spec, int((size + most).max()) + template, server)
    if context is None:
        return file, None
    room = room_of(most, context)
    may = size + template > room
    if not may.any():
        return file, context
    looked, most, room = looked[may], most[may], room[may]
    own = file.input_tokens(looked, tokenizer)
    counted = _counted(file, looked[np.argmax(own)], bool((own * _NEAR > room).any()), tokenizer, server)
    tokens = np.ceil(counted.template_tokens + own * counted.ratio).astype(np.int64)
    over = tokens > room
    if not over.any():
        return file, context
    where = [file.rows.where(int(file.places[line])) for line in looked[over][:_NAMED].tolist()]
    sum_of = arithmetic(int(tokens[over][0]), int(most[over][0]), context)
    many, of = int(over.sum()), len(np.unique(lines)) if remedy == "refuse" else len(file)
    if remedy == "refuse":
        others = f" ({', '.join(where[1:])}{' and more' if many > _NAMED else ''} too)" if many > 1 else ""
        raise UsageError(
            f"{where[0]}: longer than the model's context: {sum_of}, by {counted.by}; {many:,} of {of:,} prompts are"
            f"{others}: leave them out by --too-long drop, cut them by --too-long clip, or say --context-tokens"
        )
    if remedy == "clip":
        file = _clipped(file, looked[over], (tokens - room)[over], counted.ratio, tokenizer)
        said = "{} of {} prompts of {} were clipped to the model's context, as asked; the first: {}, {}, by {}"
    else:
        keep = np.ones(len(file), bool)
        keep[looked[over]] = False
        if not keep.any():
            raise UsageError(f"{where[0]}: longer than the model's context, as all prompts are: {sum_of}")
        file = file.keeping(keep)
        said = (
            "{} of {} prompts of {} were left out, as asked: longer than the model's context; the first: {}, {}, by {}"
        )
    notes.append(phrase(said, many, of, file.path, where[0], sum_of, counted.by))
    return file, context


def _counted(file: PromptFile, line: int, near: bool, tokenizer: Tokenizer, server: Server | None) -> Counted:
    """How the server counts the prompts: by a piece of one of them, where that may matter."""
    template = (server.template_tokens if server else None) or 0
    if tokenizer.packaged and near and server is not None and server.template_tokens is not None:
        piece = "\n".join(texts_of(file.prompts[line])[0])[:_PIECE]
        ours, theirs = tokenizer.count(piece), server.count(piece) if piece else None
        ratio = ((theirs or 0) - template) / max(1, ours)
        if _LEAST_RATIO <= ratio <= _MOST_RATIO:
            return Counted(template, ratio, phrase("the server's count of a piece of them"))
    return Counted(template, 1.0, phrase("the tokenizer {}", tokenizer.name))


def _clipped(
    file: PromptFile, lines: NDArray[np.int64], excess: NDArray[np.int64], ratio: float, tokenizer: Tokenizer
) -> PromptFile:
    """The file with some of its lines cut by so many tokens of the server."""
    prompts = list(file.prompts)
    for line, many in zip(lines.tolist(), excess.tolist(), strict=True):
        cut = clipped(prompts[line], math.ceil(many / ratio) + 1, tokenizer)
        if cut is None:
            where = file.rows.where(int(file.places[line]))
            raise UsageError(f"{where}: no text of it is long enough to be clipped to the context: --too-long drop")
        prompts[line] = cut
    return file.with_prompts(tuple(prompts))
