"""The served listing in a real browser: find, sort, pick two, open one, and run nothing of a stranger's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from made_library import edit_manifest, small_run, small_sweep
from playwright.sync_api import Page, expect

from loadcell.browse import open_server

Open = Callable[..., Any]
HOSTILE = "<img src=x onerror='window.pwned=1'>"
SCRIPT = "</td></script><script>window.pwned=2</script>"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder of everything, served."""
    root = tmp_path_factory.mktemp("runs")
    slo = {"ttft_ms": 60.0}
    small_run(root / "chat" / "fast", day=3, slo=slo, effective={"model": "alpha"})
    small_run(root / "chat" / "slow", day=2, slo=slo, slower_ms=200, effective={"model": "beta"})
    small_run(root / "few", day=1, n=8, slower_ms=90, load={"concurrency": 4})
    for number in (1, 2):
        small_run(root / "again" / str(number), day=4 + number)
    small_sweep(root / "grid", day=9)
    small_run(root / "newer")
    edit_manifest(root / "newer", format=99)
    small_run(root / HOSTILE.replace("/", ""), day=8, effective={"model": SCRIPT})
    small_run(root / 'a "b" \n c', day=7)
    with open_server(root, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.url
        server.shutdown()
        thread.join()


def filled(page: Page) -> None:
    """Wait until every row that is shown has its figures."""
    expect(page.locator("tr[data-waiting]:not([hidden]), tr[aria-busy]")).to_have_count(0, timeout=60_000)


def names(page: Page) -> list[str]:
    rows = page.locator("tbody:not([hidden]) tr.head th.c-name")
    return [str(row.get_attribute("data-value")) for row in rows.all()]


def test_the_listing_fills_in_and_complains_of_nothing(open_page: Open, url: str) -> None:
    opened = open_page(url)
    page = opened.page
    filled(page)
    assert set(names(page)) > {"chat/fast", "chat/slow", "few", "again", "newer"}
    dated = [name for name in names(page) if name in ("grid", "again", "chat/fast", "chat/slow", "few")]
    assert dated == ["grid", "again", "chat/fast", "chat/slow", "few"]  # newest first
    fast = page.locator("tr", has=page.locator("th", has_text="fast"))
    expect(fast.locator(".c-ttft_p50")).to_have_text("50.0 ms")
    expect(fast.locator(".badge")).to_have_count(1)
    expect(page.locator("tr", has_text="newer").locator(".said")).to_contain_text("upgrade loadcell")
    expect(page.locator("#progress")).to_have_text("")
    opened.shot("1280")
    assert opened.complaints == []


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False), (390, True)])
def test_it_fits_and_has_a_dark_side(open_page: Open, url: str, width: int, dark: bool) -> None:
    opened = open_page(url, width=width, dark=dark)
    filled(opened.page)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(int(part) for part in ground[4:-1].split(",")) < 80) is dark
    opened.shot(f"full-{width}-{'dark' if dark else 'light'}")
    opened.page.locator("#theme").click()
    opened.page.locator("#theme").click()
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert opened.complaints == []


def test_rows_are_filtered_by_all_words(open_page: Open, url: str) -> None:
    opened = open_page(url)
    page = opened.page
    box = page.locator("#filter")
    box.fill("chat")
    assert names(page) == ["chat/fast", "chat/slow"]
    box.fill("BETA  chat")
    assert names(page) == ["chat/slow"]
    expect(page.locator("#shown")).to_contain_text("1 of ")
    box.fill("concurrency-2")  # a stage that is folded away
    assert names(page) == ["grid"]
    box.fill("nothing of this kind")
    assert names(page) == []
    expect(page.locator("#none")).to_be_visible()
    box.fill("4 users few")
    page.reload()
    assert names(page) == ["few"] and page.locator("#filter").input_value() == "4 users few"
    assert opened.complaints == []


def test_rows_are_sorted_by_figures_with_missing_ones_last(open_page: Open, url: str) -> None:
    opened = open_page(url)
    page = opened.page
    filled(page)
    known = {"chat/fast": 50.0, "few": 140.0, "chat/slow": 250.0}
    for least_first in (True, False):
        page.get_by_role("button", name="TTFT p50").click()
        found = [name for name in names(page) if name in known]
        assert found == sorted(known, key=lambda name: known[name], reverse=not least_first)
        assert set(names(page)[-2:]) == {"grid", "newer"}
    expect(page.locator("thead th[aria-sort=descending]")).to_have_text("TTFT p50")
    page.get_by_role("button", name="Recording").click()
    assert [name for name in names(page) if name[0] != "<"] == sorted(
        (name for name in names(page) if name[0] != "<"), key=str.lower
    )
    page.get_by_role("button", name="When").click()
    assert names(page).index("grid") < names(page).index("few")
    assert opened.complaints == []


def test_stages_are_folded_and_filled_when_they_are_shown(open_page: Open, url: str) -> None:
    opened = open_page(url)
    page = opened.page
    filled(page)
    stages = page.locator("tbody", has=page.locator("tr.sweep")).locator("tr.part")
    expect(stages).to_have_count(2)
    expect(stages.first).to_be_hidden()
    page.locator("tr.sweep .fold").click()
    expect(stages.first).to_be_visible()
    expect(stages.last.locator(".c-ttft_p50")).to_have_text("50.0 ms")
    page.locator("tr.sweep .fold").click()
    expect(stages.first).to_be_hidden()
    assert opened.complaints == []


def test_two_are_picked_and_compared_and_one_comes_back(open_page: Open, url: str) -> None:
    opened = open_page(url)
    page = opened.page
    filled(page)
    go = page.locator("#go")
    expect(go).to_be_disabled()
    page.get_by_label("Compare chat/slow").check()
    expect(go).to_be_disabled()
    page.get_by_label("Compare chat/fast").check()
    expect(page.locator("#picked")).to_have_text("A (baseline): chat/slow · B: chat/fast")
    expect(page.get_by_label("Compare few")).to_be_disabled()  # exactly two
    opened.shot("picked")
    go.click()
    page.wait_for_url("**/compare?a=chat%2Fslow&b=chat%2Ffast")
    expect(page.locator("main")).to_contain_text("chat/fast")
    opened.shot("compared")
    page.get_by_role("link", name="Swap A and B").click()
    page.wait_for_url("**/compare?a=chat/fast&b=chat/slow")
    page.go_back()
    page.go_back()
    expect(page.locator("#picked")).to_have_text("A (baseline): chat/slow · B: chat/fast")
    page.locator("#clear").click()
    expect(go).to_be_disabled()
    assert opened.complaints == []


def test_one_is_opened_with_its_charts_and_left_again(open_page: Open, url: str) -> None:
    opened = open_page(url)
    page = opened.page
    page.locator("#filter").fill("fast")
    page.get_by_role("link", name="fast").click()
    page.wait_for_url("**/run?id=chat/fast")
    expect(page.locator("figure[data-state=drawn]").first).to_be_visible(timeout=60_000)
    opened.shot("run")
    page.get_by_role("link", name="All recordings").click()
    assert len(names(page)) > 5
    page.go_back()
    page.go_back()
    assert names(page) == ["chat/fast"]
    assert opened.complaints == []


def test_a_sweep_leads_to_its_stages(open_page: Open, url: str) -> None:
    opened = open_page(url)
    page = opened.page
    page.get_by_role("link", name="grid").click()
    page.wait_for_url("**/sweep?id=grid")
    opened.shot("sweep")
    page.locator(".served summary").click()
    page.locator(".served").get_by_role("link", name="002-concurrency-2").click()
    page.wait_for_url("**/run?id=grid/002-concurrency-2")
    assert opened.complaints == []


def test_names_of_strangers_run_nothing(open_page: Open, url: str) -> None:
    opened = open_page(url)
    page = opened.page
    filled(page)
    page.locator("#filter").fill("pwned")
    assert len(names(page)) == 1
    opened.shot("hostile")
    page.locator("tbody:not([hidden]) input[name=pick]").check()
    expect(page.locator("#picked")).to_contain_text("<img src=x")
    page.locator("tbody:not([hidden]) th a").click()
    page.wait_for_url("**/run?id=**")
    expect(page.locator("main")).to_contain_text("window.pwned")
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None
    assert opened.complaints == []


def test_it_works_without_scripts(open_page: Open, url: str) -> None:
    opened = open_page(url, java_script_enabled=False)
    page = opened.page
    expect(page.locator(".tools")).to_be_hidden()
    expect(page.locator("tr.part").first).to_be_visible()
    page.get_by_label("Compare chat/slow").check()
    page.get_by_label("Compare chat/fast").check()
    page.locator("#go").click()
    page.wait_for_url("**/compare?pick=**")
    expect(page.locator("main")).to_contain_text("chat/fast")
    page.goto(url)
    page.get_by_role("link", name="few").click()
    page.wait_for_url("**/run?id=few")
    expect(page.locator("main")).to_contain_text("TTFT")
    page.get_by_role("link", name="All recordings").click()
    assert opened.complaints == []
