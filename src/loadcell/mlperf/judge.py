"""What the rules say of a run: a finding for each of them, and the verdict.

A rule that must hold fails where it does not, or, for those in `PROVEN`, where nobody can tell. What must be known
but fails nothing (a smaller run, invented samples, another model) has `ok` None and stands in no such list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from loadcell.mlperf.facts import Facts
from loadcell.mlperf.judge_run import RUN_RULES
from loadcell.mlperf.judge_score import judge_figures
from loadcell.mlperf.model import Finding, RunPlan, Score

PROVEN = frozenset(
    {
        "complete", "errors", "min-duration", "min-query-count", "offline-samples", "equal-issue", "token-count",
        "ttft-limit", "tpot-limit", "latency-limit",
        "early-stopping-ttft", "early-stopping-tpot", "early-stopping-latency",
    }
)  # fmt: skip
"""Rules that fail a run too where they cannot be judged."""


def judge(plan: RunPlan, score: Score, facts: Facts) -> list[Finding]:
    """What every rule found in a run, failed ones first, then what must be known, then what holds."""
    # Causes come before effects: of those that fail, the first is the one that is read.
    found = (
        *(finding for rule in RUN_RULES for finding in rule(plan, score, facts)),
        *judge_figures(plan, score),
    )
    return sorted(found, key=_rank)


def verdict(findings: Iterable[Finding]) -> Literal["VALID", "INVALID"]:
    """INVALID if any finding fails."""
    return "INVALID" if any(map(fails, findings)) else "VALID"


def fails(finding: Finding) -> bool:
    """Whether a finding makes its run INVALID."""
    return finding.ok is False or (finding.ok is None and finding.rule in PROVEN)


def _rank(finding: Finding) -> int:
    return 0 if fails(finding) else 1 if finding.ok is None else 2
