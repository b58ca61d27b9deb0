"""A real browser for the pages: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright


@pytest.fixture(autouse=True)
def _processes(processes: None) -> None:
    """All of this folder: see tests/conftest.py."""


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Where screenshots are kept, to be looked at."""
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
"""Without these Chromium asks the network for things of its own."""


@dataclass
class Opened:
    """A page in the browser, and what went wrong in it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console, exceptions, dialogs, and requests to anywhere but the page itself."""
    shot: Callable[[str], Path] = field(default=Path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one module: its event loop must not outlive them."""
    if CHROMIUM is None:
        why = "there is no Chromium: install it (Debian, Ubuntu: apt install chromium)"
        if os.environ.get("LOADCELL_NEEDS_BROWSER"):
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Opened]]:
    """Opens a page: HTML text (from a file on disk, as a person would) or a URL. Options: those of a context.

    `width`, `height`, `dark`; what the page complains of is collected in `complaints`.
    """
    contexts = []

    def opener(source: str, *, width: int = 1280, height: int = 800, dark: bool = False, **options: object) -> Opened:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            **options,  # type: ignore[arg-type]
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        opened = Opened(page, shot=lambda name: _shot(page, request.node.name, name))
        page.on("console", lambda m: opened.complaints.append(f"{m.type}: {m.text}") if m.type in _BAD else None)
        page.on("pageerror", lambda error: opened.complaints.append(f"exception: {error}"))
        page.on("dialog", lambda dialog: (opened.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        if not source.startswith(("http://", "file://")):
            file = tmp_path / "page.html"
            file.write_text(source, encoding="utf-8")
            source = file.as_uri()
        here = source.partition("?")[0]
        home = "/".join(here.split("/")[:3])

        def look(url: str) -> None:
            served = (home,) if home.startswith("http://") else ()
            if not url.startswith(("data:", "blob:", "about:", here, *served)):
                opened.complaints.append(f"request: {url}")

        page.on("request", lambda sent: look(sent.url))
        page.goto(source)
        return opened

    yield opener
    for context in contexts:
        context.close()


_BAD = ("error", "warning")


def _shot(page: Page, test: str, name: str) -> Path:
    SHOTS.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w-]+", "-", f"{test.removeprefix('test_')}-{name}").strip("-")
    file = SHOTS / f"{stem}.png"
    page.screenshot(path=file, full_page=name.startswith("full"))
    return file
