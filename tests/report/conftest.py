from __future__ import annotations

from collections.abc import Callable

import made
import pytest

from loadcell.recording.read import Recording


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Recording]:
    """`made.build`, each in a folder of its own."""
    return lambda *args, **settings: made.build(tmp_path_factory.mktemp("made") / "run", *args, **settings)
