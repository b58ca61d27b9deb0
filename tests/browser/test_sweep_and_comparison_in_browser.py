"""The pages of sweeps and comparisons in a real browser: drawn without complaint, with tooltips, at every width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from made_comparison import hostile, make_comparison, make_gate, make_noise
from made_detail import made_detail
from made_sweep import make_grid, make_search
from made_sweeps import category_grid, mixed_grid

from loadcell.report.compare import comparison_page
from loadcell.report.sweep import sweep_page
from loadcell.report.words import words_for

WORDS = words_for("en")
HOSTILE = "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=1'>\"'); {{ 7*7 }} \u202e"
DETAILS = {"A": made_detail(), "B": made_detail()}
Open = Callable[..., Any]


def comparison() -> str:
    found = make_comparison(gates=[make_gate()], noise=make_noise())
    return comparison_page(found, DETAILS, WORDS)


PAGES = {
    "search": lambda: sweep_page(make_search(), WORDS, source="sweeps/one"),
    "grid": lambda: sweep_page(make_grid(), WORDS, source="sweeps/one"),
    "mixed-grid": lambda: sweep_page(mixed_grid(), WORDS),
    "forty-stages": lambda: sweep_page(make_grid(tuple(float(i) for i in range(1, 41))), WORDS),
    "categories": lambda: sweep_page(category_grid(), WORDS),
    "comparison": comparison,
    "three-sides": lambda: comparison_page(make_comparison("ABC"), DETAILS, WORDS),
    "noise": lambda: comparison_page(make_comparison("", noise=make_noise()), {}, WORDS),
}  # fmt: skip


def drawn(opened: Any) -> None:
    """Wait until every chart was drawn; fail if one was not."""
    figures = opened.page.locator("figure[data-state]")
    for i in range(figures.count()):
        figures.nth(i).scroll_into_view_if_needed()
    opened.page.wait_for_selector("figure[data-state=waiting]", state="detached")
    assert opened.page.locator("figure[data-state=failed]").count() == 0
    opened.page.evaluate("scrollTo(0, 0)")


@pytest.mark.parametrize("kind", PAGES)
def test_it_is_drawn_without_complaint(kind: str, open_page: Open) -> None:
    opened = open_page(PAGES[kind]())
    drawn(opened)
    opened.shot("light")
    opened.shot("full-light")
    assert opened.complaints == []


@pytest.mark.parametrize("kind", ["search", "comparison"])
def test_it_fits_a_phone_and_is_dark_where_asked(kind: str, open_page: Open) -> None:
    opened = open_page(PAGES[kind](), width=390, height=844, dark=True)
    drawn(opened)
    opened.shot("phone-dark")
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert opened.complaints == []


@pytest.mark.parametrize(
    ("kind", "chart", "says"),
    [("search", "attainment", "Attainment, 95 % interval"), ("comparison", "differences", "95 % interval")],
)
def test_a_mark_tells_its_figures(kind: str, chart: str, says: str, open_page: Open) -> None:
    opened = open_page(PAGES[kind]())
    drawn(opened)
    marks = opened.page.locator(f"#chart-{chart} svg .mark-symbol.role-mark path")
    marks.first.scroll_into_view_if_needed()
    marks.first.hover(force=True)
    tooltip = opened.page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert says in tooltip.inner_text()
    opened.shot("tooltip")


@pytest.mark.parametrize("page", ["sweep", "comparison"])
def test_nothing_of_a_foreign_string_runs(page: str, open_page: Open) -> None:
    sweep, comparison = category_grid(HOSTILE), hostile()
    html = sweep_page(sweep, WORDS, source=HOSTILE) if page == "sweep" else comparison_page(comparison, DETAILS, WORDS)
    opened = open_page(html)
    drawn(opened)
    assert opened.page.evaluate("window.pwned") is None
    assert opened.page.locator("img").count() == 0
    assert opened.complaints == []
