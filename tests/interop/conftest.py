"""Importing, as tests do it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadcell.cli.main import main


@pytest.fixture
def imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Path, Any]]:
    """Imports a path into a new folder by the command; that folder, and what the command says as JSON."""

    def do(path: Path, *words: str) -> tuple[Path, Any]:
        folder = tmp_path / f"out-{len(list(tmp_path.glob('out-*')))}"
        code = main(["import", str(path), "--output", str(folder), "--json", *words])
        out = capsys.readouterr()
        assert code == 0, out.err
        return folder, json.loads(out.out)

    return do


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Path], str]:
    """Imports what cannot be; what is said of it, in one line. Nothing is left behind."""

    def do(path: Path) -> str:
        folder = tmp_path / "refused"
        code = main(["import", str(path), "--output", str(folder)])
        out = capsys.readouterr()
        assert (code, out.out) == (2, "")
        assert not folder.exists()
        assert out.err.count("\n") == 1
        return out.err.removeprefix("loadcell: ").rstrip()

    return do
