"""A self-test on the console."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console

from loadcell.metrics import SelfTest
from loadcell.report.render.terminal import show
from loadcell.report.view.selftest import selftest_section, stored_section


def print_selftest(selftest: SelfTest, levels: Sequence[int | None], console: Console) -> None:
    """Print a self-test; `levels` are the limits in percent that its rungs keep, None for none."""
    show([selftest_section(selftest, levels)], console)


def print_stored(found: Sequence[tuple[Path, SelfTest]], own: Collection[Path], console: Console) -> None:
    """Print what is kept; the files of this machine as it is now have a mark."""
    show([stored_section(found, own)], console)
