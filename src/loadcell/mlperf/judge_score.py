"""The rules that LoadGen and the checker ask of the figures: duration, counts, limits, early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from loadcell.mlperf.early_stopping import allowed_over, least_samples
from loadcell.mlperf.model import TITLES, Block, EarlyStopping, Finding, Of, Plan, Rules, Scenario, Score
from loadcell.mlperf.score import limit_ns

_WORTH_MORE = (1.5, 2.0, 3.0, 5.0)
"""Times as many queries that may be advised; beyond, another rate is the better advice."""
_SATURATED = 0.97
"""A server that completes less than this part of the target rate cannot keep up with it."""


# --- duration and counts ---------------------------------------------------------------------------------------------


class _Span(NamedTuple):
    what: str
    of: Callable[[Score], int | None]


def _longest(score: Score) -> int | None:
    return None if score.latency is None else score.latency.max_ns


_SPANS: dict[Scenario, _Span] = {
    "offline": _Span("the longest latency is", _longest),
    "server": _Span("the last query was scheduled at", lambda score: score.last_scheduled_ns),
    "interactive": _Span("the last query was scheduled at", lambda score: score.last_scheduled_ns),
    "singlestream": _Span("the last query was sent at", lambda score: score.last_issued_ns),
    "multistream": _Span("the last query was sent at", lambda score: score.last_issued_ns),
}


def _min_duration(plan: Plan, score: Score) -> Iterator[Finding]:
    least_s, span = plan.rules.min_duration_s, _SPANS[plan.rules.scenario]
    lasted_ns = span.of(score)
    if lasted_ns is None:
        yield Finding(rule="min-duration", ok=None, says=f"nothing completed: {least_s:g} s cannot be shown")
        return
    ok = lasted_ns >= least_s * 1e9
    advice = None if ok else _longer(plan, score)
    says = f"{span.what} {lasted_ns / 1e9:,.2f} s, at least {least_s:g} s asked"
    yield Finding(rule="min-duration", ok=ok, says=says, advice=advice)


def _longer(plan: Plan, score: Score) -> str:
    if plan.rules.scenario != "offline":
        return "the run ended before its time: run it again to the end"
    if not score.samples_per_s_run:
        return "send more samples: give a higher --expected-qps"
    return f"the samples were too few for this server: run again with --expected-qps {_up(score.samples_per_s_run)}"


def _min_queries(plan: Plan, score: Score) -> Iterator[Finding]:
    rules = plan.rules
    least = rules.min_queries
    ok = score.queries >= least
    advice = None if ok else "the run ended before its time: run it again to the end"
    says = f"{_count(score.queries, 'query', 'queries')}, at least {least:,} asked"
    yield Finding(rule="min-query-count", ok=ok, says=says, advice=advice)
    if rules.scenario == "offline" and rules.offline_min_samples is not None:
        ok = score.samples >= rules.offline_min_samples
        advice = None if ok else f"send every sample of the data set at least once ({rules.dataset_size:,})"
        says = f"{_count(score.samples, 'sample', 'samples')} sent, at least {rules.offline_min_samples:,} asked"
        yield Finding(rule="offline-samples", ok=ok, says=says, advice=advice)


# --- limits and early stopping ---------------------------------------------------------------------------------------


class _Limit(NamedTuple):
    of: Of
    limit_ms: float
    block: Block | None


def _limits_of(rules: Rules, score: Score) -> list[_Limit]:
    limits: tuple[tuple[Of, float | None, Block | None], ...] = (
        ("ttft", rules.ttft_ms, score.ttft),
        ("tpot", rules.tpot_ms, score.tpot),
        ("latency", rules.latency_ms, score.latency),
    )
    return [_Limit(of, limit_ms, block) for of, limit_ms, block in limits if limit_ms is not None]


def _limits(plan: Plan, score: Score) -> Iterator[Finding]:
    for of, limit_ms, block in _limits_of(plan.rules, score):
        share = plan.rules.percentile or 0.0
        name, title = f"{100 * share:.2f}", f"{TITLES[of]} at p{100 * share:g}"
        value = None if block is None else block.percentiles_ns.get(name)
        if value is None:
            yield Finding(
                rule=f"{of}-limit",
                ok=None,
                says=f"{title} is not known, below {limit_ms:g} ms asked",
                advice="the server must stream its replies and tell their tokens" if of != "latency" else None,
            )
            continue
        ok = value < limit_ns(limit_ms)
        says = f"{title} is {value / 1e6:,.2f} ms, below {limit_ms:g} ms asked"
        advice = None if ok else _slower(plan, score, of)
        yield Finding(rule=f"{of}-limit", ok=ok, says=says, advice=advice)


def _early_stopping(plan: Plan, score: Score) -> Iterator[Finding]:
    rules = plan.rules
    found = {proof.of: proof for proof in score.early_stopping}
    if rules.scenario in ("singlestream", "multistream"):
        yield _estimate(found["latency"]) if "latency" in found else _unproved("latency")
        return
    for of, limit_ms, _ in _limits_of(rules, score):
        yield _answer(plan, score, found[of], limit_ms) if of in found else _unproved(of)


def _unproved(of: Of) -> Finding:
    return Finding(rule=f"early-stopping-{of}", ok=None, says=f"no {TITLES[of]} is known: nothing can be proved")


def _estimate(proof: EarlyStopping) -> Finding:
    percentile = f"p{100 * proof.percentile:g} of the latency"
    if not proof.met or proof.estimate_ns is None:
        says = f"{percentile} cannot be bounded by {proof.n:,} queries, {proof.needed:,} are needed"
        advice = f"run {proof.more:,} more queries" if proof.more else "too many queries failed: see the errors"
        return Finding(rule="early-stopping-latency", ok=False, says=says, advice=advice)
    says = f"{percentile} is at most {proof.estimate_ns / 1e6:,.2f} ms, with 99 % confidence from {proof.n:,} queries"
    return Finding(rule="early-stopping-latency", ok=True, says=says)


def _answer(plan: Plan, score: Score, proof: EarlyStopping, limit_ms: float) -> Finding:
    share = f"{100 * proof.percentile:g} %"
    over = "none" if proof.over == 0 else f"{proof.over:,}"
    says = f"{over} of {proof.n:,} beyond {limit_ms:g} ms {TITLES[proof.of]}"
    if proof.met:
        allowed = allowed_over(proof.percentile, proof.n)
        says += f", up to {allowed:,} prove {share} with 99 % confidence"
        return Finding(rule=f"early-stopping-{proof.of}", ok=True, says=says)
    says += f": to prove {share}, {proof.more:,} more queries are needed if all of them are in time"
    return Finding(rule=f"early-stopping-{proof.of}", ok=False, says=says, advice=_more(plan, score, proof))


def _more(plan: Plan, score: Score, proof: EarlyStopping) -> str:
    """More queries where these would likely do, else a lower rate."""
    over = proof.over or 0
    if not over:
        return f"give at least {proof.needed:,} queries: --set loadgen.min_queries={proof.needed}"
    for factor in _WORTH_MORE:
        queries = math.ceil(proof.n * factor)
        if least_samples(proof.percentile, math.ceil(over * factor)) <= queries:
            return (
                f"{queries:,} queries with as large a share beyond the limit would prove it: "
                f"--set loadgen.min_queries={queries}; or {_slower(plan, score, proof.of)}"
            )
    return _slower(plan, score, proof.of)


def _slower(plan: Plan, score: Score, of: Of) -> str:
    """Which rate would likely do: a rough guess, so that the next try is a better one."""
    target, done = plan.target_qps, score.samples_per_s_loadgen
    if target is None:
        return "lower the load"
    search = "or search for the highest rate with --find-peak"
    if done is not None and done < _SATURATED * target:
        return (
            f"the server completed {done:,.4g} queries/s of {target:g}: try --target-qps {_down(0.9 * done)}, {search}"
        )
    proof = next((proof for proof in score.early_stopping if proof.of == of), None)
    far = proof is not None and (proof.over or 0) > 2 * (1 - proof.percentile) * proof.n
    return f"try --target-qps {_down(target * (0.8 if far else 0.95))}, {search}"


def _down(value: float) -> str:
    """Two or three significant digits, rounded down."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2) if value > 0 else 1.0
    return f"{math.floor(value / step + 1e-9) * step:.10g}"


def _up(value: float) -> str:
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / step - 1e-9) * step:.10g}"


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


SCORE_RULES: tuple[Callable[[Plan, Score], Iterator[Finding]], ...] = (
    _min_duration, _min_queries, _limits, _early_stopping,
)  # fmt: skip
