"""The pictures of README and docs: `python tools/picture.py` makes docs/images/*.png anew.

Loads the embedded engine for about a minute, writes the pages, and photographs them in Chromium (which must be
installed, with the test environment). The engine sits on the first core.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
_LOADCELL = (sys.executable, "-m", "loadcell")
_ENGINE = (
    "serve", "--port", "0", "--cpu", "0", "--slots", "24", "--ttft", "40ms", "--itl", "8ms",
    "--itl-per-active", "0.25ms", "--prefill-rate", "20000", "--jitter", "0.1", "--request-metrics",
)  # fmt: skip
_RUN = (
    "--rate", "22", "--duration", "60s", "--warmup", "10s", "--input-tokens", "lognormal:300,0.5",
    "--output-tokens", "lognormal:60,0.4", "--slo", "ttft=250ms,tpot=14ms", "--observe-every", "1s",
)  # fmt: skip
_SWEEP = (
    "--concurrency", "1,2,4,8,16,24,32", "--duration", "8s", "--input-tokens", "300", "--output-tokens", "60",
    "--slo", "ttft=250ms,tpot=14ms",
)  # fmt: skip


def main() -> int:
    """Make the pictures; returns 0."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no Chromium to take pictures with: install it (Debian, Ubuntu: apt install chromium)")
    with tempfile.TemporaryDirectory() as work:
        _record(Path(work))
        IMAGES.mkdir(parents=True, exist_ok=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            _shoot(browser, Path(work) / "chat" / "report.html", "first-screen")
            _shoot(browser, Path(work) / "chat" / "report.html", "first-screen-dark", dark=True)
            _shoot(browser, Path(work) / "load" / "report.html", "sweep")
            browser.close()
    return 0


def _record(work: Path) -> None:
    """A run and a sweep of the engine, in folders of `work`."""
    engine = subprocess.Popen([*_LOADCELL, *_ENGINE], stdout=subprocess.PIPE, text=True)
    try:
        assert engine.stdout
        url = engine.stdout.readline().split()[2]
        for command, folder, flags in (("run", "chat", _RUN), ("sweep", "load", _SWEEP)):
            subprocess.run([*_LOADCELL, command, url, *flags, "--output", folder], cwd=work, check=False)
    finally:
        engine.terminate()
        engine.wait()


def _shoot(browser: Browser, file: Path, name: str, *, dark: bool = False) -> None:
    """The first screen of a page, at 1280 x 800."""
    scheme = "dark" if dark else "light"
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    page.goto(file.as_uri())
    page.wait_for_timeout(2000)
    page.screenshot(path=IMAGES / f"{name}.png")
    page.close()


if __name__ == "__main__":
    sys.exit(main())
