"""What users did beside waiting, as facts."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Abandoned, Result
from loadcell.report.view.blocks import Cell, Fact, fact
from loadcell.report.words import Words


def behaved(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """Who gave up and when, who read slowly, and what the server made of it."""
    found, t = result.behaved, words.say
    if found is None:
        return
    gone = found.abandoned
    if gone is not None:
        yield fact(t("Gave up"), *_gone(gone, words, short=short))
        if gone.ttft_ms:
            yield t("TTFT with them"), list(_with_them(gone, words))
    if found.slow is not None:
        slow = found.slow
        parts = [t("{ok} of {n} ok", ok=words.count(slow.ok), n=words.count(slow.requests))]
        if slow.e2e_s is not None and slow.alone_e2e_s is not None:
            parts.append(
                t(
                    "E2E {a} s at p50, of the others {b} s",
                    a=words.figure(slow.e2e_s, 3),
                    b=words.figure(slow.alone_e2e_s, 3),
                )
            )
        yield fact(t("Slow readers"), *parts)
    if found.noticed is not None and not short:
        told = found.noticed
        yield fact(
            t("Work for nobody"),
            t(
                "{share} of what was left of requests given up [{low}, {high}]",
                share=words.percent(told.share),
                low=words.percent(told.low),
                high=words.percent(told.high),
            ),
            t("{n} looks at the server's page", n=words.count(told.looks)),
        )


def _gone(gone: Abandoned, words: Words, *, short: bool) -> Iterator[str]:
    t = words.say
    names = {"time": t("after a time"), "tokens": t("after tokens"), "patience": t("for want of patience")}
    yield ", ".join(f"{words.count(count)} {names.get(why, why)}" for why, count in gone.by.items())
    yield t("{n} of them before the first output", n=words.count(gone.before_first))
    if short:
        return
    if gone.output_tokens is not None:
        yield t("they had received {n} output tokens", n=words.count(round(gone.output_tokens)))
    if gone.late is not None and gone.late.max_ms is not None:
        yield t("connections closed late by {ms} ms at most", ms=words.figure(gone.late.max_ms, 3))


def _with_them(gone: Abandoned, words: Words) -> Iterator[Cell]:
    t = words.say
    for name, one in gone.ttft_ms.items():
        if one.value is None:
            yield Cell(t("{name} beyond what enough users waited for", name=name))
            break
        low, high = (words.figure(end, 3) for end in (one.low, one.high))
        ends = t("{low} or more", low=low) if one.high is None else f"{low}, {high}"
        yield Cell(f"{name} {words.figure(one.value, 4)} ms [{ends}]")
    anchor = t("response time") if gone.ttft_anchor == "response" else t("service time")
    yield Cell(t("{anchor}, by Kaplan and Meier", anchor=anchor))
