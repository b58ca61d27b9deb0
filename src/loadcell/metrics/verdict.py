"""The verdict: every check of the audit, and the worst word of them."""

from __future__ import annotations

from loadcell.metrics.checks import CHECKS
from loadcell.metrics.model import Result, Verdict, Word

_RANK: dict[Word | None, int] = {"INVALID": 0, "SUSPECT": 1, "VALID": 2, None: 3}


def judge(result: Result) -> Verdict:
    """The verdict on a result, whatever verdict it carries."""
    checks = [found for check in CHECKS for found in check(result)]
    bad = sorted((c for c in checks if c.word in ("INVALID", "SUSPECT")), key=lambda c: _RANK[c.word])
    word: Word = bad[0].word if bad and bad[0].word else "VALID"
    return Verdict(word=word, reasons=[f"{c.says}: {c.advice}" if c.advice else c.says for c in bad], checks=checks)
