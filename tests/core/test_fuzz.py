"""Random byte streams through both forms of the core, and through the one in C with sanitizers on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import fuzz
import pytest

import loadcell.core
from loadcell.core import native

SOURCE = Path(loadcell.core.__file__).with_name("core.c")
FUZZ = Path(fuzz.__file__)
STREAMS, PARTS = 100_000, 8


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.skipif(native.library()[0] is None, reason="there is one form here")
def test_both_forms_say_the_same_of_any_stream(part: int, thorough: None) -> None:
    assert fuzz.first_difference(part * STREAMS // PARTS, STREAMS // PARTS) is None


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch, thorough: None) -> None:
    """Else the test above could not fail."""
    if native.library()[0] is None:
        pytest.skip("there is one form here")
    monkeypatch.setattr(native.NativeTape, "last_ns", lambda tape: 1)
    assert fuzz.first_difference(0, 1) == 0


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="it takes Linux and a C compiler")
def test_no_byte_is_touched_that_is_not_ours(tmp_path: Path, processes: None) -> None:
    """AddressSanitizer and UndefinedBehaviorSanitizer over 5,000 streams."""
    library = tmp_path / "core.so"
    words = ["-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fPIC", "-shared"]
    built = subprocess.run(["cc", *words, "-o", str(library), str(SOURCE)], capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.skip(f"no sanitizers: {built.stderr}")
    runtime = subprocess.check_output(["cc", "-print-file-name=libasan.so"], text=True).strip()
    env = {**os.environ, "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, str(FUZZ), "0", "5000", str(library)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_tells_what_differs(tmp_path: Path, processes: None) -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZ), "0", "1", str(tmp_path / "none.so")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "none" in done.stderr
