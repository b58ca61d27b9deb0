"""What the figures of a run of ours tell the rules: duration, counts, percentiles, early stopping, and advice."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loadcell.mlperf.early_stopping import allowed_over, least_samples
from loadcell.mlperf.evidence import Evidence, Told, judge_evidence
from loadcell.mlperf.findings import judged
from loadcell.mlperf.model import MS, TITLES, Block, EarlyStopping, Finding, Of, Rules, RunPlan, Score

_WORTH_MORE = (1.5, 2.0, 3.0, 5.0)
"""Times as many queries that may be advised; beyond, another rate is the better advice."""
_SATURATED = 0.97
"""A server that completes less than this part of the target rate cannot keep up with it."""


# --- duration, counts, limits ----------------------------------------------------------------------------------------


def judge_figures(plan: RunPlan, score: Score) -> Iterator[Finding]:
    """What the rules say of the figures alone."""
    rules = plan.rules
    lasted_ns, span = _span(rules, score)
    told = [
        Told("min-duration", None, f"nothing completed: {rules.min_duration_s:g} s cannot be shown")
        if lasted_ns is None
        else Told("min-duration", lasted_ns / 1e9, span, lambda: _longer(plan, score)),
        Told("min-query-count", score.queries, "query" if score.queries == 1 else "queries"),
        *(_percentile(plan, score, *limit) for limit in _limits_of(rules, score)),
    ]
    if rules.scenario == "offline":
        told.append(Told("offline-samples", score.samples, ""))
    yield from judge_evidence(Evidence(rules=rules, told=told))
    yield from _early_stopping(plan, score)


def _span(rules: Rules, score: Score) -> tuple[int | None, str]:
    """What a scenario's duration is, and in words."""
    if rules.scenario == "offline":
        return None if score.latency is None else score.latency.max_ns, "the longest latency is"
    if rules.scenario in ("server", "interactive"):
        return score.last_scheduled_ns, "the last query was scheduled at"
    return score.last_issued_ns, "the last query was sent at"


def _longer(plan: RunPlan, score: Score) -> str:
    if plan.rules.scenario != "offline":
        return "the run ended before its time: run it again to the end"
    if not score.samples_per_s_run:
        return "send more samples: give a higher --expected-qps"
    return f"the samples were too few for this server: run again with --expected-qps {_up(score.samples_per_s_run)}"


def _limits_of(rules: Rules, score: Score) -> list[tuple[Of, float, Block | None]]:
    """The latencies that the rules limit: the limit in ms, and what was measured."""
    limits: tuple[tuple[Of, float | None, Block | None], ...] = (
        ("ttft", rules.ttft_ms, score.ttft),
        ("tpot", rules.tpot_ms, score.tpot),
        ("latency", rules.latency_ms, score.latency),
    )
    return [(of, limit_ms, block) for of, limit_ms, block in limits if limit_ms is not None]


def _percentile(plan: RunPlan, score: Score, of: Of, limit_ms: float, block: Block | None) -> Told:
    share = plan.rules.percentile or 0.0
    title = f"{TITLES[of]} at p{100 * share:g}"
    value_ns = None if block is None else block.percentiles_ns.get(f"{100 * share:.2f}")
    if value_ns is None:
        cure = None if of == "latency" else "the server must stream its replies and tell their tokens"
        return Told(f"{of}-limit", None, f"{title} is not known, below {limit_ms:g} ms asked", cure)
    return Told(f"{of}-limit", value_ns / MS, title, lambda: _slower(plan, score, of))


# --- early stopping --------------------------------------------------------------------------------------------------


def _early_stopping(plan: RunPlan, score: Score) -> Iterator[Finding]:
    rules = plan.rules
    found = {proof.of: proof for proof in score.early_stopping}
    if rules.scenario in ("singlestream", "multistream"):
        yield _estimate(found["latency"]) if "latency" in found else _unproved("latency")
        return
    for of, limit_ms, _ in _limits_of(rules, score):
        yield _answer(plan, score, found[of], limit_ms) if of in found else _unproved(of)


def _unproved(of: Of) -> Finding:
    return judged(f"early-stopping-{of}", None, f"no {TITLES[of]} is known: nothing can be proved")


def _estimate(proof: EarlyStopping) -> Finding:
    says, bound_ns = f"p{100 * proof.percentile:g} of the latency ", proof.estimate_ns
    ok = proof.met and bound_ns is not None
    if ok and bound_ns is not None:
        says += f"is at most {bound_ns / MS:,.2f} ms, with 99 % confidence from {proof.n:,} queries"
    else:
        says += f"cannot be bounded by {proof.n:,} queries, {proof.needed:,} are needed"
    advice = f"run {proof.more:,} more queries" if proof.more else "too many queries failed: see the errors"
    return judged("early-stopping-latency", ok, says, advice=advice)


def _answer(plan: RunPlan, score: Score, proof: EarlyStopping, limit_ms: float) -> Finding:
    share = f"{100 * proof.percentile:g} %"
    over = "none" if proof.over == 0 else f"{proof.over:,}"
    says = f"{over} of {proof.n:,} beyond {limit_ms:g} ms {TITLES[proof.of]}"
    if proof.met:
        says += f", up to {allowed_over(proof.percentile, proof.n):,} prove {share} with 99 % confidence"
    else:
        says += f": to prove {share}, {proof.more:,} more queries are needed if all of them are in time"
    advice = None if proof.met else _more(plan, score, proof)
    return judged(f"early-stopping-{proof.of}", proof.met, says, advice=advice)


def _more(plan: RunPlan, score: Score, proof: EarlyStopping) -> str:
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


def _slower(plan: RunPlan, score: Score, of: Of) -> str:
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
