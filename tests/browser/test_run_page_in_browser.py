"""The page of a run in a real browser: drawn, explained, in both themes, on paper, on a phone, deaf to strangers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from made_detail import made_detail
from made_page import HOSTILE, hostile_result, made_result
from playwright.sync_api import Page, expect

from loadcell.metrics import Result
from loadcell.report.run import run_page
from loadcell.report.words import words_for

Open = Callable[..., Any]
EN = words_for("en")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return made_result(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def html(result: Result) -> str:
    return run_page(result, made_detail(), EN, source="runs/chat")


def drawn(page: Page) -> None:
    """Wait until every chart is drawn."""
    expect(page.locator("figure[data-state=waiting]")).to_have_count(0, timeout=60_000)
    expect(page.locator("figure[data-state=failed]")).to_have_count(0)
    assert page.locator("figure[data-state=drawn] svg").count() == page.locator("figure .plot").count() > 0


def test_every_chart_is_drawn_and_nothing_complains(open_page: Open, html: str) -> None:
    opened = open_page(html)
    drawn(opened.page)
    opened.shot("first-screen")
    opened.shot("full")
    assert opened.complaints == []
    box = opened.page.locator(".cards").bounding_box()
    assert box["y"] + box["height"] <= 800  # the answers need no scrolling


def test_a_chart_tells_what_is_under_the_pointer(open_page: Open, html: str) -> None:
    opened = open_page(html)
    drawn(opened.page)
    opened.page.locator("#chart-time-parts svg path[aria-roledescription]").first.hover(force=True)
    tooltip = opened.page.locator("#vg-tooltip-element.visible")
    expect(tooltip).to_be_visible()
    assert tooltip.inner_text().strip()
    opened.shot("tooltip")
    assert opened.complaints == []


def test_definitions_come_by_pointer_and_by_keyboard(open_page: Open, html: str) -> None:
    opened = open_page(html)
    term, box = opened.page.locator(".card a.term").first, opened.page.locator("#definition")
    expect(box).to_be_hidden()
    term.hover()
    expect(box).to_be_visible()
    expect(box).to_contain_text("Time to first token")
    opened.shot("definition")
    opened.page.mouse.move(5, 790)
    expect(box).to_be_hidden()
    term.focus()
    expect(box).to_contain_text("Time to first token")
    assert term.get_attribute("aria-describedby") == "definition"
    opened.page.keyboard.press("Escape")
    expect(box).to_be_hidden()


def test_a_tap_defines_too(open_page: Open, html: str) -> None:
    opened = open_page(html, width=390, height=844, has_touch=True)
    opened.page.locator(".card a.term").first.tap()
    expect(opened.page.locator("#definition")).to_contain_text("Time to first token")
    assert "#" not in opened.page.url


def test_the_theme_changes_the_page_and_its_charts(open_page: Open, html: str) -> None:
    opened = open_page(html)
    page, button = opened.page, opened.page.locator("#theme")
    drawn(page)

    def look() -> tuple[str, str]:
        colour = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        return colour, page.locator("#chart-ecdf svg").evaluate("svg => svg.innerHTML")

    before = look()
    button.click()  # auto, then light
    button.click()
    expect(page.locator("figure[data-state=drawn]:not([data-theme=dark])")).to_have_count(0, timeout=30_000)
    after = look()
    assert before[0] == "rgb(255, 255, 255)" and after[0] != before[0] and after[1] != before[1]
    opened.shot("dark")
    assert opened.complaints == []


def test_a_dark_system_gets_a_dark_page(open_page: Open, html: str) -> None:
    opened = open_page(html, dark=True)
    drawn(opened.page)
    expect(opened.page.locator("figure[data-theme=dark]").first).to_be_visible()
    assert opened.page.locator("body").evaluate("b => getComputedStyle(b).backgroundColor") == "rgb(14, 17, 22)"


def test_a_phone_need_not_scroll_sideways(open_page: Open, html: str) -> None:
    opened = open_page(html, width=390, height=844)
    drawn(opened.page)
    opened.shot("phone")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.complaints == []


def test_charts_follow_the_width_of_the_window(open_page: Open, html: str) -> None:
    opened = open_page(html)
    drawn(opened.page)
    opened.page.set_viewport_size({"width": 700, "height": 800})
    svg = opened.page.locator("#chart-ecdf svg")
    expect(svg).not_to_have_attribute("width", re.compile(r"^1\d\d\d"))
    opened.page.wait_for_timeout(1500)
    assert 560 < svg.bounding_box()["width"] <= 660
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 700


def test_it_can_be_printed(open_page: Open, html: str) -> None:
    opened = open_page(html, dark=True)
    drawn(opened.page)
    pdf = opened.page.pdf(format="A4", prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF") and 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) < 30
    opened.page.emulate_media(media="print")
    assert opened.page.locator("body").evaluate("b => getComputedStyle(b).backgroundColor") == "rgb(255, 255, 255)"
    expect(opened.page.locator(".contents")).to_be_hidden()


def test_nothing_of_a_stranger_runs(open_page: Open, result: Result) -> None:
    detail = made_detail(missing=[HOSTILE], thinned=[HOSTILE])
    opened = open_page(run_page(hostile_result(result), detail, EN, source=HOSTILE))
    drawn(opened.page)
    opened.shot("hostile")
    assert opened.page.evaluate("window.pwned === undefined")
    assert opened.complaints == []  # no dialog, no request, no violation of the policy
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 1280


def test_commands_can_be_copied(open_page: Open, html: str) -> None:
    opened = open_page(html)
    button = opened.page.locator("button[data-copy=method-1]")
    button.click()
    expect(button).to_have_text("Copied")


def test_without_scripts_every_table_is_there(open_page: Open, html: str) -> None:
    opened = open_page(html, java_script_enabled=False)
    expect(opened.page.locator("noscript, .banner").first).to_be_visible()
    expect(opened.page.locator("#latency table").first).to_be_visible()


def test_spanish_fits_its_place(open_page: Open, result: Result) -> None:
    opened = open_page(run_page(result, made_detail(), words_for("es")), width=390, height=844)
    drawn(opened.page)
    opened.shot("spanish")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
