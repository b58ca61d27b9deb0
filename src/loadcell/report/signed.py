"""Differences with their sign and findings, as people read them."""

from __future__ import annotations

from loadcell.compare.model import Change
from loadcell.report.text import MISSING
from loadcell.report.words import Words

_MINUS = "\N{MINUS SIGN}"


def signed(value: float, words: Words) -> str:
    """Hundredths with a sign: three digits, no more than two decimals."""
    points = abs(value) * 100
    text = f"{points:,.0f}" if points >= 99.95 else f"{points:.1f}" if points >= 9.995 else f"{points:.2f}"
    sign = "" if not float(text.replace(",", "")) else "+" if value > 0 else _MINUS
    return f"{sign}{words.number(text)}"


def change_words(change: Change, words: Words) -> str:
    """What changed, as in +4.2 % or, for shares, +1.5 points."""
    if change.unit == "share":
        moved = change.difference
        return MISSING if moved is None else words.say("{change} points", change=signed(moved, words))
    return MISSING if change.relative is None else f"{signed(change.relative, words)} %"


def interval_words(change: Change, words: Words) -> str:
    """The 95 % interval of a change; nothing if there is none."""
    if change.low is None or change.high is None:
        return ""
    return words.interval(signed(change.low, words), signed(change.high, words))


def finding_words(finding: str, words: Words) -> str:
    """A finding in the language of the report."""
    return {
        "better": words.say("better"),
        "worse": words.say("worse"),
        "no difference shown": words.say("no difference that matters"),
        "too little data": words.say("too little data"),
    }[finding]
