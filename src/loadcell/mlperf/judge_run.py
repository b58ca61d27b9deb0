"""The rules that only a run of ours can be asked: how it went, what was sent, how the server answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from loadcell.mlperf.evidence import Evidence, Told, judge_evidence, judge_seeds
from loadcell.mlperf.facts import Facts
from loadcell.mlperf.findings import judged
from loadcell.mlperf.model import Finding, RunPlan, Score

_TOKENS_PER_SAMPLE = "TOKENS_PER_SAMPLE"


def _complete(plan: RunPlan, score: Score, facts: Facts) -> Iterator[Finding]:
    left = facts.planned - facts.recorded
    partial = score.samples % plan.rules.samples_per_query
    whole = facts.state == "complete" and not left and not facts.cancelled and not partial
    state = "the run was " if facts.state in ("interrupted", "broken") else "the run is "
    says = f"{state}{facts.state}: {facts.recorded - facts.cancelled:,} of {facts.planned:,} samples ended"
    says = f"all {facts.planned:,} samples were sent and ended" if whole else says
    yield judged("complete", whole, says, advice="run it again to the end, with --resume")


def _errors(plan: RunPlan, score: Score, facts: Facts) -> Iterator[Finding]:
    if not score.samples:
        yield judged("errors", None, "no request ended: nothing to judge", advice=facts.error_advice)
        return
    kinds = f": {', '.join(facts.errors)}" if facts.errors else ""
    failed = max(score.failed - facts.cancelled, 0)
    says = f"{failed:,} of {score.samples:,} samples failed, none may{kinds}"
    yield judged("errors", failed == 0, says, advice=facts.error_advice)


def _instrument(plan: RunPlan, score: Score, facts: Facts) -> Iterator[Finding]:
    first, more = "".join(facts.instrument_reasons[:1]), len(facts.instrument_reasons) - 1
    says = f"the recording's own audit says {facts.instrument}"
    says += f": {first}" if first else ""
    says += f" (and {more} more)" if more > 0 else ""
    ok = {"VALID": True, "INVALID": False}.get(facts.instrument)
    advice = "no figure of this run can be trusted: see its report for what to change" if ok is False else None
    yield judged("instrument", ok, says, advice=advice)


# --- what was sent ---------------------------------------------------------------------------------------------------


def _seeds(plan: RunPlan, score: Score, facts: Facts) -> Iterator[Finding]:
    asked, used = plan.rules.seeds, facts.loadgen
    advice = "run it with `loadcell mlperf run`, which takes the seeds of the round"
    if used.scenario is None:
        yield judged("seeds", False, "order and times are not LoadGen's", advice=advice)
        return
    pairs = {
        "qsl seed": (used.qsl_seed, asked.qsl),
        "sample index seed": (used.sample_index_seed, asked.sample_index),
        "schedule seed": (used.schedule_seed, asked.schedule),
    }
    yield judge_seeds(pairs, plan.rules.round, advice=advice)


def _samples(plan: RunPlan, score: Score, facts: Facts) -> Iterator[Finding]:
    used, told = plan.samples, [Told("performance-sample-count", plan.samples, "")]
    if plan.rules.scenario in ("server", "interactive", "offline"):
        equal = facts.fewest_sends == facts.most_sends and facts.distinct_samples == used
        says = (
            f"each of {used:,} samples was sent {facts.most_sends:,} times"
            if equal
            else f"{facts.distinct_samples:,} of {used:,} samples were sent, {facts.fewest_sends:,} to "
            f"{facts.most_sends:,} times each; all must be sent equally often"
        )
        told.append(Told("equal-issue", equal, says))
    words = "replies were streamed" if facts.stream else "replies were not streamed: no first token can be seen"
    told.append(Told("streaming", facts.stream, words, "leave endpoint.stream on"))
    yield from judge_evidence(Evidence(rules=plan.rules, told=told))


def _decoding(plan: RunPlan, score: Score, facts: Facts) -> Iterator[Finding]:
    asked, sent = plan.rules.sampling, facts.sampling
    wrong = [
        f"{name} {sent.get(name, 'not sent')}, asked {want}" for name, want in asked.items() if sent.get(name) != want
    ]
    if facts.ignore_eos:
        wrong.append("the server was told to ignore the end of the text (ignore_eos)")
    wanted = ", ".join(f"{name} {value}" for name, value in asked.items()) or "as the server chooses"
    more = ", ".join(name for name in sent if name not in asked)
    says = "; ".join(wrong) or f"decoding: {wanted}{f'; further fields: {more}' if more else ''}"
    advice = "leave endpoint.extra_body and endpoint.ignore_eos to the rules"
    yield judged("decoding", not wrong, says, advice=advice)


# --- what came back --------------------------------------------------------------------------------------------------


def _outputs(plan: RunPlan, score: Score, facts: Facts) -> Iterator[Finding]:
    rules = plan.rules
    if score.headline_unit.startswith("tokens"):
        known = score.tokens is not None
        says = f"{score.tokens:,} output tokens counted" if known else "the output tokens of some replies are not known"
        advice = "the server must tell its usage: see the notes of the report"
        yield judged("token-count", known or None, says, advice=advice)
    low, high = rules.min_output_tokens, rules.max_output_tokens
    if facts.shortest_output is None or facts.longest_output is None:
        yield judged("output-length", None, "the lengths of the outputs are not known")
        return
    ok = (low is None or facts.shortest_output >= low) and (high is None or facts.longest_output <= high)
    bounds = f"{'-' if low is None else f'{low:,}'} to {'-' if high is None else f'{high:,}'}"
    says = f"outputs of {facts.shortest_output:,} to {facts.longest_output:,} tokens, {bounds} allowed"
    advice = "see which field limits the server's outputs, and what it stops at"
    yield judged("output-length", ok, says, advice=advice)
    yield from _mean_output(plan, facts)


def _mean_output(plan: RunPlan, facts: Facts) -> Iterator[Finding]:
    """The gate is of the accuracy pass: here it warns that a faster run may be one that says less."""
    gates = [gate for gate in plan.rules.gates if gate.metric == _TOKENS_PER_SAMPLE]
    mean = facts.mean_output
    if not gates or mean is None:
        return
    inside = all(gate.holds(mean) for gate in gates)
    asked = " and ".join(f"{gate.op} {gate.threshold:,.6g}" for gate in gates)
    says = f"{mean:,.1f} output tokens a sample; the accuracy gate asks {asked}"
    advice = None if inside else "outputs of another length are other work: the accuracy pass will judge them"
    yield judged("tokens-per-sample", True if inside else None, says, advice=advice)


def _kv_reuse(plan: RunPlan, score: Score, facts: Facts) -> Iterator[Finding]:
    most, share = plan.rules.max_cached_share, facts.cached_share
    if most is None:
        return
    if share is None:
        says = "the server does not tell whether it reused prompt tokens of other queries, which is forbidden"
        yield judged("kv-reuse", None, says, advice="make sure that its prefix cache is off")
        return
    says = f"the server took {share:.1%} of the prompt tokens from a cache, at most {most:.0%} allowed"
    advice = (
        "start it without prefix caching (vLLM: --no-enable-prefix-caching, SGLang: --disable-radix-cache, "
        "llama.cpp: cache_prompt false in endpoint.extra_body)"
    )
    yield judged("kv-reuse", share <= most, says, advice=advice)


# --- what must be known ----------------------------------------------------------------------------------------------


def _notes(plan: RunPlan, score: Score, facts: Facts) -> Iterator[Finding]:
    rules = plan.rules
    if plan.quick or plan.shortened:
        smaller = f": {'; '.join(plan.shortened)}" if plan.shortened else ""
        yield judged("quick", None, f"smaller than the rules ask, not comparable with anything{smaller}")
    if plan.look_alike:
        says = "the samples are look-alikes, invented to try things out: not comparable with anything"
        yield judged("look-alike", None, says, advice="give the benchmark's data set with --dataset")
    if not rules.suites:
        says = f"{rules.round} does not ask {rules.benchmark} for {rules.scenario}: no published figure compares"
        yield judged("scenario", None, says)
    same = _plain(rules.model) in _plain(facts.model)
    says = f"the server's model is {facts.model}, the closed division's is {rules.model}"
    yield judged("model", True if same else None, says)


def _plain(name: str) -> str:
    """A model's name without what is in brackets, case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\(.*?\)", "", name).lower())


RUN_RULES: tuple[Callable[[RunPlan, Score, Facts], Iterator[Finding]], ...] = (
    _complete, _errors, _instrument, _seeds, _samples, _decoding, _outputs, _kv_reuse, _notes,
)  # fmt: skip
