"""The bounds of the accuracy gate, and what a reader must know beside the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadcell.mlperf.accuracy.graders import GEN_LEN
from loadcell.mlperf.accuracy.missing import Unavailable
from loadcell.mlperf.accuracy.replies import Replies
from loadcell.mlperf.datasets import Dataset
from loadcell.mlperf.findings import judged, noted
from loadcell.mlperf.model import Finding, Gate, Rules

TOKENS = "TOKENS_PER_SAMPLE"
TOTALS = (GEN_LEN,)
"""Metrics that grow with the number of samples: their gates are scaled to a part of the data set."""


def judge_gate(gate: Gate, score: float | None, why: Unavailable | None, part: float) -> Finding:
    """One bound of the gate; `part` is the share of the data set that was asked."""
    scaled = gate.metric in TOTALS and part != 1
    threshold = gate.threshold * part if scaled else gate.threshold
    bound = f"{'at least' if gate.op == '>=' else 'at most'} {_say(threshold)}"
    how = f"{gate.factor * 100:g} % of {_say(gate.reference)}"
    if scaled:
        how += f", for {part * 100:.3g} % of the data set"
    rule = f"accuracy-gate {gate.metric}"
    if score is None:
        advice, reason = _unknown(gate.metric, why)
        return noted(rule, f"{gate.metric} is not computed ({reason}); {bound} is asked ({how})", advice=advice)
    says = f"{gate.metric} is {_say(score)}; {bound} is asked ({how})"
    return judged(rule, gate.holds(score, threshold), says, advice=_ADVICE.get(gate.metric, _ADVICE["else"]))


_ADVICE = {
    GEN_LEN: "look at the replies: a template, a stop word or the output limit makes them too long or too short",
    TOKENS: "look at the replies: a template, a stop word or the output limit makes them too long or too short",
    "else": "check that the server runs the benchmark's model, with its template and decoding as asked, and in a "
    "precision that keeps its answers",
}


def _unknown(metric: str, why: Unavailable | None) -> tuple[str, str]:
    """Advice and reason where a metric has no figure."""
    if why is not None:
        return why.advice, str(why)
    if metric == TOKENS:
        return "give each reply its tokens, or name the model's --tokenizer", "the tokens of some replies are unknown"
    return "use the benchmark's whole data set", "no sample counts towards it"


def judge_count(dataset: Dataset, replies: Replies) -> Finding:
    n, have = len(dataset.samples), len(replies.by_sample)
    says = f"{have:,} of {n:,} samples have a reply" + (f", {replies.empty:,} of them empty" if replies.empty else "")
    advice = "go on with --resume: samples without a reply are asked again; they count as wrong"
    return judged("accuracy-sample-count", have == n, says, advice=advice)


def remarks(dataset: Dataset, replies: Replies, rules: Rules, shortened: Sequence[str]) -> Iterator[Finding]:
    """What a reader must know of the figures; nothing here fails the gate."""
    yield from replies.findings
    for words in shortened:
        yield noted("comparable", f"{words}: the gate is computed, and compares with no other run")
    if dataset.look_alike:
        yield noted("comparable", "look-alike samples: the gate is computed, and compares with nothing")
    elif not dataset.complete:
        part = f"{len(dataset.samples):,} of {rules.accuracy_sample_count:,} samples"
        yield noted("comparable", f"{part}: the gate is computed, and compares with no other run")
    if replies.repeated:
        yield noted("repeated-replies", f"{replies.repeated:,} later replies to the same samples are left out")
    if replies.strange:
        says = f"{replies.strange:,} replies are to samples that the data set does not have; they are left out"
        yield noted("strange-replies", says, advice="score the replies with the data set that was asked")


def _say(value: float) -> str:
    digits = 6 if abs(value) < 1 else 4 if abs(value) < 1000 else 1
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if value else "0"
