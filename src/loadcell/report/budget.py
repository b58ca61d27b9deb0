"""The error budget of a figure in words, for the console."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Result
from loadcell.metrics.checks_budget import ALONE, JUDGED, figures_of, word_of_figure
from loadcell.metrics.model import Budget
from loadcell.report.latencies import latency_rows
from loadcell.report.text import figure

_MINUS = "\N{MINUS SIGN}"
_SHOWN_END = 0.01
"""Part of the other end below which an end of what is left open is not shown."""
_NAMES = {"p99_9": "p99.9"}


def budget_text(value: float, budget: Budget) -> str:
    """What the instrument leaves open of a figure, as a part of it: less 0.08 % to nothing."""
    if not value:
        return f"0…{figure(budget.high, 2)}"
    low, high = (_signed(100 * (end / value - 1)) for end in (budget.low, budget.high))
    return f"{low}…{high}" if low != high else high


def _signed(percent: float) -> str:
    shown = round(percent, 2)
    return "0" if not shown else f"{_MINUS if shown < 0 else '+'}{abs(shown):g} %"


def mark(value: float | None, budget: Budget | None, *, unit: str = "ms", scale: float | None = None) -> str:
    """What is to stand behind a figure whose budget is not VALID: (instrument: less 9 ms); else nothing."""
    off = left_open(value, budget, unit=unit, scale=scale)
    return f"(instrument: {off})" if off else ""


def left_open(value: float | None, budget: Budget | None, *, unit: str = "ms", scale: float | None = None) -> str:
    """How far the instrument leaves a figure open whose budget is not VALID; else nothing."""
    if value is None or budget is None or word_of_figure(value, budget, ms=unit == "ms", scale=scale) == "VALID":
        return ""
    below, above = value - budget.low, budget.high - value
    least = _SHOWN_END * max(below, above)  # a hundredth of the other end says nothing
    ends = [f"{_MINUS}{figure(below, 2)}"] if below > least else []
    ends += [f"+{figure(above, 2)}"] if above > least else []
    return f"{'…'.join(ends)} {unit}"


def budget_lines(result: Result) -> Iterator[str]:
    """A line for each latency and one for the rates: what the instrument leaves open of what is judged, then marks."""
    for title, summary in latency_rows(result.latency):
        found = figures_of(summary)
        known = [(name, *found[name]) for name in JUDGED]
        told = [f"{name} {budget_text(v, b)}" for name, v, b in known if v is not None and b is not None]
        marks = [
            f"{_NAMES.get(name, name)} {figure(found[name][0])} {text}"
            for name in ALONE
            if (text := mark(*found[name], scale=summary.mean))
        ]
        if told:
            yield f"{title}: {' · '.join([*told, *marks])}"
    rates = result.throughput
    pairs = (
        ("requests/s", rates.requests_per_s, rates.requests_budget),
        ("output tokens/s", rates.output_tokens_per_s, rates.output_tokens_budget),
    )
    told = [f"{name} {budget_text(v, b)}" for name, v, b in pairs if v is not None and b is not None]
    if told:
        yield " · ".join(told)
