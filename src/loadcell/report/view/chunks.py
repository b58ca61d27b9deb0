"""Tokens that come several at a time: how many in an event, the time for each, and what was guessed of them."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Result
from loadcell.metrics.model import ItlByToken, Speculation, TokensPerChunk
from loadcell.report.view.blocks import Fact, fact, told
from loadcell.report.words import Words


def chunks(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """A line each: what events hold where that is more than a token, ITL by token, and speculative decoding."""
    t, found = words.say, result.tokens_per_chunk
    if found is not None and found.several:
        yield fact(t("Chunks"), *([_mean(found, words)] if short else _distribution(found, words)))
    if (by_token := result.itl_by_token) is not None:
        yield fact(words.metric("itl_by_token").title, *_by_token(by_token, words, short=short))
    for one in result.speculation[:1] if short else result.speculation:
        yield fact(t("Speculation"), *_speculation(one, words, short=short))


def _mean(found: TokensPerChunk, words: Words) -> str:
    return words.say("{n} tokens each: ITL is the time between chunks", n=words.figure(found.mean, 3))


def _distribution(found: TokensPerChunk, words: Words) -> Iterator[str]:
    t = words.say
    yield _mean(found, words)
    if found.max is None:
        yield t("the server does not tell how many each holds")
        return
    known = (("p50", found.p50), ("p90", found.p90), (t("max"), found.max))
    yield " ".join(f"{name} {words.count(n)}" for name, n in known if n is not None)
    yield t("{share} hold more than one", share=words.percent(found.several_share))


def _by_token(found: ItlByToken, words: Words, *, short: bool) -> Iterator[str]:
    t = words.say
    known = ((t("mean"), found.mean_ms), ("p50", found.p50_ms), ("p90", found.p90_ms), ("p99", found.p99_ms))
    yield f"{' '.join(f'{name} {words.figure(ms, 3)}' for name, ms in known if ms is not None)} ms"
    if found.assumed_share and not short:
        yield t("{share} of the tokens spread evenly over their reply", share=words.percent(found.assumed_share))


def _speculation(one: Speculation, words: Words, *, short: bool) -> Iterator[str]:
    t = words.say
    rate, guessed, steps = words.percent(one.acceptance_rate), one.draft_tokens, one.steps
    if guessed == 0:
        yield t("no token was guessed")
    elif one.acceptance_rate is not None:
        yield (
            t("{share} of guessed tokens held", share=rate)
            if guessed is None
            else t("{share} of {n} guessed tokens held", share=rate, n=words.count(guessed))
        )
    if one.acceptance_length is not None:
        length = words.figure(one.acceptance_length, 3)
        yield (
            t("{n} tokens a step", n=length)
            if steps is None
            else t("{n} tokens a step, {steps} steps", n=length, steps=words.count(steps))
        )
    known = one.acceptance_rate is not None or one.acceptance_length is not None or guessed == 0
    if short and (known or one.note is None):
        return
    if one.by_position:
        yield t("by position {shares}", shares=" ".join(words.percent(share) for share in one.by_position))
    source = told(one.source, words)
    yield (
        t("by {source}", source=source)
        if one.requests is None
        else t("by {source}, {n} requests", source=source, n=words.count(one.requests))
    )
    if one.note is not None:
        yield told(one.note, words)
