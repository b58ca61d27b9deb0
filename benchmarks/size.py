"""Size: what an installation takes on disk, and how much source there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from common import ROOT, work_folder
from tables import Row, Table, at_most

_NOTES = (
    "Installed: files of a new virtual environment after `pip install --no-compile .` less those before it, as disk "
    "blocks; 1 MB is 10^6 bytes. Everything that loadcell depends on is in it.",
)


def measure(quick: bool) -> list[Table]:
    """One table; the quick form does not install."""
    table = Table("Size", ("what", "size"), notes=_NOTES)
    if not quick:
        table.rows.append(at_most("installed, with dependencies", _installed_mb(), 320.0, "MB", 1))
    lines = sum(len(file.read_text().splitlines()) for file in (ROOT / "src").rglob("*.py"))
    table.rows.append(Row(("lines of Python in src", f"{lines:,}")))
    return [table]


def _installed_mb() -> float:
    with work_folder() as folder:
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        before = _disk_bytes(folder / "venv")
        pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q"]
        plain = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}  # pip would compile itself as it runs
        subprocess.run([*pip, "install", "--no-compile", str(ROOT)], check=True, env=plain)
        return (_disk_bytes(folder / "venv") - before) / 1e6


def _disk_bytes(folder: Path) -> int:
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*"))
