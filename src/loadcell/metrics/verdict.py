"""The verdict: every check of the audit, and the worst word of them."""

from __future__ import annotations

from loadcell.metrics.checks import CHECKS, OF_OUTPUT
from loadcell.metrics.checks_imported import judged
from loadcell.metrics.model import Result, Verdict, Word
from loadcell.phrases import phrase

_WORST_FIRST: tuple[Word, ...] = ("INVALID", "SUSPECT")


def judge(result: Result) -> Verdict:
    """The verdict on a result, whatever verdict it carries."""
    generates = result.methodology.spec.workload.generates
    found = [one for check in CHECKS for one in check(result) if generates or one.name not in OF_OUTPUT]
    checks = judged(result, found)
    bad = [check for word in _WORST_FIRST for check in checks if check.word == word]
    word: Word = next((word for word in _WORST_FIRST if any(check.word == word for check in bad)), "VALID")
    return Verdict(
        word=word, reasons=[phrase("{}: {}", c.says, c.advice) if c.advice else c.says for c in bad], checks=checks
    )
