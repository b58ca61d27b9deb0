"""Loads as people write them: lists, ranges that go on as they began, and a number of steps between two ends.

    1,8,64                      a list, in the order written
    1,2,4..256                  goes on by the ratio of the numbers before the dots: 1 2 4 8 ... 256
    10,20..100                  or by their difference: 10 20 30 ... 100
    1..40 in 8 steps            8 loads, both ends among them, equally far apart (or by one ratio: geometric)

All numbers before the dots must keep to one difference or to one ratio, and the number behind them must be reached.
Where both would do (1,2..8) or neither does, nothing is guessed: the error shows both readings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from loadcell.errors import UsageError
from loadcell.phrases import phrase

MOST_STAGES = 500
_NUMBER = re.compile(r"[+-]?\d{1,12}(\.\d{1,9})?")
_FORMS = "write 1,8,64 or 1,2,4..256, or 1..40 with --steps 8"


class Loads(NamedTuple):
    """Loads, and what a person must know of how they came to be."""

    values: list[float]
    notes: list[str]


def parse_loads(text: str, flag: str, *, whole: bool, steps: str | None = None, geometric: bool = False) -> Loads:
    """The loads that `text` names, each once; `whole`: users, which come whole. UsageError names the `flag`."""
    ends = _ends(text, flag)
    if steps is not None or geometric:
        if ends is None:
            what = "--steps" if steps is not None else "--geometric"
            raise UsageError(
                f"{flag} {text} already says which loads there are: leave out {what}, or write the two ends alone, "
                "as in 1..40"
            )
        if steps is None:
            raise UsageError(f"{flag} {text} --geometric: say how many loads, as in --steps 8")
        found = _between(*ends, _count(steps), f"{flag} {text}", geometric=geometric, whole=whole)
    else:
        found = list(_listed(text, flag))
    if whole and (broken := next((x for x in found if x.denominator != 1), None)) is not None:
        raise UsageError(f"{flag} {text}: {_say(broken)} is no number of users; they come whole")
    return _once([float(x) for x in found], flag)


def parse_bounds(text: str, flag: str) -> tuple[float, float] | None:
    """The two ends of "1..40"; None if `text` is anything else. UsageError if they are no two rising numbers."""
    ends = _ends(text, flag)
    return None if ends is None else (float(ends[0]), float(ends[1]))


def is_grid(text: str | None) -> bool:
    """Whether `text` names more than one load."""
    return text is not None and ("," in text or ".." in text)


def _ends(text: str, flag: str) -> tuple[Fraction, Fraction] | None:
    """Both ends where `text` is nothing but A..B."""
    if "," in text or text.count("..") != 1:
        return None
    low, high = (_number(part, flag, text) for part in text.split(".."))
    if low >= high:
        raise UsageError(f"{flag} {text} does not rise: write the lower end first, as in 1..40")
    return low, high


def _count(steps: str) -> int:
    if not steps.isdecimal() or not 2 <= int(steps[:9]) <= MOST_STAGES:
        raise UsageError(f"--steps {steps}: write how many loads, both ends included: 2 to {MOST_STAGES}")
    return int(steps)


def _between(low: Fraction, high: Fraction, count: int, what: str, *, geometric: bool, whole: bool) -> list[Fraction]:
    """`count` loads with both ends, rounded to the 6 digits that are shown, so that what is read is what is sent."""
    if whole and (low.denominator, high.denominator) != (1, 1):
        raise UsageError(f"{what}: the ends must be whole numbers of users")
    places = [Fraction(i, count - 1) for i in range(1, count - 1)]
    ratio = float(high / low)
    inside = [float(low) * ratio ** float(p) if geometric else float(low + (high - low) * p) for p in places]
    rounded = [Fraction(round(x)) if whole else Fraction(f"{x:.6g}") for x in inside]
    return [low, *(min(max(x, low), high) for x in rounded), high]


def _listed(text: str, flag: str) -> Iterator[Fraction]:
    """The numbers of a list in which ranges go on as they began."""
    before: list[Fraction] = []
    for item in text.split(","):
        start, dots, end = item.partition("..")
        before.append(_number(start, flag, text))
        yield before[-1]
        if dots:
            last = _number(end, flag, text)
            yield from _go_on(before, last, f"{flag} {text}")
            before = [last]


def _go_on(before: Sequence[Fraction], last: Fraction, what: str) -> list[Fraction]:
    """What follows the numbers `before`, up to `last` and with it."""
    if len(before) < 2:
        raise UsageError(
            f"{what}: how many loads between? Give --steps N, or two numbers before the dots, as in 10,20..100"
        )
    if any(b <= a for a, b in pairwise([*before, last])):
        raise UsageError(f"{what} does not rise up to {_say(last)}: write a range from low to high, or list all loads")
    steps, ratios = {b - a for a, b in pairwise(before)}, {b / a for a, b in pairwise(before)}
    # Two numbers keep to a step and to a ratio; three or more to one of them at most.
    runs = [_added(before[-1], *steps, last=last)] if len(steps) == 1 else []
    runs += [_grown(before[-1], *ratios, last=last)] if len(ratios) == 1 else []
    if not runs:
        raise UsageError(
            f"{what}: the numbers before the dots keep to no step and to no ratio; list all loads, or give both ends "
            "alone and --steps N"
        )
    fits = [run for run in runs if run[-1] == last]
    if not fits:
        tried = " nor by ".join(_show([*before, *run]) for run in runs)
        raise UsageError(
            f"{what}: {_say(last)} is not reached by {tried}; list all loads, or give both ends alone and --steps N"
        )
    if len(fits) == 2 and fits[0] != fits[1]:
        one, other = (_show([*before, *run]) for run in fits)
        raise UsageError(
            f"{what} can be read as {one} or as {other}: write one number more before the dots to say which"
        )
    if len(fits[0]) > MOST_STAGES:
        raise UsageError(f"{what} asks for more than the {MOST_STAGES} stages that a sweep may have")
    return fits[0]


def _added(value: Fraction, step: Fraction, *, last: Fraction) -> list[Fraction]:
    """Steps up to `last`, or to the first beyond it. Of more than a sweep may have, the first and the last."""
    count = math.ceil((last - value) / step)
    return [value + step * i for i in (*range(1, min(count, MOST_STAGES + 1)), count)]


def _grown(value: Fraction, ratio: Fraction, *, last: Fraction) -> list[Fraction]:
    run = [value * ratio]
    while run[-1] < last and len(run) <= MOST_STAGES:
        run.append(run[-1] * ratio)
    return run


def _show(run: Sequence[Fraction]) -> str:
    """The start and the end of a range."""
    said = [_say(x) for x in run]
    return " ".join(said if len(said) <= 7 else [*said[:4], "...", *said[-2:]])


def _number(text: str, flag: str, whole: str) -> Fraction:
    if not text.strip():
        raise UsageError(f"{flag} {whole!r} lacks a number: {_FORMS}")
    if not _NUMBER.fullmatch(text.strip()):
        raise UsageError(f"{flag} {whole}: {text.strip()!r} is not a number that can be a load: {_FORMS}")
    value = Fraction(text.strip())
    if value <= 0:
        raise UsageError(f"{flag} {whole}: {_say(value)} is no load: it must be more than 0")
    return value


def _once(values: list[float], flag: str) -> Loads:
    kept = list(dict.fromkeys(values))
    if len(kept) > MOST_STAGES:
        raise UsageError(f"{flag}: {len(kept)} loads are more than the {MOST_STAGES} stages that a sweep may have")
    double = len(values) - len(kept)
    key = phrase("{}: {} of the loads are there before and run once")
    if double == 1:
        key = phrase("{}: {} of the loads is there before and run once")
    return Loads(kept, [phrase(key, flag, double)] * bool(double))


def _say(value: Fraction) -> str:
    return f"{float(value):.12g}"
