"""Figures of a Result in the words of a page."""

from __future__ import annotations

import msgspec

from loadcell.metrics import Estimate, Interval, Share, Spread, Summary
from loadcell.metrics.imported import NOT_TOLD, TOLD, UNPLACED
from loadcell.metrics.interval import PERMILLE, shown_from
from loadcell.metrics.model import Budget
from loadcell.report.budget import left_open
from loadcell.report.text import (
    MISSING,
    bound_digits,
    ends,
    estimate_text,
    grouped,
    interval_decimals,
    share_with_interval,
)
from loadcell.report.view.blocks import Cell
from loadcell.report.words import Words

_DASH = "\N{EN DASH}"
_OF_IMPORTS = {UNPLACED: "", TOLD: ""}
"""What stands below a figure without an interval where it is for no queue that grows: it is said of all, once."""


class Figure(msgspec.Struct, frozen=True):
    """A figure with its unit, and what stands below it: its interval, or why there is none."""

    value: str
    unit: str = ""
    under: str = ""

    def cell(self, **more: str) -> Cell:
        """As a cell of a table or a tile; `more` as its fields."""
        tone = "" if self.known else "dim"
        return Cell(self.value, kind="figure", unit=self.unit, under=self.under, tone=tone, **more)  # type: ignore[arg-type]

    @property
    def known(self) -> bool:
        """False where there is no value."""
        return self.value != MISSING


def count(number: int | None, words: Words) -> str:
    """A whole number, without decimals."""
    return words.figure(number, max(1, len(str(number))))


def moment(at: str) -> str:
    """A time in UTC, ISO 8601, as people read it."""
    return at.replace("T", " ").replace("+00:00", " UTC")


def asked(number: float, words: Words) -> str:
    """A number that somebody chose, with the digits that it has: 10, 2.5, 4,000."""
    digits = f"{abs(number):.6g}".partition("e")[0].replace(".", "").lstrip("0")
    return words.figure(number, max(1, len(digits)))


def between(low: float | None, high: float | None, words: Words, value: float | None = None) -> str:
    """An interval, as in 65.7-70.9, of a figure; one-sided where an end is missing, nothing where both are."""
    if low is not None and high is not None:
        return _DASH.join(words.number(end) for end in ends(low, high))
    if low is not None:
        return f"≥ {words.figure(low, bound_digits(low, value))}"
    return "" if high is None else f"≤ {words.figure(high, bound_digits(high, value))}"


def estimated(
    estimate: Estimate,
    words: Words,
    unit: str = "ms",
    n: int | None = None,
    name: str = "",
    *,
    marked: bool = False,
    scale: float | None = None,
) -> Figure:
    """A percentile with its 95 % interval, or with what is missing for it; `name` is that of the percentile.

    What the instrument leaves open of it is told of one in ms, or `marked`; `scale` as `checks_budget.word_of_figure`.
    """
    if estimate.value is not None:
        value, mark, _ = estimate_text(estimate)
        whole = f"{words.number(grouped(value)) if '.' in value else words.figure(estimate.value)}{mark}"
        if estimate.caveat:
            return Figure(whole, unit, words.say(_OF_IMPORTS.get(estimate.caveat, "queue grows")))
        left = left_open_words(estimate.value, estimate.budget, words, scale) if unit == "ms" or marked else ""
        return Figure(whole, unit, f"{between(estimate.low, estimate.high, words, estimate.value)} {left}".strip())
    if estimate.withheld == NOT_TOLD:
        return Figure(MISSING)
    if n == 0:
        return Figure(MISSING, under=words.say("no samples"))
    if estimate.withheld:
        return Figure(MISSING, under=words.say("withheld"))
    if name:
        return Figure(MISSING, under=f"n<{count(shown_from(PERMILLE[name]), words)}")
    if estimate.needs:
        return Figure(MISSING, under=words.say("needs n = {n}", n=count(estimate.needs, words)))
    return Figure(MISSING)


def left_open_words(value: float | None, budget: Budget | None, words: Words, scale: float | None = None) -> str:
    """What stands behind a figure in ms that the instrument leaves open; nothing where it does not."""
    off = left_open(value, budget, scale=scale, number=words.number)
    return words.say("(instrument: {off})", off=off) if off else ""


def averaged(summary: Summary, words: Words) -> Figure:
    """The mean with its 95 % interval."""
    within = summary.mean_interval
    if summary.mean is None or within is None:
        return Figure(words.figure(summary.mean))
    digits = interval_decimals(within.low, within.high)
    return Figure(words.number(f"{summary.mean:,.{digits}f}"), "", between(within.low, within.high, words))


def rate(value: float | None, interval: Interval | None, unit: str, words: Words) -> Figure:
    """A rate with its 95 % interval."""
    if value is None:
        return Figure(MISSING)
    return Figure(words.figure(value), unit, between(interval.low, interval.high, words) if interval else "")


def bracketed(interval: Interval | None, words: Words) -> str:
    """An interval behind its figure in a line, with a space before it; nothing if there is none."""
    if interval is None:
        return ""
    low, high = (words.number(end) for end in ends(interval.low, interval.high))
    return f" {words.interval(low, high)}"


def share_in_brackets(found: Share, words: Words, beside: float | None = None) -> str:
    """A proportion with its interval in a line, as in 98.5 % [97.1, 99.3]."""
    whole = share_with_interval(found, beside)
    value, bracket, interval = whole.partition(" [")
    if not bracket:
        return words.number(whole)
    return f"{words.number(value)} {words.interval(*map(words.number, interval.removesuffix(']').split(', ')))}"


def spread(found: Spread, words: Words) -> str:
    """The 99th percentile of a delay, or its maximum where there are too few samples."""
    if found.p99_ms is not None:
        return f"p99 {words.figure(found.p99_ms, 3)} ms"
    return words.say(MISSING) if found.max_ms is None else f"{words.say('max')} {words.figure(found.max_ms, 3)} ms"


def span(seconds: float | None, words: Words) -> str:
    """A length of time, as in 42 s, 3 min 12 s or 1 h 05 min."""
    if seconds is None:
        return words.say(MISSING)
    whole = round(seconds)
    if whole < 120:
        return words.say("{s} s", s=str(whole))
    if whole < 7200:
        return words.say("{m} min {s} s", m=str(whole // 60), s=f"{whole % 60:02d}")
    return words.say("{h} h {m} min", h=str(whole // 3600), m=f"{whole // 60 % 60:02d}")
