"""Findings, made and put into order in one place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from loadcell.mlperf.model import Finding


def judged(
    rule: str, ok: bool | None, says: str, where: Path | str | None = None, advice: str | None = None
) -> Finding:
    """What a rule says; None: it could not be judged. Beside a rule that holds no advice stands."""
    return Finding(
        rule=rule, ok=ok, says=says, where=None if where is None else str(where), advice=None if ok else advice
    )


def held(rule: str, says: str, where: Path | str | None = None) -> Finding:
    """The rule holds."""
    return judged(rule, True, says, where)


def failed(rule: str, says: str, where: Path | str | None = None, advice: str | None = None) -> Finding:
    """The rule does not hold, or cannot be judged where it must hold."""
    return judged(rule, False, says, where, advice)


def noted(rule: str, says: str, where: Path | str | None = None, advice: str | None = None) -> Finding:
    """Worth knowing, without a verdict."""
    return judged(rule, None, says, where, advice)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Failed ones first, then what was noted, then what holds; else as they came."""
    return sorted(findings, key=lambda finding: {False: 0, None: 1, True: 2}[finding.ok])
