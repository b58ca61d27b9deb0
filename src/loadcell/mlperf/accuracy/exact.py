"""Answers that are one letter or one number: finding them in a reply, and comparing them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_THOUGHT_END = "</think>"
_FINAL_CHANNEL = re.compile(r"<\|channel\|>final\b[^<]*<\|message\|>")
_MARK = re.compile(r"<\|[a-z_]+\|>")
_ANSWER_WORD = r"\banswer\b[\s*_]*:[\s*_$]*"
"""`ANSWER:` in any case, with the emphasis and the mathematics that models write around it."""
_NUMBER = re.compile(r"-?[\d,]*\.?\d+")
_DELIMITERS = ("The answer is", "####")


def final_text(text: str) -> str:
    """The answer without the thoughts before it: after the last `</think>`, or Harmony's final channel.

    A reply without such marks is all answer.
    """
    channels = list(_FINAL_CHANNEL.finditer(text))
    if channels:
        return _MARK.split(text[channels[-1].end() :], maxsplit=1)[0].strip()
    return text.rpartition(_THOUGHT_END)[2].strip()


def last_boxed(text: str) -> str | None:
    r"""What stands in the last \boxed{...} whose braces close; None without one."""
    for start in reversed([match.end() for match in re.finditer(r"\\f?boxed\s*\{", text)]):
        depth = 1
        for at in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0) if text[at - 1] != "\\" else 0
            if depth == 0:
                return text[start:at].strip()
    return None


def choice(text: str, letters: str, *, lone: bool = False) -> str | None:
    """The letter of `letters` that the last `ANSWER: X` gives; None without one.

    With `lone`, a reply without it may give the letter alone: in a box, or as the last line that is one letter.
    """
    given = rf"(?:\\(?:boxed|text|textbf)\s*\{{\s*)*[(\[]?\s*([{letters}])\b"
    found = re.findall(rf"(?i:{_ANSWER_WORD}){given}", text)
    if not found and lone:
        found = re.findall(rf"(?m)^[\s*_$(\[]*(?:\\boxed\s*\{{\s*)?([{letters}])[\s*_$)\].}}]*$", text)
    return found[-1] if found else None


def integer(text: str, low: int = 0, high: int = 999) -> int | None:
    """A whole number from `low` to `high`: of the last box, else after the last `Answer:`. None without one."""
    boxed = last_boxed(text)
    words = [boxed] if boxed is not None else re.findall(rf"(?i){_ANSWER_WORD}([-\d]+)", text)[-1:]
    for word in words:
        digits = re.fullmatch(r"\\?(?:text\{)?\s*0*(\d{1,9})\s*\}?\.?", word.replace("$", "").strip())
        if digits and low <= int(digits[1]) <= high:
            return int(digits[1])
    return None


def number(text: str) -> float | None:
    """The first number after the last "The answer is" (or "####"), else the last number. None without one."""
    at = max(text.rfind(mark) + len(mark) if mark in text else -1 for mark in _DELIMITERS)
    told = _NUMBER.findall(text[at:])[:1] if at >= 0 else []
    found = told or _NUMBER.findall(text)[-1:]
    return float(found[0].replace(",", "")) if found else None


def same_number(reply: str, reference: str) -> bool:
    """GSM8K: whether the numbers of both texts are equal as floating point."""
    given, wanted = number(reply), number(reference)
    return given is not None and given == wanted


def same_choice(reply: str, reference: str, letters: str, *, lone: bool = False) -> bool:
    """Multiple choice: whether the reply's letter is the reference's."""
    return choice(final_text(reply), letters, lone=lone) == reference.strip(" ().").upper()


def same_integer(reply: str, reference: str) -> bool:
    """AIME: whether the reply's whole number is the reference's."""
    given = integer(final_text(reply))
    return given is not None and given == number(reference)


# --- long contexts ---------------------------------------------------------------------------------------------------

_UUID = re.compile(r"\w{8}-\w{4}-\w{4}-\w{4}-\w{12}")


def share_of_ids(reply: str, references: Sequence[str]) -> float:
    """Share of the expected ids (UUIDs; else the references themselves) that stand in the reply, 0 to 1."""
    expected = [found for text in references for found in _UUID.findall(text)] or list(references)
    return sum(word.lower() in reply.lower() for word in expected) / len(expected)


def contains_answer(reply: str, references: Sequence[str]) -> bool:
    """Whether one of the alternatives (split by `|`) stands in the reply after its last "Answer: ".

    Without white space and case.
    """
    given = _bare(reply.rpartition("Answer: ")[2])
    wanted = [_bare(part) for text in references for part in text.split("|")]
    return any(word in given for word in wanted if word)


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", text).lower()
