from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loadcell.metrics import Share
from loadcell.report.render.terminal import facts
from loadcell.report.text import (
    bound_digits,
    figure,
    figure_beside,
    found_alone,
    grouped,
    percent,
    plain,
    share_with_interval,
)
from loadcell.report.view.blocks import Cell, Facts


@pytest.mark.parametrize(
    ("digits", "text"),
    [("1292.20", "1,292.20"), ("1871", "1,871"), ("10.05", "10.05"), ("n/a", "n/a")],
)
def test_digits_are_grouped_as_they_stand(digits: str, text: str) -> None:
    assert grouped(digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "n/a"), (0, "0"), (0.04321, "0.04321"), (1.5, "1.500"), (9.9996, "10.00"), (50.104, "50.10"),
     (230, "230.0"), (1379.4, "1,379"), (123456.7, "123,457"), (-0.2, "-0.2000")],
)  # fmt: skip
def test_figures_have_four_significant_digits(value: float | None, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("bound", "value", "shown"),
    [(240.62, 240.7, "240.6"), (240.62, 241.3, "241"), (8.561, 8.628, "8.56"), (0.99951, 0.9996, "0.9995"),
     (230.4, 230.3, "230.4"), (10.0, 10.0, "10.0"), (20.81, None, "20.8")],
)  # fmt: skip
def test_rounding_never_takes_the_one_end_of_an_interval_past_its_figure(
    bound: float, value: float | None, shown: str
) -> None:
    assert figure(bound, bound_digits(bound, value)) == shown


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


@pytest.mark.parametrize(
    ("share", "beside", "shown"),
    [
        (0.98996, 0.99, "98.996 %"), (0.9904, 0.99, "99.04 %"), (0.99, 0.99, "99 %"), (0.9899999999, 0.99, "< 99 %"),
        (0.95, None, "95 %"), (0.9996, 0.999, "99.96 %"), (1.0, 0.99, "100 %"),
    ],
)  # fmt: skip
def test_a_share_never_prints_as_what_it_is_held_against(share: float, beside: float | None, shown: str) -> None:
    assert percent(share, beside) == shown


def test_a_figure_never_prints_as_its_limit() -> None:
    assert figure_beside(499.98, 500) == "499.98"
    assert figure_beside(500.0, 500) == "500.0"
    assert figure_beside(30.00000001, 30) != "30.00"
    assert figure_beside(12.3, 30) == "12.30"


def test_a_reason_in_a_line_ends_with_its_limit() -> None:
    taken = "server on this machine (same cores): the load took at most 1.4 % of its time (limit 1 %)"
    assert found_alone(f"{taken}: load from another machine (or accept it)") == taken
    assert found_alone("no request succeeded: see the errors") == "no request succeeded: see the errors"


@pytest.mark.parametrize("width", range(24, 60))
def test_a_percent_sign_stays_with_its_number(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), color_system="standard", force_terminal=True)
    said = Cell("98.2 % of 326 kept to it, 2 % did not, 100 % were asked", tone="strong")
    console.print(facts(Facts([("SLO", [said])])))
    text = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())  # type: ignore[attr-defined]
    assert not any(line.strip().startswith("%") for line in text.splitlines())
    assert "98.2 % of 326 kept to it, 2 % did not, 100 % were asked" in " ".join(text.split())
