"""What is known of a performance run, whoever made it, and the rules that are asked of every such run.

A run of ours (`judge`), the logs of a LoadGen (`files.checks_performance`) and output of the Endpoints client
(`files.checks_endpoints`) each fill an Evidence with what they tell, in their words; one table judges them all. Rules
that only one of these can be asked stand beside what they read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from loadcell.mlperf.findings import judged
from loadcell.mlperf.model import Finding, Rules


class Told(NamedTuple):
    """One figure of a run, by the rule that asks for it."""

    rule: str
    value: float | None
    words: str
    """What it is of; where there is no value, why."""
    cure: str | Callable[[], str] | None = None
    """What to change, where this run has a better advice than the rule."""
    limit: float | None = None
    """What is asked of it instead of what the rules say, as what LoadGen was told to send."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A performance run as the rules see it. A rule that none of its figures is for does not concern it."""

    rules: Rules
    told: list[Told]
    where: Path | None = None
    """File that the findings are about."""
    untold: bool | None = None
    """What a rule says where its figure is missing."""


class Rule(NamedTuple):
    """One rule: what it asks for, how a figure is held against that, and in which words."""

    name: str
    limit: Callable[[Rules], Any]
    """None where the rules of a benchmark do not ask for it."""
    holds: Callable[[float, Any], bool]
    says: str
    advice: str


def _if(asked: bool) -> int | None:
    return 1 if asked else None


def _below(value: float, limit: float) -> bool:
    return 0 <= value < limit


def _between(value: float, limit: tuple[float, float]) -> bool:
    """A reply may end with tokens beyond the maximum that the client was asked for (end of text): 1 % of room."""
    return limit[0] * 0.99 <= value <= limit[1] * 1.01 + 2


_LIMIT = "{words} is {value:,.2f} ms, below {limit:g} ms asked"
_LATE = "lower the rate, or report it in another scenario"
RULES = (
    Rule(
        "performance-sample-count", lambda rules: rules.performance_sample_count, operator.ge,
        "{value:,.0f} samples of the data set are loaded, {limit:,} asked", "load a data set of {limit:,} samples",
    ),
    Rule(
        "equal-issue", lambda rules: _if(rules.equal_issue), operator.ge, "{words}",
        "run it again to the end: whole passes over the data set are asked for",
    ),
    Rule(
        "streaming", lambda rules: _if(rules.token_latencies and rules.scenario != "offline"), operator.ge, "{words}",
        "leave streaming on: a first token must be seen",
    ),
    Rule(
        "min-duration", lambda rules: rules.min_duration_s, operator.ge,
        "{words} {value:,.2f} s, at least {limit:g} s asked", "run longer",
    ),
    Rule(
        "min-query-count", lambda rules: rules.min_queries, operator.ge,
        "{value:,.0f} {words}, at least {limit:,} asked", "the run ended before its time: run it again to the end",
    ),
    Rule(
        "offline-samples", lambda rules: rules.offline_min_samples, operator.ge,
        "{value:,.0f} samples sent, at least {limit:,} asked",
        "send every sample of the data set at least once ({limit:,})",
    ),
    Rule("ttft-limit", lambda rules: rules.ttft_ms, _below, _LIMIT, _LATE),
    Rule("tpot-limit", lambda rules: rules.tpot_ms, _below, _LIMIT, _LATE),
    Rule("latency-limit", lambda rules: rules.latency_ms, _below, _LIMIT, _LATE),
    Rule(
        "output-length", lambda rules: (rules.min_output_tokens or 0, rules.max_output_tokens or math.inf), _between,
        "{value:,.1f} tokens a sample, between {limit[0]:g} and {limit[1]:g}",
        "the replies are longer or shorter than the rules allow",
    ),
)  # fmt: skip
"""Rules of the rounds' checker that any performance run can be asked."""


def judge_evidence(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each figure that a rule of the benchmark asks for, in the order of the rules."""
    for rule, told in product(RULES, evidence.told):
        limit = rule.limit(evidence.rules) if told.limit is None else told.limit
        if told.rule != rule.name or limit is None:
            continue
        ok, says, advice = evidence.untold, told.words, None
        if told.value is not None:
            ok = rule.holds(told.value, limit)
            says = rule.says.format(words=told.words, value=told.value, limit=limit)
            advice = rule.advice.format(limit=limit)
        if told.cure is not None and not ok:
            advice = told.cure if isinstance(told.cure, str) else told.cure()
        yield judged(rule.name, ok, says, evidence.where, advice)


_COUNTS = {2: "two", 3: "three"}


def judge_seeds(
    used: Mapping[str, tuple[int | None, int]], round: str, where: Path | None = None, advice: str | None = None
) -> Finding:
    """Whether the seeds that were used are those of the round, both by the name that the run has for them."""
    wrong = [
        f"{name} {'is missing' if got is None else f'{got}'}, asked {want}"
        for name, (got, want) in used.items()
        if got != want
    ]
    says = "; ".join(wrong) or f"the {_COUNTS[len(used)]} seeds are those of {round}"
    return judged("seeds", not wrong, says, where, advice or "use the seeds of the round")
