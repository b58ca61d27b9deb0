from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pages_made_from_code_are_up_to_date() -> None:
    pages = runpy.run_path(str(ROOT / "tools" / "make_docs.py"))["PAGES"]
    for name, page in pages.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == page(), "run python tools/make_docs.py"
