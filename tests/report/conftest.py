from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from loadcell.recording.read import Recording

sys.path.insert(0, str(Path(__file__).parents[1] / "metrics"))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Recording]:
    """`made.build` in a folder of its own."""
    import made

    return partial(made.build, tmp_path / "run")
