"""Findings about files, in the words of one place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from loadcell.mlperf.model import Finding


def held(rule: str, says: str, where: Path | str) -> Finding:
    """The rule holds."""
    return Finding(rule=rule, ok=True, says=says, where=str(where))


def failed(rule: str, says: str, where: Path | str, advice: str | None = None) -> Finding:
    """The rule does not hold, or cannot be judged where it must hold."""
    return Finding(rule=rule, ok=False, says=says, where=str(where), advice=advice)


def noted(rule: str, says: str, where: Path | str, advice: str | None = None) -> Finding:
    """Worth knowing, without a verdict."""
    return Finding(rule=rule, ok=None, says=says, where=str(where), advice=advice)


def judged(rule: str, ok: bool, says: str, where: Path | str, advice: str | None = None) -> Finding:
    """Held or failed; the advice stands only beside a failure."""
    return Finding(rule=rule, ok=ok, says=says, where=str(where), advice=None if ok else advice)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Failed ones first, then what was noted, then what holds; else as they came."""
    return sorted(findings, key=lambda finding: {False: 0, None: 1, True: 2}[finding.ok])
