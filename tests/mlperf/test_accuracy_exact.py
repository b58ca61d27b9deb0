"""Answers in replies: letters, numbers, boxes, ids, words. What the graders take, and what they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.mlperf.accuracy.exact import (
    choice,
    contains_answer,
    final_text,
    integer,
    last_boxed,
    number,
    same_choice,
    same_number,
    share_of_ids,
)
from loadcell.mlperf.accuracy.graders import WER_ERRORS, WER_WORDS, grade
from loadcell.mlperf.accuracy.maths import same_maths
from loadcell.mlperf.accuracy.words import word_errors
from loadcell.mlperf.datasets import Sample


@pytest.mark.parametrize(
    ("text", "letters", "lone", "letter"),
    [
        ("I think so.\nANSWER: C", "A-D", False, "C"),
        ("Answer: A, or rather\n**ANSWER: (B)**", "A-D", False, "B"),
        (r"ANSWER: \boxed{D}", "A-D", False, "D"),
        (r"**Answer**: $\boxed{\text{A}}$", "A-D", False, "A"),
        ("ANSWER: E", "A-D", False, None),
        ("ANSWER: E", "A-J", True, "E"),
        ("The answer is C", "A-D", False, None),
        ("ANSWER: Cat", "A-D", False, None),
        ("It must be this one:\n\nF", "A-J", True, "F"),
        ("It must be this one:\n\n**(F)**", "A-J", True, "F"),
        ("It must be this one:\n\nF", "A-J", False, None),
        ("I would say A thing is blue. I am sure.", "A-J", True, None),
        ("", "A-J", True, None),
    ],
)
def test_the_last_named_letter_is_the_choice(text: str, letters: str, lone: bool, letter: str | None) -> None:
    assert choice(text, letters, lone=lone) == letter


def test_thoughts_are_not_answers() -> None:
    assert final_text("ANSWER: A? no.</think>\n\nANSWER: B") == "ANSWER: B"
    assert same_choice("ANSWER: A</think>nothing more", "A", "A-D") is False
    harmony = (
        "<|channel|>analysis<|message|>ANSWER: A<|end|><|start|>assistant<|channel|>final<|message|>ANSWER: C<|return|>"
    )
    assert final_text(harmony) == "ANSWER: C"
    assert final_text("no marks at all") == "no marks at all"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"so \boxed{42} and then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{7} but \boxed{8", "7"),
        ("no box", None),
    ],
)
def test_the_last_whole_box(text: str, found: str | None) -> None:
    assert last_boxed(text) == found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\boxed{073}", 73),
        (r"\boxed{$5$}", 5),
        ("Answer: 204", 204),
        ("**Answer:** 204 of them", 204),
        (r"Answer: 3, so \boxed{4}", 4),
        (r"\boxed{1000}", None),
        (r"\boxed{-5}", None),
        (r"\boxed{2.5}", None),
        ("204", None),
    ],
)
def test_whole_numbers_of_aime(text: str, value: int | None) -> None:
    assert integer(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 and 4. The answer is $1,250.50 for 2 people.", 1250.5),
        ("He has 3, then 7 apples", 7.0),
        ("#### 18", 18.0),
        ("The answer is unknown after 12", 12.0),
        ("The answer is -3", -3.0),
        ("none", None),
    ],
)
def test_numbers_of_gsm8k(text: str, value: float | None) -> None:
    assert number(text) == value


def test_numbers_are_compared_as_numbers() -> None:
    assert same_number("The answer is 18.00", "18")
    assert not same_number("no idea", "18")


def test_ids_count_by_share() -> None:
    first, second = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    assert share_of_ids(f"They are {first.upper()}.", [first, second]) == 0.5
    assert share_of_ids(second.upper(), [f"['{second}']"]) == 1.0
    assert share_of_ids("", [first]) == 0.0


def test_answers_are_contained_after_the_last_mark() -> None:
    assert contains_answer("Paris? Answer: Rome. Answer: New  York City", ["paris|new york"])
    assert not contains_answer("Paris. Answer: Rome", ["paris"])
    assert contains_answer("it is PARIS", ["Paris"])
    assert not contains_answer("", ["Paris"])


@pytest.mark.parametrize(
    ("reply", "reference", "right"),
    [
        (r"\boxed{0.5}", r"\frac{1}{2}", True),
        (r"\boxed{1+x}", "x + 1", True),
        (r"\boxed{\dfrac{3}{4}}", r"\frac34", True),
        (r"\boxed{(2,1)}", "(1,2)", False),
        (r"\boxed{\text{red}}", "blue", False),
        ("it is 7", "7", False),
    ],
)
def test_mathematics_is_compared_as_mathematics(reply: str, reference: str, right: bool) -> None:
    pytest.importorskip("math_verify")
    assert same_maths(reply, reference) is right


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "reply", "errors"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a b c", "a b b c", 1),
        ("any one came", "anyone came", 0),
        ("anyone came", "any one came", 0),
        ("in to the house", "into thehouse", 0),
        ("anyone", "any two", 2),
        ("", "some words", 2),
        ("some words", "", 2),
    ],
)
def test_word_errors(reference: str, reply: str, errors: int) -> None:
    assert word_errors(reference.split(), reply.split()) == errors


_WORDS = st.lists(st.sampled_from(["a", "b", "ab", "aba", "c"]), max_size=7)


@given(_WORDS, _WORDS)
def test_joining_only_forgives(reference: list[str], reply: list[str]) -> None:
    """Never more than plain edits, the same both ways, and 0 for what is written the same but for the spaces."""
    plain = list(range(len(reply) + 1))
    for i, word in enumerate(reference, 1):
        row = [i]
        for j, said in enumerate(reply, 1):
            row.append(min(plain[j - 1] + (word != said), plain[j] + 1, row[-1] + 1))
        plain = row
    errors = word_errors(reference, reply)
    assert 0 <= errors <= plain[-1]
    assert errors == word_errors(reply, reference)
    assert abs(len("".join(reference)) - len("".join(reply))) == 0 or errors > 0


def test_whispers_normaliser_is_used() -> None:
    pytest.importorskip("whisper_normalizer")
    sample = Sample(reference="mister brown cannot pay twenty dollars color", grader="wer")
    (row,) = grade("wer", [("Mr. Brown can't pay $20, colour!", sample)], ["ACCURACY"], "off")
    assert row == {WER_ERRORS: 0, WER_WORDS: 6}
