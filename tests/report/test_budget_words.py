"""What the instrument leaves open of a figure, in words."""

from __future__ import annotations

import pytest

from loadcell.metrics.model import Budget
from loadcell.report.budget import budget_text, left_open


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (20.0, 19.984, 20.0, "\N{MINUS SIGN}0.08 %…0"), (20.0, 20.0, 20.0, "0"),
        (5.0, 4.9, 5.1, "\N{MINUS SIGN}2 %…+2 %"),
        (60.0, 60.0, 60.6, "0…+1 %"), (0.0, 0.0, 0.3, "0…0.30"),
    ],
)  # fmt: skip
def test_a_budget_as_a_part_of_its_figure(value: float, low: float, high: float, text: str) -> None:
    assert budget_text(value, Budget(low=low, high=high)) == text


def test_only_what_is_not_valid_is_marked() -> None:
    assert left_open(20.0, Budget(low=19.9, high=20.0)) == ""
    assert left_open(13.1, Budget(low=4.1, high=13.1)) == "\N{MINUS SIGN}9.0 ms"
    assert left_open(10.0, Budget(low=9.0, high=12.0)) == "\N{MINUS SIGN}1.0…+2.0 ms"
    assert left_open(None, Budget(low=1.0, high=2.0)) == left_open(2.0, None) == ""
    assert left_open(19.55, Budget(low=16.05, high=19.55017)) == "\N{MINUS SIGN}3.5 ms"
