from __future__ import annotations

from pathlib import Path

import pytest

from loadcell.published.model import Registry
from loadcell.published.store import registry as load


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Added files of the person who runs the tests do not count."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def known() -> Registry:
    """The packaged rows."""
    return load()
