"""What a notebook shows of a Result, in a real browser: its page in a frame, hostile words and all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from made_page import HOSTILE, hostile_result, made_result
from playwright.sync_api import expect

from loadcell.metrics import Result
from loadcell.report.notebook import shown

Open = Callable[..., Any]


def cell(result: Result) -> str:
    """The page of a notebook with one output."""
    return f"<!doctype html><meta charset=utf-8><body>{shown(result, Path('runs/chat'))._repr_html_()}</body>"


def test_the_page_stands_in_a_frame_and_asks_for_nothing(open_page: Open, tmp_path: Path) -> None:
    opened = open_page(cell(made_result(tmp_path / "run")))
    frame = opened.page.frame_locator("iframe")
    expect(frame.locator("h1")).to_be_visible()
    expect(frame.locator("#latency table").first).to_be_visible()
    assert frame.locator("figure").count() == 0
    opened.shot("cell")
    assert opened.complaints == []


def test_words_from_outside_stay_words(open_page: Open, tmp_path: Path) -> None:
    opened = open_page(cell(hostile_result(made_result(tmp_path / "run"))))
    frame = opened.page.frame_locator("iframe")
    expect(frame.locator("h1")).to_be_visible()
    assert HOSTILE[:20] in (frame.locator("body").text_content() or "")
    assert frame.locator("body").evaluate("() => window.pwned") is None
    assert opened.complaints == []
