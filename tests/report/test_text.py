from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.metrics import Share
from loadcell.report.text import figure, percent, plain, share_with_interval


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "n/a"), (0, "0"), (0.04321, "0.04321"), (1.5, "1.500"), (9.9996, "10.00"), (50.104, "50.10"),
     (230, "230.0"), (1379.4, "1,379"), (123456.7, "123,457"), (-0.2, "-0.2000")],
)  # fmt: skip
def test_figures_have_four_significant_digits(value: float | None, text: str) -> None:
    assert figure(value) == text


@given(st.floats(1e-6, 1e6))
def test_a_figure_is_near_its_value(value: float) -> None:
    assert float(figure(value, grouped=False)) == pytest.approx(value, rel=5.1e-4)


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "n/a"), (0, "0 %"), (1, "100 %"), (0.985, "98.5 %"), (0.9999, "99.99 %"), (0.0004, "0.04 %"),
     (1e-9, "< 0.0001 %"), (1 - 1e-9, "> 99.9999 %")],
)  # fmt: skip
def test_a_share_is_never_rounded_to_all_or_nothing(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_a_share_shows_its_interval() -> None:
    assert share_with_interval(Share(value=0.985, low=0.971, high=0.993)) == "98.5 % [97.1, 99.3]"
    assert share_with_interval(Share(value=None, low=None, high=None)) == "n/a"


@given(st.text())
def test_foreign_words_cannot_steer_the_terminal(words: str) -> None:
    shown = plain(words)
    assert shown.isprintable() and len(shown) <= 300


def test_an_escape_sequence_is_made_visible() -> None:
    assert plain("a\x1b[31mred\nline") == "a\N{REPLACEMENT CHARACTER}[31mred line"
