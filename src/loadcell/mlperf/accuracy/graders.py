"""Grading one reply: a table from graders, as data sets name them, to functions, and what each of them needs.

A graded reply is a row of figures by metric: shares of 1 for most, characters for GEN_LEN, errors and words for WER.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from loadcell.mlperf.accuracy.exact import contains_answer, same_choice, same_integer, same_number, share_of_ids
from loadcell.mlperf.accuracy.maths import check_maths, same_maths
from loadcell.mlperf.accuracy.missing import Unavailable
from loadcell.mlperf.accuracy.programs import RunCode, can_run, passes
from loadcell.mlperf.accuracy.rouge import NAMES, check_rouge, joined, punkt, rouge
from loadcell.mlperf.accuracy.words import english_normalizer, word_errors
from loadcell.mlperf.datasets import Sample

Item = tuple[str, Sample]
"""A reply ("" where there is none) and its sample."""
Row = dict[str, float]
GEN_LEN, WER_ERRORS, WER_WORDS = "GEN_LEN", "word errors", "words"
EXACT = "exact_match"

_ROUGE = {"rouge": (*NAMES, GEN_LEN), "rouge-l": ("ROUGEL",)}
_SIMPLE: dict[str, tuple[str, Callable[[str, str], float]]] = {
    "gsm8k": ("gsm8k_accuracy", same_number),
    "choice-d": (EXACT, lambda reply, wanted: same_choice(reply, wanted, "A-D")),
    "choice-j": (EXACT, lambda reply, wanted: same_choice(reply, wanted, "A-J", lone=True)),
    "aime": (EXACT, same_integer),
    "maths": (EXACT, same_maths),
    "uuid": (EXACT, lambda reply, wanted: share_of_ids(reply, wanted.split("|"))),
    "contains": (EXACT, lambda reply, wanted: contains_answer(reply, [wanted])),
}
_PROGRAMS = {"mbxp": "mbxp_accuracy", "livecodebench": EXACT}
_ELSEWHERE = {
    "hierarchical-f1": (("F1_HIERARCHICAL",), "the grader of category paths (hierarchical F1)"),
    "bfcl": (("single_turn_overall", "non_live_normalized"), "BFCL's grader of function calls"),
    "judge": (("E2E_ACCURACY",), "the judge, a model of its own"),
}


def metrics_of(grader: str) -> tuple[str, ...]:
    """The metrics that replies of a grader count towards, as the checker names them."""
    if grader in _ROUGE:
        return _ROUGE[grader]
    if grader in _SIMPLE:
        return (_SIMPLE[grader][0],)
    if grader in _PROGRAMS:
        return (_PROGRAMS[grader],)
    return ("ACCURACY",) if grader == "wer" else _ELSEWHERE[grader][0]


def is_program(grader: str) -> bool:
    """Whether replies of a grader are programs, which have to be run."""
    return grader in _PROGRAMS


def need(grader: str, metric: str, samples: list[Sample], run_code: RunCode) -> None:
    """Unavailable if a metric of a grader cannot be computed here."""
    if grader in _ELSEWHERE:
        raise Unavailable(_ELSEWHERE[grader][1], "score these replies with MLCommons' own tools")
    if grader in _PROGRAMS:
        can_run(samples, run_code)
    if metric in NAMES:
        check_rouge()
    if metric in ("ROUGELSUM", GEN_LEN):
        punkt()
    if grader == "maths":
        check_maths()
    if grader == "wer":
        english_normalizer()


def grade(grader: str, items: Sequence[Item], metrics: Sequence[str], run_code: RunCode) -> list[Row]:
    """The figures of `items`, all of one grader, for those of its `metrics` that `need` found computable."""
    if grader in _ROUGE:
        return _rouge(items, metrics)
    if grader == "wer":
        return [_wer(reply, _reference(sample)) for reply, sample in items]
    if grader in _PROGRAMS:
        return [{_PROGRAMS[grader]: float(passes(reply, sample, run_code))} for reply, sample in items]
    metric, same = _SIMPLE[grader]
    return [{metric: float(same(reply, _reference(sample)))} for reply, sample in items]


def _rouge(items: Sequence[Item], metrics: Sequence[str]) -> list[Row]:
    pairs = [(reply.strip(), _reference(sample).strip()) for reply, sample in items]
    if GEN_LEN in metrics or "ROUGELSUM" in metrics:
        split = punkt()
        pairs = [(joined(reply, split), joined(reference, split)) for reply, reference in pairs]
    names = [name for name in metrics if name in NAMES]
    rows = rouge(pairs, names) if names else [{} for _ in pairs]
    lengths: list[Row] = [{GEN_LEN: len(reply)} if GEN_LEN in metrics else {} for reply, _ in pairs]
    return [row | length for row, length in zip(rows, lengths, strict=True)]


def _wer(reply: str, reference: str) -> Row:
    normal = english_normalizer()
    wanted = normal(reference).split()
    return {WER_ERRORS: word_errors(wanted, normal(reply).split()), WER_WORDS: len(wanted)}


def _reference(sample: Sample) -> str:
    if sample.reference is None:
        raise ValueError("a sample without an expected answer cannot be graded")
    return sample.reference
