from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import made
import pytest

from loadcell.recording.read import Recording


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Recording]:
    """`made.build` in a folder of its own."""
    return partial(made.build, tmp_path / "run")
