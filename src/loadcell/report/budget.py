"""The error budget of a figure in words."""

from __future__ import annotations

from collections.abc import Callable

from loadcell.metrics.checks_budget import word_of_figure
from loadcell.metrics.model import Budget
from loadcell.report.text import figure

_MINUS = "\N{MINUS SIGN}"
_SHOWN_END = 0.01
"""Part of the other end below which an end of what is left open is not shown."""


def budget_text(value: float, budget: Budget, number: Callable[[str], str] = str) -> str:
    """What the instrument leaves open of a figure, as a part of it: less 0.08 % to nothing; `number` writes one."""
    if not value:
        return f"0…{number(figure(budget.high, 2))}"
    low, high = (number(_signed(100 * (end / value - 1))) for end in (budget.low, budget.high))
    return f"{low}…{high}" if low != high else high


def _signed(percent: float) -> str:
    shown = round(percent, 2)
    return "0" if not shown else f"{_MINUS if shown < 0 else '+'}{abs(shown):g} %"


def left_open(
    value: float | None, budget: Budget | None, *, scale: float | None = None, number: Callable[[str], str] = str
) -> str:
    """How far in ms the instrument leaves a figure open whose budget is not VALID; else nothing."""
    if value is None or budget is None or word_of_figure(value, budget, ms=True, scale=scale) == "VALID":
        return ""
    below, above = value - budget.low, budget.high - value
    least = _SHOWN_END * max(below, above)  # a hundredth of the other end says nothing
    ends = [f"{_MINUS}{figure(below, 2)}"] if below > least else []
    ends += [f"+{figure(above, 2)}"] if above > least else []
    return f"{'…'.join(map(number, ends))} ms"
