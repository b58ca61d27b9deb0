"""Flags by the names of other tools."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["run", "http://x", "--users", "5"], "--concurrency"),
        (["run", "http://x", "--qps=5"], "--rate"),
        (["run", "http://x", "--durations", "5s"], "--duration"),
        (["duel", "http://x", "http://y", "--duration", "5s"], "--requests"),
    ],
)
def test_a_wrong_flag_names_the_one_that_was_meant(words: list[str], meant: str) -> None:
    done = subprocess.run([sys.executable, "-m", "loadcell", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 2 and f"(did you mean {meant}?)" in done.stderr
