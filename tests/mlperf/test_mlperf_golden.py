"""What the commands say of given inputs is what they said before, to the letter.

Where words change on purpose: LOADCELL_GOLDEN=write python -m pytest tests/mlperf/test_mlperf_golden.py writes
the files anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from mlperf_golden_cases import CASES

from loadcell import __version__

pytestmark = pytest.mark.usefixtures("thorough")

GOLDEN = Path(__file__).parent / "golden"
MADE_BY = "0.1.0"
"""The version that made plans and runs name."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_is_what_was_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    text = "\n".join(CASES[name](Path())) + "\n"
    for machine, word in ((str(tmp_path), "TMP"), (__version__, "VERSION"), (MADE_BY, "VERSION")):
        text = text.replace(machine, word)
    text = re.sub(r"\d+\.\d{9,}", lambda found: f"{float(found[0]):.10g}", text)  # sums differ by machine in their end
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("LOADCELL_GOLDEN") == "write":
        file.write_text(text)
    assert text.splitlines() == file.read_text().splitlines()
