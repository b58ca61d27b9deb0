"""How many tokens a reply holds, where several sources tell: the one that agrees with the others is taken.

A server's usage is one witness, what its events tell another, their number a third; the text, counted by the spec's
tokenizer, bears out one of them. A tokenizer is not the server's own, so that it settles only what is far apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from typing import NamedTuple

from loadcell.kinds import TOKENIZER_TOLERANCE
from loadcell.protocol.callable import Spoken
from loadcell.protocol.endings import LIMIT
from loadcell.protocol.reply import Reply
from loadcell.protocol.values import MOST_TOKENS

Answer = Reply | Spoken
"""Of a server, or of a callable in its place."""

_EVENTS_TOLERANCE = 1.25
"""How far the text may be off to bear out the number of events: a token each is a guess."""
_CONTRADICTED = 3.0
"""Beyond this a text alone stands against a usage."""
_FEW = 1
"""Tokens that a count and that of the text may be apart in any case."""
_BYTES_A_TOKEN = 16
"""A token of text has from one byte to this many on average."""


class Evidence(NamedTuple):
    """What a reply tells of its length."""

    usage: int | None
    """By its usage; None where that tells nothing, or holds other outputs too."""
    reasoning: int | None
    """Reasoning tokens by its usage."""
    shown: bool
    """Whether its reasoning came as text."""
    told: int | None
    """Sum of what its events tell, and whose word that is: stream (running counts) or ids."""
    told_by: str | None
    events: int
    """Events with output; 0 where it was not streamed."""
    limit: int | None
    """Tokens asked for, where the server says that it made them all."""
    size: int
    """Bytes of its text where it was not streamed."""


class Text(NamedTuple):
    """A reply's text by a tokenizer."""

    tokens: int
    words: int
    """Parts between spaces."""


class Count(NamedTuple):
    """Output tokens of a reply; None where nothing tells them."""

    tokens: int | None
    source: str | None
    """usage, stream, ids, events, tokenizer or chunks."""
    before: int = 0
    """Of these: tokens of reasoning that is not in the stream, all before its first output."""
    sure: bool = True
    """False: the count of the text could still change it."""

    @property
    def came(self) -> int:
        """Tokens that came."""
        return (self.tokens or 0) - self.before


def evidence(reply: Answer, asked: int | None) -> tuple[Evidence, list[int | None]]:
    """What a reply tells of its length, and what each event tells of its own.

    `asked` tokens were asked for, if that is known.
    """
    usage, each, holds = reply.usage, reply.tokens, reply.outputs()
    outputs = holds.count(1)
    claimed = None if usage is None or reply.indexes else usage.output_tokens
    told: int | None = None
    if reply.token_source is not None and outputs:
        known = [tokens for tokens in compress(each, holds) if tokens is not None]
        told = sum(known) if len(known) == outputs else None
        # It does not count along: each event may tell its own tokens.
        if told is not None and known.count(0) * 4 > len(known):
            told = sum(reply.running) if len(reply.running) == outputs and all(reply.running) else None
            each, running = [None] * len(each), iter(reply.running)
            if told is not None:
                each = [next(running) if holds_one else None for holds_one in holds]
    told = told if told is not None and told < MOST_TOKENS else None
    return Evidence(
        usage=None if claimed == 0 and outputs else claimed,
        reasoning=usage.reasoning_tokens if usage else None,
        shown=bool(reply.reasoning or reply.others),
        told=told or None,
        told_by=reply.token_source if told else None,
        events=outputs if reply.streamed and reply.sound is None else 0,
        limit=asked if reply.finish_reason in LIMIT else None,
        size=0 if reply.streamed or not outputs else len(reply.text().encode()),
    ), each


def count(told: Evidence, text: Text | None = None) -> Count:
    """The count that the others bear out; without the `text` what can be said before it is counted."""
    found = _without_text(told)
    if found.sure or text is None or not text.tokens:
        return found
    readings = list(_readings(told))
    if readings:
        best = min(readings, key=lambda reading: _apart(reading.came, text.tokens))
        if _agrees(best.came, text.tokens, TOKENIZER_TOLERANCE) or 0 < told.events <= best.came <= text.tokens:
            return best
    if told.told is not None and _agrees(told.told, text.tokens, _EVENTS_TOLERANCE):
        return Count(told.told, told.told_by)
    if _bears_out_events(told.events, text):
        return Count(told.events, "events")
    if not readings or _apart(readings[0].came, text.tokens) > _CONTRADICTED:
        return Count(text.tokens, "tokenizer")
    return readings[0]


def _bears_out_events(events: int, text: Text) -> bool:
    """Whether each event may well hold a token: no more words than events, and a tokenizer that splits words more."""
    if not events:
        return False
    return _agrees(events, text.tokens, _EVENTS_TOLERANCE) or (
        text.words <= events <= text.tokens <= _CONTRADICTED * events
    )


def _without_text(told: Evidence) -> Count:
    """What can be said before the text is counted: sure where two sources agree."""
    readings = list(_readings(told))
    for reading in readings:
        if _near(reading.came, told.events) or (told.told is not None and _near(reading.tokens, told.told)):
            return reading
    if told.limit is not None and _near(told.limit, told.events):
        return Count(told.events, "events")
    if readings:
        tokens = readings[0].came
        return readings[0]._replace(sure=not told.events and tokens <= told.size <= _BYTES_A_TOKEN * tokens)
    if told.told is not None:
        return Count(told.told, told.told_by)
    some = bool(told.events or told.size)
    return Count(told.events or None, "chunks" if some else None, sure=not some)


def _readings(told: Evidence) -> Iterator[Count]:
    """What a usage can mean: servers differ in whether it holds the reasoning, and not all send that."""
    if told.usage is None:
        return
    yield Count(told.usage, "usage")
    if told.reasoning and told.shown:
        yield Count(told.usage + told.reasoning, "usage")
    elif told.reasoning and told.events and told.usage > told.reasoning:
        yield Count(told.usage, "usage", before=told.reasoning)


def _near(tokens: int | None, events: int) -> bool:
    """Whether there is an event a token, but for the last that a server may keep back."""
    return bool(events) and tokens is not None and -0.02 * tokens <= tokens - events <= max(1.0, 0.03 * tokens)


def _agrees(tokens: int, text: int, tolerance: float) -> bool:
    return abs(tokens - text) <= _FEW or _apart(tokens, text) <= tolerance


def _apart(one: int, other: int) -> float:
    """The larger of two counts over the smaller."""
    return max(one, other) / max(1, min(one, other))
