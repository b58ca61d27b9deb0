"""From replies to metrics and the gate: means, weights, bounds, and what is not computed."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from loadcell.mlperf.accuracy import graders, maths, rouge, spread
from loadcell.mlperf.accuracy.evaluate import evaluate
from loadcell.mlperf.accuracy.missing import Unavailable
from loadcell.mlperf.accuracy.replies import Reply, settle
from loadcell.mlperf.datasets import Dataset, Sample, find_dataset
from loadcell.mlperf.model import Accuracy, Finding
from loadcell.mlperf.rules import find_rules

ARTICLE = "The ferry opens again. It carries forty people."
RULES_8B = find_rules("v6.1", "llama3.1-8b", "server")


def dataset(benchmark: str, samples: Sequence[Sample], *, whole: int | None = None, **more: Any) -> Dataset:
    fields = {"name": "made", "path": None, "sha256": "0" * 64, "look_alike": False, "max_tokens": None}
    return Dataset(
        benchmark=benchmark, samples=list(samples), whole=len(samples) if whole is None else whole, **(fields | more)
    )


def scored(benchmark: str, samples: Sequence[Sample], replies: Sequence[str | Reply | None], **more: Any) -> Accuracy:
    """The accuracy of replies in the order of their samples; None: there is none. The samples are the whole set."""
    rules = find_rules("v6.0" if benchmark in ("mixtral-8x7b", "llama3.1-405b") else "v6.1", benchmark, "offline")
    rules = msgspec.structs.replace(rules, accuracy_sample_count=more.pop("whole", len(samples)))
    found = [Reply(i, text, 10) if isinstance(text, str) else text for i, text in enumerate(replies)]
    asked = dataset(benchmark, samples, whole=rules.accuracy_sample_count)
    return evaluate(asked, settle([r for r in found if r is not None], len(samples)), rules, **more)


def finding(found: Accuracy, rule: str) -> Finding:
    return next(each for each in found.findings if each.rule == rule)


def by_full_stop(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+", text) if part]


@pytest.fixture
def splitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graders, "punkt", lambda: by_full_stop)


@pytest.fixture
def no_punkt(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise Unavailable("the data", "get it")

    monkeypatch.setattr(graders, "punkt", missing)


def summaries(count: int = 3) -> list[Sample]:
    return [Sample(prompt="x", reference=ARTICLE, grader="rouge") for _ in range(count)]


# --- ROUGE -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("splitter")
def test_rouge_is_the_mean_of_f_measures_with_sentences_on_lines() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    texts = [" A ferry is opening.   It carried people! ", "It carries forty. The ferry opens.", ARTICLE]
    found = scored("llama3.1-8b", summaries(), texts)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    joined = [
        "A ferry is opening.\nIt carried people!",
        "It carries forty.\nThe ferry opens.",
        ARTICLE.replace(". ", ".\n"),
    ]
    one = [scorer.score(ARTICLE.replace(". ", ".\n"), text) for text in joined]
    for ours, theirs in rouge.NAMES.items():
        assert found.scores[ours] == round(sum(row[theirs].fmeasure for row in one) / 3 * 100, 4)
    assert found.scores["GEN_LEN"] == sum(map(len, joined))
    assert found.scores["ROUGELSUM"] != found.scores["ROUGEL"]  # which needs the sentences


@pytest.mark.usefixtures("splitter")
def test_all_bounds_held_is_passed_and_one_is_enough_to_fail() -> None:
    rules = msgspec.structs.replace(RULES_8B, accuracy_sample_count=2)
    low, high = (gate for gate in rules.gates if gate.metric == "GEN_LEN")
    length = 2 * len(ARTICLE)
    around = [msgspec.structs.replace(low, threshold=length), msgspec.structs.replace(high, threshold=length)]
    rules = msgspec.structs.replace(rules, gates=[*rules.gates[:4], *around])
    asked = dataset("llama3.1-8b", summaries(2))
    replies = [Reply(0, ARTICLE, 9), Reply(1, ARTICLE, 9)]
    found = evaluate(asked, settle(replies, 2), rules)
    assert found.passed
    assert {each.ok for each in found.findings} == {True}
    longer = [Reply(0, ARTICLE, 9), Reply(1, ARTICLE + " ferry", 9)]
    found = evaluate(asked, settle(longer, 2), rules)
    assert not found.passed
    assert [each.rule for each in found.findings if each.ok is False] == ["accuracy-gate GEN_LEN"]


@pytest.mark.usefixtures("no_punkt")
def test_without_sentences_two_metrics_are_unknown_and_nothing_passes() -> None:
    found = scored("llama3.1-8b", summaries(), [ARTICLE] * 3)
    assert found.scores["ROUGE1"] == 100.0
    assert found.scores["ROUGELSUM"] is None
    assert found.scores["GEN_LEN"] is None
    assert not found.passed
    unknown = finding(found, "accuracy-gate ROUGELSUM")
    assert unknown.ok is None
    assert unknown.advice == "get it"


@pytest.mark.usefixtures("no_punkt")
def test_questions_need_no_sentences() -> None:
    samples = [Sample(prompt="x", reference=ARTICLE, grader="rouge")] * 2
    found = scored("llama2-70b-99.9", samples, [Reply(0, ARTICLE, 290), Reply(1, ARTICLE, 298)])
    assert found.scores == {"ROUGE1": 100.0, "ROUGE2": 100.0, "ROUGEL": 100.0, "TOKENS_PER_SAMPLE": 294.0}
    assert found.passed


@pytest.mark.usefixtures("splitter")
def test_lengths_are_scaled_to_a_part_of_the_data_set() -> None:
    found = scored("llama3.1-8b", summaries(), [ARTICLE] * 3, whole=13368)
    low = finding(found, "accuracy-gate GEN_LEN")
    assert "0.0224 % of the data set" in low.says
    assert f"{8167644 * 0.9 * 3 / 13368:,.1f}" in " ".join(each.says for each in found.findings)
    assert finding(found, "comparable").ok is None


def test_punkt_splits_as_nltk_does() -> None:
    """With the data of NLTK, or of the package that brings the same."""
    try:
        split = rouge.punkt()
    except Unavailable as why:
        assert "nltk" in why.advice
        pytest.skip(str(why))
    text = "Dr. Smith met Mr. Jones in the U.S. on Jan. 5. It cost $3.5 million!  Really?"
    assert split(text) == ["Dr. Smith met Mr. Jones in the U.S. on Jan. 5.", "It cost $3.5 million!", "Really?"]


@pytest.mark.usefixtures("processes")
@pytest.mark.usefixtures("splitter")
def test_many_replies_are_graded_alike_in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, texts = summaries(200), [f"The ferry opens {i}" for i in range(200)]
    rules = find_rules("v6.1", "llama2-70b-99.9", "offline")
    replies = settle([Reply(i, text, 5) for i, text in enumerate(texts)], 200)
    told: list[tuple[int, int]] = []
    alone = evaluate(dataset(rules.benchmark, samples), replies, rules, tell=lambda *at: told.append(at))
    monkeypatch.setattr(spread, "_ALONE", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert evaluate(dataset(rules.benchmark, samples), replies, rules) == alone
    assert told[-1] == (200, 200)


# --- right or wrong --------------------------------------------------------------------------------------------------


def test_repeated_questions_count_once() -> None:
    samples = [
        *[Sample(prompt="x", reference="7", subset="aime25", grader="aime", repeats=8)] * 8,
        *[Sample(prompt="x", reference="B", subset="gpqa", grader="choice-d", repeats=5)] * 5,
    ]
    replies = [*["Answer: 7"] * 6, *["Answer: 8"] * 2, *["ANSWER: B"] * 1, *["ANSWER: A"] * 4]
    found = scored("gpt-oss-120b", samples, replies)
    assert found.scores["exact_match"] == pytest.approx(100 * (6 / 8 + 1 / 5) / 2)
    assert found.subsets == {"aime25": 75.0, "gpqa": 20.0}


def test_the_score_of_405b_is_by_metric() -> None:
    first, second = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    samples = [
        Sample(prompt="x", reference=ARTICLE, grader="rouge-l"),
        Sample(prompt="x", reference=f"{first}|{second}", grader="uuid"),
        Sample(prompt="x", reference="Paris", grader="contains"),
    ]
    found = scored("llama3.1-405b", samples, [ARTICLE, first, "Answer: paris"])
    assert found.scores["ROUGEL"] == 100.0
    assert found.scores["exact_match"] == 75.0


def test_programs_off_leave_their_metric_unknown() -> None:
    samples = [
        Sample(prompt="x", reference="B", subset="gpqa", grader="choice-d"),
        Sample(prompt="x", reference="q", subset="livecodebench", grader="livecodebench", tests="[]"),
    ]
    found = scored("deepseek-r1", samples, ["ANSWER: B", "```python\n```"])
    assert found.scores["exact_match"] is None
    assert found.subsets == {"gpqa": 100.0}  # what can be said is said
    assert not found.passed
    assert "--run-code" in str(finding(found, "accuracy-gate exact_match").advice)


@pytest.mark.parametrize("broken", ["library", "parser"])
def test_a_grader_that_did_not_load_is_no_pass(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    maths.check_maths.cache_clear()
    if broken == "library":
        monkeypatch.setitem(sys.modules, "math_verify", None)
    else:
        monkeypatch.setattr(maths, "_equal", lambda wanted, given: False)
    samples = [Sample(prompt="x", reference="7", subset="math500", grader="maths")]
    found = scored("deepseek-r1", samples, [r"\boxed{7}"])
    maths.check_maths.cache_clear()
    assert found.scores["exact_match"] is None
    assert not found.passed
    assert str(finding(found, "accuracy-gate exact_match").advice).startswith("pip install")


def test_without_rouge_score_there_is_no_rouge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rouge, "find_spec", lambda name: None)
    found = scored("llama2-70b-99.9", summaries(), [ARTICLE] * 3)
    assert found.scores["ROUGE1"] is None
    assert not found.passed


@pytest.mark.parametrize(
    ("benchmark", "grader", "metric"),
    [
        ("qwen3-vl-235b-a22b", "hierarchical-f1", "F1_HIERARCHICAL"),
        ("qwen3.6-27b", "bfcl", "single_turn_overall"),
        ("e2e-rag-qna", "judge", "E2E_ACCURACY"),
    ],
)
def test_what_is_not_scored_here_is_said(benchmark: str, grader: str, metric: str) -> None:
    rules = find_rules("v6.1", benchmark, "singlestream" if benchmark == "qwen3.6-27b" else "offline")
    asked = dataset(benchmark, [Sample(reference="x", grader=grader)])
    found = evaluate(asked, settle([Reply(0, "x", 1)], 1), rules)
    assert found.scores[metric] is None
    assert not found.passed
    assert "MLCommons" in str(finding(found, f"accuracy-gate {metric}").advice)


def test_samples_of_no_known_grader_leave_everything_unknown() -> None:
    samples = [Sample(prompt="x", reference="B", subset="gpqa", grader="choice-d"), Sample(prompt="x", subset="odd")]
    found = scored("deepseek-r1", samples, ["ANSWER: B", "?"])
    assert found.scores["exact_match"] is None
    assert "odd" in finding(found, "accuracy-gate exact_match").says


def test_words_of_speech() -> None:
    pytest.importorskip("whisper_normalizer")
    samples = [Sample(reference="the cat can not sit"), Sample(reference="a dog")]
    samples = [msgspec.structs.replace(sample, grader="wer") for sample in samples]
    found = scored("whisper", samples, ["The cat cannot sit.", "the dog"])
    assert found.scores["ACCURACY"] == pytest.approx(100 - 100 / 7)
    assert not found.passed


# --- replies ---------------------------------------------------------------------------------------------------------


def choices(count: int) -> list[Sample]:
    return [Sample(prompt="x", reference="B", subset="gpqa", grader="choice-d") for _ in range(count)]


def test_missing_replies_are_wrong_and_fail() -> None:
    found = scored("deepseek-r1", choices(4), ["ANSWER: B", None, "", "ANSWER: B"])
    assert found.scores["exact_match"] == 50.0
    assert (found.scored, found.missing, found.empty) == (3, 1, 1)
    assert finding(found, "accuracy-sample-count").ok is False


def test_the_first_of_two_replies_counts() -> None:
    replies = settle([Reply(0, "a"), Reply(0, "b"), Reply(5, "c"), Reply(-1, "d")], 2)
    assert replies.by_sample == {0: Reply(0, "a")}
    assert (replies.repeated, replies.strange) == (1, 2)


def test_unknown_tokens_leave_the_bound_unknown() -> None:
    found = scored("deepseek-r1", choices(2), [Reply(0, "ANSWER: B", 5), Reply(1, "ANSWER: B")])
    assert found.tokens_per_sample is None
    assert finding(found, "accuracy-gate TOKENS_PER_SAMPLE").ok is None
    assert not found.passed


def test_smaller_passes_say_so() -> None:
    found = scored(
        "deepseek-r1", choices(2), ["ANSWER: B"] * 2, shortened=["64 output tokens at most instead of 20,000"]
    )
    assert "64 output tokens" in finding(found, "comparable").says


@pytest.mark.parametrize("benchmark", ["llama3.1-8b", "llama2-70b-99.9", "deepseek-r1", "gpt-oss-120b"])
def test_the_references_of_look_alikes_are_right_answers(benchmark: str) -> None:
    """Every grader of the samples that ship takes a right answer; programs are not run here."""
    rules = find_rules("v6.1", benchmark, "offline")
    asked = find_dataset(rules, None, look_alike=True, samples=None, accuracy=True)
    by_grader = {"choice-d": "ANSWER: {}", "choice-j": "ANSWER: {}", "aime": "Answer: {}", "maths": "\\boxed{{{}}}"}
    texts = [by_grader.get(s.grader or "", "{}").format(s.reference) for s in asked.samples]
    found = evaluate(asked, settle([Reply(i, text, 9) for i, text in enumerate(texts)], len(texts)), rules)
    assert all(score == 100.0 for subset, score in found.subsets.items()), found.subsets
    assert all(found.scores[name] in (100.0, None) for name in found.scores if "ROUGE" in name)
    assert finding(found, "comparable").says.startswith("look-alike")
