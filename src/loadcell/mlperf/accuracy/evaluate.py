"""From replies to the benchmark's own metrics and its gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadcell import __version__
from loadcell.mlperf.accuracy.gate import TOKENS, TOTALS, judge_count, judge_gate, remarks
from loadcell.mlperf.accuracy.graders import EXACT, WER_ERRORS, WER_WORDS, Row, metrics_of, need
from loadcell.mlperf.accuracy.missing import Unavailable
from loadcell.mlperf.accuracy.programs import RunCode
from loadcell.mlperf.accuracy.replies import Replies
from loadcell.mlperf.accuracy.rouge import NAMES
from loadcell.mlperf.accuracy.spread import grade_all
from loadcell.mlperf.datasets import Dataset
from loadcell.mlperf.findings import ordered
from loadcell.mlperf.model import Accuracy, Rules

__all__ = ["RunCode", "evaluate"]

_DECIMALS = 4
"""Of a ROUGE score, as the checker sees it."""


@dataclass(frozen=True)
class _Graded:
    """Rows of one grader beside the samples' numbers; and the metrics that could not be computed, with the reason."""

    numbers: list[int]
    rows: list[Row]
    unknown: dict[str, Unavailable]


def evaluate(
    dataset: Dataset,
    replies: Replies,
    rules: Rules,
    *,
    run_code: RunCode = "off",
    shortened: Sequence[str] = (),
    tell: Callable[[int, int], None] | None = None,
) -> Accuracy:
    """What `replies` are worth by the metrics that the gates of `rules` name.

    A sample without a reply counts as wrong. A metric that cannot be computed is None, and its gate is not passed.
    `run_code` says whether programs in replies may be run; `shortened`, in words, in what the pass was smaller than the
    rules ask. `tell` hears how many replies of how many are graded.
    """
    graded = _grade(dataset, replies, rules, run_code, tell)
    unknown = {metric: why for each in graded for metric, why in each.unknown.items()}
    wanted = dict.fromkeys(gate.metric for gate in rules.gates)
    tokens = _tokens_per_sample(replies)
    scores = {
        metric: tokens if metric == TOKENS else None if metric in unknown else _score(metric, dataset, graded)
        for metric in wanted
    }
    part = len(dataset.samples) / rules.accuracy_sample_count
    gates = [judge_gate(gate, scores[gate.metric], unknown.get(gate.metric), part) for gate in rules.gates]
    findings = [*gates, judge_count(dataset, replies), *remarks(dataset, replies, rules, shortened)]
    must = [*gates, findings[len(gates)]]
    return Accuracy(
        loadcell=__version__,
        round=rules.round,
        benchmark=rules.benchmark,
        scenario=rules.scenario,
        look_alike=dataset.look_alike,
        samples=len(dataset.samples),
        scored=len(replies.by_sample),
        empty=replies.empty,
        missing=len(dataset.samples) - len(replies.by_sample),
        scores=scores,
        subsets=_subsets(dataset, graded),
        tokens_per_sample=tokens,
        passed=bool(gates) and all(finding.ok is True for finding in must),
        findings=ordered(findings),
    )


def _grade(
    dataset: Dataset,
    replies: Replies,
    rules: Rules,
    run_code: RunCode,
    tell: Callable[[int, int], None] | None,
) -> list[_Graded]:
    """The replies of each grader; graders without a metric of the gates are left out."""
    wanted = {gate.metric for gate in rules.gates}
    by_grader: dict[str, list[int]] = {}
    for number, sample in enumerate(dataset.samples):
        if sample.grader is not None:
            by_grader.setdefault(sample.grader, []).append(number)
    total, done = sum(map(len, by_grader.values())), 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        if tell is not None:
            tell(done, total)

    graded = [_Graded([], [], unknown) for unknown in _ungraded(dataset, wanted)]
    for grader, numbers in by_grader.items():
        samples = [dataset.samples[number] for number in numbers]
        unknown, known = {}, []
        for metric in (name for name in metrics_of(grader) if name in wanted):
            try:
                need(grader, metric, samples, run_code)
                known.append(metric)
            except Unavailable as why:
                unknown[metric] = why
        items = [(_text(replies, number), sample) for number, sample in zip(numbers, samples, strict=True)]
        rows = grade_all(grader, items, known, run_code, told) if known else []
        graded.append(_Graded(numbers if known else [], rows, unknown))
    return graded


def _ungraded(dataset: Dataset, wanted: set[str]) -> list[dict[str, Unavailable]]:
    """Every metric is unknown if there are samples of no known grader."""
    strange = [sample for sample in dataset.samples if sample.grader is None]
    if not strange:
        return []
    subsets = ", ".join(sorted({sample.subset or "none" for sample in strange})[:5])
    why = Unavailable(
        f"a grader for {len(strange):,} samples (subsets: {subsets})",
        "name their subset as the benchmark's data set does, in the column of subsets",
    )
    return [dict.fromkeys(wanted - {TOKENS}, why)]


def _text(replies: Replies, number: int) -> str:
    reply = replies.by_sample.get(number)
    return "" if reply is None else reply.text


# --- figures ---------------------------------------------------------------------------------------------------------


def _score(metric: str, dataset: Dataset, graded: Sequence[_Graded]) -> float | None:
    """One metric over all graded samples; None if none of them counts towards it."""
    if metric == "ACCURACY":
        return _word_accuracy([row for each in graded for row in each.rows])
    pairs = [
        (row[metric], 1 / dataset.samples[number].repeats)
        for each in graded
        for number, row in zip(each.numbers, each.rows, strict=True)
        if metric in row
    ]
    if not pairs:
        return None
    if metric in TOTALS:
        return sum(value for value, _ in pairs)
    score = 100 * sum(value * weight for value, weight in pairs) / sum(weight for _, weight in pairs)
    return round(score, _DECIMALS) if metric in NAMES else score


def _word_accuracy(rows: Sequence[Row]) -> float | None:
    """100 minus the word error rate in percent; None without a word."""
    words = sum(row.get(WER_WORDS, 0) for row in rows)
    return 100 - 100 * sum(row.get(WER_ERRORS, 0) for row in rows) / words if words else None


def _subsets(dataset: Dataset, graded: Sequence[_Graded]) -> dict[str, float]:
    """Share of right answers in percent by subset, where answers are right or wrong."""
    found: dict[str, list[float]] = {}
    for each in graded:
        for number, row in zip(each.numbers, each.rows, strict=True):
            for metric in (EXACT, "gsm8k_accuracy", "mbxp_accuracy"):
                if metric in row:
                    found.setdefault(dataset.samples[number].subset or "all", []).append(row[metric])
    return {subset: 100 * sum(values) / len(values) for subset, values in sorted(found.items())}


def _tokens_per_sample(replies: Replies) -> float | None:
    """Mean output tokens of the replies; None without any, or where one is unknown."""
    counts = [reply.tokens for reply in replies.by_sample.values()]
    known = [count for count in counts if count is not None]
    return sum(known) / len(known) if known and len(known) == len(counts) else None
